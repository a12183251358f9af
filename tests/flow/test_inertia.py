"""Inertia on motion that is known: in the picture, and towards a camera that drives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vid2vid.flow import carried, swerved, warp
from vid2vid.flow.inertia import focus_of_expansion

SIZE = (64, 128)
AWAY = 0.05
"""Share of its distance by which what is seen has come nearer."""


def driving(focus: tuple[float, float], share: float = AWAY) -> Tensor:
    """The flow, (1, 2, H, W), of a wall that has come nearer by ``share`` of its distance before."""
    rows, columns = torch.meshgrid(*(torch.arange(float(n)) for n in SIZE), indexing="ij")
    return -share * torch.stack([columns - focus[0], rows - focus[1]])[None]


@settings(max_examples=20)
@given(x=st.floats(20, 100), y=st.floats(10, 50))
def test_the_focus_is_where_the_camera_goes(x: float, y: float) -> None:
    flow = driving((x, y))[0].numpy()
    flow[:, 20:30, 60:90] = [[[5.0]], [[0.0]]]  # somebody crosses
    found = focus_of_expansion(flow)
    assert found is not None
    assert np.hypot(*(found - (x, y))) < 1.5


@pytest.mark.parametrize("motion", [(0.0, 0.0), (3.0, 0.0), (1.0, -2.0)])
@pytest.mark.parametrize("in_space", [False, True])
def test_where_there_is_no_focus_the_speed_in_the_picture_counts(
    motion: tuple[float, float], in_space: bool
) -> None:
    flow = torch.tensor(motion).view(1, 2, 1, 1).expand(1, 2, *SIZE).contiguous()
    way, empty = carried(flow, 4, in_space=in_space)
    torch.testing.assert_close(way, 4 * flow)
    assert empty.mean() == pytest.approx(1 - (1 - 4 * abs(motion[0]) / 128) * (1 - 4 * abs(motion[1]) / 64))


def test_a_wall_comes_nearer_and_nearer() -> None:
    """Driven at with constant speed, it grows by 1 / (1 - k s), in the picture by 1 + k s."""
    flow, k = driving((64, 32)), 8
    now = AWAY / (1 - AWAY)  # of the distance that is left
    for in_space, larger in ((False, 1 + k * AWAY), (True, 1 / (1 - k * now))):
        way, _ = carried(flow, k, in_space=in_space)
        place = torch.tensor([100.0 - 64, 50.0 - 32])
        came_from = place + way[0, :, 50, 100]
        assert torch.allclose(place / came_from, torch.full((2,), larger), rtol=0.08)


def test_what_is_near_hides_what_is_far_and_what_it_leaves_is_told() -> None:
    flow = torch.zeros(1, 2, *SIZE)
    flow[0, 0, 20:30, 40:50] = -4
    way, empty = carried(flow, 5)
    assert (way[0, 0, 20:30, 60:70] == -20).all()
    assert empty[0, 0].nonzero().min(0).values.tolist() == [20, 40]
    assert empty.sum() == 100


def test_a_residual_warps_what_was_carried() -> None:
    draw = torch.Generator().manual_seed(0)
    last = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 8, generator=draw), SIZE, mode="bicubic")
    way, residual = driving((60, 30)), torch.full((1, 2, *SIZE), 1.0)
    twice, once = warp(warp(last, way), residual), warp(last, swerved(way, residual))
    assert (twice - once)[..., 2:-2, 2:-2].abs().max() < 0.01


def test_without_memory_there_are_shapes() -> None:
    way, empty = carried(torch.zeros(2, 2, 8, 8, device="meta"), 3, in_space=True)
    assert (way.shape, empty.shape) == ((2, 2, 8, 8), (2, 1, 8, 8))
