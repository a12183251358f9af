"""Datasets on disk: layouts, parts, sizes, conditions, instances, flow, and what is told on opening."""

from __future__ import annotations

import pickle
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from small_clips import CLASSES, make_clip, scene

from vid2vid.data import Dataset
from vid2vid.data.dataset import Memory
from vid2vid.data.layout import find_clips
from vid2vid.errors import UserError
from vid2vid.video import VideoWriter, read_picture, write_picture


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, where the data are read-only."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vid2vid"


def test_one_clip(tmp_path: Path) -> None:
    data = Dataset.open(make_clip(tmp_path / "drive"))
    assert (data.name, [clip.name for clip in data.clips]) == ("drive", ["drive"])
    clip = data.clips[0]
    assert (len(clip), clip.size, clip.native_size, clip.rate) == (6, (32, 24), (32, 24), Fraction(25))
    read = clip.read(2, 5)
    assert read.labels is not None
    assert read.instances is not None
    assert read.image is None
    for t, (frame, labels) in enumerate(map(scene, range(2, 5))):
        assert (read.frames[t] == frame).all()
        assert (CLASSES.ids(read.labels[t]) == labels).all()
        assert ((read.instances[t] == 1) == (labels == 7)).all()
    assert (read.labels.dtype, read.instances.dtype, read.frames.dtype) == (np.int64, np.int64, np.uint8)


def test_clips_in_natural_order_with_one_class_list(tmp_path: Path) -> None:
    for name, frames in (("take10", 3), ("take9", 4)):
        (make_clip(tmp_path / name, frames) / "labels.yaml").unlink()
    CLASSES.write(tmp_path / "labels.yaml")
    (tmp_path / ".cache").mkdir()
    data = Dataset.open(tmp_path)
    assert [(clip.name, len(clip)) for clip in data.clips] == [("take9", 4), ("take10", 3)]
    assert len(Dataset.open(tmp_path / "take9").clips) == 1


@pytest.mark.parametrize(
    ("part", "first", "length"),
    [("0:4", 0, 4), ("4:", 4, 2), (":-2", 0, 4), ("-3:", 3, 3), (" 1 : 3 ", 1, 2)],
)
def test_a_part_of_each_clip(tmp_path: Path, part: str, first: int, length: int) -> None:
    (clip,) = Dataset.open(make_clip(tmp_path), frames=part).clips
    assert len(clip) == length
    assert (clip.frame(0) == scene(first)[0]).all()
    with pytest.raises(IndexError):
        clip.read(0, length + 1)


def test_everything_is_brought_to_the_size(tmp_path: Path) -> None:
    (clip,) = Dataset.open(make_clip(tmp_path), size=(16, 12)).clips
    read = clip.read(0, 2)
    assert read.frames.shape == (2, 12, 16, 3)
    assert read.labels is not None
    assert read.instances is not None
    assert read.labels.shape == read.instances.shape == (2, 12, 16)
    assert set(np.unique(read.labels)) == {0, 1, 2}
    assert clip.flow(1).shape == (2, 12, 16)
    assert not clip.flow(0).any()


def test_image_condition_of_any_name(tmp_path: Path) -> None:
    clip_folder = make_clip(tmp_path)
    (clip_folder / "frames").rename(clip_folder / "clean")
    data = Dataset.open(clip_folder, condition="densepose", target="clean")
    assert (data.schema.kind, data.schema.name, data.schema.channels) == ("image", "densepose", 3)
    read = data.clips[0].read(0, 6)
    assert read.image is not None
    assert read.labels is None
    assert (read.image == 255 - read.frames).all()


def test_frames_as_a_video(tmp_path: Path) -> None:
    folder = make_clip(tmp_path, width=64, height=48)
    with VideoWriter(folder / "frames.mp4", Fraction(15)) as writer:
        for path in sorted((folder / "frames").iterdir()):
            writer.write(read_picture(path))
    expected = Dataset.open(folder).clips[0].read(2, 5)
    shutil.rmtree(folder / "frames")
    (clip,) = Dataset.open(folder, frames="2:5").clips
    assert clip.rate == 15
    read = clip.read(0, 3)
    assert read.labels is not None
    assert (read.labels == expected.labels).all()
    assert np.abs(read.frames.astype(int) - expected.frames).mean() < 4
    assert clip.flow(1).shape == (2, 48, 64)


def _layout_of_2018(root: Path, clip: Path, flat: bool) -> None:
    for letter, source in (("A", "labels"), ("B", "frames")):
        for path in (clip / source).iterdir():
            for take in ("x_1", "x_2"):
                place = root / f"train_{letter}"
                target = place / f"{take}_{path.name}" if flat else place / take / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    CLASSES.write(root / "labels.yaml")


