"""Models to tune, built from torch alone: weights are drawn, since only speed is looked at.

    autotune search benchmarks.served_torch:convolutional --slo 50ms

Each function returns a module and one request.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

CLASSES = 1000
TOKENS, WORDS = 64, 8192


class Block(nn.Module):
    """A basic block of ResNet (He et al. 2016, doi 10.1109/CVPR.2016.90, figure 2)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        """Take images of `channels_in` channels to `channels`, smaller by `stride`."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.aside = nn.Conv2d(channels_in, channels, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return activations, shape (batch, channels, height, width)."""
        return torch.relu(self.body(images) + self.aside(images))


class Classifier(nn.Module):
    """A small residual network."""

    def __init__(self) -> None:
        """Draw its weights."""
        super().__init__()
        widths = [32, 32, 64, 128, 256]
        blocks = [
            Block(before, after, 1 if number == 0 else 2)
            for number, (before, after) in enumerate(pairwise(widths))
        ]
        self.stem = nn.Conv2d(3, widths[0], 7, 4, 3)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1], CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (batch, classes), of images, shape (batch, 3, height, width)."""
        found: Tensor = self.head(self.blocks(self.stem(images)).mean((2, 3)))
        return found


class Encoder(nn.Module):
    """A small transformer encoder (Vaswani et al. 2017) over token ids."""

    def __init__(self, width: int = 192, layers: int = 4) -> None:
        """Draw its weights."""
        super().__init__()
        self.embedding = nn.Embedding(WORDS, width)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True, dropout=0.0)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Return one embedding a text, shape (batch, width), of ids, shape (batch, tokens)."""
        found: Tensor = self.layers(self.embedding(ids)).mean(1)
        return found


def convolutional() -> tuple[nn.Module, Tensor]:
    """Build the classifier, and an image of 224 x 224."""
    torch.manual_seed(0)
    return Classifier().eval(), torch.rand(1, 3, 224, 224)


def transformer() -> tuple[nn.Module, Tensor]:
    """Build the encoder, and a text of 64 tokens."""
    torch.manual_seed(0)
    return Encoder().eval(), torch.randint(0, WORDS, (1, TOKENS))
