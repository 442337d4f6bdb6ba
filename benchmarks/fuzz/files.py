"""Mutated files that the parent reads: tuned files, traces, request mixes, arrays, settings."""

import contextlib
import io
import json
import os
import random
import signal
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import typer.main
import vl_convert

from autotune import config_file, rows, tabular
from autotune.arrivals import draw, read_trace
from autotune.cli import settings
from autotune.cli.app import app
from autotune.cli.commands import kinds_of
from autotune.comparison.files import compare_files
from autotune.config_file import TunedFile
from autotune.errors import AutotuneError
from autotune.exports.exporters import EXPORTERS, export
from autotune.exports.tuned import deployment_of, entry_to_deploy
from autotune.models.sample_inputs import read_arrays
from autotune.present.answer import answer_page
from autotune.present.document import as_html, as_text
from autotune.present.trials import trials_page
from autotune.reports.markdown import markdown
from autotune.reports.page import page
from autotune.request_mix import draw_samples, read_requests
from fuzz.mutate import of_bytes, of_json, of_text
from fuzz.tally import Tally, Try, end_of_line

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
LIMIT_S = 10.0
"""For one file, and all that is made of it."""
Mutate = Callable[[bytes, Sequence[bytes], random.Random], bytes]


class Target(NamedTuple):
    """Who reads a sort of files."""

    name: str
    seeds: Callable[[], list[bytes]]
    mutate: Mutate
    file: str
    """What it is called."""
    read: Callable[[Path], object]
    """Reads it, and does with it what is done with such files."""


class _OverTimeError(BaseException):
    """The limit has passed."""


def run(target: Target, tries: int, seed: int, folder: Path, keep: Path | None) -> Tally:
    """Try so many files, in this process."""
    tally, base = Tally(target.name, keep), target.seeds()
    started_s = time.monotonic()
    for number in range(tries):
        rng = random.Random(f"{seed}:{target.name}:{number}")
        data = target.mutate(rng.choice(base), base, rng)
        tally.add(attempt(target, data, folder), data)
    tally.seconds = time.monotonic() - started_s
    return tally


