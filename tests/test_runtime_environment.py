from pathlib import Path

import msgspec

from autotune.runtime_environment import compiled_in, environment_of
from autotune.spec import RUNTIME_DEFAULT

DEFAULT = RUNTIME_DEFAULT.session_shape
QUIET = msgspec.structs.replace(DEFAULT, spinning=False)


def test_only_torch_without_spinning_must_be_told_before_it_starts() -> None:
    assert environment_of(False, QUIET) == {}
    assert environment_of(True, DEFAULT) == {}
    assert environment_of(True, QUIET)["OMP_WAIT_POLICY"] == "PASSIVE"


def test_all_that_is_compiled_lies_in_one_folder() -> None:
    assert set(compiled_in(Path("some/folder")).values()) == {"some/folder"}
