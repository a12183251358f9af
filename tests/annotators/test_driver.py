"""A driver renders a model: frames are annotated on the way, sound is kept."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tiny import LABELS, build
from vid2vid.annotators.edges import Edges
from vid2vid.cli import main
from vid2vid.conditions import ConditionSchema
from vid2vid.data.annotate import annotate
from vid2vid.errors import UserError
from vid2vid.inference import synthesize
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.video import open_frames, write_picture
from vid2vid.zoo import Model, save_model

EDGES = ConditionSchema("image", "edges")
FRAMES = 20


def scene(t: int) -> np.ndarray:
    frame = np.full((32, 48, 3), 70, np.uint8)
    frame[8:20, 4 + t : 16 + t] = (210, 180, 60)
    return frame


def talking(path: Path) -> Path:
    """A video of 2 seconds at 10 frames a second, with a tone from its first second on."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"crf": "4"})
        video.width, video.height = 48, 32
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        for t in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(scene(t), "rgb24").reformat(format="yuv420p")
            frame.pts = t
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        times = np.arange(FRAMES * 4800) / 48_000
        tone = np.where(times >= 1, np.sin(2 * np.pi * 440 * times) * 0.5, 0).astype(np.float32)
        for start in range(0, len(tone), 960):
            block = av.AudioFrame.from_ndarray(tone[None, start : start + 960], "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = 48_000, start, Fraction(1, 48_000)
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def onset(path: Path) -> float | None:
    """When the tone begins, in seconds; None without sound."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        for frame in container.decode(container.streams.audio[0]):
            loud = np.abs(frame.to_ndarray().reshape(-1)) > 0.2
            if loud.any():
                return float(frame.time) + int(np.argmax(loud)) / frame.sample_rate
    return float("inf")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talking(tmp_path_factory.mktemp("driver") / "talk.mp4")


@pytest.fixture(scope="module")
def model() -> Model:
    return build(EDGES)


def rendered(path: Path) -> list[np.ndarray]:
    return [frame.image for frame in open_frames(path)]


def test_a_driver_is_rendered_with_its_sound(driver: Path, model: Model, tmp_path: Path) -> None:
    save_model(model, tmp_path / "model")
    out = tmp_path / "new.mp4"
    words = ["synthesize", str(tmp_path / "model"), str(driver), "--annotate", "edges", "--out", str(out)]
    assert main([*words, "--device", "cpu"]) == 0
    made = open_frames(out)
    assert (len(made), made.info.rate, made.info.size) == (FRAMES, 10, (32, 32))
    heard = onset(out)
    assert heard is not None
    assert abs(heard - 1) < 0.05


def test_a_part_is_heard_in_time_and_looks_as_in_the_whole(
    driver: Path, model: Model, tmp_path: Path
) -> None:
    synthesize(model, driver, tmp_path / "part.mp4", annotate="edges", frames="5:15", device="cpu")
    heard = onset(tmp_path / "part.mp4")
    assert heard is not None
    assert abs(heard - 0.5) < 0.05
    whole, part = (
        [item.image for item in AnnotatedSource(driver, "edges", EDGES, (32, 32), frames)]
        for frames in (None, "15:18")
    )
    assert len(part) == 3
    assert all(np.array_equal(*pair) for pair in zip(part, whole[15:18], strict=True))


def test_other_sound_can_be_chosen_and_pictures_have_none(driver: Path, model: Model, tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    synthesize(model, driver, silent, annotate="edges", device="cpu", frames="0:4")
    synthesize(model, driver, tmp_path / "out", annotate="edges", device="cpu", frames="0:4")
    for t in range(4):
        write_picture(tmp_path / "walk" / "frames" / f"a{t}.png", scene(t))
    synthesize(model, tmp_path / "walk", tmp_path / "b.mp4", annotate="edges", device="cpu")
    assert onset(tmp_path / "b.mp4") is None
    options = {"annotate": "edges", "audio_from": driver, "device": "cpu"}
    synthesize(model, tmp_path / "walk", tmp_path / "c.mp4", **options)  # type: ignore[arg-type]
    assert onset(tmp_path / "c.mp4") == float("inf"), "the tone comes later"


def test_a_driver_gives_what_its_prepared_clip_gives(model: Model, tmp_path: Path) -> None:
    clip = tmp_path / "walk"
    for t in range(FRAMES):
        write_picture(clip / "frames" / f"a{t:02d}.png", scene(t))
    annotate([clip], ["edges"])
    options = {"native": True, "device": "cpu"}
    synthesize(model, clip, tmp_path / "prepared", **options)  # type: ignore[arg-type]
    for number, source in enumerate((clip, clip / "frames")):
        synthesize(model, source, tmp_path / f"{number}", annotate="edges", **options)  # type: ignore[arg-type]
        made, expected = rendered(tmp_path / f"{number}"), rendered(tmp_path / "prepared")
        assert all(np.array_equal(*pair) for pair in zip(made, expected, strict=True))
    assert sorted(path.name for path in (tmp_path / "1").iterdir())[0] == "a00.png"


def test_the_driver_is_read_as_it_is_drawn(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = AnnotatedSource(driver, "edges", EDGES, None)
    drawn: list[float] = []
    begin = Edges.begin

    def counted(self: Edges) -> object:
        run = begin(self)
        draw = run.draw
        run.draw = lambda picture, time: drawn.append(time) or draw(picture, time)  # type: ignore[method-assign, func-returns-value]
        return run

    monkeypatch.setattr(Edges, "begin", counted)
    items = iter(source)
    next(items)
    next(items)
    assert len(drawn) == 2


def test_what_does_not_fit_is_told_in_one_line(driver: Path, model: Model, tmp_path: Path) -> None:
    cases: list[tuple[Model, Path, dict[str, object], str]] = [
        (model, driver, {"annotate": "sketch"}, "gives sketch, but the model renders 'edges'"),
        (build(LABELS), driver, {"annotate": "edges"}, "gives edges, but the model renders 'labels'"),
        (model, driver, {"annotate": "ink"}, "unknown annotator"),
        (model, driver, {"annotate": "edges", "smooth": True}, "--smooth: is for points, and edges finds"),
        (model, driver, {"annotate": "edges", "retarget": driver}, "is for points, and edges finds none"),
        (model, driver, {"annotate": "edges", "crop": "face"}, "edges finds no face"),
        (model, driver, {"annotate": "edges", "crop": "0,0,99,9"}, "0,0,99,9 reaches outside its 48x32"),
        (model, driver, {"crop": "0,0,9,9"}, "--crop: is for raw frames"),
        (model, tmp_path / "no.mp4", {"annotate": "edges"}, "no such file or folder"),
        (model, driver, {"annotate": "edges", "frames": "50:"}, "no frames 50: among its 20"),
        (model, driver, {"annotate": "edges", "relabel": ["a=b"]}, "has no classes"),
        (build(EDGES, given_flow=True, history=1), driver, {"annotate": "edges"}, "flow of real frames"),
    ]
    for chosen, source, options, told in cases:
        with pytest.raises(UserError, match=told) as caught:
            synthesize(chosen, source, tmp_path / "x.mp4", device="cpu", **options)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