def attempt(target: Target, data: bytes, folder: Path) -> Try:
    """Return what comes of one file of these bytes."""
    path = folder / target.file
    path.write_bytes(data)
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        target.read(path)
        return Try("well")
    except AutotuneError as error:
        return end_of_line(str(error))
    except MemoryError:
        return Try("over_memory")
    except _OverTimeError:
        return Try("over_time", traceback.format_exc())
    except Exception:
        return Try("unclear", traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(number: int, frame: object) -> None:
    raise _OverTimeError


def use_tuned(path: Path) -> None:
    """Read a tuned file and look at it in every way."""
    tuned = config_file.read(path)
    for wide in (True, False):
        as_text(answer_page(tuned, wide), 120 if wide else 20)
    as_html(trials_page(tuned))
    markdown(tuned)
    with plain_bundle():
        page(tuned)
    tabular.to_csv(rows.trial_rows(tuned), rows.TRIALS)
    tabular.to_csv(rows.policy_rows(tuned), rows.POLICY)
    tabular.terminal_safe(config_file.to_json(tuned))
    compare_files(tuned, tuned)
    _export(tuned)


def _export(tuned: TunedFile) -> None:
    """Which may be refused, by one server after the other."""
    for name in EXPORTERS:
        with contextlib.suppress(AutotuneError):
            export(name, deployment_of(tuned, entry_to_deploy(tuned), None))


@contextlib.contextmanager
def plain_bundle() -> Iterator[None]:
    """Leave out the libraries of pages, which take seconds and are no stranger's."""
    with mock.patch.object(vl_convert, "javascript_bundle", lambda script: script):
        yield


def use_trace(path: Path) -> None:
    """Read a trace and draw a window of it."""
    traffic = read_trace(path)
    draw(traffic, 5.0, (0,))
    draw(traffic.at(100.0), 5.0, (0,))


def use_requests(path: Path) -> None:
    """Read a request mix and draw from it."""
    kinds = read_requests(path)
    draw_samples(range(len(kinds)), [one.weight for one in kinds], 50, (0,))


def use_settings(path: Path) -> None:
    """Read a settings file for two commands, as if it lay in the working directory."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        found = settings.find_file()
    finally:
        os.chdir(before)
    if found is not None:
        commands = kinds_of(_commands())
        for command in ("search", "export"):
            settings.given_in_file(found, commands, command)


def _commands() -> dict[str, Any]:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return commands


def tuned_files() -> list[bytes]:
    """Return the golden files of all versions, and the last with all that a report draws."""
    golden = [path.read_bytes() for path in sorted(GOLDEN.glob("v*.autotune.json"))]
    drawn = json.loads(golden[-1])
    loads = [entry["load_rps"] for entry in drawn["policy"]]
    measured = next(entry["measured"] for entry in drawn["policy"] if entry["measured"])
    config = drawn["recommended"]
    points = [config | {"replicas": count, "max_batch_size": 3 - count} for count in (1, 2)]
    drawn |= {
        "finalists": [
            {"load_rps": load, "config": config, "measured": measured}
            | {"shares": [0.0, 0.5, 1.0], "latency_ms": [1.0, 2.0, 9.0]}
            for load in loads
        ],
        "curves": [
            {"config": one, "loads_rps": loads, "p50_ms": loads, "objective_ms": loads}
            for one in points
        ],
        "lattice": {name: [one[name] for one in points] for name in config}
        | {"predicted_ms": [[9.0, 6.0] for _ in loads], "region_of": [[0, -1] for _ in loads]}
        | {"points_left_out": 0},
        "trials": [one | {"at_s": float(at)} for at, one in enumerate(drawn["trials"])],
        "repeat": ["magika:", "--slo", "50.0ms", "--arrivals", "poisson"],
    }
    return [*golden, json.dumps(drawn).encode(), json.dumps(drawn).encode()]


def traces() -> list[bytes]:
    """Return traces with and without a header."""
    times = np.cumsum(np.full(200, 0.013)).tolist()
    plain = "\n".join(f"{one:.4f}" for one in times)
    more = "\n".join(f"{one:.3f},GET,/a" for one in times)
    return [text.encode() for text in (plain, f"time_s,method,path\n{more}", "\ufeff0\r\n1\r\n")]


def requests() -> list[bytes]:
    """Return request mixes by shape and by file."""
    shapes = "weight,shape\n80,images=1x3x320x320\n20,images=1x3x640x640 mask=1x640\n"
    files = 'weight,input\n1,"a.npz"\n3,b.npz\n'
    return [shapes.encode(), files.encode(), shapes.replace(",", " , ").encode()]


def settings_files() -> list[bytes]:
    """Return settings files with options of all kinds."""
    general = 'slo = "50ms"\nseed = 3\nloads = [30, 60, "2k"]\nquiet = true\nshape = ["x=1x3"]\n'
    own = '[search]\nbudget = "2m"\nobjective = "cpu"\ntrials = 40\n[export]\nto = "triton"\n'
    return [general.encode(), own.encode(), (general + own).encode()]


def arrays() -> list[bytes]:
    """Return .npz files of several types, compressed and not."""
    found = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, x=np.ones((1, 4), np.float32), ids=np.arange(3), t=np.array(["a", "bc"]))
        found.append(file.getvalue())
    return found


def of_archive(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return an archive with a damaged member in whole, or itself damaged."""
    if rng.random() < 0.4:
        return of_bytes(data, others, rng)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            inner = old.read(name)
            if rng.random() < 0.5:
                shape = rng.choice((b"(1, 4)", b"(10000000000000,)", b"(-1,)", b"(2,)*9", b"x"))
                inner = inner.replace(b"(1, 4)", shape).replace(b"'<i8'", b"'|O'")
            if rng.random() < 0.5:
                inner = of_bytes(inner, [inner], rng)
            changed = rng.choice((name, name, "../" + name, name + "\n", ""))
            new.writestr(changed or "a", inner)
    return file.getvalue()


def of_json_or_bytes(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a document changed by its structure, or by its bytes."""
    return (of_json if rng.random() < 0.8 else of_bytes)(data, others, rng)


TUNED = Target("tuned files", tuned_files, of_json_or_bytes, "a.autotune.json", use_tuned)
INPUTS = (
    Target("traces", traces, of_text, "trace.csv", use_trace),
    Target("request mixes", requests, of_text, "mix.csv", use_requests),
    Target("settings", settings_files, of_text, "autotune.toml", use_settings),
    Target("arrays", arrays, of_archive, "a.npz", lambda path: read_arrays(path, "--input")),
)
