"""Warping equals border-padded sampling, values and gradients."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vid2vid.flow import warp


def border_padded(x: Tensor, flow: Tensor) -> Tensor:
    """The definition, with the padding of PyTorch instead of the clamp."""
    height, width = x.shape[-2:]
    columns = torch.linspace(-1, 1, width).to(x.dtype) + flow[:, 0] / ((width - 1) / 2)
    rows = torch.linspace(-1, 1, height).to(x.dtype)[:, None] + flow[:, 1] / ((height - 1) / 2)
    return F.grid_sample(x, torch.stack((columns, rows), -1), padding_mode="border", align_corners=True)


def test_moves_pixels_the_way_the_flow_points() -> None:
    x = torch.zeros(1, 1, 5, 7)
    x[0, 0, 3, 5] = 1  # was at column 5, row 3 in the previous frame
    flow = torch.zeros(1, 2, 5, 7)
    flow[0, :, 1, 2] = torch.tensor([3.0, 2.0])  # the pixel (2, 1) came from there
    flow[0, 0, 3, 5] = -1
    warped = warp(x, flow)
    assert warped[0, 0, 1, 2] == pytest.approx(1)
    assert warped.sum() == pytest.approx(1)


@given(
    seed=st.integers(0, 2**31),
    height=st.integers(2, 12),
    width=st.integers(2, 12),
    reach=st.sampled_from([0.0, 0.7, 3.0, 1000.0]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=60)
def test_equals_border_padding_with_its_gradients(
    seed: int, height: int, width: int, reach: float, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, height, width, generator=generator, dtype=dtype, requires_grad=True)
    flow = reach * torch.randn(2, 2, height, width, generator=generator, dtype=dtype)
    flow.requires_grad_()
    weight = torch.randn(2, 3, height, width, generator=generator, dtype=dtype)
    ours, theirs = warp(x, flow), border_padded(x, flow)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    for mine, reference in zip(
        torch.autograd.grad((ours * weight).sum(), (x, flow)),
        torch.autograd.grad((theirs * weight).sum(), (x, flow)),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)


def test_no_flow_gives_the_picture_back() -> None:
    x = torch.rand(2, 3, 33, 47) * 2 - 1
    torch.testing.assert_close(warp(x, torch.zeros(2, 2, 33, 47)), x, rtol=0, atol=2e-5)


def test_linear_pictures_are_interpolated_exactly() -> None:
    rows, columns = torch.meshgrid(
        torch.arange(20, dtype=torch.float64), torch.arange(30, dtype=torch.float64), indexing="ij"
    )
    flow = torch.stack((torch.full_like(rows, 0.37), torch.full_like(rows, -0.81)))[None]
    warped = warp((2 * columns - 3 * rows)[None, None], flow)
    expected = 2 * (columns + 0.37).clamp(0, 29) - 3 * (rows - 0.81).clamp(0, 19)
    torch.testing.assert_close(warped[0, 0], expected, rtol=0, atol=1e-5)  # the grid is of float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_pictures_are_sampled_at_full_precision(dtype: torch.dtype) -> None:
    """At 1,500 columns a grid in bfloat16 would be off by several pixels."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 3, 8, 1500, generator=generator).to(dtype)
    flow = (5 * torch.randn(1, 2, 8, 1500, generator=generator)).to(dtype)
    warped = warp(x, flow)
    assert warped.dtype == dtype
    assert torch.equal(warped, border_padded(x.float(), flow.float()).to(dtype))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (6, 1)])
def test_pictures_one_pixel_wide_or_high(height: int, width: int) -> None:
    x = torch.arange(float(height * width)).view(1, 1, height, width).requires_grad_()
    flow = torch.full((1, 2, height, width), 2.0, requires_grad=True)
    warped = warp(x, flow)
    line = torch.arange(float(height * width))
    torch.testing.assert_close(warped.detach().flatten(), (line + 2).clamp(max=len(line) - 1))
    warped.sum().backward()
    assert torch.isfinite(flow.grad).all()


def test_unbounded_flow_meets_the_border() -> None:
    x = torch.rand(1, 1, 4, 4)
    warped = warp(x, torch.full((1, 2, 4, 4), float("inf")))
    assert torch.equal(warped, x[..., -1:, -1:].expand_as(x))


