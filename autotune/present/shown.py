"""What every result of the Python interface can do: print itself, and show itself in a notebook."""

from abc import ABC, abstractmethod

from autotune.present.document import Document, as_html, as_text


class Shown(ABC):
    """A result: `print(result)` gives text of 80 columns, a notebook shows a table."""

    @abstractmethod
    def _page(self, wide: bool) -> Document:
        """Return what to show; `wide`: there is room for more than 80 columns."""

    def __str__(self) -> str:
        """The result as text."""
        return as_text(self._page(wide=False))

    def _repr_html_(self) -> str:
        """The result as IPython, Jupyter and their like display it."""
        return as_html(self._page(wide=True))
