"""A comparison of two tuned files as a page: the sentence, what they do not share, the numbers."""

from collections.abc import Iterator
from itertools import chain

from autotune.comparison.records import Answer, Comparison, Difference, LoadCompared, Quantity
from autotune.present.cells import share
from autotune.present.document import BLANK, Column, Document, Line, Row, Table, Tone
from autotune.units import format_ms, format_rps

_LABELS: dict[Quantity, str] = {
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "slo_attainment": "in SLO",
    "cpu_ms_per_request": "CPU ms",
    "diverged": "overload",
    "execution_cpu_ms": "one execution, CPU ms",
}
_MORE_IS_BETTER: Quantity = "slo_attainment"


def comparison_page(found: Comparison, names: tuple[str, str] | None = None) -> Document:
    """Return the whole page; `names`: of the files, where they have any."""
    pages: list[Document] = [
        [Line(found.summary, "strong"), BLANK, _premises(found, names)],
        [BLANK, _policies(found)],
    ]
    rows = list(_rows(found))
    if rows:
        columns = (
            Column("load"),
            Column("", right=False, wraps=True),
            Column("a"),
            Column("b"),
            Column("change", right=False, wraps=True),
            Column("", right=False),
        )
        pages.append([BLANK, Table(columns, rows), *(Line(one, "dim") for one in _legend(found))])
    pages.append([Line(f"note: {text}") for text in found.notes])
    return list(chain.from_iterable(pages))


def _premises(found: Comparison, names: tuple[str, str] | None) -> Table:
    a, b = found.a, found.b
    rows = [("file", *names)] if names else []
    rows.append(("searched", _when(a.started_at), _when(b.started_at)))
    rows += [(one.what, one.a, one.b) for one in found.premises]
    rows.append(("meets SLO", _up_to(a.meets_slo_up_to_rps), _up_to(b.meets_slo_up_to_rps)))
    columns = Column("", right=False), *(Column(name, False, wraps=True) for name in "ab")
    return Table(columns, [Row(row) for row in rows])


def _policies(found: Comparison) -> Table:
    columns = Column("load"), *(Column(f"{name} runs", False, wraps=True) for name in "ab")
    rows = []
    for load in found.loads:
        same = load.a is not None and load.b is not None and load.a.config == load.b.config
        cells = [_rate(load.load_rps), _answer(load, load.a), _answer(load, load.b)]
        rows.append(Row(cells, "dim" if same else "plain"))
    return Table(columns, rows)


def _answer(load: LoadCompared, answer: Answer | None) -> str:
    if answer is None:
        return "nothing: above its loads"
    text = answer.config.describe()
    if answer.evidence == "predicted":
        text += ", predicted only"
    if not answer.meets_slo:
        text += ", misses the SLO"
    if _rate(answer.entry_load_rps) != _rate(load.load_rps):
        text += f" (its entry for up to {_rate(answer.entry_load_rps)})"
    return text


def _rows(found: Comparison) -> Iterator[Row]:
    if found.execution is not None:
        yield _row("", _LABELS["execution_cpu_ms"], found.execution, found.same_system)
    for load in found.loads:
        place = _rate(load.load_rps)
        for one in load.differences:
            yield _row(place, _label(found, one), one, machine=False)
            place = ""
        for one in load.default:
            # The machine's part is worth a line where it shows, or is all that there is.
            if one.verdict == "differs" or not load.differences:
                label = f"default's {_label(found, one)}"
                yield _row(place, label, one, machine=found.same_system)
                place = ""


def _row(place: str, label: str, one: Difference, machine: bool) -> Row:
    values = [_value(one, one.a), _value(one, one.b)]
    word = "machine" if machine and one.verdict == "differs" else one.verdict
    return Row([place, label, *values, _change(one), word], _tone(one, machine))


def _tone(one: Difference, machine: bool) -> Tone:
    if one.verdict != "differs":
        return "dim"
    if machine:
        return "doubt"
    more = (one.b or 0.0) > (one.a or 0.0) if one.change is None else one.change > _same(one)
    return "good" if more == (one.quantity == _MORE_IS_BETTER) else "bad"


def _same(one: Difference) -> float:
    return 0.0 if one.quantity in ("slo_attainment", "diverged") else 1.0


def _label(found: Comparison, one: Difference) -> str:
    slo_percentile = found.a.slo.partition(" ")[0]
    return _LABELS.get(one.quantity, f"{slo_percentile} ms")


def _value(one: Difference, value: float | None) -> str:
    if value is None:
        return "lost"
    if one.quantity == "diverged":
        return "yes" if value else "no"
    return share(value) if one.quantity == "slo_attainment" else format_ms(value)


def _change(one: Difference) -> str:
    if one.change is None or one.quantity == "diverged":
        return "-"
    share_of_all = one.quantity == "slo_attainment"
    sign, unit, to = ("", " pt", " to ") if share_of_all else ("x", "", "-")
    text = f"{sign}{_number(one, one.change)}{unit}"
    if one.verdict != "unknown":
        text += f" [{_number(one, one.low)}{to}{_number(one, one.high)}]"
    return text + " *" * (one.basis == "over_default")


def _number(one: Difference, value: float | None) -> str:
    if value is None:
        return "?"
    if one.quantity == "slo_attainment":
        return f"{100 * value:+.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _legend(found: Comparison) -> Iterator[str]:
    every = [one for load in found.loads for one in (*load.differences, *load.default)]
    text = "change: b / a, or b - a in points of a percentage, with its 95 % interval."
    if any(one.basis == "over_default" for one in every):
        text += (
            " *: of the ratio to the runtime's default in the same rounds, so that a slower "
            "machine is no difference."
        )
    yield text + " differs: more than noise, at 5 % for all of them together."
    reasons = [one.reason for one in every if one.reason]
    for reason in dict.fromkeys(reasons):
        yield f"unknown: {reason} ({reasons.count(reason)})"


def _rate(load_rps: float) -> str:
    return f"{format_rps(load_rps)}/s"


def _up_to(load_rps: float | None) -> str:
    return "at no load" if load_rps is None else f"up to {_rate(load_rps)}"


def _when(started_at: str) -> str:
    """Date and minute of an ISO 8601 time; anything else as it is."""
    return started_at[:16].replace("T", " ")
