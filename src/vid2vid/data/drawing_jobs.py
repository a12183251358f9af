"""The work of ``annotate`` in parts, done here or by other processes with the same result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from vid2vid.annotators import Annotator, finds_points, gives_instances
from vid2vid.data.processes import leave_with_parent, start_worker, worker_context
from vid2vid.errors import UserError
from vid2vid.video import TimedSource, whole_file, write_picture

_DECIMALS = 2
"""Of the coordinates of points: a hundredth of a pixel."""


INSTANCES = "instances"
"""The folder of the maps that tell objects apart: in the part while it is made, then beside the labels."""


@dataclass(frozen=True)
class Target:
    """One condition that a job works on. part: the folder where it waits until all of it is there."""

    annotator: Annotator
    part: Path


@dataclass(frozen=True)
class Job:
    """Some frames of a clip for some annotators.

    name: the clip's. frames: index in the source to the name of the picture, rising.
    """

    name: str
    source: TimedSource
    frames: dict[int, str]
    targets: tuple[Target, ...]


def finished(part: Path, name: str, annotator: Annotator) -> bool:
    """Whether a frame has been drawn; files appear whole or not at all."""
    if finds_points(annotator):
        return points_path(part, name).is_file()
    instances = not gives_instances(annotator) or _picture_path(part / INSTANCES, name).is_file()
    return instances and _picture_path(part, name).is_file()


def points_path(part: Path, name: str) -> Path:
    """Where the points of one frame wait to be gathered: [[x, y], ...] as JSON."""
    return part / f"{name}.json"


def _picture_path(part: Path, name: str) -> Path:
    return part / f"{name}.png"


def draw(job: Job) -> Iterator[int]:
    """Does a job; yields after every frame that was looked at how many pictures were drawn of it.

    Raises:
        UserError: a frame cannot be read, a picture not be written, an annotator not begin.
    """
    memories = [target.annotator.memory for target in job.targets]
    first, last = min(job.frames), max(job.frames)
    begin = 0 if None in memories else max(0, first - max(memory or 0 for memory in memories))
    with ExitStack() as stack:
        passes = []
        for target in job.targets:
            passes.append(target.annotator.begin())
            stack.callback(passes[-1].close)
        for t, frame in enumerate(job.source.frames(begin, last + 1), begin):
            count = 0
            for target, run in zip(job.targets, passes, strict=True):
                name = job.frames.get(t)
                if name is None or finished(target.part, name, target.annotator):
                    run.see(frame.image, frame.time)
                    continue
                drawn = run.draw(frame.image, frame.time)
                if drawn.points is not None:
                    _write_points(points_path(target.part, name), drawn.points)
                if drawn.instances is not None:
                    _write_instances(_picture_path(target.part / INSTANCES, name), drawn.instances)
                if drawn.picture is not None:
                    write_picture(_picture_path(target.part, name), drawn.picture)
                count += 1
            yield count


def _write_points(path: Path, points: list[list[float]]) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(rounded_points(points)), encoding="utf-8")


def rounded_points(points: list[list[float]]) -> list[list[float]]:
    """Points as files hold them: to a hundredth of a pixel."""
    return [[round(value, _DECIMALS) for value in point] for point in points]


def _write_instances(path: Path, ids: np.ndarray) -> None:
    # Files hold 16 bits. In a clip with more objects ids come again.
    write_picture(path, np.where(ids > 0, (ids - 1) % 65535 + 1, 0))


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, int, bool]]:
    """Does them all; yields (job, pictures drawn since it was yielded last, whether it is done).

    workers: processes; 0: this one. Raises UserError as ``draw``, or where a process was killed.
    """
    if not workers or not jobs:
        for job in jobs:
            for count in draw(job):
                yield job, count, False
            yield job, 0, True
        return
    context = worker_context(__name__)
    stop = context.Event()
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _start, (stop,))
    try:
        futures = {pool.submit(_work, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result(), True
    except BrokenProcessPool:
        raise UserError(
            f"{jobs[0].name}: a worker was killed (too little memory?); run this again with fewer workers"
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


_stopped: Event | None = None


def _start(stop: Event) -> None:
    global _stopped
    _stopped = stop
    start_worker()
    leave_with_parent()


def _work(job: Job) -> int:
    """The pictures drawn; fewer than all of them where the parent does not want to go on."""
    total = 0
    for count in draw(job):
        total += count
        if _stopped is not None and _stopped.is_set():
            break
    return total
