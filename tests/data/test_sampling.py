"""The order of sequences: complete, never twice in an epoch, the same for any resume and any workers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_clips import make_clip, scene

from vid2vid.data import Augmentation, Dataset, sequences
from vid2vid.data.sampling import Sequence, SequencePlan, _Batches
from vid2vid.errors import UserError
from vid2vid.types import VideoBatch, to_tensor
from vid2vid.video import write_picture

RICH = Augmentation(flip=0.5, scale=(1.0, 1.5), jitter=0.2)


@dataclass(frozen=True)
class Stub:
    """As much of a clip as a plan looks at."""

    frames: int
    size: tuple[int, int] = (32, 24)
    name: str = "stub"
    has_points: bool = False

    def __len__(self) -> int:
        return self.frames


def plan(frames: list[int], length: int, seed: int, augment: Augmentation = RICH) -> SequencePlan:
    return SequencePlan(tuple(Stub(count) for count in frames), length, seed, augment)  # type: ignore[arg-type]


cases = st.integers(1, 5).flatmap(
    lambda length: st.tuples(
        st.lists(st.integers(length, length + 9), min_size=1, max_size=4),
        st.just(length),
        st.integers(0, 2**31),
    )
)


@settings(max_examples=40)
@given(cases, st.integers(0, 3))
def test_each_epoch_has_every_start_once(case: tuple[list[int], int, int], epoch: int) -> None:
    frames, length, _ = case
    order = plan(*case)
    drawn = [order[number] for number in range(epoch * len(order), (epoch + 1) * len(order))]
    wanted = {(clip, start) for clip, count in enumerate(frames) for start in range(count - length + 1)}
    assert {(item.clip, item.start) for item in drawn} == wanted
    assert len(drawn) == len(wanted)


@settings(max_examples=40)
@given(cases, st.integers(0, 10_000))
def test_a_sequence_depends_on_seed_and_number_alone(case: tuple[list[int], int, int], number: int) -> None:
    order = plan(*case)
    for other in (5, 0, number + 1):
        order[other]
    assert order[number] == plan(*case)[number]


def test_epochs_and_seeds_differ() -> None:
    def starts(seed: int, epoch: int) -> list[int]:
        order = plan([40], 3, seed)
        return [order[epoch * len(order) + turn].start for turn in range(len(order))]

    orders = [starts(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(first != second for k, first in enumerate(orders) for second in orders[k + 1 :])
    order = plan([40], 3, 0)
    assert len({order[number].transform for number in range(38)}) == 38


@settings(max_examples=40)
@given(cases, st.integers(0, 12), st.lists(st.integers(0, 200), min_size=1, max_size=4))
def test_more_frames_follow_where_the_clips_have_them(
    case: tuple[list[int], int, int], more: int, numbers: list[int]
) -> None:
    """No clip that is long enough for a sequence is lost by asking for more, and the order is the same."""
    frames, length, seed = case
    order = SequencePlan(tuple(Stub(n) for n in frames), length, seed, RICH, more)  # type: ignore[arg-type]
    assert len(order) == len(plan(*case))
    drawn = [order[number] for number in numbers]
    assert drawn == [plan(*case)[number] for number in numbers]
    count = order.frames(drawn)
    assert length <= count <= length + more
    left = [frames[item.clip] - item.start for item in drawn]
    assert count == length + more or count == min(left)
    assert count <= min(left)


def test_a_clip_too_short_is_named() -> None:
    with pytest.raises(UserError, match="stub: 4 frames, but sequences of 6"):
        plan([9, 4], 6, 0)


def test_clips_of_different_sizes_need_one_size() -> None:
    clips = (Stub(9), Stub(9, (16, 16), "square"))
    with pytest.raises(UserError, match=r"32x24 \(stub\) and 16x16 \(square\)"):
        SequencePlan(clips, 3, 0)  # type: ignore[arg-type]
    assert SequencePlan(clips, 3, 0, Augmentation(crop=(16, 16)))[0]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    make_clip(root / "a", 6)
    make_clip(root / "b", 5)
    return root


@pytest.fixture(scope="module")
def dataset(root: Path) -> Dataset:
    return Dataset.open(root)


def test_a_batch_has_as_many_frames_as_its_shortest_sequence_can_give(dataset: Dataset) -> None:
    plain = islice(sequences(dataset, 3, batch=2, seed=5, augment=RICH), 8)
    longer = islice(sequences(dataset, 3, batch=2, seed=5, augment=RICH, more=2), 8)
    counts = []
    for short, long in zip(plain, longer, strict=True):
        counts.append(long.frames.shape[1])
        assert {tensor.shape[:2] for tensor in (long.frames, long.flow, long.labels)} == {(2, counts[-1])}
        assert torch.equal(long.frames[:, :3], short.frames)
    assert {3, 4} <= set(counts) <= {3, 4, 5}


def equal(first: VideoBatch, second: VideoBatch) -> bool:
    names = ("frames", "flow", "labels", "instances")
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


def test_batches_have_the_agreed_shapes(dataset: Dataset) -> None:
    batch = next(sequences(dataset, 3, batch=2, augment=RICH))
    assert batch.frames.shape == (2, 3, 3, 24, 32)
    assert batch.flow.shape == (2, 3, 2, 24, 32)
    assert batch.labels is not None
    assert batch.instances is not None
    assert batch.labels.shape == batch.instances.shape == (2, 3, 24, 32)
    assert (batch.labels.dtype, batch.instances.dtype, batch.flow.dtype) == (
        torch.int64,
        torch.int64,
        torch.float32,
    )
    assert batch.image is None
    assert batch.frames.abs().max() <= 1
    assert not batch.flow[:, 0].any()


def test_without_augmentation_frames_come_as_they_are(root: Path, dataset: Dataset) -> None:
    drawn = SequencePlan(dataset.clips, 4, 7)[0]
    batch = next(sequences(dataset, 4, seed=7))
    expected = np.stack([scene(t)[0] for t in range(drawn.start, drawn.start + 4)])
    assert torch.equal(batch.frames[0], to_tensor(expected))
    image = next(sequences(Dataset.open(root, condition="densepose"), 4)).image
    assert image is not None
    assert image.shape == (1, 4, 3, 24, 32)


@pytest.mark.parametrize("workers", [0, 2])
def test_any_resume_and_any_number_of_workers_give_the_same(dataset: Dataset, workers: int) -> None:
    expected = list(islice(sequences(dataset, 3, batch=2, seed=5, augment=RICH), 7))
    resumed = sequences(dataset, 3, batch=2, seed=5, first_step=4, augment=RICH, workers=workers)
    for step, batch in enumerate(islice(resumed, 3), 4):
        assert equal(batch, expected[step])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, workers: int) -> None:
    folder = make_clip(tmp_path, 4)
    data = Dataset.open(folder, instances=False)
    write_picture(folder / "labels" / "0002.png", np.full((24, 32), 9, np.uint8))
    with pytest.raises(UserError, match=r"0002\.png: ids outside the class list: 9") as caught:
        next(sequences(data, 4, workers=workers))
    assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(cases, st.integers(1, 5), st.integers(1, 4), st.integers(0, 50), st.integers(0, 6))
def test_processes_share_the_batches_of_one(
    case: tuple[list[int], int, int], processes: int, batch: int, step: int, more: int
) -> None:
    """No sequence comes twice and none is missing, in any step and so in any epoch; all are as long."""
    frames, length, seed = case
    clips: Any = tuple(Stub(count) for count in frames)
    order = SequencePlan(clips, length, seed, RICH, more)

    def marked(clips: Any, drawn: Sequence, length: int) -> VideoBatch:
        mark = torch.tensor([[drawn.clip, drawn.start, length]])
        return VideoBatch(mark, mark)

    def marks(batch: int, rank: int, processes: int) -> torch.Tensor:
        found = _Batches(clips, order, batch, rank, processes)[step]
        assert isinstance(found, VideoBatch)
        return found.frames

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vid2vid.data.sampling.read_sequence", marked)
        whole = marks(batch * processes, 0, 1)
        parts = [marks(batch, rank, processes) for rank in range(processes)]
    assert all(len(part) == batch for part in parts)
    assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), whole)
    assert len(whole[:, 2].unique()) == 1


@settings(max_examples=60)
@given(cases, st.integers(1, 5), st.integers(1, 4))
def test_processes_see_each_sequence_once_an_epoch(
    case: tuple[list[int], int, int], processes: int, batch: int
) -> None:
    order = plan(*case)
    seen: list[int] = []
    for step in range(-(-len(order) // (batch * processes))):
        for rank in range(processes):
            mine = _Batches((), order, batch, rank, processes)
            seen += range(step * mine.batch, (step + 1) * mine.batch)[mine.mine]
    assert len(seen) == len(set(seen))
    assert set(seen) >= set(range(len(order)))
    drawn = [order[number] for number in seen if number < len(order)]
    assert len({(item.clip, item.start) for item in drawn}) == len(order)
