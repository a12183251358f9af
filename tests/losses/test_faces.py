"""The face discriminator's view."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vid2vid.losses.faces import cut_squares, face_squares, head_mask
from vid2vid.types import to_tensor
from vid2vid.video import read_picture


def test_the_square_is_a_quarter_of_the_height_around_the_head() -> None:
    mask = torch.zeros(3, 80, 60, dtype=torch.bool)
    mask[0, 30:41, 20:31] = True
    mask[2, 0:3, 57:60] = True
    assert face_squares(mask) == [(0, 25, 15, 20), (2, 0, 40, 20)]
    x = torch.arange(3 * 80 * 60).view(3, 1, 80, 60)
    cut = cut_squares(x, face_squares(mask))
    assert cut.shape == (2, 1, 20, 20)
    assert torch.equal(cut[0, 0], x[0, 0, 25:45, 15:35])


def test_narrow_frames_and_no_head() -> None:
    mask = torch.zeros(1, 100, 10, dtype=torch.bool)
    assert face_squares(mask) == []
    mask[0, 50, 5] = True
    assert face_squares(mask) == [(0, 45, 0, 10)]


def test_the_part_channel_tells_the_head() -> None:
    parts = torch.tensor([0.0, 2, 22, 23, 24]).view(1, 1, 1, 5)
    picture = torch.cat([torch.zeros(1, 2, 1, 5), parts / 24 * 2 - 1, torch.ones(1, 3, 1, 5)], dim=1)
    assert head_mask(picture, "parts").tolist() == [[[False, False, False, True, True]]]


@pytest.mark.parametrize("frame", [0, 100, 299])
def test_colours_tell_the_head_of_a_real_dancer(clips: Path, frame: int) -> None:
    picture = read_picture(clips / "dance_densepose" / "densepose" / f"{frame:05d}.png")
    mask = head_mask(to_tensor(picture)[None], "colours")[0]
    (_, top, left, side) = face_squares(mask[None])[0]
    assert side == mask.shape[0] // 4
    assert top + side < mask.shape[0] / 2
    inside = mask[top : top + side, left : left + side].sum()
    assert inside > 2000
    assert inside / mask.sum() > 0.97, "the head and nothing else"
