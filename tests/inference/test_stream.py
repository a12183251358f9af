"""The streaming engine."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import vid2vid
from tiny import LABELS, PICTURES, build, label_conditions, pictures
from vid2vid.inference import stream


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("history", [0, 1, 2, 3])
@pytest.mark.parametrize("given", [0, 1, 2, 4, 6])
def test_as_many_frames_as_conditions_and_given_ones_as_they_are(history: int, given: int) -> None:
    model = build(history=history)
    conditions, first = label_conditions(6), pictures(given)
    frames = list(stream(model, conditions, first))
    assert len(frames) == 6
    assert equal(frames[:given], first)
    assert all(frame.shape == (1, 3, 32, 32) and frame.abs().max() <= 1 for frame in frames)


def test_only_the_last_given_frames_matter() -> None:
    model, conditions, first = build(), label_conditions(8), pictures(5)
    whole = list(stream(model, conditions, first))
    assert equal(list(stream(model, conditions[3:], first[3:])), whole[3:])
    assert not equal(list(stream(model, conditions[4:], first[4:])), whole[4:])


def test_the_same_input_gives_the_same_frames() -> None:
    model, conditions = build(), label_conditions(6)
    assert equal(list(stream(model, conditions)), list(stream(model, conditions)))


def test_a_stream_goes_on_as_long_as_it_likes_and_reads_no_further_than_it_must() -> None:
    drawn = []

    def endless() -> Iterator[Tensor]:
        for number, condition in enumerate(label_conditions(1) * 10_000):
            drawn.append(number)
            yield condition

    frames = stream(build(), endless())
    for number in range(3):
        next(frames)
        assert drawn == list(range(number + 1))
    frames.close()
    assert list(stream(build(), [])) == []


def test_two_streams_of_one_model_do_not_meet() -> None:
    model, conditions = build(), label_conditions(6)
    one, other = stream(model, conditions), stream(model, conditions[::-1])
    mixed = [(next(one), next(other)) for _ in range(6)]
    assert equal([frame for frame, _ in mixed], list(stream(model, conditions)))
    assert equal([frame for _, frame in mixed], list(stream(model, conditions[::-1])))


def test_batches_stream_side_by_side() -> None:
    model = build()
    model.renderer.double()
    conditions = [condition.double() for condition in label_conditions(3, batch=2)]
    both = list(stream(model, conditions))
    alone = list(stream(model, [condition[1:] for condition in conditions]))
    assert all((a[1:] - b).abs().max() < 1e-9 for a, b in zip(both, alone, strict=True))


def test_no_gradient_is_recorded_and_none_of_the_callers_modes_is_changed() -> None:
    model = build()
    for frame in stream(model, label_conditions(2)):
        assert not frame.requires_grad
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_memory_is_constant() -> None:
    """Live tensors are counted: weights, the state, the frame just made."""
    model = build(PICTURES, width=2, blocks=0)
    rng = torch.Generator().manual_seed(0)

    def endless() -> Iterator[Tensor]:
        while True:
            yield torch.rand(1, 3, 16, 16, generator=rng)

    frames = stream(model, endless(), pictures(2, (16, 16)))
    counts = []
    for number, _ in enumerate(frames):
        if number in (10, 60, 199):
            gc.collect()
            counts.append(sum(issubclass(type(item), Tensor) for item in gc.get_objects()))
        if number == 199:
            break
    frames.close()
    assert len(set(counts)) == 1


def test_it_is_a_public_call() -> None:
    assert vid2vid.stream is stream
    frames = list(vid2vid.stream(build(), [LABELS.encode(torch.zeros(1, 9, 7).long(), torch.zeros(1, 9, 7))]))
    assert frames[0].shape == (1, 3, 9, 7)
