"""Children that do all that a process can do wrong: each becomes a failed trial, and none is left.

The programs run in the child's place, below the real supervisor.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autotune.errors import MeasureError, UsageError
from autotune.records import Failed
from autotune.spec import ModelSpec
from autotune.trial import spawn, wire
from autotune.trial.spawn import Child

IDLE = wire.Idle(duration_s=0.01)
BEGIN = """
import os, signal, struct, subprocess, sys, time
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
pipe.recv_bytes()
"""
ANSWER = f"pipe.send_bytes({wire.encode(wire.Idled(cpu_s=2.5))!r})\n"
OPENING = f"pipe.send_bytes({wire.encode(wire.Opening(opened=0, of=1))!r})"

Starts = Callable[..., Child]


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starts]:
    """Start children that run a program of ours once they are asked something."""
    begun: list[Child] = []

    def start(program: str) -> Child:
        (tmp_path / "wild.py").write_text(BEGIN + program)
        monkeypatch.setattr(spawn, "PROGRAM", "wild")
        begun.append(Child({"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.pathsep.join(sys.path)}"}))
        return begun[-1]

    yield start
    for child in begun:
        child.close()


def failure(child: Child, timeout_s: float = 30.0) -> Failed:
    reply = child.ask(IDLE, timeout_s)
    assert isinstance(reply, Failed)
    return reply


def comes_true(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while not (true := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return true


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("claim", [2**31 - 1, 300 << 20, -1])
def test_a_length_that_no_message_has_is_garbage_and_takes_no_memory(
    starts: Starts, claim: int
) -> None:
    child = starts(f"os.write(pipe.fileno(), struct.pack('!i', {claim}))\ntime.sleep(60)\n")
    failed = failure(child)
    assert failed.kind == "crash"
    assert failed.detail == f"garbage on the pipe: a message says that its length is {claim}"


def test_bytes_that_are_no_reply_are_garbage(starts: Starts) -> None:
    failed = failure(starts("pipe.send_bytes(b'\\xc1' * 1000)\ntime.sleep(60)\n"))
    assert failed.kind == "crash"
    assert failed.detail.startswith("garbage on the pipe")


def test_half_a_message_is_waited_for_no_longer_than_a_whole_one(starts: Starts) -> None:
    half = "os.write(pipe.fileno(), struct.pack('!i', 1000) + b'x' * 500)\ntime.sleep(60)\n"
    looks: list[int] = []
    child = starts(half)

    def look() -> float:
        looks.append(0)
        return 0.1

    reply = child.ask(IDLE, 1.0, look)
    assert reply == Failed(kind="timeout", detail="no answer within 1 s")
    assert len(looks) > 2
    assert gone(child.pid)


def test_half_a_message_before_the_end_is_a_crash(starts: Starts) -> None:
    half = "os.write(pipe.fileno(), struct.pack('!i', 1000) + b'x' * 500)\nos._exit(7)\n"
    assert failure(starts(half)) == Failed(
        kind="crash", detail="the process ended with exit code 7"
    )


def test_news_without_end_are_not_listened_to_for_ever(starts: Starts) -> None:
    told: list[wire.Opening] = []
    reply = starts(f"while True: {OPENING}\n").ask(IDLE, 60.0, tell=told.append)
    assert isinstance(reply, Failed)
    assert reply.kind == "crash"
    assert "more than 10000 messages" in reply.detail
    assert len(told) == spawn.MOST_NEWS + 1


def test_who_looks_meanwhile_is_asked_also_while_news_come(starts: Starts) -> None:
    chatter = f"while True: {OPENING}; time.sleep(0.001)\n"
    turns = iter([0.05, 0.05, 0.05])
    reply = starts(chatter).ask(IDLE, 60.0, lambda: next(turns, None))
    assert isinstance(reply, Failed)
    assert reply.kind == "timeout"


def test_a_child_that_reads_nothing_is_given_up(starts: Starts) -> None:
    child = starts(ANSWER + "time.sleep(60)\n")
    assert child.ask(IDLE, 30.0) == wire.Idled(cpu_s=2.5)
    long = wire.Inspect(model=ModelSpec(path="x" * 10_000_000), outputs_folder="")
    reply = child.ask(long, 0.5)
    assert isinstance(reply, Failed)
    assert reply.kind == "timeout"


def test_what_is_printed_without_end_takes_no_space_and_its_end_is_kept(starts: Starts) -> None:
    child = starts(
        "for number in range(20_000): print('x' * 100, number)\n"
        "print('the last words', flush=True)\n" + ANSWER + "pipe.recv_bytes()\nos._exit(3)\n"
    )
    assert child.ask(IDLE, 60.0) == wire.Idled(cpu_s=2.5)
    sizes = [os.fstat(child._output.fileno()).st_size]
    assert failure(child).detail == "the process ended with exit code 3: the last words"
    assert sizes == [0]


def test_who_prints_for_ever_and_does_not_answer_is_given_up(starts: Starts) -> None:
    assert failure(starts("while True: print('x' * 1000)\n"), 0.7).kind == "timeout"


LEAVES = f"""
code = "import os, signal, time; os.setsid(); signal.signal(15, signal.SIG_IGN); time.sleep(60)"
# It would hold our pipe.
code = "import os; os.closerange(1, 99);" + code
inner = "import os, sys; e = sys.executable; print(os.spawnv(os.P_NOWAIT, e, [e, *sys.argv[1:]]))"
command = [sys.executable, "-SEc", inner, "-SEc", code]
told = subprocess.run(command, stdout=subprocess.PIPE, env={{}})
time.sleep(0.2)
open(sys.argv[0] + ".pid", "wb").write(told.stdout)
{ANSWER}
pipe.recv_bytes()
"""


def orphan_of(folder: Path) -> int:
    return int((folder / "wild.py.pid").read_text())


@pytest.mark.parametrize("ends", ["closed", "crash", "killed"])
def test_what_a_child_has_started_ends_with_it_also_in_a_session_of_its_own(
    starts: Starts, tmp_path: Path, ends: str
) -> None:
    child = starts(LEAVES + "os.kill(os.getpid(), signal.SIGSEGV)\n")
    child.ask(IDLE, 30.0)
    orphan = orphan_of(tmp_path)
    assert not gone(orphan)
    if ends == "closed":
        child.close()
    elif ends == "killed":
        os.kill(child.pid, signal.SIGKILL)
        assert failure(child).kind == "out_of_memory"
    else:
        assert failure(child).detail == "the process was killed by SIGSEGV"
    assert gone(orphan)
    assert gone(child.pid)


def test_a_child_that_forks_and_forks_leaves_none(starts: Starts) -> None:
    forks = (
        ANSWER + "for number in range(150):\n"
        "    if os.fork() == 0:\n"
        "        if number % 3 == 0: os.setsid()\n"
        "        if os.fork() == 0: time.sleep(20)\n"
        "        os._exit(0)\n"
        "    time.sleep(0.003)\n"
    )
    child = starts(forks)
    child.ask(IDLE, 30.0)
    time.sleep(0.2)
    child.close()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"\0wild\0" in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "wild.py").write_text(BEGIN + LEAVES)
    script = (
        "import sys, time\n"
        "from autotune.trial import spawn, wire\n"
        "spawn.PROGRAM = 'wild'\n"
        f"child = spawn.Child({{'PYTHONPATH': {os.pathsep.join([str(tmp_path), *sys.path])!r}}})\n"
        "child.ask(wire.Idle(duration_s=0.01), 30.0)\n"
        "print(child._process.pid, child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        pids.append(orphan_of(tmp_path))
        assert not any(map(gone, pids))
        parent.kill()
    assert comes_true(lambda: all(map(gone, pids)))


def test_a_stop_is_seen_once_and_its_end_as_well(starts: Starts) -> None:
    child = starts("while True:\n    " + ANSWER + "    pipe.recv_bytes()\n")
    child.ask(IDLE, 30.0)
    assert not child.was_stopped()
    os.kill(child.pid, signal.SIGSTOP)
    assert comes_true(child.was_stopped)
    assert not child.was_stopped()
    os.kill(child.pid, signal.SIGCONT)
    assert comes_true(child.was_stopped)
    assert not child.was_stopped()
    both = child._process.pid, child.pid  # with its supervisor
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    assert comes_true(lambda: all(map(is_stopped, both)))
    for pid in both:
        os.kill(pid, signal.SIGCONT)
    assert child.ask(IDLE, 30.0) == wire.Idled(cpu_s=2.5)
    assert comes_true(child.was_stopped)

    def is_calm() -> bool:
        time.sleep(0.1)  # the supervisor tells of the child when it runs again itself
        return not child.was_stopped()

    assert comes_true(is_calm)
    os.kill(child.pid, signal.SIGSEGV)
    assert failure(child).detail == "the process was killed by SIGSEGV"
    assert not child.was_stopped()


def test_a_stopped_child_is_closed(starts: Starts) -> None:
    child = starts(ANSWER + "time.sleep(60)\n")
    child.ask(IDLE, 30.0)
    for pid in (child._process.pid, child.pid):
        os.kill(pid, signal.SIGSTOP)
    child.close()
    assert gone(child.pid)
    assert not child.alive


def test_last_words_of_a_child_that_was_refused_memory_say_so(starts: Starts) -> None:
    words = 'print("  what():  std::bad_alloc", flush=True)\nos.abort()\n'
    assert failure(starts(words)).kind == "out_of_memory"


def test_where_no_process_can_be_started_one_line_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(MeasureError, match=r"no process can be started .* No such file"):
        Child()
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_variable_that_is_to_pass_and_is_not_there_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOTUNE_PASS_ENV", "MODEL_DIR")
    with pytest.raises(UsageError, match="AUTOTUNE_PASS_ENV: MODEL_DIR is not set"):
        Child()
