"""Several processes that train one model, on one machine or on several: as many as torchrun has started.

Each makes its part of the batch, and the mean of all gradients steps the same weights everywhere. Every loss
is a mean over the batch, so that mean is the gradient of one process with all of the batch. It is taken here,
after each side's backward pass, and not by DistributedDataParallel: that waits for all parameters in one
pass, while here one graph teaches two sides, each by a pass of its own, and which scales learn changes as
training goes on. Nothing else needs the whole batch: instance norm sees one picture at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from vid2vid.device import pick_device
from vid2vid.errors import Disbanded, Terminated, UserError
from vid2vid.training.stopping import Asked

PATIENCE = timedelta(minutes=10)
"""How long the others wait for one: it may be rendering a validation, or gone without a word."""
BUCKET = 2**24
"""Numbers that are sent at once: few messages, little memory."""
_REASONS = (None, KeyboardInterrupt, Terminated)


@dataclass(frozen=True)
class Team:
    """The processes of a training; this one is number ``rank`` of ``size``, and number 0 does the writing.

    All must make the same calls in the same order. Alone, none of them does anything.

    Raises (all of them):
        Disbanded: another process is gone, or has not answered for ten minutes.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """The one that writes and speaks."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Every tensor becomes its mean over all processes, to the bit the same in each."""
        for bucket in _buckets(tensors) if self.size > 1 else ():
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            with self._others():
                dist.all_reduce(flat)
            flat /= self.size
            for tensor, part in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def mean(self, number: float) -> float:
        """The mean of a number over all processes."""
        tensor = torch.tensor([number], dtype=torch.float64)
        self.average([tensor])
        return float(tensor)

    def most(self, number: int) -> int:
        """The largest that any process says."""
        if self.size == 1:
            return number
        tensor = torch.tensor([number])
        with self._others():
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def wait(self) -> None:
        """Until all have come here."""
        self.most(0)

    def agreed(self, asked: Asked) -> Asked:
        """Whether any of the processes was asked to stop."""
        return lambda: _REASONS[self.most(_REASONS.index(asked()))]

    def gather(self, part: Tensor) -> Tensor:
        """(B, ...) of each process as (B * size, ...), in the order of the whole batch."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        with self._others():
            dist.all_gather(parts, part.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    def part(self, whole: Tensor) -> Tensor:
        """Its own of (B * size, ...): every ``size``-th."""
        return whole[self.rank :: self.size]

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Every tensor becomes what it is in the first process."""
        for tensor in tensors if self.size > 1 else ():
            with self._others():
                dist.broadcast(tensor, 0)

    def unlike_first(self, digest: bytes) -> list[int]:
        """The processes that have another digest than the first."""
        found = self.gather(torch.tensor([int.from_bytes(digest[:7], "big")])).tolist()
        return [rank for rank, number in enumerate(found) if number != found[0]]

    @contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise Disbanded(
                f"process {self.rank} of {self.size}: another process of this training is gone, or does not "
                f"answer ({' '.join(str(error).split())[:120]}); the same command, for all of them, goes on "
                "from the last checkpoint"
            ) from error


ALONE = Team()


def first_of_all() -> bool:
    """Whether this process is the one to speak, before it has met the others."""
    return _started() == 1 or os.environ["RANK"] == "0"


@contextmanager
def together(device: str) -> Iterator[tuple[Team, torch.device]]:
    """The team that torchrun's environment tells of, and this process's device: where there are GPUs, that of
    its number on this machine. A process group that is there already is taken as it is.

    Raises:
        UserError: no such device, or the others cannot be reached.
    """
    if dist.is_available() and dist.is_initialized():
        yield Team(dist.get_rank(), dist.get_world_size()), pick_device(device)
        return
    if _started() == 1:
        yield ALONE, pick_device(device)
        return
    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    chosen = pick_device("cpu" if device == "auto" else device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # a lost process is an error, not an abort
    try:
        # A word between processors (who is asked to stop) need not wait for the GPUs.
        dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"torchrun: the other processes cannot be reached ({reason}); start all again"
        ) from error
    yield Team(dist.get_rank(), dist.get_world_size()), chosen
    dist.destroy_process_group()  # not after an error: it would wait for those that are gone


def _started() -> int:
    """How many processes torchrun has started; clusters set one of the names for reasons of their own."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(t.numel() for t in bucket) + tensor.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
