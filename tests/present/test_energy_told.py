"""What a result says of energy."""

from msgspec.structs import replace
from promised import TUNED

from autotune.config_file import TunedFile
from autotune.present.answer import answer_page
from autotune.present.document import Line
from autotune.reports.page import page


def told(tuned: TunedFile) -> str:
    return " ".join(part.text for part in answer_page(tuned, False) if isinstance(part, Line))


def test_the_least_energy_within_the_slo_is_told_load_by_load_and_that_it_is_a_model() -> None:
    text = told(TUNED)
    assert "Energy per request, least within the SLO: 0.0794 J at 30/s (1 x 2 threads" in text
    assert "0.0339 J at 160/s (2 x 1 thread, 33.5 ms); 1.48 W idle" in text
    assert "(a model: Cloud Carbon Footprint's averages for a vCPU)." in text


def test_what_misses_the_slo_is_not_told_and_of_no_energy_nothing_is() -> None:
    missed = [replace(one, meets_slo=one.load_rps != 30) for one in TUNED.trade_offs]
    text = told(replace(TUNED, trade_offs=missed))
    assert "J at 110/s" in text
    assert "J at 30/s" not in text
    none = [replace(one, meets_slo=False) for one in missed]
    assert "Energy per request" not in told(replace(TUNED, trade_offs=none))
    assert "Energy per request" not in told(replace(TUNED, power=None, trade_offs=[]))


def test_the_report_has_a_table_of_it_with_every_trade_off() -> None:
    text = page(TUNED)
    _, table = text.split("<h2>Latency, energy and cores</h2>")
    assert table.split("</section>")[0].count("<tr>") == 1 + len(TUNED.trade_offs)
    assert "Cloud Carbon Footprint" in table
    older = page(replace(TUNED, power=None, trade_offs=[]))
    assert "Latency, energy and cores" not in older
