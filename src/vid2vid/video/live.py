"""What has no end and cannot be asked again, a camera or a pipe: a thread reads it, a picture at a time is
given to whoever asks."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from vid2vid.errors import UserError
from vid2vid.types import Frame, Size


class Live(ABC):
    """Used in a ``with`` block. One picture alone is kept, however slow whoever takes them is.

    Args:
        name: for messages.
        size: (width, height) of its frames. rate: frames per second as it claims.
        drop: a picture that comes before the last one is taken replaces it; else it has to wait.
        patience: seconds without a picture after which it is given up; None: never.

    Attributes:
        taken: frames given out by ``frames``; dropped: those that came between them, too early to be taken.
        seconds: when the last one given out was seen, after the first.
        fault: why it gives no more, where that is no good end; None while it does.
    """

    def __init__(self, name: str, size: Size, rate: Fraction, *, drop: bool, patience: float | None) -> None:
        self.name, self.size, self.rate = name, size, rate
        self.taken, self.dropped, self.seconds = 0, 0, 0.0
        self.fault: str | None = None
        self._drop, self._patience = drop, patience
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._read = 0
        self._newest: tuple[int, Any, float] | None = None
        self._ended = self._stopped = False
        self._thread = threading.Thread(target=self._watch, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with self._news:
            self._news.notify_all()
        self._close()
        self._thread.join(10)  # a driver that hangs must not keep the program from ending

    def frames(self) -> Iterator[Frame]:
        """Its frames, each at most once; times rise from 0. Those of a camera are the newest whenever one is
        asked for.

        Ends when there are no more, or at ``stop``. The counts begin anew.

        Raises:
            UserError: it ends before the first frame.
        """
        return self._frames(self._image)

    def stop(self) -> None:
        """Ends ``frames``, also for a thread that waits for one."""
        with self._news:
            self._stopped = True
            self._news.notify_all()

    @abstractmethod
    def _pictures(self) -> Iterator[tuple[Any, float | None]]:
        """Every picture, in whatever form, and its time where it has one, until it is closed."""

    @abstractmethod
    def _image(self, picture: Any) -> np.ndarray:
        """(H, W, 3) uint8 of what ``_pictures`` gave."""

    def _close(self) -> None:  # noqa: B027  # most need nothing
        """Makes ``_pictures`` end, if ``_closing`` does not; called by another thread."""

    def _frames(self, image: Callable[[Any], np.ndarray]) -> Iterator[Frame]:
        with self._news:
            first, begin, self._stopped = self._read - bool(self._newest), None, False
        self.taken, self.dropped, self.seconds = 0, 0, 0.0
        while (newest := self._take()) is not None:
            number, picture, time = newest
            begin = time if begin is None else begin
            self.taken += 1
            self.dropped = number - first - self.taken
            self.seconds = time - begin
            yield Frame(image(picture), self.seconds)
        if not self.taken and not self._stopped:
            reason = self.fault or "gives no pictures"
            raise UserError(f"{self.name}: {reason}; check that nothing else uses it, or choose another")

    def _take(self) -> tuple[int, Any, float] | None:
        """The newest picture, waited for if need be; None where no more are to come."""
        with self._news:
            if not self._news.wait_for(
                lambda: self._newest or self.fault or self._ended or self._stopped, self._patience
            ):
                self.fault = f"gave no picture for {self._patience:g} seconds"
            newest, self._newest = self._newest, None
            self._news.notify_all()
            return None if self._stopped else newest

    def _watch(self) -> None:
        """The work of the thread: read until it ends, or is closed."""
        fault = self._end
        last = -1.0
        try:
            for picture, time in self._pictures():
                # Its own clock tells best when a picture was seen, as long as it goes forward.
                last = time if time is not None and time > last else last + 1 / float(self.rate)
                with self._news:
                    if not self._drop:
                        self._news.wait_for(lambda: self._newest is None or self._closing.is_set())
                    if self._closing.is_set():
                        break
                    self._read += 1
                    self._newest = self._read, picture, last
                    self._news.notify_all()
        except UserError as error:
            fault = str(error).removeprefix(f"{self.name}: ")
        except (av.FFmpegError, OSError) as error:
            fault = f"went away ({reason_of(error)})"
        finally:
            with self._news:
                self.fault = None if self._closing.is_set() else fault
                self._ended = True
                self._news.notify_all()

    _end: str | None = None
    """The fault where it simply ends; None: that is how it should be."""


def reason_of(error: Exception) -> str:
    """An error of the system or of libav, in a line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())
