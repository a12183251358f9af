"""Where flows are trusted."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vid2vid.flow import forward_backward_mask, open_estimator, photometric_confidence


def test_photometric_confidence_sums_squares_over_channels() -> None:
    previous = torch.zeros(1, 3, 2, 3)
    current = torch.zeros(1, 3, 2, 3)
    current[0, :, 0, 0] = 0.081  # 3 * 0.081 ** 2 = 0.0197, just below 0.02
    current[0, :, 0, 1] = 0.082  # 0.0202, just above
    current[0, 0, 0, 2] = 0.15  # 0.0225 in one channel alone
    confidence = photometric_confidence(current, previous, torch.zeros(1, 2, 2, 3))
    assert confidence.tolist() == [[[[1, 0, 0], [1, 1, 1]]]]
    assert photometric_confidence(current, previous, torch.zeros(1, 2, 2, 3), threshold=0.03).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_photometric_confidence_follows_the_flow(dtype: torch.dtype) -> None:
    previous = torch.rand(2, 3, 16, 16, dtype=dtype) * 2 - 1
    current = previous.roll(3, dims=-1)
    flow = torch.zeros(2, 2, 16, 16)
    flow[:, 0] = -3
    confidence = photometric_confidence(current, previous, flow)
    assert confidence.shape == (2, 1, 16, 16)
    assert confidence.dtype == dtype
    assert confidence[..., 3:].all()  # the first three columns came from out of sight
    assert photometric_confidence(current, previous, torch.zeros_like(flow)).mean() < 0.2


def test_confidence_passes_no_gradient() -> None:
    flow = torch.zeros(1, 2, 4, 4, requires_grad=True)
    picture = torch.rand(1, 3, 4, 4, requires_grad=True)
    assert not photometric_confidence(picture, picture, flow).requires_grad
    assert not forward_backward_mask(flow, flow).requires_grad


def test_round_trip_decides_by_the_sum_over_both_axes() -> None:
    backward = torch.zeros(1, 2, 1, 3)
    forward = torch.zeros(1, 2, 1, 3)
    forward[0, :, 0, 0] = 0.45
    forward[0, :, 0, 1] = 0.55
    assert forward_backward_mask(backward, forward).tolist() == [[[[1, 0, 1]]]]
    assert forward_backward_mask(backward, forward, threshold=2).all()


def test_round_trip_agrees_with_the_outside_measuring_stick(clips: Path) -> None:
    """The definition of score.py, which samples with OpenCV's 1/32 pixel steps, on a real pair."""
    pair = clips / "flow_middlebury" / "Urban3"
    first, second = (cv2.imread(str(pair / f"frame1{k}.png"))[:200, :300] for k in (0, 1))
    dis = open_estimator("dis")
    b, f = (dis.estimate(one, other).transpose(1, 2, 0) for one, other in ((first, second), (second, first)))
    gx, gy = np.meshgrid(np.arange(300, dtype=np.float32), np.arange(200, dtype=np.float32))
    carried = cv2.remap(f, gx + b[..., 0], gy + b[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    expected = np.abs(b + carried).sum(-1) < 1.0
    ours = forward_backward_mask(*(torch.from_numpy(flow.transpose(2, 0, 1).copy())[None] for flow in (b, f)))
    assert 0.5 < expected.mean() < 0.999
    assert (ours[0, 0].bool().numpy() == expected).mean() > 0.998
