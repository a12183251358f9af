"""Inertia in the picture on motion that is known."""

from __future__ import annotations

import torch

from vid2vid.flow import carried, swerved, warp

SIZE = (64, 128)


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
    rows, columns = torch.meshgrid(*(torch.arange(float(n)) for n in SIZE), indexing="ij")
    way = -0.05 * torch.stack([columns - 60, rows - 30])[None]
    residual = torch.full((1, 2, *SIZE), 1.0)
    twice, once = warp(warp(last, way), residual), warp(last, swerved(way, residual))
    assert (twice - once)[..., 2:-2, 2:-2].abs().max() < 0.01


def test_without_memory_there_are_shapes() -> None:
    way, empty = carried(torch.zeros(2, 2, 8, 8, device="meta"), 3)
    assert (way.shape, empty.shape) == ((2, 2, 8, 8), (2, 1, 8, 8))
