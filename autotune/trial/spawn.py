"""The parent's end of a child process: ask it, outlive it, know what its death means."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing import Pipe

from autotune.probes.ending import how_it_ended, last_line
from autotune.records import Failed
from autotune.request_log import RequestLog, share_log
from autotune.trial import wire

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


def _until(deadline_s: float) -> float:
    return max(0.0, deadline_s - time.monotonic())


class Child:
    """One child process. Not thread-safe. `close` always leaves no process behind."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the process, with these variables beside those of this one.

        It has its own session, so a terminal's Ctrl-C does not reach it.
        """
        self.compiled_s = 0.0
        """Seconds that it has told of having compiled."""
        self._pipe, theirs = Pipe(duplex=True)
        self._log_descriptor = os.memfd_create("autotune-log", os.MFD_CLOEXEC)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        command = [sys.executable, "-P", "-m", "autotune.trial.child"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self._log_descriptor), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno(), self._log_descriptor],
                start_new_session=True,
                env={**os.environ, **_ENVIRONMENT, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

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
        try:
            self._pipe.send_bytes(wire.encode(request))
            deadline_s = time.monotonic() + timeout_s
            nap_s: float | None = timeout_s if meanwhile is None else 0.0
            while nap_s is not None:
                if self._pipe.poll(min(nap_s, _until(deadline_s))):
                    match wire.decode_reply(self._pipe.recv_bytes()):
                        case wire.Opening() as opening:
                            tell(opening)
                        case wire.Compiled(seconds=seconds):
                            self.compiled_s += seconds
                        case reply:
                            return reply
                elif meanwhile is not None and _until(deadline_s):
                    nap_s = meanwhile()
                if not _until(deadline_s):
                    break
            self.close()
            waited_s = timeout_s - _until(deadline_s)
            return Failed(kind="timeout", detail=f"no answer within {waited_s:.0f} s")
        except (EOFError, OSError):
            return self._post_mortem()
        except ValueError as error:  # msgspec's errors are ValueErrors
            self.close()
            return Failed(kind="crash", detail=f"garbage on the pipe: {error}")

    def close(self) -> None:
        """Kill the process and everything in its session; safe to call again."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pipe.close()
        self._output.close()
        if self._log_descriptor >= 0:
            os.close(self._log_descriptor)
            self._log_descriptor = -1

    def _post_mortem(self) -> Failed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        code = self._process.poll()
        last_words = last_line(self._output.fileno())
        self.close()
        return how_it_ended(code, last_words)
