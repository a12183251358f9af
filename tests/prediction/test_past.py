"""What has been observed, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stand_in import SCHEMA, clip

from tiny import LABELS, scene
from vid2vid.errors import UserError
from vid2vid.prediction.past import encoded, observe
from vid2vid.video import open_writer, write_picture


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("past") / "street", 9)


@pytest.mark.parametrize(("start", "first"), [(None, 6), (0, 0), (4, 4)])
def test_frames_and_label_maps_are_those_asked_for(street: Path, start: int | None, first: int) -> None:
    past = observe(street, LABELS, 3, start)
    assert past.start == first
    assert past.names == tuple(f"{t:04d}" for t in range(9))
    assert past.seen.labels is not None
    assert past.seen.instances is not None
    for t in range(3):
        frame, ids = scene(first + t)
        assert np.array_equal(past.seen.frames[t], frame)
        assert np.array_equal(past.seen.labels[t], SCHEMA.labels.indices(ids))  # type: ignore[union-attr]
        assert past.seen.instances[t].any()
    seen = encoded(past.seen, LABELS, (16, 16), torch.device("cpu"))
    assert seen.shape == (3, 4, 16, 16)
    assert (seen[:, :3].sum(1) == 1).all()


def test_frames_alone_need_no_clip_folder(street: Path, tmp_path: Path) -> None:
    video = tmp_path / "street.mp4"
    with open_writer(video, 10) as writer:
        for t in range(4):
            writer.write(scene(t)[0])
    for path, names in ((video, 0), (street / "frames", 9)):
        past = observe(path, None, 2, 1)
        assert past.seen.labels is None
        assert len(past.names) == names


@pytest.mark.parametrize(
    ("observed", "start", "said"),
    [
        (10, None, "--observed 10 wants more than its 9 frames"),
        (4, 6, "--observed 4 from --start 6 on wants more than its 9 frames"),
        (2, -1, "--start -1"),
        (1, None, "2 to 64 frames can be observed"),
        (10**9, None, "2 to 64 frames can be observed"),
    ],
)
def test_a_clip_too_short_is_one_line(street: Path, observed: int, start: int | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        observe(street, SCHEMA, observed, start)


def test_label_maps_that_are_missing_or_of_another_size_are_one_line(tmp_path: Path) -> None:
    bare = clip(tmp_path / "bare", 4)
    (bare / "labels" / "0002.png").rename(bare / "labels" / "0009.png")
    with pytest.raises(UserError, match="no label map is named 0002"):
        observe(bare, SCHEMA, 2, 1)
    (bare / "labels").rename(bare / "other")
    with pytest.raises(UserError, match="holds no labels/ for its frames; add --annotate labels:NETWORK"):
        observe(bare, SCHEMA, 2)
    with pytest.raises(UserError, match="no such clip"):
        observe(tmp_path / "nowhere", SCHEMA, 2)
    small = clip(tmp_path / "small", 3)
    for file in (small / "labels").iterdir():
        write_picture(file, np.zeros((8, 8), np.uint8))
    with pytest.raises(UserError, match="label maps of 8x8 for frames of 32x32"):
        observe(small, SCHEMA, 2)
