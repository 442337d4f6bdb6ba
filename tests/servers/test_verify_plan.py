from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import TUNED

from autotune import model_file
from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.patterns import Poisson
from autotune.servers.plan import plan_verify
from autotune.servers.verify import WARM_SHARE
from autotune.servers.verify_policy import Place, PolicyQuestion, groups_of
from autotune.spec import ModelSpec


def question(tuned: TunedFile, model: Path, url: str | None = None) -> PolicyQuestion:
    spec = ModelSpec(path=str(model))
    return PolicyQuestion(tuned, spec, groups_of(tuned, url), Poisson(), 10.0, 0)


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8000/v2/models/m/infer"])
def test_each_configuration_is_a_server_and_each_load_its_time(
    url: str | None, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"model")
    tuned = replace(TUNED, model=replace(TUNED.model, sha256=model_file.sha256(model)))
    asked = question(tuned, model, url)
    plan = plan_verify(asked, Place("litserve", Path("python"), None, url))
    assert [one.loads_rps for one in plan.servers] == [
        [entry.load_rps for entry in entries] for entries in asked.groups
    ]
    loads = sum(len(one.loads_rps) for one in plan.servers)
    assert plan.seconds == pytest.approx(loads * 10 * (1 + WARM_SHARE))
    assert (plan.server, plan.url) == ("litserve", url)
    with pytest.raises(UsageError, match="is not the model that was tuned"):
        plan_verify(question(TUNED, model), Place("litserve", Path("python"), None, url))
