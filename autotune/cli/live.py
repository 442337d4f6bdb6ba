"""Progress while a search runs: a live screen on a terminal, plain lines anywhere else."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.control import Control
from rich.segment import Segment, Segments
from rich.style import Style

from autotune.cli.foreign import clean
from autotune.cli.lines import Lines, Thinned, line
from autotune.cli.live_state import begin, take
from autotune.cli.live_text import ASCII, UNICODE
from autotune.cli.live_text import Line as StyledLine
from autotune.cli.live_view import LogEntry, Size, frame
from autotune.stages.events import Event, Observer, Said, Started

TICK_S = 0.5
"""Between two pictures: often enough for an eye, and for a window that changes its size."""
MOST_LOG = 200


@contextmanager
def watch(verbosity: int = 0) -> Iterator[Observer]:
    """Yield an observer that reports on standard error.

    Args:
        verbosity: -1: warnings only; 0: a live screen on a terminal, elsewhere a line for each
            result; 1: a line for everything, on a terminal as well.
    """
    console = Console(stderr=True, highlight=False)
    shown: Screen | Lines
    if verbosity == 0 and _is_screen(console):
        shown = Screen(console)
    else:
        shown = Lines(_write_line, verbosity)
    done = threading.Event()
    ticking = threading.Thread(target=_tick, args=(shown, done), daemon=True)
    ticking.start()
    try:
        yield shown.observe
    finally:
        done.set()
        try:
            ticking.join()
        finally:  # whoever presses Ctrl-C twice wants the terminal back no less
            shown.close()


def _tick(shown: "Screen | Lines", done: threading.Event) -> None:
    while not done.wait(TICK_S):
        shown.tick()


def _write_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # at once, for two threads write
    sys.stderr.flush()


def _is_screen(console: Console) -> bool:
    """Whether there is a terminal to draw on, and a person who looks at it.

    FORCE_COLOR makes rich take any file for a terminal, for colours; no pipe can be drawn on.
    """
    return sys.stderr.isatty() and console.is_interactive and _in_foreground()


def _in_foreground() -> bool:
    """Whether the terminal is this process's to draw on, and not that of a shell before it."""
    with contextlib.suppress(OSError):
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    return True  # not the terminal that controls this process: nobody else's either


class Screen:
    """The live screen. It uses the terminal's alternate screen, which no resizing spoils and which
    leaves nothing behind; so it shows up only once there has been something to wait for.
    """

    def __init__(self, console: Console) -> None:
        """Draw on this console, from the first `tick` on, which another thread may call."""
        self._console = console
        self._glyphs = ASCII if console.options.ascii_only else UNICODE
        self._state = begin(time.monotonic())
        self._log: tuple[LogEntry, ...] = ()
        self._thinned = Thinned()
        self._drawing, self._shown = threading.RLock(), False
        self._styles: dict[str, Style] = {}
        self._on_stop = signal.getsignal(signal.SIGTSTP)
        if self._on_stop is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._stop)

    def observe(self, event: Event) -> None:
        """Take in an event; it is seen at the next `tick`."""
        now_s = time.monotonic()
        self._state = take(self._state, event, now_s)
        if self._thinned.wants(event) and not isinstance(event, Started):
            warning = isinstance(event, Said) and event.warning
            entry = LogEntry(now_s - self._state.began_s, clean(line(event)), warning)
            self._log = (*self._log, entry)[-MOST_LOG:]

    def tick(self) -> None:
        """Draw what is known now, all of it: keys that were pressed have left their mark, too."""
        width, height = self._console.size
        size = Size(width, height)
        lines = frame(self._state, self._log, time.monotonic(), size, self._glyphs)
        if not _in_foreground():
            return
        with self._drawing, self._console:
            if not self._shown:
                self._shown = self._console.set_alt_screen(True)
                self._console.show_cursor(False)
            self._console.control(Control.home())
            self._console.print(Segments(self._segments(lines, size)), end="")

    def close(self) -> None:
        """Give the terminal back as it was, and repeat there what must not be missed."""
        if self._on_stop is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        self._leave()
        for text in dict.fromkeys(self._state.warnings):
            _write_line(f"warning: {clean(text)}")

    def _segments(self, lines: list[StyledLine], size: Size) -> Iterator[Segment]:
        """Every cell of the window, so that whatever was there before is overwritten."""
        for number in range(size.height):
            spans = lines[number] if number < len(lines) else []
            segments = [Segment(text, self._style(name)) for text, name in spans]
            yield from Segment.adjust_line_length(segments, size.width)
            if number < size.height - 1:
                yield Segment.line()

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = Style.parse(name)
        return self._styles[name]

    def _leave(self) -> None:
        with self._drawing:
            if self._shown:
                # A terminal without an alternate screen shall not keep the picture either.
                self._console.control(Control.home(), Control.clear())
                self._console.set_alt_screen(False)
                self._console.show_cursor(True)
            self._shown = False

    def _stop(self, number: int, where: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal back, and the screen returns with the process."""
        with self._drawing:  # and nothing is drawn in between
            self._leave()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, self._stop)
