"""The parent's end of a child process: ask it, outlive it, know what its death means."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from autotune.errors import MeasureError
from autotune.probes.ending import how_it_ended, last_line
from autotune.records import Failed
from autotune.request_log import RequestLog, share_log
from autotune.runtime_environment import passed_on
from autotune.spec import SessionShape
from autotune.trial import wire
from autotune.trial.channel import Channel
from autotune.trial.supervisor import STATE

Meanwhile = Callable[[], float | None]
"""Looks at a run under way; returns the seconds until its next look, None where it hangs."""
Tell = Callable[[wire.Opening], None]
"""Is told how far the loading of sessions has come."""

_ENVIRONMENT = {
    # The runtime under test has its own pools; numpy's would only take memory.
    "OPENBLAS_NUM_THREADS": "1",
    # From 1.29 on, ONNX Runtime's packages report to their maker unless told not to.
    "ORT_DISABLE_TELEMETRY": "1",
}


PROGRAM = "autotune.trial.child"
"""What a child runs, below `autotune.trial.supervisor`."""
MOST_NEWS = 10_000
"""Messages of a child before its answer; one that says more does not come to the point."""
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_ENDED_WITHIN_S = 5.0
"""For a process to be gone that has closed its pipe."""
_END_WITHIN_S = 30.0
"""For all processes of a child to be gone once they are killed: memory is given back meanwhile."""
_LOOK_S = 0.01


class _Ask:
    """One request under way: when it has been waited for long enough, and who looks when."""

    def __init__(self, timeout_s: float, meanwhile: Meanwhile | None) -> None:
        self._started_s = time.monotonic()
        self.deadline_s = self._started_s + timeout_s
        self._meanwhile = meanwhile
        self._look_s = self._started_s if meanwhile is not None else self.deadline_s

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.deadline_s

    def waited(self) -> Failed:
        waited_s = time.monotonic() - self._started_s
        return Failed(kind="timeout", detail=f"no answer within {waited_s:.0f} s")

    def look(self) -> float | None:
        """Look where that is due; return the seconds until the next look, None to give up."""
        if self._meanwhile is not None and time.monotonic() >= self._look_s:
            nap_s = self._meanwhile()
            if nap_s is None:
                return None
            self._look_s = time.monotonic() + nap_s
        return min(self._look_s, self.deadline_s) - time.monotonic()


class Child:
    """One child process. Not thread-safe. `close` always leaves no process behind.

    It runs below a supervisor (`autotune.trial.supervisor`), which ends all that it has started.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        pipes: Mapping[str, int] | None = None,
    ) -> None:
        """Start the process, with these variables beside those of this one that may pass.

        It has its own session, so a terminal's Ctrl-C does not reach it. It may use the descriptors
        of `pipes`, which it is told by variables of their names.

        Raises:
            UsageError: what is to be passed on is not there; see `passed_on`.
            MeasureError: no process can be started.
        """
        self.compiled_s = 0.0
        """Seconds that it has told of having compiled."""
        self._stops_seen = 0
        self._last = (0, 0)
        pipes = pipes or {}
        told = {name: str(descriptor) for name, descriptor in pipes.items()}
        environment = {**passed_on(os.environ), **_ENVIRONMENT, **(environment or {}), **told}
        with contextlib.ExitStack() as stack:
            try:
                self._start(environment, [*pipes.values()], stack)
            except OSError as error:
                why = error.strerror or type(error).__name__
                raise MeasureError(f"no process can be started to measure in: {why}") from None
            self._held = stack.pop_all()

    def _start(
        self, environment: dict[str, str], pipes: list[int], stack: contextlib.ExitStack
    ) -> None:
        self._channel = Channel()
        stack.callback(self._channel.close)
        self._log_descriptor = _new_file("log", stack)
        self._state_descriptor = _new_file("state", stack)
        self._output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        theirs = self._channel.theirs
        passed = [theirs.fileno(), self._log_descriptor, self._state_descriptor]
        command = [sys.executable, "-SP", str(_SUPERVISOR), PROGRAM]
        self._process = subprocess.Popen(
            [*command, *map(str, [*passed, os.getpid()])],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[*passed, *pipes],
            start_new_session=True,
            env=environment,
        )
        theirs.close()

    @property
    def pid(self) -> int:
        """The process id; until that runs, the supervisor's."""
        return self._state[0] or self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return not self._ended_within(0.0)

    def was_stopped(self) -> bool:
        """Whether the process was stopped (SIGSTOP) or continued since this was last asked.

        What ran meanwhile was not measured. Workers, which are processes below it, do not count.
        """
        _, stops = self._state
        stopped, self._stops_seen = stops > self._stops_seen, stops
        with contextlib.suppress(ChildProcessError):  # it has ended
            # Its end is not collected by this, and stays for `subprocess`.
            events = os.WSTOPPED | os.WCONTINUED | os.WNOHANG
            while os.waitid(os.P_PID, self._process.pid, events) is not None:
                stopped = True
        return stopped

    def share_log(self, count: int) -> RequestLog:
        """Return an empty log of `count` requests, which the next run will fill."""
        return share_log(self._log_descriptor, count)

    def ask(
        self,
        request: wire.Request,
        timeout_s: float,
        meanwhile: Meanwhile | None = None,
        tell: Tell = lambda opening: None,
    ) -> wire.Reply:
        """Send a request and wait for its reply; call `meanwhile` now and then until it comes.

        `meanwhile` returns the seconds after which it wants to be called again, None to give up.
        A child that dies, hangs or talks nonsense is killed and becomes a `Failed` reply. What it
        says on the way goes to `tell`, and buys it no time.
        """
        asked = _Ask(timeout_s, meanwhile)
        try:
            reply = self._reply(request, asked, tell)
        except (EOFError, OSError):
            return self._post_mortem()
        except ValueError as error:  # msgspec's errors are ValueErrors
            self.close()
            return Failed(kind="crash", detail=f"garbage on the pipe: {error}")
        if reply is None:
            self.close()
            return asked.waited()
        return reply

    def _reply(self, request: wire.Request, asked: _Ask, tell: Tell) -> wire.Reply | None:
        """Return the reply; None where it does not come in time."""
        if not self._channel.send(wire.encode(request), asked.deadline_s):
            return None
        news = 0
        while (nap_s := asked.look()) is not None:
            message = self._channel.receive(nap_s)
            if message is not None:
                match wire.decode_reply(message):
                    case wire.Opening() as opening:
                        tell(opening)
                    case wire.Compiled(seconds=seconds):
                        self.compiled_s += seconds
                    case reply:
                        return reply
                news += 1
                if news > MOST_NEWS:
                    raise ValueError(f"more than {MOST_NEWS} messages and no answer among them")
            if asked.is_over:
                break
        return None

    def close(self) -> None:
        """Kill the process and everything that it has started; safe to call again."""
        if self._process.returncode is None:
            # The supervisor kills them, for it finds also those that have left the session.
            for number in (signal.SIGTERM, signal.SIGCONT):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self._process.pid, number)
            self._ended_within(_END_WITHIN_S)
            self._last = self._state
            # As long as its end is not collected, no other group can have its number.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._log_descriptor = -1
        self._held.close()

    @property
    def _state(self) -> tuple[int, int]:
        """The process id, 0 as long as there is none, and how often it was stopped or continued."""
        if self._process.returncode is not None:
            return self._last
        told = os.pread(self._state_descriptor, STATE.size, 0)
        return STATE.unpack(told) if len(told) == STATE.size else (0, 0)

    def _ended_within(self, within_s: float) -> bool:
        """Wait for the process to end, and leave its end to be collected by `close`."""
        if self._process.returncode is not None:
            return True
        deadline_s = time.monotonic() + within_s
        while True:
            if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                return True
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(_LOOK_S)

    def _post_mortem(self) -> Failed:
        ended = self._ended_within(_ENDED_WITHIN_S)
        last_words = "" if self._output.closed else last_line(self._output.fileno())
        self.close()
        return how_it_ended(self._process.returncode if ended else None, last_words)


def _new_file(name: str, stack: contextlib.ExitStack) -> int:
    descriptor = os.memfd_create(f"autotune-{name}", os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def survived(child: Child, shape: SessionShape, failed: Failed) -> bool:
    """Whether a child is as good as before, and its sessions stand.

    Where a GPU had no room for a batch, smaller ones may have. On the host, what the allocators of
    the child have taken comes back with its end alone, and workers may be dead.
    """
    held_here = shape.family.on_gpu and shape.replicas_as == "threads"
    return failed.kind == "out_of_memory" and held_here and child.alive