@pytest.mark.parametrize("flat", [False, True])
def test_layout_of_2018(tmp_path: Path, flat: bool) -> None:
    _layout_of_2018(tmp_path / "old", make_clip(tmp_path / "new"), flat)
    data = Dataset.open(tmp_path / "old")
    assert [(clip.name, len(clip)) for clip in data.clips] == [("x_1", 6), ("x_2", 6)]
    expected = Dataset.open(tmp_path / "new").clips[0].read(0, 6)
    for clip in data.clips:
        read = clip.read(0, 6)
        for name in ("frames", "labels", "instances"):
            assert (getattr(read, name) == getattr(expected, name)).all()
    renderings = Dataset.open(tmp_path / "old", condition="sketch").clips[0].read(0, 1)
    assert renderings.image is not None


def test_given_instances_are_used(tmp_path: Path) -> None:
    folder = make_clip(tmp_path)
    for t in range(6):
        write_picture(folder / "instances" / f"{t:04d}.png", np.full((24, 32), 26000 + t, np.uint16))
    read = Dataset.open(folder).clips[0].read(0, 2)
    assert read.instances is not None
    assert read.instances[1].min() == read.instances[1].max() == 26001
    assert not (folder / ".cache").exists()
    without = Dataset.open(folder, instances=False)
    assert (without.schema.instances, without.schema.channels) == (False, 3)
    assert without.clips[0].read(0, 1).instances is None


def test_tracked_instances_are_kept_until_a_label_map_changes(tmp_path: Path) -> None:
    folder = make_clip(tmp_path)
    Dataset.open(folder).prepare()
    (kept,) = (folder / ".cache").glob("instances-*")
    assert len(list(kept.iterdir())) == 6
    stamp = kept.stat().st_mtime_ns
    Dataset.open(folder).clips[0].read(0, 6)
    assert kept.stat().st_mtime_ns == stamp
    _, labels = scene(5)
    labels[0:3, 25:30] = 7
    write_picture(folder / "labels" / "0005.png", labels)
    read = Dataset.open(folder).clips[0].read(5, 6)
    assert read.instances is not None
    assert set(np.unique(read.instances)) == {0, 1, 2}


def test_nothing_half_written_when_tracking_fails(tmp_path: Path) -> None:
    folder = make_clip(tmp_path)
    write_picture(folder / "labels" / "0004.png", np.full((24, 32), 99, np.uint8))
    data = Dataset.open(folder)
    with pytest.raises(UserError, match=r"0004\.png: ids outside the class list: 99; "):
        data.prepare()
    assert list((folder / ".cache").iterdir()) == []


def test_estimated_flow_is_kept_beside_the_clip(tmp_path: Path) -> None:
    folder = make_clip(tmp_path, width=64, height=48)
    flow = Dataset.open(folder).clips[0].flow(3)
    kept = list((folder / ".cache").rglob("*.flow"))
    assert [path.stem for path in kept] == ["000003"]
    assert (Dataset.open(folder, frames="2:").clips[0].flow(1) == flow).all()
    assert list((folder / ".cache").rglob("*.flow")) == kept


def test_nothing_is_written_beside_read_only_data(tmp_path: Path, cache: Path) -> None:
    folder = make_clip(tmp_path / "given")
    folder.chmod(0o555)
    try:
        data = Dataset.open(folder)
        data.prepare()
        data.clips[0].flow(1)
    finally:
        folder.chmod(0o755)
    assert not (folder / ".cache").exists()
    (mine,) = cache.iterdir()
    assert sorted(path.name.partition("-")[0] for path in mine.iterdir()) == ["flow", "instances"]


def test_exact_flow(tmp_path: Path) -> None:
    folder = make_clip(tmp_path)
    (folder / "flow").mkdir()
    for t in range(1, 6):
        flow = np.stack([np.full((24, 32), 2.0 * t), np.full((24, 32), -t)]).astype(np.float16)
        np.savez_compressed(folder / "flow" / f"{t:04d}.npz", flow=flow, occlusion=np.zeros((24, 32), bool))
    (clip,) = Dataset.open(folder, size=(16, 12), flow="exact", frames="2:").clips
    assert clip.flow(1).shape == (2, 12, 16)
    assert np.allclose(clip.flow(1), np.array([3.0, -1.5]).reshape(2, 1, 1))
    (folder / "flow" / "0004.npz").unlink()
    with pytest.raises(UserError, match=r"0004\.npz: no such file"):
        clip.flow(2)


