"""Inertia in space on motion that is known: walls, a street, a camera that turns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vid2vid.flow import carried_in_space, motion_in_space
from vid2vid.flow.space import heading

SIZE = (128, 256)
AWAY = 0.05
"""Share of its distance by which what is seen has come nearer."""
SPEED, WALL, HEIGHT, FOCAL, HORIZON = 0.7, 40.0, 1.5, 200.0, 48.0
"""Of the street: metres a frame, to the wall at its end, of the camera; pixels."""


def driving(focus: tuple[float, float], share: float = AWAY) -> Tensor:
    """The flow, (1, 2, H, W), of a wall that has come nearer by ``share`` of its distance before."""
    rows, columns = torch.meshgrid(*(torch.arange(float(n)) for n in SIZE), indexing="ij")
    return -share * torch.stack([columns - focus[0], rows - focus[1]])[None]


def street(k: int) -> tuple[np.ndarray, np.ndarray]:
    """k frames on, a road between pavements, with a line in its middle, to a wall with a door: the class at
    every pixel and its depth in metres, (H, W) each."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    wall = WALL - SPEED * k
    depth = np.minimum(wall, FOCAL * HEIGHT / np.maximum(rows - HORIZON, 1e-3))
    across = (columns - 128) * depth / FOCAL
    ground = np.where(np.abs(across) < 0.4, 2, np.where(np.abs(across) < 4, 0, 1))
    return np.where(depth < wall, ground, np.where(np.abs(across) < 2, 4, 3)), depth


def isolated(labels: np.ndarray) -> np.ndarray:
    """Pixels that none of the eight around is like."""
    padded = np.pad(labels, 1, constant_values=-1)
    alike = np.zeros(labels.shape, int)
    for dy in range(3):
        for dx in range(3):
            alike += padded[dy : dy + labels.shape[0], dx : dx + labels.shape[1]] == labels
    return alike == 1  # itself


@settings(max_examples=20)
@given(x=st.floats(40, 200), y=st.floats(20, 100))
def test_the_focus_is_where_the_camera_goes(x: float, y: float) -> None:
    flow = driving((x, y))[0].double().numpy()
    flow[:, 40:60, 120:180] = [[[5.0]], [[0.0]]]  # somebody crosses
    found = heading(flow)
    assert found is not None
    # On one wall alone a turn and another focus look alike; what they do together does not.
    assert np.hypot(*(found[0] - (x, y) - found[1] / AWAY)) < 3


def test_a_turn_is_told_from_where_the_camera_goes() -> None:
    _, depth = street(0)
    share = SPEED / (depth + SPEED)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    flow = -share * np.stack([columns - 128, rows - HORIZON]) - np.array([0.8, 0.0])[:, None, None]
    found = heading(flow)
    assert found is not None
    assert np.abs(found[0] - (128, HORIZON)).max() < 1.5
    assert np.abs(found[1] - (0.8, 0)).max() < 0.1


def test_one_who_dances_before_a_still_camera_is_no_street() -> None:
    """Limbs swing this way and that: no point to which the camera would go explains them."""
    flow = np.zeros((2, *SIZE))
    limbs = np.random.default_rng(0).normal(0, 3, (2, 4, 4))
    flow[:, 20:120, 60:190] = np.kron(limbs, np.ones((25, 33)))[:, :100, :130]
    assert heading(flow) is None


@pytest.mark.parametrize("motion", [(0.0, 0.0), (3.0, 0.0), (1.0, -2.0)])
def test_where_there_is_no_focus_the_speed_in_the_picture_counts(motion: tuple[float, float]) -> None:
    flow = torch.tensor(motion).view(1, 2, 1, 1).expand(1, 2, *SIZE).contiguous()
    way, empty = carried_in_space(motion_in_space(flow), 4)
    arrived = (empty == 0).expand_as(way)
    torch.testing.assert_close(way[arrived], (4 * flow)[arrived])
    assert empty.mean() == pytest.approx(1 - (1 - 4 * abs(motion[0]) / 256) * (1 - 4 * abs(motion[1]) / 128))


def test_a_wall_comes_nearer_and_nearer() -> None:
    """Driven at with constant speed, it grows by 1 / (1 - k s)."""
    k, now = 8, AWAY / (1 - AWAY)  # of the distance that is left
    way, _ = carried_in_space(motion_in_space(driving((128, 64))), k)
    place = torch.tensor([200.0 - 128, 100.0 - 64])
    came_from = place + way[0, :, 100, 200]
    assert torch.allclose(place / came_from, torch.full((2,), 1 / (1 - k * now)), rtol=0.08)


