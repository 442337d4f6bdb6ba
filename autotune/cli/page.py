"""Prints a page of tables and sentences, in colours where the terminal has them."""

from rich.console import Console
from rich.text import Text

from autotune.cli.foreign import commands_nothing
from autotune.config_file import TunedFile
from autotune.present.answer import answer_page
from autotune.present.document import BLOCK, Document, Table, Tone, fits, lines_of

_STYLES: dict[Tone, str] = {
    "plain": "",
    "good": "green",
    "bad": "red",
    "doubt": "yellow",
    "dim": "dim",
    "strong": "bold",
}
_VERDICTS = ("good", "bad", "doubt")
_PLAIN_BLOCK = "#"
"""What bars are made of where the terminal cannot spell blocks."""


def print_page(page: Document) -> None:
    """Print to standard output, as wide as the terminal is; 80 columns where there is none."""
    # The page has been laid out: what is left of a long word is the terminal's to break.
    console = Console(highlight=False, soft_wrap=True)
    block = BLOCK if console.encoding.lower().startswith("utf") else _PLAIN_BLOCK
    for part in page:
        for line in lines_of(part, console.width):
            bold = "bold " * (not isinstance(part, Table) and line.tone in _VERDICTS)
            text = commands_nothing(line.text.replace(BLOCK, block))
            console.print(Text(text, bold + _STYLES[line.tone]))


def print_answer(tuned: TunedFile) -> None:
    """Print the policy beside the default, then the sentence; intervals where there is room."""
    page = answer_page(tuned, with_intervals=True)
    if not fits(page, Console().width):
        page = answer_page(tuned, with_intervals=False)
    print_page(page)
