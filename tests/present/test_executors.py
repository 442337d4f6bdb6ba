"""What an answer says of what executed the model: providers, compiling, copies to a GPU."""

from msgspec.structs import replace
from promised import TUNED

from autotune.config_file import TunedFile
from autotune.present.answer import answer_page
from autotune.present.document import as_text
from autotune.records import Finalist, Placement, Transfer
from autotune.spec import ServingConfig


def said(tuned: TunedFile) -> str:
    return " ".join(as_text(answer_page(tuned, with_intervals=False), width=10_000).split())


def with_search(**changes: object) -> TunedFile:
    return replace(TUNED, search=replace(TUNED.search, **changes))


def test_the_share_of_nodes_that_fell_back_to_the_cpu_is_told() -> None:
    some = Placement(provider="openvino", nodes={"openvino": 75, "cpu": 25})
    assert "openvino executes 75 of the model's 100 nodes; 25 % fell back to the CPU." in said(
        with_search(placements=[some])
    )
    whole = Placement(provider="openvino", nodes={"openvino": 100})
    assert "executes 100 of the model's 100 nodes." in said(with_search(placements=[whole]))
    as_usual = Placement(provider="cpu", nodes={"cpu": 100})
    assert "nodes" not in said(with_search(placements=[as_usual]))


def test_compile_time_is_shown_where_there_was_any() -> None:
    assert "Compiling took 34 s, which is in no latency." in said(with_search(compiled_s=34.0))
    assert "Compiling" not in said(TUNED)


def test_a_gpu_says_what_overlapping_hides_and_what_latency_gains() -> None:
    entry = TUNED.policy[-1]
    assert entry.measured is not None
    moved = Transfer(batches=100, in_s=0.15, out_s=0.05, compute_s=1.0, hidden_share=0.75)
    overlapped = ServingConfig(provider="cuda", replicas=2, overlap=True)
    naive = replace(overlapped, overlap=False)
    own_ms = entry.measured.objective.value_ms
    assert own_ms is not None
    slower = replace(
        entry.measured, objective=replace(entry.measured.objective, value_ms=1.25 * own_ms)
    )
    tuned = replace(
        TUNED,
        policy=[
            replace(entry, config=overlapped, measured=replace(entry.measured, transfer=moved))
        ],
        finalists=[
            Finalist(
                load_rps=entry.load_rps, config=naive, measured=slower, shares=[], latency_ms=[]
            )
        ],
    )
    text = said(tuned)
    assert "copies take 2.00 ms a batch, of which 75 % is hidden behind compute" in text
    assert "x0.80." in text
    assert "default on cuda" in text
