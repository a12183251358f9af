"""Changing frames and flow alike commutes with warping."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vid2vid.flow import crop_flow, flip_flow, resize_flow, warp


def scene(seed: int, height: int, width: int, reach: float) -> tuple[Tensor, Tensor]:
    """A picture (1, 3, H, W) and a flow (1, 2, H, W), both without any smoothness."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64) * 2 - 1
    flow = reach * torch.randn(1, 2, height, width, generator=generator, dtype=torch.float64)
    return x, flow


sizes = st.integers(1, 16)
seeds = st.integers(0, 2**31)


@given(seeds, sizes, sizes, st.booleans(), st.booleans())
@settings(max_examples=60)
def test_flipping_commutes_with_warping(
    seed: int, height: int, width: int, horizontal: bool, vertical: bool
) -> None:
    x, flow = scene(seed, height, width, reach=3)
    axes = [axis for axis, wanted in ((-1, horizontal), (-2, vertical)) if wanted]
    flipped = flip_flow(flow, horizontal=horizontal, vertical=vertical)
    torch.testing.assert_close(warp(x.flip(axes), flipped), warp(x, flow).flip(axes), rtol=0, atol=3e-6)
    assert torch.equal(flip_flow(flipped, horizontal=horizontal, vertical=vertical), flow)


@given(seeds, st.integers(6, 20), st.integers(6, 20), st.data())
@settings(max_examples=60)
def test_cropping_commutes_with_warping_where_the_source_is_in_sight(
    seed: int, height: int, width: int, data: st.DataObject
) -> None:
    x, flow = scene(seed, height, width, reach=2)
    left, top = data.draw(st.integers(0, width - 2)), data.draw(st.integers(0, height - 2))
    w, h = data.draw(st.integers(2, width - left)), data.draw(st.integers(2, height - top))
    cropped = crop_flow(flow, left, top, (w, h))
    ours = warp(x[..., top : top + h, left : left + w], cropped)
    theirs = warp(x, flow)[..., top : top + h, left : left + w]
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    to_x, to_y = columns + cropped[0, 0], rows + cropped[0, 1]
    in_sight = (to_x >= 0) & (to_x <= w - 1) & (to_y >= 0) & (to_y <= h - 1)
    torch.testing.assert_close(ours[..., in_sight], theirs[..., in_sight], rtol=0, atol=3e-6)


@pytest.mark.parametrize("box", [(-1, 0, 4, 4), (0, -1, 4, 4), (3, 0, 6, 4), (0, 3, 4, 6), (0, 0, 0, 4)])
def test_crops_that_leave_the_flow_are_refused(box: tuple[int, int, int, int]) -> None:
    left, top, width, height = box
    with pytest.raises(ValueError, match="leaves a flow"):
        crop_flow(torch.zeros(2, 8, 8), left, top, (width, height))


def waves(points: np.ndarray) -> np.ndarray:
    """A smooth colour for every place (..., 2) of a plane measured in fractions of the picture."""
    x, y = points[..., 0], points[..., 1]
    tones = [np.sin(5 * x + 3 * y), np.cos(4 * x - 2 * y), np.sin(3 * x * y + x)]
    return np.stack(tones, axis=-1).astype(np.float32)


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As the video room resizes frames: area to shrink, cubic to grow."""
    smaller = size[0] < picture.shape[1]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def to_tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


@given(
    st.tuples(st.integers(60, 120), st.integers(60, 120)),
    st.sampled_from([0.4, 0.5, 0.75, 1.6, 2.0]),
    st.floats(0.6, 1.6),
    st.tuples(*[st.floats(-0.03, 0.03)] * 4),
)
@settings(max_examples=40)
def test_resizing_commutes_with_warping(
    size: tuple[int, int], factor: float, stretch: float, motion: tuple[float, float, float, float]
) -> None:
    """Frames of a smooth scene under shift and zoom, resized (both axes differently): the flow still fits."""
    width, height = size
    columns, rows = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    places = np.stack((columns, rows), axis=-1)
    shift, zoom = np.array(motion[:2]), np.array(motion[2:])
    displacement = shift + zoom * (places - 0.5)
    previous, current = waves(places), waves(places + displacement)
    flow = torch.from_numpy((displacement * [width, height]).transpose(2, 0, 1).astype(np.float32))[None]
    small = (max(16, round(width * factor)), max(16, round(height * min(2.0, factor * stretch))))
    if (small[0] < width) != (small[1] < height):  # one way of resampling per picture
        small = (small[0], max(16, round(height * factor)))
    warped = warp(to_tensor(resized(previous, small)), resize_flow(flow, small))
    target = to_tensor(resized(current, small))
    margin_x, margin_y = 2 + round(0.06 * small[0]), 2 + round(0.06 * small[1])
    inside = (..., slice(margin_y, -margin_y), slice(margin_x, -margin_x))
    assert (warped[inside] - target[inside]).abs().max() < 0.02


def test_resizing_scales_each_axis_by_its_own_growth() -> None:
    flow = torch.tensor([3.0, -2.0]).view(2, 1, 1).expand(2, 10, 20)
    grown = resize_flow(flow, (40, 15))
    assert grown.shape == (2, 15, 40)
    torch.testing.assert_close(grown, torch.tensor([6.0, -3.0]).view(2, 1, 1).expand(2, 15, 40))


@pytest.mark.parametrize("size", [(20, 16), (30, 24), (80, 64), (57, 41)])
def test_resized_flow_stays_registered_with_resized_pictures(size: tuple[int, int]) -> None:
    """A flow that grows linearly has one right value at every pixel centre of the resized picture."""
    columns = torch.arange(40.0)[None].expand(32, 40)
    rows = torch.arange(32.0)[:, None].expand(32, 40)
    ours = resize_flow(torch.stack((columns, rows)), size)
    for axis, (old, new) in enumerate(zip((40, 32), size, strict=True)):
        centres = (torch.arange(new) + 0.5) * old / new - 0.5
        expected = (centres * new / old).view(-1, 1) if axis else centres * new / old
        inside = (slice(4, -4), slice(4, -4))  # the filter's footprint is cut at the border
        target = expected.expand(size[1], size[0])[inside]
        torch.testing.assert_close(ours[axis][inside], target, rtol=0, atol=0.02)  # half a pixel is 0.25


def test_leading_dimensions_are_kept() -> None:
    flow = torch.randn(2, 5, 2, 8, 10)
    assert resize_flow(flow, (5, 4)).shape == (2, 5, 2, 4, 5)
    assert crop_flow(flow, 1, 2, (3, 4)).shape == (2, 5, 2, 4, 3)
    assert flip_flow(flow).shape == flow.shape
    assert torch.equal(resize_flow(flow, (10, 8)), flow)
    torch.testing.assert_close(resize_flow(flow, (5, 4))[1, 3], resize_flow(flow[1, 3], (5, 4)))