def test_a_copy_for_another_process(tmp_path: Path) -> None:
    data = Dataset.open(make_clip(tmp_path))
    read = data.clips[0].read(0, 6)
    packed = pickle.dumps(data)
    assert len(packed) < read.frames.nbytes
    assert (pickle.loads(packed).clips[0].read(0, 6).frames == read.frames).all()


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = Memory(limit=250)
    made: list[int] = []

    def get(key: int) -> None:
        memory.get((key,), lambda: made.append(key) or np.zeros(100, np.uint8))  # type: ignore[func-returns-value]

    for key in (1, 2, 1, 3, 1, 2):
        get(key)
        assert memory.size <= 250
    assert made == [1, 2, 3, 2]


def _remove_frames(clip: Path) -> None:
    shutil.rmtree(clip / "frames")


def _two_videos(clip: Path) -> None:
    shutil.rmtree(clip / "frames")
    (clip / "frames.mp4").touch()
    (clip / "frames.avi").touch()


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (_remove_frames, {}, "no clip here"),
        (_two_videos, {}, "both stand for frames"),
        (lambda clip: (clip / "labels.yaml").unlink(), {}, r"labels\.yaml: missing"),
        (lambda clip: (clip / "labels.yaml").write_text("x: 1"), {}, "no list of classes"),
        (lambda clip: (clip / "labels" / "0002.png").unlink(), {}, "no picture named 0002;"),
        (lambda clip: (clip / "labels" / "0002.png").rename(clip / "labels" / "a.png"), {}, "named 0002"),
        (lambda clip: shutil.rmtree(clip / "labels"), {}, "has no labels/; there is"),
        (lambda clip: None, {"condition": "edges"}, "has no edges/; there is densepose, frames, labels"),
        (lambda clip: None, {"target": "clean"}, "no clip here"),
        (lambda clip: None, {"frames": "6:"}, "has no frames 6: in frames"),
        (lambda clip: None, {"frames": "0:6:2"}, "not a part of a clip"),
        (lambda clip: None, {"frames": "five"}, "not a part of a clip"),
        (lambda clip: None, {"flow": "exact"}, "no exact flow"),
        (lambda clip: None, {"flow": "magic"}, "unknown estimator"),
    ],
)
def test_what_is_wrong_is_told_on_opening(
    tmp_path: Path, spoil: object, options: dict[str, str], message: str
) -> None:
    folder = make_clip(tmp_path)
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as caught:
        Dataset.open(folder, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        Dataset.open(tmp_path / "nowhere")


def test_class_lists_must_agree(tmp_path: Path) -> None:
    make_clip(tmp_path / "a", 2)
    path = make_clip(tmp_path / "b", 2) / "labels.yaml"
    path.write_text(path.read_text().replace("tree", "bush"))
    with pytest.raises(UserError, match="other classes than"):
        Dataset.open(tmp_path)


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    folder = make_clip(tmp_path)
    write_picture(folder / "frames" / "0003.png", np.zeros((24, 30, 3), np.uint8))
    (clip,) = Dataset.open(folder, size=(16, 12)).clips
    with pytest.raises(UserError, match=r"0003\.png: 30x24, but the clip is 32x24"):
        clip.read(0, 6)


def test_names_are_matched_in_order_where_none_is_shared(tmp_path: Path) -> None:
    folder = make_clip(tmp_path)
    for path in (folder / "labels").iterdir():
        path.rename(path.with_name(f"{path.stem}_L.png"))
    read = Dataset.open(folder).clips[0].read(4, 5)
    assert read.labels is not None
    assert (CLASSES.ids(read.labels[0]) == scene(4)[1]).all()
    (folder / "labels" / "0000_L.png").unlink()
    with pytest.raises(UserError, match="5 pictures for the 6 frames"):
        Dataset.open(folder)


@pytest.mark.parametrize(
    ("name", "options", "frames", "channels"),
    [
        ("street_camvid", {"frames": "0:57"}, 57, 13),
        ("dance_densepose", {"condition": "densepose", "frames": "250:"}, 50, 3),
        ("rain_ntu", {"condition": "rainy", "target": "clean"}, 100, 3),
    ],
)
def test_real_clips(
    clips: Path, name: str, options: dict[str, str], frames: int, channels: int, cache: Path
) -> None:
    data = Dataset.open(clips / name, size=(64, 48), **options)  # type: ignore[arg-type]
    assert ([len(clip) for clip in data.clips], data.schema.channels) == ([frames], channels)
    assert data.clips[0].read(3, 5).frames.shape == (2, 48, 64, 3)


def test_real_clips_that_are_videos(clips: Path) -> None:
    found = find_clips(clips / "faces_grid")
    assert len(found) == 7
    assert all(files.strips["frames"].is_video for files in found)
