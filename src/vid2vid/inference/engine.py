"""The stages of a rendering at work at the same time: reading, describing, generating, writing.

Each stage is an iterator that draws on the one before. ``Stages.run`` puts it into a thread of its own, which
works ahead by so many items and no more; numpy, OpenCV, PyAV and torch let go of Python's lock while they
work.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from vid2vid.types import to_bytes

Item = TypeVar("Item")


class Stages:
    """The threads of one job, used in a ``with`` block: none of them is left when it ends, however it ends.

    Items come out of a stage in the order in which they went in. An error, of whatever kind, goes the same
    way: it is raised where the item would have come out, and so ends the job. Whoever has had enough leaves
    the block; stages finish the item they are at, no more.

    On a processor one stage computes with all threads that torch is set to but one, the others with one each:
    teams that share a core wait for each other longer than they work.

    Args:
        ahead: how many items a stage may have begun that the next one has not taken yet; what waits, and with
            it memory and delay, is bounded by that. 0: no threads; each item is made when it is asked for.

    Attributes:
        seconds: by the name of each stage, how long it has worked; waiting for others is not in it.
    """

    def __init__(self, ahead: int = 2) -> None:
        self.ahead = ahead
        self.seconds: dict[str, float] = {}
        self._stages: list[_Stage] = []
        self._clock = _Clock()
        self._threads = 0

    def __enter__(self) -> Self:
        self._threads = torch.get_num_threads()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stage in self._stages:
            stage.stop()
        for stage in self._stages:
            stage.join()
        torch.set_num_threads(self._threads)  # what the last stage has set is what new threads begin with

    def run(self, name: str, items: Iterable[Item], alone: bool = True) -> Iterator[Item]:
        """The items, made ahead of time by a thread of that name. alone: no other threads help it compute."""
        if not self.ahead:
            return self._inline(name, iter(items))
        threads = 1 if alone else max(1, self._threads - 1)
        stage = _Stage(name, self._worked(name, iter(items)), self.ahead, threads)
        self._stages.append(stage)
        stage.start()
        return self._waited(stage)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Counts the block as work of the stage of that name, in the thread that it is in."""
        begun, elsewhere = time.perf_counter(), self._clock.elsewhere
        try:
            yield
        finally:
            spent = time.perf_counter() - begun - (self._clock.elsewhere - elsewhere)
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def _worked(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        while True:
            with self.timed(name):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
            del item

    def _waited(self, items: Iterator[Item]) -> Iterator[Item]:
        """The items; until each is there, this thread is elsewhere."""
        while True:
            begun, elsewhere = time.perf_counter(), self._clock.elsewhere
            try:
                item = next(items)
            except StopIteration:
                return
            self._clock.elsewhere = elsewhere + time.perf_counter() - begun
            yield item
            del item

    def _inline(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        return self._waited(self._worked(name, items))


class _Clock(threading.local):
    """Of each thread: the seconds it has spent in stages other than its own."""

    elsewhere = 0.0


class _Stage(Generic[Item]):
    """An iterator that a thread runs; to be iterated by one other thread."""

    def __init__(self, name: str, items: Iterator[Item], ahead: int, threads: int) -> None:
        self._items = items
        self._threads = threads
        self._room = ahead
        self._made: deque[Item] = deque()
        self._fault: BaseException | None = None
        self._ended = self._stopped = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"vid2vid {name}", daemon=True)
        self.start, self.join = self._thread.start, self._thread.join

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._news:
            self._news.wait_for(lambda: self._made or self._ended or self._stopped)
            if self._made and not self._stopped:
                self._room += 1
                self._news.notify_all()
                return self._made.popleft()
            fault, self._fault = self._fault, None
        if fault is not None and not self._stopped:
            raise fault
        raise StopIteration

    def stop(self) -> None:
        """Nothing more is wanted; nobody waits for anything any more."""
        with self._news:
            self._stopped = True
            self._made.clear()
            self._news.notify_all()

    def _work(self) -> None:
        fault: BaseException | None = None
        torch.get_num_threads()  # a thread's first question sets it to the others' number: not later, then
        torch.set_num_threads(self._threads)
        try:
            while self._may_go_on():
                item = next(self._items)
                with self._news:
                    self._made.append(item)
                    self._news.notify_all()
                del item
            self._items.close()  # type: ignore[attr-defined]  # a generator: what it holds is let go of here
        except StopIteration:
            pass
        except BaseException as error:
            fault = error
        with self._news:
            self._fault, self._ended = fault, True
            self._news.notify_all()

    def _may_go_on(self) -> bool:
        """Waits until the next item may be begun; False where none is wanted any more."""
        with self._news:
            self._news.wait_for(lambda: self._room or self._stopped)
            self._room -= 1
            return not self._stopped


@dataclass
class Timing:
    """What a rendering is asked to note, in seconds of ``time.perf_counter``.

    pace: seconds between two conditions, which come as from a camera; 0: as soon as they are asked for.
    begun, done: by frame, when its condition came, and when it was written or shown.
    stages: the seconds that each has worked.
    """

    pace: float = 0.0
    begun: array[float] = field(default_factory=lambda: array("d"))
    done: array[float] = field(default_factory=lambda: array("d"))
    stages: dict[str, float] = field(default_factory=dict)

    def noting(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, when their time has come, which is noted."""
        remaining = iter(items)
        while True:
            now = time.perf_counter()
            due = self.begun[-1] + self.pace if self.pace and self.begun else now
            time.sleep(max(due - now, 0.0))
            self.begun.append(due)
            try:
                item = next(remaining)
            except StopIteration:
                self.begun.pop()
                return
            yield item


class Landing:
    """Frames (B, 3, H, W) on their way back from the device: made to bytes there, and copied while the next
    ones are being made."""

    def __init__(self, frames: Tensor) -> None:
        there = to_bytes(frames)
        self._frames, self._landed = there, None
        if frames.is_cuda:
            self._frames = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)
            self._frames.copy_(there, non_blocking=True)
            self._landed = torch.cuda.Event()
            self._landed.record(torch.cuda.current_stream(frames.device))

    def pictures(self) -> list[np.ndarray]:
        """(H, W, 3) uint8 each, once they are here."""
        if self._landed is None:
            return list(self._frames.cpu().numpy())
        self._landed.synchronize()
        return list(self._frames.numpy())


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor there, of the array's type; to a GPU without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
