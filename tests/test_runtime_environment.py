from pathlib import Path

import msgspec
import pytest

from autotune.errors import UsageError
from autotune.runtime_environment import (
    COMPILED_FOLDER,
    PASS_ENV,
    compiled_in,
    environment_of,
    passed_on,
)
from autotune.spec import RUNTIME_DEFAULT

DEFAULT = RUNTIME_DEFAULT.session_shape
QUIET = msgspec.structs.replace(DEFAULT, spinning=False)


def test_only_torch_without_spinning_must_be_told_before_it_starts() -> None:
    assert environment_of(False, QUIET) == {}
    assert environment_of(True, DEFAULT) == {}
    assert environment_of(True, QUIET)["OMP_WAIT_POLICY"] == "PASSIVE"


def test_all_that_is_compiled_lies_in_one_folder() -> None:
    assert set(compiled_in(Path("some/folder")).values()) == {"some/folder"}


def test_what_runtimes_read_passes_and_nothing_else() -> None:
    passing = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "PYTHONPATH": "x",
        "LD_PRELOAD": "libmimalloc.so",
        "OMP_NUM_THREADS": "2",
        "TORCHINDUCTOR_CACHE_DIR": "y",
        "CUDA_VISIBLE_DEVICES": "0",
        "CXX": "g++",
        COMPILED_FOLDER: "z",
    }
    staying = {
        "HTTPS_PROXY": "http://user:secret@proxy",
        "AWS_SECRET_ACCESS_KEY": "s",
        "HF_TOKEN": "t",
        "PIP_INDEX_URL": "u",
        "AUTOTUNE_SLO": "50ms",
        "pathological": "v",
    }
    assert passed_on(passing | staying) == passing
    assert passed_on({"RAY_X": "1", "JAVA_HOME": "2"}, ("RAY_",)) == {"RAY_X": "1"}


def test_a_variable_that_is_named_passes_also_to_a_process_further_below() -> None:
    given = {PASS_ENV: "MODEL_DIR, HF_TOKEN,", "MODEL_DIR": "/m", "HF_TOKEN": "t", "OTHER": "o"}
    first = passed_on(given)
    assert first == {name: given[name] for name in (PASS_ENV, "MODEL_DIR", "HF_TOKEN")}
    assert passed_on(first) == first
    with pytest.raises(UsageError, match=r"AUTOTUNE_PASS_ENV: MODEL_DIR is not set: set it, or"):
        passed_on({PASS_ENV: "MODEL_DIR"})
