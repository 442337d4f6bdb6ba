"""Our own search as anybody meets it: `autotune.LatticeSearch`, one load at a time, no prediction.

It is told no more than the rivals are.
"""

from autotune import LatticeSearch, SearchSettings
from search.rival_base import Lattice, Place


class PublicSearch:
    """The public interface, asked and told by place."""

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Start with nothing known."""
        self._lattice = lattice
        self._search = LatticeSearch(lattice, settings=SearchSettings(seed=seed))

    def ask(self) -> Place | None:
        """Return the place to measure next; None once all are known."""
        config = self._search.ask()
        if config is None:
            return None
        return tuple(values.index(config[name]) for name, values in self._lattice.items())

    def tell(self, place: Place, value: float | None) -> None:
        """Learn the value of a place; None: it failed."""
        knobs = zip(self._lattice.items(), place, strict=True)
        config = {name: values[index] for (name, values), index in knobs}
        self._search.tell(config, value, failure=value is None)
