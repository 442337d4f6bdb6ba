"""What is known of this machine is kept, and probed again when it may have changed."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from kept_machine import TRAITS, keep_machine

from autotune.errors import MeasureError
from autotune.probes.machine import this_machine
from autotune.stages import traits as traits_module
from autotune.stages.events import Event, Said, Started
from autotune.stages.traits import KeptFile, kept_path, kept_traits, machine_traits
from autotune.traits import MachineTraits

FOUND = msgspec.structs.replace(TRAITS, core_gflops=77.0)


class Desk:
    """Counts probes, and what is said."""

    def __init__(self, path: Path) -> None:
        self.path, self.probes = path, 0
        self.events: list[Event] = []

    def probe(self) -> MachineTraits:
        self.probes += 1
        return FOUND

    def ask(self) -> MachineTraits:
        return machine_traits(self.events.append, self.path)

    @property
    def warnings(self) -> list[str]:
        return [one.text for one in self.events if isinstance(one, Said) and one.warning]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path / "data" / "machine.json")
    monkeypatch.setattr(traits_module, "probe", made.probe)
    return made


def test_it_is_probed_once_and_kept(desk: Desk) -> None:
    assert kept_traits(desk.path) is None
    assert desk.ask() == FOUND
    assert desk.events == [Started(step="probing the machine (once)")]
    assert desk.ask() == desk.ask() == kept_traits(desk.path) == FOUND
    assert (desk.probes, len(desk.events)) == (1, 1)


@pytest.mark.parametrize("change", ["machine", "numpy"])
def test_another_machine_or_numpy_is_probed_and_the_first_still_known(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    desk.ask()
    with monkeypatch.context() as other:
        if change == "machine":
            machine = msgspec.structs.replace(this_machine(), cores_usable=77)
            other.setattr(traits_module, "this_machine", lambda: machine)
        else:
            other.setattr(np, "__version__", "99.0")
        assert kept_traits(desk.path) is None
        desk.ask()
        desk.ask()
        assert desk.probes == 2
    desk.ask()
    assert (desk.probes, desk.warnings) == (2, [])


def test_so_many_machines_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for cores in range(100, 120):
        machine = msgspec.structs.replace(this_machine(), cores_usable=cores)
        monkeypatch.setattr(traits_module, "this_machine", lambda machine=machine: machine)
        desk.ask()
    kept = msgspec.json.decode(desk.path.read_bytes(), type=KeptFile).machines
    assert [one.machine.cores_usable for one in kept] == list(range(119, 103, -1))


def newer(path: Path) -> None:
    path.write_text('{"schema_version": 99, "anything": []}')


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "warning"),
    [
        (newer, "is a newer autotune's"),
        (damaged, "cannot be read"),
        (empty, "cannot be read"),
        (a_folder, "cannot be kept"),
    ],
)
def test_what_cannot_be_read_is_said_once_and_probed(
    desk: Desk, spoil: Callable[[Path], None], warning: str
) -> None:
    desk.ask()
    spoil(desk.path)
    assert kept_traits(desk.path) is None
    assert desk.ask() == FOUND
    assert desk.probes == 2
    assert len(desk.warnings) == 1
    assert warning in desk.warnings[0]
    assert str(desk.path) in desk.warnings[0]
    desk.ask()
    assert desk.probes == (3 if spoil is a_folder else 2)


def test_a_place_that_cannot_be_written_is_said_once(desk: Desk) -> None:
    desk.path.parent.parent.joinpath("data").write_text("a file, and no folder")
    assert desk.ask() == FOUND
    assert desk.probes == 1
    assert len(desk.warnings) == 1
    assert "cannot be kept" in desk.warnings[0]


def test_a_probe_that_fails_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> MachineTraits:
        raise MeasureError("the machine cannot be probed: no numpy")

    monkeypatch.setattr(traits_module, "probe", fail)
    with pytest.raises(MeasureError, match="no numpy"):
        desk.ask()
    assert not desk.path.exists()


def test_it_lies_beside_the_store_where_tests_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept_path() == Path(f"{tmp_path}-data") / "autotune" / "machine.json"
    assert kept_traits() == TRAITS
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    assert kept_traits() is None
    keep_machine(tmp_path / "other")
    assert kept_traits() == TRAITS
