"""Raw footage to a dataset: the right frames, their conditions with them, interrupted and repeated."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vid2vid.data import prepare as room
from vid2vid.data.crop import parse_crop
from vid2vid.data.prepare import prepare, resample
from vid2vid.data.settings import parse_size
from vid2vid.errors import UserError
from vid2vid.video import VideoWriter, open_frames, read_picture, write_picture


def picture(number: int, size: tuple[int, int] = (48, 32)) -> np.ndarray:
    """A frame whose red and green are its columns and rows, whose blue is its number."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.uint8)
    return np.stack([x * 4, y * 4, np.full_like(x, number)], axis=2)


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A video of 12 frames at 24 frames a second."""
    path = tmp_path / "drive.mp4"
    with VideoWriter(path, 24, crf=4) as writer:
        for number in range(12):
            writer.write(picture(number * 16))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip folder with label maps of two kinds, pictures, landmarks and a list of classes."""
    home = tmp_path / "walk"
    for number in range(6):
        name = f"f{number + 7}.png"
        write_picture(home / "frames" / name, picture(number))
        write_picture(home / "instances" / name, np.full((32, 48), 1000 * number, np.uint16))
        write_picture(home / "pose" / name, 255 - picture(number))
        ids = Image.fromarray((np.indices((32, 48)).sum(0) % 7 + number).astype(np.uint8), "P")
        ids.putpalette(list(range(255, -1, -1)) * 3)
        (home / "labels").mkdir(exist_ok=True)
        ids.save(home / "labels" / name)
    points = {"width": 48, "height": 32, "frames": [[[8 + n, 4, 0.5], [20, 30, 1.0]] for n in range(6)]}
    (home / "face.json").write_text(json.dumps(points))
    (home / "labels.yaml").write_text("classes: []\n")
    (home / "notes.json").write_text("{}")
    return home


def blues(clip: Path) -> list[int]:
    return [round(float(frame.image[..., 2].mean()) / 16) for frame in open_frames(clip / "frames")]


TIMES = st.lists(st.floats(0.001, 1), min_size=0, max_size=30).map(lambda gaps: np.cumsum([0.5, *gaps]))


@given(TIMES, st.fractions(1, 60), st.floats(0.01, 0.5))
def test_resampling_takes_the_nearest_frame_of_each_tick(
    times: np.ndarray, fps: Fraction, period: float
) -> None:
    chosen = resample(times, fps, period)
    ticks = times[0] + np.arange(len(chosen)) / float(fps)
    assert chosen[0] == 0
    assert (np.diff(chosen) >= 0).all()
    assert chosen.max() < len(times)
    nearest = np.abs(times[None] - ticks[:, None]).min(axis=1)
    assert np.abs(np.abs(times[chosen] - ticks) - nearest).max() <= 2e-6
    assert abs(len(chosen) / float(fps) - (times[-1] + period - times[0])) <= 1.11 / float(fps)


@given(st.integers(1, 300), st.sampled_from([15, 24, 25, Fraction(30000, 1001), 60]), st.floats(-4e-4, 4e-4))
def test_resampling_to_its_own_rate_changes_nothing(count: int, fps: Fraction, jitter: float) -> None:
    times = np.arange(count) / float(fps)
    times[1::2] += jitter  # as containers that count in milliseconds
    assert resample(times, fps, 1 / float(fps)).tolist() == list(range(count))
    assert len(resample(times, 2 * fps, 1 / float(fps))) == 2 * count


def test_a_video_becomes_a_clip(footage: Path, tmp_path: Path) -> None:
    assert prepare([footage], tmp_path / "out") == [tmp_path / "out" / "drive"]
    clip = tmp_path / "out" / "drive"
    assert sorted(path.name for path in (clip / "frames").iterdir()) == [f"{n:06d}.png" for n in range(12)]
    assert blues(clip) == list(range(12))
    record = yaml.safe_load((clip / "clip.yaml").read_text())
    assert (record["rate"], record["size"], record["frames"], record["source"]) == (
        24,
        [48, 32],
        12,
        "drive.mp4",
    )
    assert open_frames(clip / "frames").info.rate == 24
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["drive"]


def test_rate_span_crop_and_size(footage: Path, tmp_path: Path) -> None:
    (clip,) = prepare(
        [footage],
        tmp_path / "out",
        fps=12,
        start=0.125,
        end=0.42,
        crop="8,4,32,16",
        size="16x-1",
        keep_going=True,
    )
    assert blues(clip) == [3, 5, 7, 9]
    source = open_frames(clip / "frames")
    assert (source.info.size, source.info.rate) == ((16, 8), 12)
    # Each pixel is the mean of a 2 x 2 block that begins at column 8, row 4.
    expected = 4 * (8.5 + 2 * np.arange(16))
    assert np.abs(source[0].image[..., 0].mean(axis=0) - expected).max() < 6
    (few,) = prepare([footage], tmp_path / "few", frames=5, fps=48, size=(-1, 16))
    assert blues(few) == [0, 0, 1, 1, 2]
    assert open_frames(few / "frames").info.size == (24, 16)


