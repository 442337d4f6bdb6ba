"""Each example, end to end, by its README's own command."""

import importlib.util
import json
import re
import shlex
import sys
import venv
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import kubernetes_validate
import numpy as np
import pytest
import yaml
from clone import EXAMPLES, ROOT, commands_of, copy_of, run_example, run_line

import autotune
from autotune.cli.app import run
from autotune.probes.cores import usable_cores

NAMES = (
    "ci",
    "cpu-quota",
    "gym-agent",
    "plan-a-fleet",
    "recorded-trace",
    "serve-fastapi",
    "strategy-plugin",
    "torch-model",
)
REPOSITORY = ["pyproject.toml", "README.md", "LICENSE", "constraints.txt", "autotune"]


def module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, EXAMPLES / path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def tuned_in(folder: Path, name: str = "*") -> autotune.Tuned:
    (path,) = folder.rglob(f"{name}.autotune.json")
    return autotune.load(path, stale="ignore")


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_says_how_to_install_and_run(name: str) -> None:
    install, command = commands_of(name)
    pinned = (ROOT / "constraints.txt").read_text()
    _, _, _, constraints, *rest = shlex.split(install)
    assert constraints == "constraints.txt"
    if "-r" in rest:
        assert (ROOT / rest[rest.index("-r") + 1]).is_file()
    else:
        for package in rest:
            own = package.startswith(".") and (ROOT / package / "pyproject.toml").is_file()
            assert own or re.search(rf"^{package}==", pinned, re.M | re.I), package
    python, script = command.split()
    assert python == "python"
    assert (ROOT / script).is_file()
    assert f"({name}/README.md)" in (EXAMPLES / "README.md").read_text()


@pytest.mark.slow
def test_a_tuned_model_is_served_by_fastapi(tmp_path: Path) -> None:
    done = run_example("serve-fastapi", tmp_path)
    assert done.returncode == 0, done.stderr
    tuned = tuned_in(tmp_path)
    assert f"Serving {tuned.config().describe()} on port" in done.stdout
    assert "300 requests answered, 30 a second" in done.stdout
    for row in ("promised by the file", "seen by the engine", "seen by the client"):
        assert re.search(rf"^{row} +[\d.]+ +[\d.]+$", done.stdout, re.M), done.stdout
    assert tuned.path is not None
    embedded = run_line(
        f"python {EXAMPLES}/serve.py", tuned.path.parent, Path(sys.executable), tmp_path
    )
    assert embedded.stdout.count("{'target_label': (1, 214)}") == 10, embedded.stderr


