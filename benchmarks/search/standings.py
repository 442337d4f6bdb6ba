"""The table and the pictures of races.

    python -m search.standings FOLDER RACES.jsonl...

Measurements and seconds (profile included) until the answers are within 5 % and 1 % of the best at
every load: median and 90th percentile of the seeds. A search of one load after the other is
credited with stopping each load as soon as it is that near, which it cannot know. `> N`: not by
then.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from autotune.outcome import Samples
from autotune.strategy.protocol import SearchSettings
from search.race import NO_ANSWER, OURS, Raced, read_races
from search.rivals import OUR_PUBLIC

MIN_GAIN = SearchSettings().min_gain
NEAR = (0.05, 0.01)
HEAD = (
    "| strategy | seeds | to 5 %: median | p90 | seconds | p90 | to 1 %: median | p90 | seconds | "
    "p90 | SLO missed | thinking s |\n|" + "---|" * 12
)


def main() -> None:
    """Print the tables; draw a picture for each space."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("races", type=Path, nargs="+")
    given = parser.parse_args()
    spaces: dict[str, list[Raced]] = defaultdict(list)
    for path in given.races:
        for raced in read_races(path):
            spaces[_kind(raced)].append(raced)
    for kind, races in spaces.items():
        print(f"\n### {kind}\n\n{HEAD}")
        for strategy in _strategies(races):
            print(_row(strategy, [raced for raced in races if raced.strategy == strategy]))
        print("\n" + _ratio(races) + _promise(races))
        draw(kind, races, given.folder)


def _kind(raced: Raced) -> str:
    """A machine on paper of one size counts as one space, whichever model it serves."""
    head, _, rest = raced.space.partition(", model ")
    size = f"{round(raced.points, -3):,} points" if rest else f"{raced.points} points"
    return f"{head}, about {size}" if rest else f"{head}, {size}"


def _strategies(races: Iterable[Raced]) -> list[str]:
    found = dict.fromkeys(raced.strategy for raced in races)
    ours = [*OURS, OUR_PUBLIC]
    return sorted(found, key=lambda name: (ours.index(name) if name in ours else len(ours), name))


def _is_rival(name: str) -> bool:
    return name not in (*OURS, OUR_PUBLIC)


def _row(strategy: str, races: list[Raced]) -> str:
    cells = []
    for near in NEAR:
        reached = np.array([until(raced, near) for raced in races])
        most = np.array([(len(raced.steps), raced.steps[-1].seconds) for raced in races])
        for column in range(2):
            for quantile in (0.5, 0.9):
                value = float(np.quantile(reached[:, column], quantile, method="higher"))
                limit = float(np.median(most[:, column]))
                cells.append(f"{value:,.0f}" if np.isfinite(value) else f"> {limit:,.0f}")
    missed = np.median([_missed(raced) for raced in races])
    thinking = np.median([raced.thinking_s for raced in races])
    return f"| {strategy} | {len(races)} | {' | '.join(cells)} | {missed:.0f} | {thinking:.1f} |"


def until(raced: Raced, near: float) -> tuple[float, float]:
    """Return measurements and seconds until every load's answer is so near; infinite if never."""
    if raced.strategy in OURS:
        for count, step in enumerate(raced.steps, 1):
            if step.regret <= near:
                return count, step.seconds
        return np.inf, np.inf
    total, spent_s, begun_s = 0, 0.0, 0.0
    for load in range(raced.loads):
        mine = [step for step in raced.steps if step.load == load]
        reached = next((i for i, step in enumerate(mine) if step.regret <= near), None)
        if reached is None:
            return np.inf, np.inf
        total += reached + 1
        spent_s += mine[reached].seconds - begun_s
        begun_s = mine[-1].seconds
    return total, spent_s


def _missed(raced: Raced) -> int:
    """Measurements that missed the SLO, until within 5 % or to the end."""
    reached = until(raced, NEAR[0])[0]
    if raced.strategy in OURS:
        return sum(step.violates for step in raced.steps[: int(min(reached, len(raced.steps)))])
    count = 0
    for load in range(raced.loads):
        for step in (step for step in raced.steps if step.load == load):
            count += step.violates
            if step.regret <= NEAR[0]:
                break
    return count


