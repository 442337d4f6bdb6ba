from autotune.cli.mistakes import LONGEST, complaint, in_its_place
from autotune.cli.settings import Given


def test_a_complaint_is_one_line_that_a_terminal_can_show() -> None:
    assert complaint("a\nb\tc") == "a b c"
    assert complaint("x\x1b[31m\udcff\u202e") == "x\\x1b[31m\\udcff\\u202e"
    assert complaint("mod\u00e8le \u2603") == "mod\u00e8le \u2603"
    long = complaint(f"--slo {'9' * 10 * LONGEST} has no unit")
    assert len(long) < LONGEST + 10
    assert long.startswith("--slo 999")
    assert long.endswith("999 has no unit")


def test_a_complaint_names_where_the_value_was_given() -> None:
    slo = Given("50", "autotune.toml: search.slo", "autotune.toml")
    model = Given("none.onnx", "AUTOTUNE_MODEL", "AUTOTUNE_MODEL")
    given = {"slo": (slo, ["--slo"]), "model": (model, ["model"])}
    assert in_its_place("--slo '50' has no unit", given) == (
        "autotune.toml: search.slo '50' has no unit"
    )
    assert in_its_place("none.onnx: no such file", given) == (
        "AUTOTUNE_MODEL: none.onnx: no such file"
    )
    assert in_its_place("--slower is another", given) == "--slower is another"
