"""The parent's end of a child process: ask it, outlive it, know what its death means."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import Pipe

from autotune.outcome import Failed, FailureKind
from autotune.trial import wire

_STDERR_TAIL_BYTES = 2000


class Child:
    """One child process. Not thread-safe. `close` always leaves no process behind."""

    def __init__(self) -> None:
        """Start the process; it has its own session, so a terminal's Ctrl-C does not reach it."""
        self._pipe, theirs = Pipe(duplex=True)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        command = [sys.executable, "-P", "-m", "autotune.trial.child"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                # The runtime under test has its own pools; numpy's would only take memory.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, request: wire.Request, timeout_s: float) -> wire.Reply:
        """Send a request and wait for its reply.

        A child that dies, hangs or talks nonsense is killed and becomes a `Failed` reply.
        """
        try:
            self._pipe.send_bytes(wire.encode(request))
            if not self._pipe.poll(timeout_s):
                self.close()
                return Failed(kind="timeout", detail=f"no answer within {timeout_s:.0f} s")
            return wire.decode_reply(self._pipe.recv_bytes())
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

    def _post_mortem(self) -> Failed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        code = self._process.poll()
        last_words = self._last_words()
        self.close()
        kind: FailureKind = "crash"
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            detail = f"the process was killed by {name}"
            if -code == signal.SIGKILL:
                kind, detail = "out_of_memory", f"{detail}, most likely for want of memory"
        else:
            detail = f"the process ended with exit code {code}"
        return Failed(kind=kind, detail=f"{detail}: {last_words}" if last_words else detail)

    def _last_words(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _STDERR_TAIL_BYTES))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""