def _ratio(races: list[Raced]) -> str:
    """How the best rival compares with RRL in the median."""
    medians = {
        strategy: np.median(
            [until(raced, NEAR[0]) for raced in races if raced.strategy == strategy], axis=0
        )
        for strategy in _strategies(races)
    }
    rivals = {name: median for name, median in medians.items() if _is_rival(name)}
    if "rrl" not in medians or not rivals:
        return ""
    mine = [raced for raced in races if raced.strategy == "rrl"]
    if not np.isfinite(medians["rrl"]).all():
        return "RRL does not get there in the median."
    share = np.mean([np.isfinite(until(raced, NEAR[0])[0]) for raced in mine])
    parts = []
    for column, what in enumerate(("measurements", "seconds")):
        name = min(rivals, key=lambda rival: float(rivals[rival][column]))
        best, own = float(rivals[name][column]), float(medians["rrl"][column])
        many = f"{best / own:.1f}" if np.isfinite(best) else "over " + _least(races, own, column)
        parts.append(f"{many} times the {what}" + (f" ({name})" if np.isfinite(best) else ""))
    return f"The best rival needs {' and '.join(parts)}; RRL gets there from {share:.0%} of seeds."


def _promise(races: list[Raced]) -> str:
    """How often RRL, calling itself settled, was wrong by more than it says it may be."""
    mine = [raced for raced in races if raced.strategy == "rrl"]
    settled = [(raced, raced.settled_at) for raced in mine if raced.settled_at]
    if not settled:
        return ""
    at = [count for _, count in settled]
    wrong = [raced.steps[count - 1].regret > MIN_GAIN for raced, count in settled]
    return (
        f" It calls itself settled from {len(settled) / len(mine):.0%}, after {np.median(at):.0f} "
        f"measurements in the median (p90 {np.quantile(at, 0.9):.0f}); its answer is then over "
        f"{MIN_GAIN:.0%} from the best at some load in {np.mean(wrong):.0%}."
    )


def _least(races: list[Raced], own: float, column: int) -> str:
    """What no rival reached is farther than the longest of their typical races."""
    lengths = defaultdict(list)
    for raced in races:
        if _is_rival(raced.strategy):
            last = raced.steps[-1]
            lengths[raced.strategy].append((len(raced.steps), last.seconds)[column])
    return f"{max(float(np.median(one)) for one in lengths.values()) / own:.1f}"


def draw(kind: str, races: list[Raced], folder: Path) -> None:
    """Draw how far the worst load's answer is from the best, over measurements."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for strategy in _strategies(races):
        curves = [_curve(raced) for raced in races if raced.strategy == strategy]
        longest = max(map(len, curves))
        padded = np.array([np.append(c, np.full(longest - len(c), c[-1])) for c in curves])
        middle = np.median(padded, axis=0)
        style: dict[str, Any] = (
            {"linewidth": 2.5} if strategy == "rrl" else {"linewidth": 1.2, "alpha": 0.85}
        )
        if strategy in (*OURS[1:], OUR_PUBLIC):
            style["linestyle"] = "--"
        axes.plot(np.arange(1, longest + 1), 100 * middle, label=strategy, **style)
    axes.axhline(5, color="grey", linewidth=0.8)
    axes.set(xscale="log", yscale="symlog", xlabel="measurements, all loads together")
    axes.set(ylabel="worst load: % slower than the best", title=kind, ylim=(0, 1000))
    axes.set_yticks([0, 1, 5, 10, 50, 100, 1000], ["0", "1", "5", "10", "50", "100", "1000"])
    axes.legend(fontsize=8, ncols=2)
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in kind.lower())
    figure.savefig(folder / f"{name}.png", dpi=110)
    pyplot.close(figure)


def _curve(raced: Raced) -> Samples:
    """The worst load's regret after each measurement; loads searched in turn keep in step."""
    if raced.strategy in OURS:
        return np.array([min(step.regret, NO_ANSWER) for step in raced.steps])
    mine = [
        np.array([step.regret for step in raced.steps if step.load == load])
        for load in range(raced.loads)
    ]
    longest = max(map(len, mine))
    level = [np.append(one, np.full(longest - len(one), one[-1])) for one in mine]
    return np.asarray(np.repeat(np.max(level, axis=0), raced.loads))


if __name__ == "__main__":
    main()
