"""``predict`` from a clip to videos and clips."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from stand_in import FRAMES, clip, forecaster

import vid2vid
from tiny import CLASSES, PICTURES, SIZE, build, full_disk, hidden_or_partial, scene
from vid2vid.annotators import Drawn
from vid2vid.conditions import ConditionSchema, LabelClass, LabelSchema
from vid2vid.data import Dataset
from vid2vid.errors import UserError
from vid2vid.prediction import predict
from vid2vid.video import open_frames, open_writer, read_picture, recorded_rate


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clip(tmp_path_factory.mktemp("predict") / "street", 8)
    (folder / "clip.yaml").write_text("rate: 15\n")
    return folder


def test_a_folder_gets_a_clip_and_a_video(street: Path, tmp_path: Path) -> None:
    told: list[int] = []

    def tell(done: int, total: int | None = None, note: str = "") -> None:
        assert total == 7
        told.append(done)

    made = predict(forecaster(), build(), street, tmp_path / "out", observed=3, frames=4, progress=tell)
    assert (made.frames, made.first) == (4, 8)
    assert told == list(range(1, 8))
    (future,) = Dataset.open(tmp_path / "out").clips
    assert (len(future), future.size, recorded_rate(tmp_path / "out")) == (7, SIZE, 15)
    assert sorted(file.name for file in (tmp_path / "out" / "labels").iterdir())[0] == "000005.png"
    for t in range(3):
        frame, ids = scene(5 + t)
        assert np.array_equal(future.frame(t), frame)
        assert np.array_equal(CLASSES.ids(future.labels(t)), ids)
    for k in range(1, 5):  # the stand-in moves everything
        assert np.array_equal(CLASSES.ids(future.labels(2 + k)), np.roll(scene(7)[1], k, 1))
    video = open_frames(tmp_path / "out" / "prediction.mp4")
    assert (len(video), video.info.rate) == (7, 15)
    assert video.info.width >= 2 * SIZE[0]
    assert not hidden_or_partial(tmp_path)


def test_where_the_clip_goes_on_pictures_are_named_like_its_own(street: Path, tmp_path: Path) -> None:
    predict(forecaster(), build(), street, tmp_path / "out", observed=2, start=1, frames=3)
    names = sorted(file.stem for file in (tmp_path / "out" / "frames").iterdir())
    assert names == ["0001", "0002", "0003", "0004", "0005"]


def test_a_video_shows_label_maps_beside_frames(street: Path, tmp_path: Path) -> None:
    predict(forecaster(), build(), street, tmp_path / "out.mkv", observed=2, frames=2, size=(64, 48))
    video = open_frames(tmp_path / "out.mkv")
    assert len(video) == 4
    assert video.info.width == 128
    assert [file.name for file in tmp_path.iterdir()] == ["out.mkv"]


def test_several_futures_are_clips_of_a_dataset_and_the_first_is_the_only_one(
    street: Path, tmp_path: Path
) -> None:
    made = {
        name: predict(forecaster(), build(), street, tmp_path / name, frames=3, samples=samples, seed=4)
        for name, samples in (("one", 1), ("three", 3))
    }
    assert len(open_frames(tmp_path / "three" / "prediction.mp4")) == 7
    (one,), (first, *others) = (Dataset.open(tmp_path / name).clips for name in ("one", "three"))
    assert [len(future) for future in others] == [7, 7]
    last = [future.labels(6) for future in (one, first, *others)]
    assert set(made["three"].spread) <= set(CLASSES.names)
    assert made["three"].spread["car"] > 0
    assert made["one"].spread == {}
    assert np.array_equal(last[0], last[1])
    assert not np.array_equal(last[2], last[3])


def test_without_a_renderer_there_are_label_maps_alone(street: Path, tmp_path: Path) -> None:
    predict(forecaster(), None, street, tmp_path / "out", frames=2)
    assert not (tmp_path / "out" / "frames").exists()
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 6


def test_a_forecaster_of_frames_makes_frames_alone(street: Path, tmp_path: Path) -> None:
    predict(forecaster(FRAMES), None, street / "frames", tmp_path / "out", frames=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip.yaml",
        "frames",
        "prediction.mp4",
    ]
    with pytest.raises(UserError, match="makes frames by itself; leave the renderer out"):
        predict(forecaster(FRAMES), build(), street, tmp_path / "out2")


@pytest.mark.parametrize("renders", [True, False])
def test_pictures_that_describe_frames_are_forecast_and_rendered_too(
    renders: bool, street: Path, tmp_path: Path
) -> None:
    renderer = build(PICTURES) if renders else None
    predict(forecaster(PICTURES), renderer, street, tmp_path / "out", observed=3, frames=2)
    kinds = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert kinds == (["densepose", "frames"] if renders else ["densepose"])
    (future,) = Dataset.open(tmp_path / "out", condition="densepose", target=kinds[-1]).clips
    assert len(future) == 5
    last = 255 - scene(7)[0]
    for k in range(3):  # the stand-in moves everything
        assert np.array_equal(future.read(2 + k, 3 + k).image[0], np.roll(last, k, 1))  # type: ignore[index]


def test_what_describes_a_video_may_be_drawn_on_the_way(street: Path, tmp_path: Path) -> None:
    edges = ConditionSchema("image", "edges")
    with open_writer(tmp_path / "v.mp4", 12) as writer:
        for t in range(5):
            writer.write(scene(t)[0])
    predict(forecaster(edges), build(edges), tmp_path / "v.mp4", tmp_path / "out", annotate="edges", frames=2)
    drawn = [read_picture(file) for file in sorted((tmp_path / "out" / "edges").iterdir())]
    assert len(drawn) == 6
    assert drawn[3].any()
    assert np.array_equal(drawn[5], np.roll(drawn[3], 2, 1))


def test_pictures_that_are_missing_are_one_line(street: Path, tmp_path: Path) -> None:
    bare = clip(tmp_path / "bare", 4)
    (bare / "densepose" / "0003.png").unlink()
    with pytest.raises(UserError, match="densepose: ends before the frames do; every frame needs a picture"):
        predict(forecaster(PICTURES), build(PICTURES), bare, tmp_path / "out", observed=2)
    (bare / "densepose").rename(bare / "other")
    with pytest.raises(UserError, match="holds no 'densepose'"):
        predict(forecaster(PICTURES), build(PICTURES), bare, tmp_path / "out", observed=2)


def test_a_forecaster_brings_the_renderer_it_has_learnt_with(street: Path, tmp_path: Path) -> None:
    joint = dataclasses.replace(forecaster(), shown_by=build())
    for name, model, renderer in (("joint", joint, None), ("apart", forecaster(), build())):
        predict(model, renderer, street, tmp_path / name, frames=2)
    assert [file.read_bytes() for file in sorted((tmp_path / "joint" / "frames").iterdir())] == [
        file.read_bytes() for file in sorted((tmp_path / "apart" / "frames").iterdir())
    ]


def test_a_forecaster_of_another_size_forecasts_at_its_own(street: Path, tmp_path: Path) -> None:
    predict(forecaster(size=(16, 16)), build(), street, tmp_path / "out", observed=2, frames=2)
    last = read_picture(tmp_path / "out" / "labels" / "000009.png", "labels")
    assert last.shape == (32, 32)
    assert (last[10:14, 19:25] == 7).all()  # two of its pixels further than at frame 7


class Finder:
    """An annotator that takes what is red for a car, and all else for road."""

    name = result = fingerprint = "labels"
    memory, classes, instances = 0, CLASSES, False

    def begin(self) -> Finder:
        return self

    def see(self, picture: np.ndarray, seconds: float) -> None: ...

    def close(self) -> None: ...

    def draw(self, picture: np.ndarray, seconds: float) -> Drawn:
        return Drawn(np.where(picture[..., 0] == 200, 7, 0).astype(np.uint8))


def test_label_maps_may_be_found_on_the_way(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vid2vid.inference.annotated.open_fitting", lambda *_: Finder())
    predict(forecaster(), build(), street / "frames", tmp_path / "out", annotate="labels:x", frames=1)
    last = read_picture(tmp_path / "out" / "labels" / "000008.png", "labels")
    assert (last == np.roll(Finder().draw(scene(7)[0], 0).picture, 1, 1)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 0}, "1 frame or more"),
        ({"samples": 0}, "1 to 64 futures"),
        ({"samples": 65}, "1 to 64 futures"),
        ({"observed": 9}, "wants more than its 8 frames"),
        ({"size": (99999, 8)}, "--size 99999x8: 1 to 16384 pixels a side"),
        ({"device": "toaster"}, "toaster"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    options: dict[str, object], said: str, street: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        predict(forecaster(), build(), street, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_models_that_are_not_what_they_should_be_are_refused(street: Path, tmp_path: Path) -> None:
    other = ConditionSchema("labels", "labels", LabelSchema((LabelClass(0, "sea", (0, 0, 0)),)))
    for first, second, said in (
        (
            build(),
            build(),
            "the model: is no forecaster, which comes first; train one: vid2vid train --recipe",
        ),
        (forecaster(), forecaster(), "the renderer: is a forecaster"),
        (forecaster(), build(PICTURES), "the renderer: renders 'densepose', and 'labels' is forecast"),
        (forecaster(PICTURES), build(), "the renderer: renders 'labels', and 'densepose' is forecast"),
        (forecaster(), build(other), "the renderer: other classes than the forecaster's"),
        (tmp_path / "nothing", None, "no such model"),
    ):
        with pytest.raises(UserError, match=said):
            predict(first, second, street, tmp_path / "out")


def test_a_disk_that_is_full_leaves_nothing_half_written(street: Path, tmp_path: Path) -> None:
    with full_disk(2000), pytest.raises(UserError, match="disk is full"):
        predict(forecaster(), build(), street, tmp_path / "out", frames=40)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


def test_pictures_that_are_there_are_not_written_over(street: Path, tmp_path: Path) -> None:
    predict(forecaster(), None, street, tmp_path / "out", frames=1)
    with pytest.raises(UserError, match="holds pictures already"):
        predict(forecaster(), None, street, tmp_path / "out", frames=1)


def test_it_is_a_public_call_and_takes_a_video_where_no_labels_are_wanted(tmp_path: Path) -> None:
    assert vid2vid.predict is predict
    with open_writer(tmp_path / "v.mp4", 12) as writer:
        for t in range(5):
            writer.write(scene(t)[0])
    predict(forecaster(FRAMES), None, tmp_path / "v.mp4", tmp_path / "out.mp4", frames=2)
    assert open_frames(tmp_path / "out.mp4").info.rate == 12
