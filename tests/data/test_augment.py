"""Augmentation: everything of a sequence changes alike, and flow keeps telling where things were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vid2vid.data import Augmentation, ClipFrames
from vid2vid.data.augment import Transform
from vid2vid.errors import UserError
from vid2vid.flow import warp
from vid2vid.types import to_tensor

WIDTH, HEIGHT = 48, 36
augmentations = st.builds(
    Augmentation,
    flip=st.sampled_from([0.0, 0.5, 1.0]),
    scale=st.tuples(st.floats(1, 1.3), st.floats(1.3, 1.8)),
    crop=st.none() | st.tuples(st.integers(8, WIDTH), st.integers(8, HEIGHT)),
    jitter=st.sampled_from([0.0, 0.3]),
    recolour=st.sampled_from([0.0, 0.5]),
)
seeds = st.integers(0, 2**32 - 1)


def _moving_pattern(turn: float, grow: float, length: int = 3) -> tuple[ClipFrames, np.ndarray]:
    """A smooth pattern that turns and grows about the middle, with its exact flow."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    place = (x - WIDTH / 2) + 1j * (y - HEIGHT / 2)
    step = grow * np.exp(1j * turn)  # frame t shows at p what frame t - 1 showed at step * p
    frames = []
    for t in range(length):
        seen = place * step**t
        waves = [np.sin(seen.real / 5 + k) * np.cos(seen.imag / 4 - k) for k in range(3)]
        frames.append(np.stack(waves, axis=-1) * 100 + 128)
    motion = place * step - place
    flow = np.stack([motion.real, motion.imag]).astype(np.float32)
    return ClipFrames(np.rint(frames).astype(np.uint8)), np.stack([0 * flow, *[flow] * (length - 1)])


@settings(max_examples=40)
@given(augmentations, seeds, st.floats(-0.06, 0.06), st.floats(0.95, 1.05))
def test_the_warped_last_frame_still_is_this_frame(
    augment: Augmentation, seed: int, turn: float, grow: float
) -> None:
    transform = augment.draw(np.random.default_rng(seed), (WIDTH, HEIGHT))
    changed, flow = transform(*_moving_pattern(turn, grow))
    frames, flows = to_tensor(changed.frames), torch.from_numpy(np.ascontiguousarray(flow))
    assert frames.shape[-2:] == flows.shape[-2:]
    warped = warp(frames[:-1], flows[1:])
    rows, columns = torch.meshgrid(*map(torch.arange, frames.shape[-2:]), indexing="ij")
    x, y = columns + flows[1:, 0], rows + flows[1:, 1]
    # One pixel of margin: resized pictures are extrapolated at their border.
    inside = (x >= 1) & (y >= 1) & (x <= frames.shape[-1] - 2) & (y <= frames.shape[-2] - 2)
    error = (warped - frames[1:]).abs().amax(dim=1)[inside]
    assert error.numel() == 0 or (error.mean() < 0.03 and error.max() < 0.15)


@settings(max_examples=30)
@given(seeds, st.tuples(st.integers(1, WIDTH), st.integers(1, HEIGHT)))
def test_frames_and_conditions_stay_together(seed: int, crop: tuple[int, int]) -> None:
    ids = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH))
    picture = np.repeat(ids[..., None], 3, axis=-1).astype(np.uint8)
    flow = np.zeros((2, 2, HEIGHT, WIDTH), np.float32)
    transform = Augmentation(crop=crop).draw(np.random.default_rng(seed), (WIDTH, HEIGHT))
    changed, _ = transform(ClipFrames(picture, ids, ids, picture), flow)
    assert changed.labels is not None
    assert changed.instances is not None
    assert changed.image is not None
    assert changed.frames.shape == (2, crop[1], crop[0], 3)
    assert (changed.frames[..., 0] == changed.labels).all()
    assert (changed.frames == changed.image).all()
    assert (changed.labels == changed.instances).all()
    assert changed.labels.dtype == np.int64