@pytest.mark.slow
def test_the_gate_lets_one_pull_request_pass_and_stops_the_other(tmp_path: Path) -> None:
    done = run_example("ci", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answers equal: True" in done.stdout
    assert re.findall(r"^exit code (\d)$", done.stdout, re.M) == ["0", "3"]
    (report,) = tmp_path.glob("*/slower/autotune.xml")
    failure = ElementTree.parse(report).find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "regression"
    for branch in ("unchanged", "slower"):
        summary = (report.parents[1] / branch / "summary.md").read_text()
        assert summary.startswith("### autotune check model.autotune.json")
        assert summary in done.stdout


@pytest.mark.slow
def test_a_quota_of_one_cpu_is_seen_and_tuned_for(tmp_path: Path) -> None:
    done = run_example("cpu-quota", tmp_path)
    assert done.returncode == 0, done.stderr
    machine = tuned_in(tmp_path).file.machine
    assert machine.cores_usable == 1
    assert re.search(r"^Usable cores: \d+ outside, 1 inside$", done.stdout, re.M)
    assert re.search(r"^runtime default +[\d.]+ +[\d.]+ +[\d.]+  ", done.stdout, re.M)
    if "No quota: " in done.stdout:
        pytest.skip(done.stdout.splitlines()[0])
    assert "doctor: The cgroup grants 1 of" in done.stdout
    assert machine.cpu_quota == 1.0
    cgroup = done.stdout.splitlines()[0].removeprefix("A quota of one CPU: ")
    assert not Path(cgroup).parent.exists()


@pytest.mark.slow
def test_a_recorded_trace_is_tuned_for_and_held_against_poisson(tmp_path: Path) -> None:
    done = run_example("recorded-trace", tmp_path)
    assert done.returncode == 0, done.stderr
    recorded, poisson = tuned_in(tmp_path, "recorded").file, tuned_in(tmp_path, "poisson").file
    assert (recorded.arrivals, poisson.arrivals) == ("trace", "poisson")
    assert recorded.policy[0].load_rps == poisson.policy[0].load_rps
    for name, file in (("recorded", recorded), ("Poisson", poisson)):
        config = re.escape(file.policy[0].config.describe())
        assert re.search(rf"^{name}( +[\d.a-z]+){{3}}  {config}$", done.stdout, re.M)


@pytest.mark.slow
def test_a_fleet_is_planned_at_list_prices(tmp_path: Path) -> None:
    done = run_example("plan-a-fleet", tmp_path)
    assert done.returncode == 0, done.stderr
    (written,) = tmp_path.rglob("plan.json")
    plan = json.loads(written.read_text())
    assert plan["types"][0]["name"] == "c7i.large"
    assert plan["currency"] == "USD"
    assert plan["summary"].split()[0] in done.stdout
    assert written.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_torch_model_is_exported_tuned_and_answers_as_in_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment of its own, as after a fresh clone: nothing here needs torch."""
    monkeypatch.setenv("PIP_NO_COMPILE", "1")  # of torch, little is imported
    install, command = commands_of("torch-model")
    clone = copy_of([*REPOSITORY, "examples"], tmp_path / "clone")
    script = clone / command.removeprefix("python ")
    hasty = script.read_text()
    for before, after in (("COMPARE_S = 8.0", "COMPARE_S = 2.0"), ("budget_s=12", "budget_s=6")):
        assert before in hasty
        hasty = hasty.replace(before, after)
    script.write_text(hasty)
    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    installed = run_line(install, clone, python, tmp_path)
    assert installed.returncode == 0, installed.stderr
    done = run_line(command, clone, python, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of the largest at most: equal: True" in done.stdout
    for percentile in ("p50", "p95"):
        assert f"{percentile}, engine over torch: x" in done.stdout
    assert tuned_in(tmp_path).file.model.batchable


@pytest.mark.slow
def test_an_agent_learns_to_tune_on_paper(tmp_path: Path) -> None:
    for library in ("gymnasium", "stable_baselines3"):
        pytest.importorskip(library)
    done = run_example("gym-agent", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^ *\d+/s +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)  ", done.stdout, re.M)
    assert len(rows) == 3
    for default_ms, learnt_ms, best_ms, reward in (map(float, row) for row in rows):
        assert best_ms <= learnt_ms < max(1.5 * best_ms, 0.1 * default_ms)
        assert 0 < reward < 32


def dockerfile() -> list[tuple[str, str]]:
    text = (EXAMPLES / "cpu-quota" / "Dockerfile").read_text()
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


@pytest.mark.slow
def test_the_dockerfile_installs_what_it_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines, run in a bare environment on no more than what it copies."""
    monkeypatch.setenv("PIP_NO_COMPILE", "1")
    built, copied = tmp_path / "built", []
    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    for word, rest in dockerfile():
        if word == "COPY":
            *sources, target = rest.split()
            assert target in ("./", *sources)
            copied += sources
            copy_of(sources, built)
        if word == "RUN":
            done = run_line(rest, built, python, tmp_path)
            assert done.returncode == 0, done.stderr
    assert copied
    started = run_line(f"{command_in_container()} --dry-run", tmp_path, python, tmp_path)
    assert started.returncode == 0, started.stderr
    assert "magika:" in started.stdout


def command_in_container() -> str:
    words = dict(dockerfile())
    return shlex.join([*json.loads(words["ENTRYPOINT"]), *json.loads(words["CMD"])])


def test_compose_and_kubernetes_grant_one_cpu_and_run_what_the_dockerfile_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = EXAMPLES / "cpu-quota"
    service = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["tune"]
    assert service["cpus"] == 1
    context = folder / service["build"]["context"]
    assert (context / service["build"]["dockerfile"]).samefile(folder / "Dockerfile")
    job = yaml.safe_load((folder / "kubernetes.yaml").read_text())
    kubernetes_validate.validate(job, "1.37", strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    resources = container["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["cpu"] == "1"
    assert ["autotune", *container["args"]] == [*shlex.split(command_in_container()), "--json"]
    assert run([*container["args"], "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("listing", "folder", "limit"),
    [
        ("9:name=systemd:/\n1:cpu,cpuacct:/pod/box\n0::/", "cpu/pod/box", "cpu.cfs_quota_us"),
        ("3:memory:/box\n1:cpu:/\n0::/", "cpu", "cpu.cfs_quota_us"),
        ("0::/pod", "pod", "cpu.max"),
    ],
)
def test_a_cgroup_of_one_cpu_is_made_below_ones_own(
    listing: str, folder: str, limit: str, tmp_path: Path
) -> None:
    example = module("cpu-quota/one_cpu.py")
    parent, found = example.own_cgroup(tmp_path, listing)
    assert (parent, found) == (tmp_path / folder, limit)
    parent.mkdir(parents=True)
    child = example.make_cgroup(parent, limit)
    assert child.parent == parent
    assert (child / limit).read_text() == {"cpu.max": "100000 100000"}.get(limit, "100000")


def test_without_a_cgroup_one_cpu_is_left_by_affinity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example: Any = module("cpu-quota/one_cpu.py")
    monkeypatch.setattr(example, "CGROUPS", tmp_path / "none")
    before = usable_cores()
    with example.one_cpu() as cgroup:
        assert cgroup is None
        assert usable_cores().usable == 1
    assert usable_cores() == before
    assert capsys.readouterr().out.startswith("No quota: a cgroup cannot be made here (")


def test_the_recorded_arrivals_are_what_their_script_makes() -> None:
    example = module("recorded-trace/make_arrivals.py")
    made = example.make_arrivals(np.random.default_rng(0))
    written = np.loadtxt(EXAMPLES / "recorded-trace" / "arrivals.csv", skiprows=1)
    np.testing.assert_allclose(made, written, atol=0.0006)
