"""What is installed is pinned, and held by hashes."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
from doc_page import blocks_of, steps_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
README, CI = ROOT / "README.md", ROOT / ".ci" / "run"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER, AUDITOR = script("make_requirements"), script("audit_constraints")
PINS: dict[str, str] = MAKER.pins(MAKER.CONSTRAINTS.read_text())
FILES: list[Path] = [MAKER.USERS, MAKER.TESTERS]


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_line_has_hashes_and_the_version_of_the_constraints(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    head = [line for line in lines if not line.startswith(" ")]
    found = MAKER.hashed(path.read_text())
    assert len(found) == len([line for line in head if line != f"-r {MAKER.USERS.name}"])
    assert {name: version for name, (version, _) in found.items()}.items() <= PINS.items()
    hashes = [one for _, several in found.values() for one in several]
    assert len(hashes) == len(set(hashes)) == len(lines) - len(head)


def test_the_files_hold_all_that_is_needed_and_no_more() -> None:
    """Read from what is installed, so a package that needs something new is seen."""
    wanted = MAKER.wanted()
    assert {path: set(MAKER.hashed(path.read_text())) for path in FILES} == wanted
    assert "torch" not in set.union(*wanted.values())


def test_whatever_the_project_names_is_pinned_and_allowed() -> None:
    found = project()["project"]
    groups = found["optional-dependencies"].values()
    asked = [*found["dependencies"], *(one for group in groups for one in group)]
    for requirement in map(Requirement, [*asked, *project()["build-system"]["requires"]]):
        version = PINS[str(canonicalize_name(requirement.name))]
        assert requirement.specifier.contains(version), requirement


def test_the_ci_runs_the_readmes_test_command() -> None:
    steps = [step.command for block in blocks_of(README.read_text()) for step in steps_of_(block)]
    (command,) = [one for one in steps if "pytest" in one]
    assert command in map(str.strip, CI.read_text().splitlines())
    install, build, _ = command.split(" && ")
    assert re.fullmatch(rf"pip install --require-hashes -r {MAKER.TESTERS.name}", install)
    assert "--no-build-isolation -c constraints.txt" in build, "or setuptools comes unpinned"


def steps_of_(block: Any) -> list[Any]:
    return steps_of(block) if block.language == "console" else []


class TestTheMaker:
    """From an index's listing to lines that pip accepts."""

    FILES = (
        ("tool_1-1.0-py3-none-any.whl", "a", False),
        ("tool_1-1.0.tar.gz", "b", False),
        ("tool_1-1.0.1-py3-none-any.whl", "c", False),
        ("tool_1-1.0.post1.tar.gz", "d", False),
        ("tool-1-1.0.exe", "e", False),
        ("tool_1-2.0.tar.gz", "f", "a flaw"),
    )

    def listing(self) -> dict[str, Any]:
        return {
            "files": [
                {"filename": name, "hashes": {"sha256": letter * 64}, "yanked": withdrawn}
                for name, letter, withdrawn in self.FILES
            ]
        }

    def test_all_files_of_the_version_are_hashed(self) -> None:
        files = MAKER.files_of(self.listing(), "1.0")
        text = " \\\n".join(MAKER.lines("tool-1", "1.0", files)) + "\n"
        assert MAKER.hashed(text) == {"tool-1": ("1.0", ["a" * 64, "b" * 64])}

    @pytest.mark.parametrize(("version", "said"), [("2.0", "withdrawn"), ("3.0", "no such")])
    def test_what_cannot_be_had_is_refused(self, version: str, said: str) -> None:
        files = MAKER.files_of(self.listing(), version)
        with pytest.raises(ValueError, match=rf"tool-1=={version}: .*{said}"):
            list(MAKER.lines("tool-1", version, files))

    @pytest.mark.parametrize("line", ["tool>=1", "tool", "tool==1 --hash=sha256:0", ""])
    def test_constraints_are_versions_and_nothing_else(self, line: str) -> None:
        with pytest.raises(ValueError, match="not name==version"):
            MAKER.pins(f"One_Tool==1.0\n{line}\n")

    def test_the_index_is_pips_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/a-rather-long/simple/")
        assert MAKER.index() == "https://index.invalid/a-rather-long/simple"


class TestTheAudit:
    """What is said, and whether a run fails for it."""

    FLAWED = MappingProxyType(
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
    )
    CLEAN = MappingProxyType({"name": "b", "version": "2", "vulns": []})
    UNKNOWN = MappingProxyType({"name": "c", "skip_reason": "?"})

    def told(self, *dependencies: Any) -> tuple[str, int]:
        report = {"dependencies": list(dependencies), "fixes": []}
        text, code = AUDITOR.told({"pypi": AUDITOR.audit_of(report), "osv": "cannot be reached"})
        return str(text), int(code)

    def test_a_known_vulnerability_fails(self) -> None:
        text, code = self.told(self.FLAWED, self.CLEAN)
        assert code == 1
        assert "a==1: PYSEC-1, fixed in 1.1" in text
        assert text.startswith("2 of 2 pinned versions")

    def test_what_nothing_is_known_of_is_named(self) -> None:
        text, code = self.told(self.CLEAN, self.UNKNOWN)
        assert code == 0
        assert "1 of 2 pinned versions" in text
        assert text.endswith("no known vulnerability\nnothing is known of c")

    def test_having_learnt_nothing_is_no_all_clear(self) -> None:
        text, code = self.told(self.UNKNOWN)
        assert code == 0
        assert text.startswith("NOT AUDITED")
        assert "osv: cannot be reached" in text
        assert "no known vulnerability" not in text