@settings(max_examples=50)
@given(augmentations, seeds, st.tuples(st.integers(WIDTH, 99), st.integers(HEIGHT, 99)))
def test_the_box_lies_inside(augment: Augmentation, seed: int, size: tuple[int, int]) -> None:
    transform = augment.draw(np.random.default_rng(seed), size)
    left, top, width, height = transform.box
    assert (width, height) == augment.output_size(size) == (augment.crop or size)
    assert 0 <= left <= left + width <= transform.size[0]
    assert 0 <= top <= top + height <= transform.size[1]
    assert transform == augment.draw(np.random.default_rng(seed), size)


def test_flip_can_be_switched_off_and_on() -> None:
    rngs = [np.random.default_rng(seed) for seed in range(50)]
    assert not any(Augmentation(flip=0).draw(rng, (8, 8)).flip for rng in rngs)
    assert all(Augmentation(flip=1).draw(rng, (8, 8)).flip for rng in rngs)


def test_a_flip_mirrors_and_a_crop_chooses() -> None:
    clip, flow = _moving_pattern(0.05, 1.0)
    changed, flipped = Transform(True, (WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT))(clip, flow)
    assert (changed.frames == clip.frames[:, :, ::-1]).all()
    assert (flipped[:, 0] == -flow[:, 0, :, ::-1]).all()
    changed, cut = Transform(False, (WIDTH, HEIGHT), (5, 3, 20, 10))(clip, flow)
    assert (changed.frames == clip.frames[:, 3:13, 5:25]).all()
    assert (cut == flow[:, :, 3:13, 5:25]).all()


def test_light_changes_all_frames_alike_and_only_frames() -> None:
    clip, flow = _moving_pattern(0.0, 1.0)
    clip = ClipFrames(clip.frames, image=clip.frames)
    transform = Augmentation(flip=0, jitter=0.4).draw(np.random.default_rng(3), (WIDTH, HEIGHT))
    changed, _ = transform(clip, flow)
    assert (changed.image == clip.image).all()
    for old in np.unique(clip.frames):
        assert len(np.unique(changed.frames[clip.frames == old])) == 1
    assert changed.frames.mean() != clip.frames.mean()


def test_classes_are_recoloured_each_for_itself_in_half_of_the_sequences() -> None:
    labels = np.zeros((2, HEIGHT, WIDTH), np.int64)
    labels[:, :, WIDTH // 2 :] = 3
    clip = ClipFrames(np.full((2, HEIGHT, WIDTH, 3), 120, np.uint8), labels, image=None)
    flow = np.zeros((2, 2, HEIGHT, WIDTH), np.float32)
    augment = Augmentation(flip=0, recolour=0.5)
    drawn = [augment.draw(np.random.default_rng(seed), (WIDTH, HEIGHT)) for seed in range(200)]
    assert 70 < sum(transform.recolour > 0 for transform in drawn) < 130
    seen = set()
    for transform in drawn:
        frames = transform(clip, flow)[0].frames
        left, right = ({tuple(colour) for colour in frames[labels == kind]} for kind in (0, 3))
        assert len(left) == len(right) == 1
        assert (left == right) == (transform.recolour == 0)
        seen |= left | right
    assert len(seen) > 100
    levels = np.array(list(seen))
    assert 20 < levels.min() < 80 < 160 < levels.max() <= 244  # 120 * 1.5 + 64


@pytest.mark.parametrize(
    "values",
    [
        {"flip": 1.5},
        {"flip": -0.1},
        {"scale": (1.2, 1.0)},
        {"scale": (0.0, 1.0)},
        {"jitter": 1.0},
        {"jitter": -0.1},
        {"recolour": 1.0},
    ],
)
def test_settings_that_make_no_sense(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"augment.{next(iter(values))} is"):
        Augmentation(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("augment", [Augmentation(crop=(65, 8)), Augmentation(scale=(0.5, 1.0))])
def test_a_crop_that_does_not_fit(augment: Augmentation) -> None:
    with pytest.raises(UserError, match="does not fit"):
        augment.output_size((64, 48))
