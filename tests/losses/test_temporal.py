"""Groups of frames for the video discriminators, and the window that gathers them over chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vid2vid.flow import warp
from vid2vid.losses.temporal import FLOW_DIVISOR, Group, TemporalWindow, temporal_groups

CHUNKS = st.lists(st.integers(1, 7), min_size=1, max_size=12)
SCALES, LENGTHS = st.integers(0, 3), st.integers(2, 4)


def over_chunks(
    chunks: list[int], scale: int, length: int, sparse: bool
) -> list[tuple[int, int, tuple[int, ...]]]:
    """(frames seen before, new frames, group) of every group of a clip."""
    found, seen = [], 0
    for new in chunks:
        found += [(seen, new, group) for group in temporal_groups(seen, new, scale, length, sparse)]
        seen += new
    return found


@given(chunks=CHUNKS, scale=SCALES, length=LENGTHS, sparse=st.booleans())
def test_every_group_is_of_this_chunk_and_of_its_scale(
    chunks: list[int], scale: int, length: int, sparse: bool
) -> None:
    for seen, new, group in over_chunks(chunks, scale, length, sparse):
        assert len(group) == length
        assert group[0] >= 0
        assert seen <= group[-1] < seen + new, "the last frame is new"
        assert {later - earlier for earlier, later in pairwise(group)} == {length**scale}
        assert not sparse or all(frame % length**scale == 0 for frame in group)


@given(chunks=CHUNKS, scale=SCALES, length=LENGTHS)
def test_no_dense_group_comes_twice_and_few_frames_are_missed(
    chunks: list[int], scale: int, length: int
) -> None:
    found = over_chunks(chunks, scale, length, sparse=False)
    groups = [group for _, _, group in found]
    assert len(set(groups)) == len(groups)
    seen = 0
    for new in chunks:
        ends = [group[-1] for before, _, group in found if before == seen]
        possible = [end for end in range(seen, seen + new) if end >= (length - 1) * length**scale]
        assert bool(ends) == (seen + new - 1 in possible), "a chunk whose last frame can end a group has one"
        assert all(before - after == length for before, after in pairwise(ends))
        seen += new


@given(new=st.integers(1, 60), length=LENGTHS)
def test_frames_at_once_are_cut_into_groups_from_the_end(new: int, length: int) -> None:
    groups = temporal_groups(0, new, 0, length)
    assert [frame for group in groups[::-1] for frame in group] == list(range(new % length, new))


def clip(frames: int, seed: int = 0, size: tuple[int, int] = (5, 6)) -> tuple[Tensor, Tensor, Tensor]:
    """Random real frames, fakes (leaves that want gradients) and flows, (1, T, ...)."""
    rng = torch.Generator().manual_seed(seed)
    real, fake = (torch.rand(1, frames, 3, *size, generator=rng) for _ in range(2))
    flow = torch.randn(1, frames, 2, *size, generator=rng)
    return real, fake.requires_grad_(), flow


def pushed(
    window: TemporalWindow, parts: tuple[Tensor, Tensor, Tensor], chunks: list[int]
) -> list[list[Group | None]]:
    results, seen = [], 0
    for new in chunks:
        results.append(window.push(*(part[:, seen : seen + new] for part in parts)))
        seen += new
    return results


def composed(flow: Tensor, later: int, earlier: int) -> Tensor:
    """By the definition: from ``later`` a step back, then from there on."""
    result = flow[:, later]
    for t in range(later - 1, earlier, -1):
        result = result + warp(flow[:, t], result)
    return result


@settings(max_examples=25)
@given(chunks=CHUNKS, scales=st.integers(0, 3), length=st.integers(2, 3), sparse=st.booleans())
def test_the_window_gives_what_indexing_the_whole_clip_would(
    chunks: list[int], scales: int, length: int, sparse: bool
) -> None:
    real, fake, flow = clip(sum(chunks))
    results = pushed(TemporalWindow(scales, length, sparse), (real, fake, flow), chunks)
    seen = 0
    for new, by_scale in zip(chunks, results, strict=True):
        assert len(by_scale) == scales
        for scale, group in enumerate(by_scale):
            wanted = temporal_groups(seen, new, scale, length, sparse)
            if not wanted:
                assert group is None
                continue
            assert group is not None
            assert torch.equal(group.real, torch.cat([real[:, list(g)].flatten(1, 2) for g in wanted]))
            assert torch.equal(group.fake, torch.cat([fake[:, list(g)].flatten(1, 2) for g in wanted]))
            flows = [torch.cat([composed(flow, b, a) for a, b in pairwise(g)], 1) for g in wanted]
            torch.testing.assert_close(group.flows, torch.cat(flows) / FLOW_DIVISOR)
        seen += new


@pytest.mark.parametrize("sparse", [False, True])
def test_flow_over_several_frames_of_a_moving_picture(sparse: bool) -> None:
    """A picture that moves by (1, 2) pixels a frame: over r frames by (r, 2 r)."""
    flow = torch.tensor([-1.0, -2.0]).view(1, 1, 2, 1, 1).expand(1, 28, 2, 64, 64)
    large = torch.rand(3, 120, 120, generator=torch.Generator().manual_seed(0))
    real = torch.stack([large[:, 54 - 2 * t : 118 - 2 * t, 27 - t : 91 - t] for t in range(28)])[None]
    groups = pushed(TemporalWindow(3, 3, sparse), (real, real, flow), [4] * 7)
    for scale in range(3):
        last = [by_scale[scale] for by_scale in groups if by_scale[scale] is not None][-1]
        assert last is not None
        stride = 3**scale
        motion = torch.tensor([-stride, -2.0 * stride]).view(1, 2, 1, 1)
        torch.testing.assert_close(
            last.flows[:, :2] * FLOW_DIVISOR, motion.expand(len(last.flows), 2, 64, 64)
        )
        explained = warp(last.real[:, :3], last.flows[:, :2] * FLOW_DIVISOR)
        inside = (..., slice(2 * stride, None), slice(stride, None))
        torch.testing.assert_close(explained[inside], last.real[:, 3:6][inside], rtol=0, atol=1e-4)


@given(chunks=CHUNKS, sparse=st.booleans())
@settings(max_examples=20)
def test_only_frames_just_made_get_a_gradient(chunks: list[int], sparse: bool) -> None:
    real, fake, flow = clip(sum(chunks))
    seen = 0
    for new, by_scale in zip(
        chunks, pushed(TemporalWindow(2, 3, sparse), (real, fake, flow), chunks), strict=True
    ):
        for group in by_scale:
            if group is None:
                continue
            assert not group.real.requires_grad
            assert not group.flows.requires_grad
            (gradient,) = torch.autograd.grad(group.fake.sum(), fake, retain_graph=True)
            touched = gradient.abs().sum(dim=(0, 2, 3, 4)).nonzero().flatten().tolist()
            assert touched
            assert all(seen <= frame < seen + new for frame in touched)
        seen += new


@pytest.mark.parametrize("sparse", [False, True])
def test_memory_is_bounded(sparse: bool) -> None:
    window = TemporalWindow(3, 3, sparse)
    kept = []
    for start in range(0, 300, 2):
        real, fake, flow = clip(2, seed=start, size=(2, 2))
        window.push(real, fake, flow)
        kept.append(len(window._frames))
    assert max(kept) == kept[-1] == 2 * 9
    assert all(not fake.requires_grad for _, fake, _ in window._frames.values())


def test_without_scales_nothing_is_gathered() -> None:
    assert TemporalWindow(0).push(*clip(4)) == []