def test_thirty_frames_on_a_street_is_a_street() -> None:
    """Though its flow is noisy: classes keep their places, and nothing falls to pieces."""
    (labels, depth), (expected, _) = street(0), street(30)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    flow = -SPEED / (depth + SPEED) * np.stack([columns - 128, rows - HORIZON])
    flow += np.random.default_rng(0).normal(0, 0.15, flow.shape)
    motion = motion_in_space(torch.from_numpy(flow).float()[None], torch.from_numpy(labels)[None])
    way = carried_in_space(motion, 30)[0][0].numpy()
    x, y = np.rint(columns + way[0]).astype(int), np.rint(rows + way[1]).astype(int)
    future = labels[y.clip(0, SIZE[0] - 1), x.clip(0, SIZE[1] - 1)]
    assert (future == expected).mean() > 0.94
    assert (labels == expected).mean() < 0.9, "standing still is no answer"
    assert isolated(future).mean() < 1e-3


def test_regions_keep_their_own_motion() -> None:
    """A pole in front of a wall is not smoothed into it."""
    labels = torch.zeros(1, *SIZE, dtype=torch.int64)
    labels[..., 190:194] = 1
    flow = driving((128, 64), 0.02)
    flow[..., 190:194] = driving((128, 64), 0.1)[..., 190:194]
    share = motion_in_space(flow, labels)[0, 2]
    pole, wall = share[30:100, 190:194], share[30:100, 196:220]
    torch.testing.assert_close(pole, torch.full_like(pole, 0.1 / 0.9), rtol=0.2, atol=0)
    torch.testing.assert_close(wall, torch.full_like(wall, 0.02 / 0.98), rtol=0.2, atol=0)


def test_a_pole_stays_straight() -> None:
    """Though its flow is that of what is behind it, more and more towards its ends."""
    labels = torch.zeros(1, *SIZE, dtype=torch.int64)
    labels[:, 10:120, 180:183] = 1
    flow = driving((128, 64), 0.02)
    blur = torch.linspace(-1, 1, 110)[:, None].square()  # what of the wall is in it
    near, far = driving((128, 64), 0.06)[..., 10:120, 180:183], flow[..., 10:120, 180:183]
    flow[..., 10:120, 180:183] = blur * far + (1 - blur) * near
    way, _ = carried_in_space(motion_in_space(flow, labels), 6)
    columns = torch.arange(SIZE[1]).expand(SIZE)
    pole = labels[0][torch.arange(SIZE[0])[:, None], (columns + way[0, 0]).round().long().clamp(0, 255)] == 1
    seen = pole[20:110]
    middle = (seen * columns[20:110]).sum(1) / seen.sum(1)
    assert seen.any(1).all()
    assert float(middle.max() - middle.min()) < 1.5
    assert float(middle.mean()) > 190


def test_a_line_on_the_road_stays_on_it() -> None:
    """Thin as it is, it does not face us."""
    labels, depth = street(0)
    line = torch.from_numpy(labels == 2)[None]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    share = SPEED / (depth + SPEED)
    flow = torch.from_numpy(-share * np.stack([columns - 128, rows - HORIZON])).float()[None]
    thin = line & (torch.arange(SIZE[1]) < 130) & (torch.arange(SIZE[1]) > 126)
    found = motion_in_space(flow, thin.long())[0, 2][thin[0]]
    expected = torch.from_numpy(SPEED / depth).float()[thin[0]]
    assert float((found - expected).abs().mean()) < 0.1 * float(expected.mean())


def test_label_maps_of_noise_are_carried_somewhere() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 12, (1, 64, 96), generator=draw)
    flow = torch.randn(1, 2, 64, 96, generator=draw)
    for k in (1, 30, 1000):
        way, empty = carried_in_space(motion_in_space(flow, labels), k)
        assert way.isfinite().all()
        assert empty.unique().tolist() in ([0], [0, 1])


def test_without_memory_there_are_shapes() -> None:
    motion = motion_in_space(torch.zeros(2, 2, 8, 8, device="meta"))
    way, empty = carried_in_space(motion, 3)
    assert (way.shape, empty.shape) == ((2, 2, 8, 8), (2, 1, 8, 8))
