"""The baselines, on motion that is known."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import SCHEMA

from tiny import scene
from vid2vid.data.dataset import ClipFrames
from vid2vid.prediction.baselines import copy_last, inertia
from vid2vid.types import to_tensor

SIZE = (32, 32)


class Known:
    """An estimator that knows: everything moved by (x, y) pixels, so its flow is the negative."""

    name = fingerprint = "known"

    def __init__(self, x: float, y: float) -> None:
        self.flow = np.array([-x, -y], np.float32)

    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.flow[:, None, None], (2, *current.shape[:2])).copy()


def seen(frames: int = 3) -> ClipFrames:
    pairs = [scene(t) for t in range(frames)]
    assert SCHEMA.labels is not None
    return ClipFrames(
        np.stack([frame for frame, _ in pairs]),
        np.stack([SCHEMA.labels.indices(ids) for _, ids in pairs]),
    )


def test_a_copy_stays_what_it_is() -> None:
    for future in islice(copy_last(seen(), SCHEMA, SIZE), 3):
        assert future.frame is not None
        assert future.condition is not None
        assert torch.equal(future.frame[0], to_tensor(scene(2)[0]))
        assert torch.equal(future.condition[0].argmax(0), torch.from_numpy(seen().labels[-1]))  # type: ignore[index]


@settings(max_examples=20)
@given(x=st.integers(-3, 3), y=st.integers(-3, 3))
def test_constant_flow_goes_on_as_far_at_every_step(x: int, y: int) -> None:
    (last,) = islice(copy_last(seen(), SCHEMA, SIZE), 1)
    futures = islice(inertia(seen(), SCHEMA, SIZE, Known(x, y), in_space=False), 4)
    inside = np.s_[..., 13:-13, 13:-13]  # what came in over the border is anybody's guess
    for k, future in enumerate(futures, 1):
        for before, after in ((last.frame, future.frame), (last.condition, future.condition)):
            assert before is not None
            assert after is not None
            moved = before.roll((k * y, k * x), (2, 3))
            assert torch.allclose(after[inside], moved[inside], atol=1e-4)


def test_nothing_is_blurred_by_being_warped_again_and_again() -> None:
    """By halves of pixels: at every second step the detail is whole again."""
    (last,) = islice(copy_last(seen(), SCHEMA, SIZE), 1)
    futures = list(islice(inertia(seen(), SCHEMA, SIZE, Known(0.5, 0), in_space=False), 6))
    assert last.frame is not None
    assert futures[5].frame is not None
    apart = futures[5].frame[..., 4:-4] - last.frame.roll(3, 3)[..., 4:-4]
    assert apart.abs().max() < 1e-3


def test_each_thing_keeps_its_own_speed() -> None:
    """A car drives at three pixels a frame past what stands still."""

    class Car(Known):
        def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
            flow = np.zeros((2, *current.shape[:2]), np.float32)
            flow[0, 8:16, 10:18] = -3  # where it is in the last of three frames
            return flow

    *_, future = islice(inertia(seen(), SCHEMA, SIZE, Car(0, 0), in_space=False), 3)
    assert future.condition is not None
    car = future.condition[0, 2]
    assert car[10:14, 20:26].all()
    assert not car[:, 28:].any()
    assert torch.equal(future.condition[0, 1, :, :5], torch.ones(32, 5))  # the tree


def test_without_label_maps_there_are_frames_alone() -> None:
    bare = ClipFrames(seen().frames)
    for baseline in (copy_last(bare, None, SIZE), inertia(bare, None, (16, 16), Known(1, 0), in_space=False)):
        assert next(baseline).condition is None
