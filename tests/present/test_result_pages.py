"""Pages of every kind of result: within 80 columns, the verdict first, nothing breaks out."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import TUNED
from results import EVIL, findings, gate_report, measurement, verified

from autotune.exports.exporters import EXPORTERS, export
from autotune.exports.tuned import deployment_of, entry_to_deploy
from autotune.outcome import ModelInfo
from autotune.present.answer import answer_page
from autotune.present.document import Document, as_html, as_text
from autotune.present.exported import export_page, servers_page
from autotune.present.findings import findings_page
from autotune.present.gate import gate_page
from autotune.present.measured import measurement_page
from autotune.present.verified import verified_page
from autotune.spec import Slo


def pages(info: ModelInfo, name: str) -> dict[str, Document]:
    tuned = replace(TUNED, model=replace(TUNED.model, name=name))
    deployment = deployment_of(tuned, entry_to_deploy(tuned), None)
    return {
        "answer": answer_page(tuned, with_intervals=False),
        "measured": measurement_page(measurement(info, name=name)),
        "compared": measurement_page(measurement(info, compared=True, name=name)),
        "gate": gate_page(
            replace(gate_report("regression"), model=name, reasons=[f"{name} is slower"])
        ),
        "verified": verified_page(verified(name, effect=False)),
        "findings": findings_page(findings(name)),
        "export": export_page(deployment, export("triton", deployment), Path(name)),
        "servers": servers_page(EXPORTERS),
    }


KINDS = ["answer", "measured", "compared", "gate", "verified", "findings", "export", "servers"]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("kind", KINDS)
def test_text_fits(info: ModelInfo, kind: str, width: int) -> None:
    lines = as_text(pages(info, "model.onnx")[kind], width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)


def test_the_percentile_asked_for_has_a_column_of_its_own() -> None:
    first, *others = TUNED.policy
    predicted = replace(first, measured=None, default=None)
    slo = Slo(latency_ms=50, percentile=99.9)
    text = as_text(answer_page(replace(TUNED, slo=slo, policy=[predicted, *others]), False))
    head, row, *_ = text.splitlines()
    assert head.split()[2:10] == ["p50", "ms", "p95", "ms", "p99", "ms", "p99.9", "ms"]
    assert row.split()[-7:-3] == ["-", "-", "-", "~20.1"]


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_words_wherever_they_stand(info: ModelInfo, kind: str) -> None:
    page = pages(info, EVIL)[kind]
    assert "<script" not in as_html(page)
    assert "\x1b" not in as_html(page) + as_text(page)


def test_the_policy_stands_beside_the_default_and_ends_with_the_sentence() -> None:
    text = as_text(answer_page(TUNED, with_intervals=False))
    assert "110/s  2 x 1 thread" in text
    assert text.index("runtime default") < text.index("Deploy 2 x 1 thread")
    assert "[" not in text
    wide = as_text(answer_page(TUNED, with_intervals=True), width=120)
    assert "6.85 [5.53-7.26]" in wide
    assert "Brackets: 95 % interval" in wide


def test_what_was_not_measured_or_was_disturbed_or_cut_short_says_so() -> None:
    first, second, *rest = TUNED.policy
    assert second.measured is not None
    disturbed = replace(second.measured, disturbed=["5 % stolen (2 of 6)"], slo_verdict="undecided")
    tuned = replace(
        TUNED,
        status="interrupted",
        policy=[
            replace(first, measured=None, default=None),
            replace(second, measured=disturbed),
            *rest,
        ],
        search=replace(TUNED.search, max_risk=0.05, violations=1),
    )
    text = as_text(answer_page(tuned, with_intervals=False))
    assert "predicted\n" in text
    assert "met? *" in text
    words = " ".join(text.split())
    assert "*: disturbed: 5 % stolen" in words
    assert "Interrupted: this is the best so far" in words
    assert "Safe: only what was predicted to miss the SLO with less than 5 %" in words


def test_a_measurement_begins_with_its_verdict(info: ModelInfo) -> None:
    text = as_text(measurement_page(measurement(info)))
    assert "\n2 x 1 thread\nVALID\n" in text
    assert "n = 2,000, 0 over" in text
    assert "████" in text
    compared = as_text(measurement_page(measurement(info, compared=True)))
    assert "2 x 1 thread over runtime default, 6 interleaved rounds:" in compared
    assert "differs" in compared


def test_a_check_begins_with_its_verdict() -> None:
    text = as_text(gate_page(gate_report("regression", ("it is slower",))))
    assert "\nRegression against the file: it is slower\n-> search again\n" in text


def test_a_knob_without_effect_and_refusals_are_said() -> None:
    text = as_text(verified_page(verified(effect=False)))
    assert "did not" in text
    assert "30/s: litserve: refused" in text
    assert text.startswith("litserve 1.0: 2 x 1 thread\n")
