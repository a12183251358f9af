"""The sequences of Cityscapes are read as they are distributed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vid2vid.data import Dataset
from vid2vid.data.layout import cityscapes_sequences, find_clips
from vid2vid.data.prepare import prepare
from vid2vid.errors import UserError
from vid2vid.prediction import score
from vid2vid.video import read_picture, recorded_rate, write_picture

SIZE = (64, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two splits: aachen has two sequences of 4 frames, bochum one with a gap, frankfurt one."""
    home = tmp_path / "cityscapes"
    numbers = {
        "train/aachen/aachen_000000": range(4),
        "train/aachen/aachen_000001": range(4),
        "train/bochum/bochum_000000": [293, 294, 295, 580, 581],
        "val/frankfurt/frankfurt_000001": range(7, 10),
    }
    for name, frames in numbers.items():
        for t in frames:
            path = home / "leftImg8bit_sequence" / f"{name}_{t:06d}_leftImg8bit.png"
            write_picture(path, np.full((SIZE[1], SIZE[0], 3), t % 256, np.uint8))
    labels = home / "gtFine" / "val" / "frankfurt" / "frankfurt_000001_000008_gtFine_labelIds.png"
    write_picture(labels, np.zeros(SIZE[::-1], np.uint8))
    return home


def test_clips_are_what_is_numbered_without_a_gap(root: Path) -> None:
    clips = {clip.name: clip for clip in find_clips(root)}
    counts = {name: len(clip.strips["frames"].files) for name, clip in clips.items()}
    assert counts == {
        "aachen_000000_000000": 4,
        "aachen_000001_000000": 4,
        "bochum_000000_000293": 3,
        "bochum_000000_000580": 2,
        "frankfurt_000001_000007": 3,
    }
    assert len({clip.cache for clip in clips.values()}) == 5


@pytest.mark.parametrize(("below", "clips"), [("", 5), ("train", 4), ("train/aachen", 2), ("val", 1)])
def test_a_part_of_it_may_be_named(root: Path, below: str, clips: int) -> None:
    assert len(find_clips(root / "leftImg8bit_sequence" / below)) == clips
    assert cityscapes_sequences(root / "gtFine") == {}


def test_prepare_makes_clips_of_ours(root: Path, tmp_path: Path) -> None:
    made = prepare(
        [root / "leftImg8bit_sequence" / "train"], tmp_path / "ours", size=(32, 16), split_cuts=False
    )
    assert [clip.name for clip in made] == [
        "aachen_000000_000000",
        "aachen_000001_000000",
        "bochum_000000_000293",
        "bochum_000000_000580",
    ]
    assert recorded_rate(made[0]) == 17
    assert read_picture(made[2] / "frames" / "000002.png").max() == 295 % 256
    assert len(list((made[3] / "frames").iterdir())) == 2


def test_baselines_are_scored_without_label_maps_and_these_are_asked_for_in_one_line(
    root: Path, tmp_path: Path
) -> None:
    report = score(
        None, None, root / "leftImg8bit_sequence" / "train", tmp_path / "out", observed=2, frames=2
    )
    assert report["starts"] == {"1": 2 + 2 + 1}
    with pytest.raises(UserError, match="list the classes of the label maps there"):
        Dataset.open(root)
