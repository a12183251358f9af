"""Which sequence comes when: a pure function of seed and step, so that a stopped training goes on exactly."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, count
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as MapDataset

from vid2vid.annotators.drawn import DRAWN, image_tensor
from vid2vid.data.augment import NO_AUGMENTATION, Augmentation, Transform
from vid2vid.data.dataset import Clip, Dataset
from vid2vid.data.processes import start_worker, worker_context
from vid2vid.errors import UserError
from vid2vid.types import VideoBatch, to_tensor

Lengths = tuple[tuple[int, int], ...]
"""Pairs (from sequence number, frames), the first from number 0: sequences that change their length."""


@dataclass(frozen=True)
class Sequence:
    """One sequence: frames start ... start + length - 1 of clip number `clip`, changed by `transform`."""

    clip: int
    start: int
    length: int
    transform: Transform


@dataclass(frozen=True)
class _Span:
    """Sequences of one length, from number `first` on. epoch: how many were begun before; ends: how many
    possible sequences lie in the first clip, the first two, and so on."""

    first: int
    epoch: int
    length: int
    ends: tuple[int, ...]


class SequencePlan:
    """The endless order of sequences. Every possible (clip, start) comes once in each epoch, shuffled anew;
    where the length changes, an epoch begins.

    Args:
        clips: what to draw from.
        length: frames of a sequence, or several lengths.
        seed: with the same seed comes the same order.
        more: so many frames may follow, where the clip has them.

    Raises:
        UserError: a clip is shorter than a sequence; sequences would not have one size.
    """

    def __init__(
        self,
        clips: tuple[Clip, ...],
        length: int | Lengths,
        seed: int,
        augment: Augmentation = NO_AUGMENTATION,
        more: int = 0,
    ) -> None:
        lengths = ((0, length),) if isinstance(length, int) else length
        longest = max(frames for _, frames in lengths)
        for clip in clips:
            if len(clip) < longest:
                raise UserError(
                    f"{clip.name}: {len(clip)} frames, but sequences of {longest} are asked for; "
                    "ask for shorter ones or leave the clip out"
                )
            if (augment.drop or augment.wobble) and not clip.has_points:
                raise UserError(
                    f"{clip.name}: data.drop and data.wobble change landmarks, but {clip.schema.name} is not "
                    "drawn from any; set them to 0"
                )
            if augment.flip and clip.has_points and DRAWN[clip.schema.name].sided:
                raise UserError(
                    f"{clip.name}: data.flip mirrors, but {clip.schema.name} tells left from right; "
                    "set it to 0"
                )
        sizes = {augment.output_size(clip.size): clip.name for clip in clips}
        if len(sizes) > 1:
            first, second = (
                "x".join(map(str, size)) + f" ({name})" for size, name in list(sizes.items())[:2]
            )
            raise UserError(
                f"clips of different sizes, {first} and {second}; give one size for all (size=...)"
            )
        self.more = more
        self.seed = seed
        self.augment = augment
        self._sizes = [clip.size for clip in clips]
        self._frames = [len(clip) for clip in clips]
        self._spans: list[_Span] = []
        epoch = 0
        for (begin, frames), (end, _) in zip(lengths, (*lengths[1:], lengths[-1]), strict=True):
            ends = tuple(accumulate(len(clip) - frames + 1 for clip in clips))
            self._spans.append(_Span(begin, epoch, frames, ends))
            epoch += -(-(end - begin) // ends[-1])

    def __len__(self) -> int:
        """Sequences in an epoch; the first, where their length changes."""
        return self._spans[0].ends[-1]

    def __getitem__(self, number: int) -> Sequence:
        """Sequence `number`, counted from the very first over all epochs."""
        span = self._spans[bisect_right(self._spans, number, key=lambda span: span.first) - 1]
        epoch, turn = divmod(number - span.first, span.ends[-1])
        epoch += span.epoch
        place = int(_shuffled(span.ends[-1], self.seed, epoch)[turn])
        clip = bisect_right(span.ends, place)
        start = place - (span.ends[clip - 1] if clip else 0)
        rng = np.random.default_rng((self.seed, epoch, turn, 1))
        return Sequence(clip, start, span.length, self.augment.draw(rng, self._sizes[clip]))

    def frames(self, drawn: Iterable[Sequence]) -> int:
        """How many frames a batch of these sequences has: as many as the shortest can give."""
        return min(
            min(self._frames[sequence.clip] - sequence.start, sequence.length + self.more)
            for sequence in drawn
        )


@lru_cache(maxsize=4)
def _shuffled(size: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(size)


class _Batches(MapDataset[VideoBatch | UserError]):
    """Batch by training step: every ``processes``-th sequence of the batch that all processes share."""

    def __init__(
        self, clips: tuple[Clip, ...], plan: SequencePlan, batch: int, rank: int, processes: int
    ) -> None:
        self.clips = clips
        self.plan = plan
        self.batch = batch * processes
        self.mine = slice(rank, None, processes)

    def __getitem__(self, step: int) -> VideoBatch | UserError:
        # Errors come back as values: a loader would wrap them in the worker's traceback.
        try:
            drawn = [self.plan[number] for number in range(step * self.batch, (step + 1) * self.batch)]
            length = self.plan.frames(drawn)
            return stack([read_sequence(self.clips, sequence, length) for sequence in drawn[self.mine]])
        except UserError as error:
            return error


def read_sequence(clips: tuple[Clip, ...], sequence: Sequence, length: int) -> VideoBatch:
    """A batch of one."""
    clip, start = clips[sequence.clip], sequence.start
    flow = np.stack([clip.flow(t) for t in range(start, start + length)])
    flow[0] = 0  # its frame t - 1 is not in the sequence
    read = clip.read(start, start + length, sequence.transform.disturb)
    frames, flow = sequence.transform(read, flow)
    return VideoBatch(
        frames=to_tensor(frames.frames)[None],
        flow=torch.from_numpy(np.ascontiguousarray(flow))[None],
        labels=None if frames.labels is None else _maps(frames.labels),
        instances=None if frames.instances is None else _maps(frames.instances),
        image=None if frames.image is None else image_tensor(frames.image, clip.schema.name)[None],
    )


def stack(batches: list[VideoBatch]) -> VideoBatch:
    """Batches of the same kind and size as one."""

    def joined(name: str) -> torch.Tensor | None:
        parts = [getattr(batch, name) for batch in batches]
        return None if parts[0] is None else torch.cat(parts)

    frames, flow = joined("frames"), joined("flow")
    assert frames is not None
    assert flow is not None
    return VideoBatch(frames, flow, joined("labels"), joined("instances"), joined("image"))


def sequences(
    dataset: Dataset,
    length: int | Lengths,
    batch: int = 1,
    seed: int = 0,
    first_step: int = 0,
    augment: Augmentation = NO_AUGMENTATION,
    workers: int = 0,
    more: int = 0,
    rank: int = 0,
    processes: int = 1,
) -> Iterator[VideoBatch]:
    """Batches of sequences without end, one a training step.

    Step n gives the same batch whatever `first_step` and `workers` are. Within an epoch (all possible
    starts in all clips) no sequence comes twice. The dataset is prepared (objects told apart) first.

    Args:
        length: frames of a sequence; where real frames are given as history, they are its first ones.
            Or several lengths, each with the number of the first batch that has it.
        first_step: the step to begin, or go on, with.
        workers: processes that read ahead; 0: this one reads. With any, a script that calls this needs
            the usual ``if __name__ == "__main__"``.
        more: so many frames follow each sequence, or as many as all clips of the batch have left.
        rank, processes: this is number ``rank`` of so many, and gets sequences rank, rank + processes, ... of
            the batches that one process would get with ``batch * processes``.

    Raises:
        UserError: at once where the clips do not allow it; later where a file cannot be read.
    """
    if not isinstance(length, int):
        length = tuple((first * batch, frames) for first, frames in length)
    plan = SequencePlan(dataset.clips, length, seed, augment, more)
    dataset.prepare()
    loader = DataLoader(
        _Batches(dataset.clips, plan, batch, rank, processes),
        batch_size=None,
        sampler=count(first_step),
        num_workers=workers,
        generator=torch.Generator(),  # it draws a seed, which must not come from the global random state
        multiprocessing_context=worker_context(__name__) if workers else None,
        collate_fn=_unchanged,
        worker_init_fn=_start_worker,
    )
    return _unwrapped(loader)


def _unwrapped(loader: DataLoader[VideoBatch | UserError]) -> Iterator[VideoBatch]:
    for item in loader:
        if isinstance(item, UserError):
            raise item
        yield item


def _unchanged(item: Any) -> Any:
    return item


def _start_worker(worker: int) -> None:
    start_worker()


def _maps(maps: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(maps))[None]