def test_conditions_come_along(clip: Path, tmp_path: Path) -> None:
    (out,) = prepare([clip], tmp_path / "out", start=0.04, end=0.2, crop=(8, 0, 24, 32), size=(12, 16))
    assert out.name == "walk"
    assert len(list((out / "frames").iterdir())) == 4
    for number in range(4):
        name = f"{number:06d}.png"
        ids = read_picture(out / "labels" / name, "labels")
        original = read_picture(clip / "labels" / f"f{number + 8}.png", "labels")[:, 8:32]
        assert (ids == original[1::2, 1::2]).all()
        assert (read_picture(out / "instances" / name, "labels") == 1000 * (number + 1)).all()
        assert (
            np.abs(
                read_picture(out / "pose" / name).astype(int) + read_picture(out / "frames" / name) - 255
            ).max()
            < 2
        )
    points = json.loads((out / "face.json").read_text())
    assert (points["width"], points["height"]) == (12, 16)
    assert points["frames"][0] == [[0.5, 2, 0.5], [6, 15, 1.0]]
    assert (out / "labels.yaml").read_text() == "classes: []\n"
    assert not (out / "notes.json").exists()


def test_a_frame_without_its_condition_is_named(clip: Path, tmp_path: Path) -> None:
    (clip / "pose" / "f9.png").unlink()
    with pytest.raises(UserError, match=r"pose: no picture for frame f9\.png"):
        prepare([clip], tmp_path / "out")
    write_picture(clip / "pose" / "f9.png", picture(0, (24, 16)))
    with pytest.raises(UserError, match=r"f9\.png: not of the size"):
        prepare([clip], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pictures_without_a_rate_are_at_the_asked_one(clip: Path, tmp_path: Path) -> None:
    (out,) = prepare([clip / "frames"], tmp_path / "out", fps=15)
    assert out.name == "walk"
    assert (len(open_frames(out / "frames")), open_frames(out / "frames").info.rate) == (6, 15)
    assert not (out / "labels").exists()


def test_shots_become_clips(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shots = [rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(12, 0).repeat(12, 1) for _ in range(3)]
    with VideoWriter(tmp_path / "a.mkv", 10) as writer:
        for image, count in zip(shots, (8, 5, 9), strict=True):
            for _ in range(count):
                writer.write(image)
    clips = prepare([tmp_path / "a.mkv"], tmp_path / "out", fps=20)
    assert [clip.name for clip in clips] == ["a-000", "a-001", "a-002"]
    assert [len(open_frames(clip / "frames")) for clip in clips] == [16, 10, 18]
    assert [clip.name for clip in prepare([tmp_path / "a.mkv"], tmp_path / "whole", split_cuts=False)] == [
        "a"
    ]
    assert [
        len(open_frames(c / "frames")) for c in prepare([tmp_path / "a.mkv"], tmp_path / "b", frames=11)
    ] == [8, 3]


def test_an_interrupted_call_goes_on(
    footage: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int | None = None, note: str = "") -> None:
        if note == "drive" and done == 5:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare([clip, footage], out, progress=stop)
    assert [path.name for path in out.iterdir()] == ["walk"]
    before = os.stat(out / "walk" / "frames" / "000003.png").st_mtime_ns
    monkeypatch.setattr(room, "find_cuts", lambda part, progress: [])
    assert prepare([clip, footage], out) == [out / "walk", out / "drive"]
    assert os.stat(out / "walk" / "frames" / "000003.png").st_mtime_ns == before
    assert len(open_frames(out / "drive" / "frames")) == 12
    # Once both are there, nothing is looked for or written again.
    monkeypatch.setattr(room, "find_cuts", None)
    assert prepare([clip, footage], out) == [out / "walk", out / "drive"]
    monkeypatch.setattr(room, "find_cuts", lambda part, progress: [])
    with pytest.raises(UserError, match=r"drive: was made otherwise \(size \[48, 32\], now \[24, 16\]\)"):
        prepare([footage], out, size=(24, 16))


def test_what_is_not_ours_is_left_alone(footage: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "drive").mkdir(parents=True)
    (tmp_path / "out" / "drive" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="not made by prepare"):
        prepare([footage], tmp_path / "out")
    assert (tmp_path / "out" / "drive" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": (0, 0, 49, 32)}, "reaches outside"),
        ({"crop": "1,2,3"}, "not a box"),
        ({"size": "big"}, "not a size"),
        ({"size": (-1, 0)}, "not a size"),
        ({"fps": 0}, "fps 0"),
        ({"frames": 0}, "frames 0"),
        ({"start": 3.0, "end": 2.0}, "not after start"),
        ({"start": 10.0}, "no frame from 10 s"),
    ],
)
def test_wrong_settings_leave_nothing(footage: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare([footage], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_wrong_sources_leave_nothing(footage: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "half.mp4").write_bytes(footage.read_bytes()[: footage.stat().st_size // 2])
    (tmp_path / "empty").mkdir()
    (tmp_path / "b").mkdir()
    for sources in (["none.mp4"], ["text.mp4"], ["half.mp4"], ["empty"], ["drive.mp4", "b/../drive.mp4"], []):
        with pytest.raises(UserError):
            prepare([tmp_path / source for source in sources], tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A video that says it has 40 frames and ends in the middle."""
    whole, path = tmp_path / "whole.mp4", tmp_path / "half.mp4"
    noise = np.random.default_rng(0)
    with VideoWriter(whole, 25, crf=0) as writer:
        for _ in range(40):
            writer.write(noise.integers(0, 256, (32, 48, 3), np.uint8))
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    return path


def test_the_good_are_not_lost_for_the_bad(footage: Path, half: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "pictures").mkdir()
    write_picture(tmp_path / "pictures" / "0.png", picture(0))
    (tmp_path / "pictures" / "1.png").write_bytes((tmp_path / "pictures" / "0.png").read_bytes()[:-40])
    names = ["none.mp4", "drive.mp4", "text.mp4", "half.mp4", "pictures", "walk"]
    sources = [tmp_path / name for name in names]
    with pytest.raises(UserError, match="no such file"):
        prepare(sources, tmp_path / "out")
    said: list[str] = []
    made = prepare(sources, tmp_path / "out", split_cuts=False, keep_going=True, warn=said.append)
    assert [path.name for path in made] == ["drive", "half", "walk"]
    lines = ["none.mp4: no such file", "text.mp4: not a video", "half.mp4: only ", "pictures/1.png: damaged"]
    for line, begins in zip(said, lines, strict=True):
        assert line.startswith(str(tmp_path / begins))
    taken, declared = (int(word) for word in said[2].split() if word.isdigit())
    assert len(open_frames(tmp_path / "out" / "half" / "frames")) == taken < declared == 40
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["drive", "half", "walk"]
    with pytest.raises(UserError, match="none of the sources gave a clip"):
        prepare(sources[:1], tmp_path / "other", keep_going=True, warn=said.append)
    # What is wrong with the dataset is not a source's fault.
    with pytest.raises(UserError, match="was made otherwise"):
        prepare(sources, tmp_path / "out", keep_going=True, warn=said.append, size=(24, 16))


def test_the_city_is_a_source(tmp_path: Path) -> None:
    (out,) = prepare(["city:5"], tmp_path / "out", frames=2, size=(64, 32), fps=10)
    assert out.name == "city-5"
    assert open_frames(out / "frames").info.size == (64, 32)
    assert (len(open_frames(out / "frames")), open_frames(out / "frames").info.rate) == (2, 10)
    assert (out / "labels").is_dir()
    assert prepare(["city"], tmp_path / "out", seed=5, frames=2, size=(64, 32), fps=10) == [out]
    with pytest.raises(UserError, match="was made otherwise"):
        prepare(["city:5"], tmp_path / "out", frames=3, size=(64, 32), fps=10)


def test_sizes_and_crops_as_words() -> None:
    assert parse_size("512x-1") == (512, -1)
    assert parse_crop("1, 2,3,4") == (1, 2, 3, 4)


def test_a_real_clip_with_labels(clips: Path, tmp_path: Path) -> None:
    (out,) = prepare([clips / "street_camvid"], tmp_path / "out", end=0.2, fps=15, size=(64, 48))
    assert len(list((out / "labels").iterdir())) == len(list((out / "frames").iterdir())) == 3
    assert read_picture(out / "labels" / "000000.png", "labels").max() <= 11
    assert (out / "labels.yaml").is_file()


def test_a_real_clip_with_landmarks(clips: Path, tmp_path: Path) -> None:
    (out,) = prepare(
        [clips / "faces_grid/bbaf2n"], tmp_path / "out", frames=3, size=(180, 144), split_cuts=False
    )
    assert out.name == "bbaf2n"
    before = json.loads((clips / "faces_grid/bbaf2n/face478.json").read_text())
    after = json.loads((out / "face478.json").read_text())
    assert np.allclose(np.array(after["frames"]) * 2, before["frames"][:3], atol=2e-3)