@pytest.mark.parametrize("shape", [(1, 2, 4, 5), (2, 3, 4, 4), (1, 2, 4, 4)])
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot warp"):
        warp(torch.zeros(2, 3, 4, 4), torch.zeros(shape))


def test_composes_as_the_published_networks_do(golden: Path) -> None:
    """final = raw * m + warp(previous) * (1 - m), from tensors stored with the published networks."""
    with np.load(golden / "composite_plain" / "io.npz") as arrays:
        case = {key: torch.from_numpy(arrays[key]) for key in ("prev", "flow", "weight", "raw", "final")}
    warped = warp(case["prev"][:, -3:], case["flow"])
    final = case["raw"] * case["weight"] + warped * (1 - case["weight"])
    torch.testing.assert_close(final, case["final"], rtol=0, atol=1e-5)


def test_cubic_is_exact_for_parabolas_and_without_flow() -> None:
    rows, columns = torch.arange(12.0).double()[:, None], torch.arange(16.0).double()

    def picture(x: Tensor, y: Tensor) -> Tensor:
        return 0.3 * x * x - x + 0.1 * y * y + 0.05 * x * y + 1

    x = picture(columns, rows)[None, None]
    flow = torch.rand(1, 2, 12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    moved = picture(columns + flow[0, 0], rows + flow[0, 1])
    inner = (slice(3, -3), slice(3, -3))
    torch.testing.assert_close(warp(x, flow, between="cubic")[0, 0][inner], moved[inner], rtol=0, atol=1e-4)
    torch.testing.assert_close(warp(x, torch.zeros_like(flow), between="cubic"), x, rtol=0, atol=1e-4)


def test_cubic_has_true_gradients() -> None:
    torch.manual_seed(1)
    x = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    flow = (torch.rand(1, 2, 5, 6, dtype=torch.float64) * 3 - 1.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda *args: warp(*args, between="cubic"), (x, flow))


def test_splines_keep_detail_and_amplify_nothing() -> None:
    """What a recurrence needs of them: forty warps to and fro."""
    torch.manual_seed(2)
    noise = torch.randn(1, 1, 64, 64)
    left = {}
    for between in ("bilinear", "cubic", "sharp"):
        x = noise
        for i in range(40):
            x = warp(x, torch.full((1, 2, 64, 64), 0.3 if i % 2 else -0.3), between)  # type: ignore[arg-type]
        left[between] = float(x.std() / noise.std())
    for between in ("cubic", "sharp"):
        assert 2 * left["bilinear"] < left[between] < 1, left


@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(1, 32), st.integers(0, 32))
def test_no_wave_grows_by_sharp_warping(right: float, down: float, across: int, along: int) -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    phase = 2 * torch.pi * (across * x + along * y) / 64
    flow = torch.tensor([right, down]).view(1, 2, 1, 1).expand(1, 2, 64, 64)
    waves = torch.stack([phase.cos(), phase.sin()])[None]
    inner = warp(waves, flow, "sharp")[..., 4:-4, 4:-4]
    assert inner.square().sum(1).max() < 1 + 1e-3  # the amplitude of what is left of the wave


def test_where_torch_has_no_cubic_kernel_another_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    original, x = torch.nn.functional.grid_sample, torch.rand(1, 2, 9, 9)
    flow = torch.rand(1, 2, 9, 9)

    def without(*args: Any, mode: str = "bilinear", **kwargs: Any) -> Tensor:
        if mode == "bicubic":
            raise NotImplementedError("no such kernel")
        return original(*args, mode=mode, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "grid_sample", without)
    assert torch.equal(warp(x, flow, "sharp"), warp(x, flow, "cubic"))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (6, 1)])
def test_cubic_of_thin_pictures_and_beyond_the_border(height: int, width: int) -> None:
    x = torch.rand(1, 2, height, width)
    far = torch.full((1, 2, height, width), 1e6)
    corner = x[..., -1:, -1:].expand_as(x)
    torch.testing.assert_close(warp(x, far, "cubic"), corner)
    torch.testing.assert_close(warp(x, far, "sharp"), corner)
