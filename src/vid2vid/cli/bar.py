"""Progress on stderr: a bar with rate and time left; without a terminal, a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

_WINDOW = 30.0  # seconds over which the rate is averaged
_GRAIN = 0.1  # seconds between two points kept of it
_QUIET = 10.0  # seconds between two plain lines


class Pace:
    """How fast items get done, over the last half minute; what was done before the first call counts not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def tick(self, done: int) -> None:
        """Note that ``done`` items are finished; a smaller number than before starts anew."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        if len(self._seen) > 1 and now - self._seen[-2][0] < _GRAIN:
            self._seen[-1] = now, done
        else:
            self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Items per second, or None while nothing is known."""
        if len(self._seen) < 2:
            return None
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end > start and last > first else None

    def describe(self, total: int | None, unit: str) -> str:
        """``12.3 frames/s, 0:42 left``, as far as it is known."""
        rate = self.rate
        if rate is None:
            return ""
        speed = f"{rate:.3g} {unit}/s" if rate >= 0.1 else f"{1 / rate:.3g} s/{unit.removesuffix('s')}"
        if total is None:
            return speed
        return f"{speed}, {_clock_face((total - self._seen[-1][1]) / rate)} left"


def _clock_face(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bar:
    """A ``Progress`` for people: a context manager to be handed to a room's long job.

    Args:
        title: what is going on, in a word or two.
        unit: what is counted, in the plural.
        stream: where to draw; stderr when None.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        title: str,
        unit: str = "frames",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._unit, self._clock = title, unit, clock
        self._stream = stream or sys.stderr
        self._pace = Pace(clock)
        self._drawn: RichProgress | None = None
        self._line, self._written = "", ""
        self._spoke = clock()

    def __enter__(self) -> Bar:
        if self._stream.isatty():
            self._drawn = _rich_bar(self._stream)
            self._drawn.add_task(self._title, total=None, pace="", note="")
            self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn is not None:
            self._drawn.stop()
        elif self._line != self._written:
            self._speak()

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show that ``done`` of ``total`` items are finished."""
        self._pace.tick(done)
        pace = self._pace.describe(total, self._unit)
        if self._drawn is not None:
            task = self._drawn.task_ids[0]
            self._drawn.update(task, completed=done, total=total, pace=pace, note=note)
            return
        count = f"{done}" if total is None else f"{done}/{total}"
        self._line = "  ".join(part for part in (f"{self._title}: {count} {self._unit}", pace, note) if part)
        if self._clock() - self._spoke >= _QUIET:
            self._speak()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._drawn is not None:
            self._drawn.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self._stream, flush=True)

    def _speak(self) -> None:
        print(self._line, file=self._stream, flush=True)
        self._written, self._spoke = self._line, self._clock()


def _rich_bar(stream: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=stream),
    )
