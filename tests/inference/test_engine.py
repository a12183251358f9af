"""Stages that work at the same time: in order, bounded, and gone when their job ends, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiny import LABELS, build, hidden_or_partial, write_clip
from vid2vid.errors import UserError
from vid2vid.inference import ConditionSource, engine, synthesize
from vid2vid.inference.engine import Landing, Stages, Timing
from vid2vid.types import to_bytes, to_picture
from vid2vid.video import VideoWriter, open_frames

FRAMES = 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"), FRAMES)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    assert working() == []


def working() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("vid2vid ")]


class Broken(Exception):
    pass


@given(count=st.integers(0, 30), ahead=st.integers(0, 4), stages=st.integers(1, 4))
def test_items_come_out_in_order(count: int, ahead: int, stages: int) -> None:
    with Stages(ahead) as running:
        items: Iterator[int] = iter(range(count))
        for number in range(stages):
            items = running.run(f"{number}", (item + 1 for item in items))
        assert list(items) == list(range(stages, count + stages))
        assert next(items, None) is None
        assert set(running.seconds) == {f"{number}" for number in range(stages)}


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_no_stage_works_further_ahead_than_it_may(ahead: int) -> None:
    begun = [0, 0]

    def numbers() -> Iterator[int]:
        for number in range(1000):
            begun[0] = number + 1
            yield number

    def doubled(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            begun[1] = item + 1
            yield 2 * item

    with Stages(ahead) as running:
        made = running.run("second", doubled(running.run("first", numbers())))
        for taken in range(1, 6):
            assert next(made) == 2 * (taken - 1)
            settled(lambda taken=taken: begun == [taken + 2 * ahead, taken + ahead])
            time.sleep(0.01)
            assert begun == [taken + 2 * ahead, taken + ahead], "and no further"


def settled(reached: Any) -> None:
    for _ in range(1000):
        if reached():
            return
        time.sleep(0.005)
    pytest.fail("it never came to that")


@pytest.mark.parametrize("ahead", [0, 1, 2])
@pytest.mark.parametrize("kind", [Broken, UserError, KeyboardInterrupt, MemoryError])
def test_an_error_comes_out_where_its_item_would_have(ahead: int, kind: type[BaseException]) -> None:
    def numbers() -> Iterator[int]:
        yield from range(3)
        raise kind("at three")

    seen: list[int] = []
    with Stages(ahead) as running:
        doubled = running.run("second", (2 * x for x in running.run("first", numbers())))
        with pytest.raises(kind, match="at three"):
            seen.extend(doubled)
    assert seen == [0, 2, 4]


def test_whoever_has_enough_leaves_and_what_was_open_is_closed() -> None:
    closed = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    with Stages(2) as running:
        made = running.run("second", iter(running.run("first", endless())))
        assert next(made) == 1
        assert len(working()) == 2
    assert closed == ["vid2vid first"]
    assert list(made) == []
    with Stages(2) as running:
        running.run("never asked", endless())


def test_a_stage_that_waits_for_another_does_not_work() -> None:
    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.05)
            yield number

    for ahead in (0, 2):
        with Stages(ahead) as running:
            for _ in running.run("quick", iter(running.run("slow", slow()))):
                with running.timed("last"):
                    time.sleep(0.01)
        assert running.seconds["slow"] >= 0.15
        assert running.seconds["quick"] < 0.05
        assert running.seconds["last"] >= 0.03


def test_a_landing_is_the_picture_of_each_frame() -> None:
    frames = torch.rand(3, 3, 8, 10) * 2.4 - 1.2
    pictures = Landing(frames).pictures()
    assert [picture.shape for picture in pictures] == [(8, 10, 3)] * 3
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.array_equal(picture, to_picture(frame))
    assert to_bytes(frames).dtype == torch.uint8


def frames_of(folder: Path) -> list[np.ndarray]:
    return [frame.image for frame in open_frames(folder)]


@pytest.mark.parametrize("architecture", [{}, {"scales": 2}, {"styles": 2}, {"history": 0}])
def test_the_frames_are_those_of_one_thing_after_the_other(
    clip: Path, tmp_path: Path, architecture: dict[str, Any]
) -> None:
    model = build(**architecture)
    options: dict[str, Any] = {"device": "cpu", "styles": ["0", "1"] if "styles" in architecture else ()}
    made = synthesize(model, clip, tmp_path / "engine", **options)
    synthesize(model, clip, tmp_path / "plain", ahead=0, **options)
    pairs = list(zip(frames_of(tmp_path / "engine"), frames_of(tmp_path / "plain"), strict=True))
    assert len(pairs) == made.frames == FRAMES
    assert all(np.array_equal(*pair) for pair in pairs)
    assert (tmp_path / "engine" / "0003.png").is_file(), "named like its condition"
    assert ", float32, " in str(made.running)
    assert made.rate == pytest.approx(FRAMES / made.seconds)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_what_took_how_long_is_noted(clip: Path, tmp_path: Path, ahead: int) -> None:
    timing = Timing()
    synthesize(build(), clip, tmp_path / "out.mp4", device="cpu", ahead=ahead, timing=timing)
    reading = set() if ahead == 1 else {"decode"}
    assert set(timing.stages) == {"condition", "generate", "encode"} | reading
    assert all(seconds > 0 for seconds in timing.stages.values())
    assert len(timing.begun) == len(timing.done) == FRAMES
    assert all(begun < done for begun, done in zip(timing.begun, timing.done, strict=True))
    if not ahead:
        assert all(done <= begun for done, begun in zip(timing.done, timing.begun[1:], strict=False))


def test_conditions_may_come_at_a_pace(clip: Path) -> None:
    timing = Timing(pace=0.02)
    synthesize(build(), clip, show=lambda picture: True, device="cpu", timing=timing)
    assert np.allclose(np.diff(timing.begun), 0.02)
    assert timing.done[-1] - timing.begun[0] >= 0.1


@pytest.mark.parametrize("stage", ["decode", "condition", "generate", "landing", "encode"])
@pytest.mark.parametrize("name", ["out", "out.mp4"])
def test_an_error_in_any_stage_ends_the_job_and_leaves_nothing(
    stage: str, name: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]

    def third_time(function: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == 4:
                raise Broken(stage)
            return function(*args, **options)

        return wrapped

    model = build()
    place, method = {
        "decode": (ConditionSource, "_ids"),
        "condition": (type(LABELS), "encode"),
        "generate": (type(model.renderer), "step"),
        "landing": (Landing, "pictures"),
        "encode": (VideoWriter if "." in name else type(LABELS), "write" if "." in name else "encode"),
    }[stage]
    monkeypatch.setattr(place, method, third_time(getattr(place, method)))
    with pytest.raises(Broken, match=stage):
        synthesize(model, clip, tmp_path / name, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_a_frame_is_made_keeps_those_before(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    step, made = type(model.renderer).step, [0]

    def slow(self: Any, *args: Any) -> Any:
        made[0] += 1
        if made[0] == 4:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        return step(self, *args)

    monkeypatch.setattr(type(model.renderer), "step", slow)
    with pytest.raises(KeyboardInterrupt):
        synthesize(model, clip, tmp_path / "out.mp4", device="cpu")
    assert 1 <= len(open_frames(tmp_path / "out.mp4")) <= 3
    assert hidden_or_partial(tmp_path) == []


def test_memory_is_that_of_a_few_frames(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far reading could run ahead of a slow writer, only so many conditions are alive."""
    alive, most = [0], [0]

    class Counted(np.ndarray):
        def __del__(self) -> None:
            alive[0] -= 1

    ids = ConditionSource._ids

    def counted(self: Any, file: Path) -> np.ndarray:
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return np.array(ids(self, file)).view(Counted)

    monkeypatch.setattr(ConditionSource, "_ids", counted)
    long = tmp_path / "long"
    for t in range(40):
        (long / "labels").mkdir(parents=True, exist_ok=True)
        shutil.copy(clip / "labels" / f"{t % FRAMES:04d}.png", long / "labels" / f"{t:04d}.png")

    def show(picture: np.ndarray) -> bool:
        time.sleep(0.002)
        return True

    made = synthesize(build(), long, show=show, device="cpu")
    assert made.frames == 40
    assert 0 < most[0] <= 12


def test_conditions_travel_as_they_are_stored(clip: Path) -> None:
    """What goes to a device is a byte a pixel, not a channel of floats for each class."""
    (first, *_) = ConditionSource(clip, LABELS)
    assert first.labels is not None
    assert first.instances is not None
    assert first.labels.dtype == np.uint8
    assert first.instances.dtype.itemsize <= 4
    there = engine.to_device(first.labels, torch.device("cpu"))
    assert there.dtype == torch.uint8
    encoded = first.encode(LABELS, torch.device("cpu"))
    expected = LABELS.encode(
        torch.from_numpy(first.labels.astype(np.int64))[None],
        torch.from_numpy(first.instances.astype(np.int64))[None],
    )
    assert torch.equal(encoded, expected)
