"""From disk to disk."""

from __future__ import annotations

import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiny import CLASSES, LABELS, PICTURES, build, full_disk, hidden_or_partial, scene, write_clip
from vid2vid.conditions import ConditionSchema
from vid2vid.errors import UserError
from vid2vid.inference import ConditionSource, stream, synthesize
from vid2vid.types import to_picture, to_tensor
from vid2vid.video import VideoWriter, open_frames, read_picture, write_picture
from vid2vid.zoo import Model, save_model

FRAMES = 7


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of labels, and pictures of them as a folder and as a video."""
    folder = write_clip(tmp_path_factory.mktemp("clip"), FRAMES)
    CLASSES.write(folder / "labels.yaml")
    with VideoWriter(folder / "edges.mp4", Fraction(30000, 1001)) as writer:
        for t in range(FRAMES):
            writer.write(255 - scene(t)[0])
    return folder


@pytest.fixture
def spoilt(clip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clip, tmp_path / "spoilt"))


def render(model: Model, conditions: Path, out: Path, **options: Any) -> list[np.ndarray]:
    count = synthesize(model, conditions, out, **{"device": "cpu", "path": "plain"} | options).frames
    source = open_frames(out)
    assert len(source) == count
    return [frame.image for frame in source]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def refused(model: Any, conditions: Path, out: Path, **options: Any) -> str:
    there = out.exists()
    with pytest.raises(UserError) as caught:
        synthesize(model, conditions, out, **{"device": "cpu"} | options)
    message = str(caught.value)
    assert "\n" not in message
    assert out.exists() == there
    assert not hidden_or_partial(out.parent)
    return message


def test_a_model_that_is_handed_the_flow_reads_it_off_the_real_frames(clip: Path, tmp_path: Path) -> None:
    model = build(given_flow=True, history=1)
    whole = render(model, clip, tmp_path / "whole")
    assert len(whole) == FRAMES
    assert "no clip here" in refused(model, clip / "labels", tmp_path / "folder")
    still = Path(shutil.copytree(clip, tmp_path / "still"))
    for path in (still / "frames").iterdir():
        shutil.copy(clip / "frames" / "0000.png", path)
    assert not same(render(model, still, tmp_path / "other"), whole)


def test_one_frame_for_each_condition_named_like_it(clip: Path, tmp_path: Path) -> None:
    reports: list[tuple[int, int | None]] = []
    frames = render(build(), clip, tmp_path / "out", progress=lambda *report: reports.append(report[:2]))
    assert names(tmp_path / "out") == [f"{t:04d}.png" for t in range(FRAMES)]
    assert [frame.shape for frame in frames] == [(32, 32, 3)] * FRAMES
    assert reports == [(t + 1, FRAMES) for t in range(FRAMES)]


def test_the_folder_of_conditions_is_as_good_as_the_clip_and_so_is_the_saved_model(
    clip: Path, tmp_path: Path
) -> None:
    model = build()
    save_model(model, tmp_path / "model")
    whole = render(model, clip, tmp_path / "one")
    assert same(whole, render(model, clip / "labels", tmp_path / "two"))
    assert same(whole, render(tmp_path / "model", clip, tmp_path / "three"))  # type: ignore[arg-type]


def test_synthesize_is_the_stream_of_encoded_conditions(clip: Path, tmp_path: Path) -> None:
    model = build()
    conditions = [item.encode(LABELS, torch.device("cpu")) for item in ConditionSource(clip, LABELS)]
    expected = [to_picture(frame[0]) for frame in stream(model, conditions)]
    assert same(render(model, clip, tmp_path / "out"), expected)


def test_the_same_seed_gives_the_same_frames(clip: Path, tmp_path: Path) -> None:
    one, two = (render(build(), clip, tmp_path / name, seed=4) for name in ("one", "two"))
    assert same(one, two)
    videos = [render(build(), clip, tmp_path / f"{name}.mp4", seed=4) for name in ("one", "two")]
    assert same(*videos)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


@pytest.mark.parametrize("given", [1, 2, 3, FRAMES])
@pytest.mark.parametrize("history", [0, 2])
def test_given_frames_come_out_as_they_are(given: int, history: int, clip: Path, tmp_path: Path) -> None:
    first = [clip / "frames" / f"{t:04d}.png" for t in range(given)]
    frames = render(build(history=history), clip, tmp_path / "out", first_frames=first)
    assert len(frames) == FRAMES
    assert same(frames[:given], [scene(t)[0] for t in range(given)])
    assert not any(np.array_equal(frames[t], scene(t)[0]) for t in range(given, FRAMES))


def test_every_shade_survives_the_way_through() -> None:
    shades = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    (frame,) = stream(build(), [torch.zeros(1, 4, 16, 16)], [to_tensor(shades)[None]])
    assert np.array_equal(to_picture(frame[0]), shades)


def test_first_frames_of_another_size_are_resized(clip: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "large.png", scene(0, (64, 64))[0])
    frames = render(build(), clip, tmp_path / "out", first_frames=[tmp_path / "large.png"])
    assert frames[0].shape == (32, 32, 3)


def test_a_part_keeps_its_names(clip: Path, tmp_path: Path) -> None:
    frames = render(
        build(), clip, tmp_path / "out", frames="2:5", first_frames=[clip / "frames" / "0002.png"]
    )
    assert names(tmp_path / "out") == ["0002.png", "0003.png", "0004.png"]
    assert np.array_equal(frames[0], scene(2)[0])


def test_a_video_has_the_count_the_size_and_the_rate(clip: Path, spoilt: Path, tmp_path: Path) -> None:
    render(build(), clip, tmp_path / "out.mp4")
    video = open_frames(tmp_path / "out.mp4")
    assert (len(video), video.info.size, video.info.rate) == (FRAMES, (32, 32), 10)  # as trained
    (spoilt / "clip.yaml").write_text("rate: 24")
    render(build(), spoilt, tmp_path / "own.mkv", size=(30, 20))
    video = open_frames(tmp_path / "own.mkv")
    assert (len(video), video.info.size, video.info.rate) == (FRAMES, (30, 20), 24)  # as recorded


def test_sizes(clip: Path, tmp_path: Path) -> None:
    assert render(build(), clip, tmp_path / "a", size=(21, 13))[0].shape == (13, 21, 3)
    other = Model(**{**vars(build()), "size": (48, 40)})
    assert render(other, clip, tmp_path / "b")[0].shape == (40, 48, 3)
    assert render(other, clip, tmp_path / "c", native=True)[0].shape == (32, 32, 3)


def test_pictures_as_conditions_from_a_folder(clip: Path, tmp_path: Path) -> None:
    model = build(PICTURES)
    frames = render(model, clip, tmp_path / "out")
    assert names(tmp_path / "out")[0] == "0000.png"
    assert same(frames, render(model, clip / "densepose", tmp_path / "again"))


def test_pictures_as_conditions_from_a_video_keep_its_rate(clip: Path, tmp_path: Path) -> None:
    model = build(ConditionSchema("image", "edges"))
    frames = render(model, clip, tmp_path / "out")
    assert names(tmp_path / "out") == [f"{t:06d}.png" for t in range(FRAMES)]
    assert same(frames, render(model, clip / "edges.mp4", tmp_path / "again"))
    render(model, clip, tmp_path / "out.mp4", frames="2:6")
    video = open_frames(tmp_path / "out.mp4")
    assert (len(video), video.info.rate) == (4, Fraction(30000, 1001))


def test_instances_are_read_or_tracked(spoilt: Path, tmp_path: Path) -> None:
    tracked = [item.instances for item in ConditionSource(spoilt, LABELS)]
    for t, ids in enumerate(tracked):
        assert ids is not None
        car = scene(t)[1] == 7
        assert set(np.unique(ids[car])) == {1}, "one car, one id"
        assert not ids[~car].any()
    without = render(build(), spoilt, tmp_path / "tracked")
    for t in range(FRAMES):
        halves = (scene(t)[1] == 7) * (1 + (np.arange(32) % 4 > 1).astype(np.uint8))
        write_picture(spoilt / "instances" / f"{t:04d}.png", halves)
    source = [item.instances for item in ConditionSource(spoilt / "labels", LABELS)]
    assert all(ids is not None and set(np.unique(ids)) == {0, 1, 2} for ids in source)
    assert not same(render(build(), spoilt, tmp_path / "given"), without)
    (spoilt / "instances" / "0003.png").unlink()
    assert "no picture named 0003" in refused(build(), spoilt, tmp_path / "out")
    plain = ConditionSchema("labels", "labels", CLASSES)
    assert next(iter(ConditionSource(spoilt, plain))).instances is None


def test_the_wrong_kind_of_condition_is_one_line(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    labels, edges = build(), build(ConditionSchema("image", "rainy"))
    assert "no such file or folder" in refused(labels, tmp_path / "nowhere", out)
    assert "video compression mixes labels up" in refused(labels, clip / "edges.mp4", out)
    assert "a colour picture where class ids are expected" in refused(labels, clip / "densepose", out)
    assert "holds no 'rainy'" in refused(edges, clip, out)
    assert "no label maps here" in refused(labels, tmp_path / "empty", out)
    assert "text.mp4" in refused(edges, tmp_path / "text.mp4", out)
    assert "empty" in refused(edges, tmp_path / "empty", out)
    assert "no frames 9:12" in refused(labels, clip, out, frames="9:12")
    assert "not a part" in refused(labels, clip, out, frames="some")
    four = build(ConditionSchema("image", "densepose", image_channels=4))
    assert "3 channels, not 4" in refused(four, clip, out)


def test_spoilt_conditions_are_one_line_and_leave_nothing(spoilt: Path, tmp_path: Path) -> None:
    model, labels = build(), spoilt / "labels"
    for out in (tmp_path / "out", tmp_path / "out.mp4"):
        write_picture(labels / "0004.png", np.full((32, 32), 200, np.uint8))
        assert "0004.png: ids outside the class list: 200" in refused(model, spoilt, out)
        write_picture(labels / "0004.png", np.zeros((32, 40), np.uint8))
        assert "0004.png: 40x32, but 0000.png is 32x32" in refused(model, spoilt, out, native=True)
        (labels / "0004.png").write_bytes((labels / "0003.png").read_bytes()[:50])
        assert "0004.png: damaged" in refused(model, spoilt, out)
    write_picture(labels / "0004.jpg", np.zeros((32, 32), np.uint8))
    assert "2 pictures are named 0004" in refused(model, spoilt, tmp_path / "out")


def test_other_bad_input_is_one_line(clip: Path, tmp_path: Path) -> None:
    model, out = build(), tmp_path / "out"
    first = [clip / "frames" / "0000.png"]
    assert "7 conditions for 8 first frames" in refused(model, clip, out, first_frames=first * 8)
    assert "nowhere.png" in refused(model, clip, out, first_frames=[tmp_path / "nowhere.png"])
    assert "size 0x32" in refused(model, clip, out, size=(0, 32))
    assert "size 32x99999" in refused(model, clip, out, size=(32, 99999))
    assert "no such model" in refused(tmp_path / "nowhere", clip, out)
    assert "device nonsense" in refused(model, clip, out, device="nonsense")
    assert "out.gif" in refused(model, clip, tmp_path / "out.gif")
    assert "holds pictures already" in refused(model, clip, clip / "frames")


def test_names_that_look_like_lossy_pictures_stay_lossless(spoilt: Path, tmp_path: Path) -> None:
    for path in list((spoilt / "labels").iterdir()):
        path.rename(path.with_name(f"{path.stem}.jpg.png"))
    whole = render(build(), spoilt, tmp_path / "out")
    assert (tmp_path / "out" / "0000.jpg.png").is_file()
    assert same(whole, [read_picture(path) for path in sorted((tmp_path / "out").iterdir())])


@pytest.mark.parametrize("name", ["out", "out.mp4"])
def test_ctrl_c_leaves_what_was_made(name: str, clip: Path, tmp_path: Path) -> None:
    def progress(done: int, total: int | None = None, note: str = "") -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        synthesize(build(), clip, tmp_path / name, device="cpu", progress=progress)
    assert len(open_frames(tmp_path / name)) == 3
    assert not hidden_or_partial(tmp_path)


@pytest.mark.parametrize("name", ["out", "out.mp4"])
def test_a_full_disk_is_one_line_and_leaves_nothing(name: str, clip: Path, tmp_path: Path) -> None:
    with full_disk(400):
        assert "the disk is full" in refused(build(), clip, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
