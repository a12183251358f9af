"""Cameras: the newest frame for whoever asks, counted, on the camera's clock; by ffmpeg's test pictures."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace

import av
import numpy as np
import pytest

from stand_ins import RATE, no_thread_stays, opened
from vid2vid.errors import UserError
from vid2vid.video import camera, open_camera


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    with no_thread_stays():
        yield


def test_what_is_not_taken_in_time_is_dropped_and_counted() -> None:
    with opened() as eye:
        assert (eye.size, eye.rate) == ((64, 48), RATE)
        times = []
        for frame in islice(eye.frames(), 5):
            assert frame.image.shape == (48, 64, 3)
            times.append(frame.time)
            time.sleep(0.15)
        came = round(times[-1] * RATE) + 1
        assert (eye.taken, eye.taken + eye.dropped) == (5, came)
        assert eye.dropped > 0
        assert (times[0], eye.seconds) == (0, times[-1])
        assert all(np.diff(times) > 0)
        assert [frame.time for frame in islice(eye.frames(), 1)] == [0]
        assert (eye.taken, eye.dropped) == (1, 0), "counts begin anew"


def test_it_ends_with_its_camera() -> None:
    with opened(f"testsrc2=size=64x48:rate={RATE}:duration=1,realtime") as eye:
        assert 1 <= len(list(eye.frames())) <= RATE
        assert eye.fault == "gives no more pictures"
        with pytest.raises(UserError, match="camera 0: gives no more pictures; check"):
            next(eye.frames())


def test_it_lets_go_when_the_work_fails_or_ends() -> None:
    def fail() -> None:
        with opened() as eye:
            next(eye.frames())
            raise ValueError("slip")

    with pytest.raises(ValueError, match="slip"):
        fail()
    with opened() as eye:
        next(eye.frames())
    assert eye.fault is None


def test_only_the_newest_frame_is_kept() -> None:
    with opened("testsrc2=size=640x480:rate=25") as eye:

        def read(count: int) -> float:
            end = time.monotonic() + 60
            while eye._read < count and time.monotonic() < end:
                time.sleep(0.01)
            assert eye._read >= count
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        assert read(400) - read(50) < 40, "MiB; frames that are kept have 0.4 each"


def test_one_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened("testsrc2=size=64x48:rate=1,realtime") as eye:
        frames = eye.frames()
        next(frames)
        monkeypatch.setattr(eye, "_patience", 0.2)
        assert next(frames, None) is None
        assert eye.fault == "gave no picture for 0.2 seconds"
    eye._thread.join(10)


def test_a_camera_that_stutters_is_borne_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ready, damaged pictures, a clock that goes back; then it is unplugged."""

    def damaged() -> list[av.VideoFrame]:
        raise av.InvalidDataError(1, "damaged")

    def picture(seconds: float | None) -> SimpleNamespace:
        return SimpleNamespace(decode=lambda: [SimpleNamespace(width=8, height=6, time=seconds)])

    script: list[object] = [BlockingIOError(), SimpleNamespace(decode=damaged)]
    script += [picture(100.0), picture(100.5), picture(3.0), picture(None), picture(200.0)]
    script += [OSError(19, "No such device")]

    class Container:
        streams = SimpleNamespace(video=[SimpleNamespace(width=8, height=6, average_rate=10)])

        def demux(self, stream: object) -> Iterator[object]:
            while script:
                item = script.pop(0)
                if isinstance(item, Exception):
                    raise item
                yield item
                taken.wait(5)
                taken.clear()

        def close(self) -> None:
            closed.set()

    taken, closed = threading.Event(), threading.Event()
    monkeypatch.setattr(av, "open", lambda *_, **__: Container())
    black = SimpleNamespace(to_ndarray=lambda: np.zeros((6, 8, 3), np.uint8))
    monkeypatch.setattr(camera, "Colours", lambda: lambda one: black)
    taken.set()
    with opened() as eye:
        times = []
        for frame in eye.frames():
            times.append(round(frame.time, 3))
            taken.set()
    assert times == [0, 0.5, 0.6, 0.7, 100.0]
    assert eye.fault == "went away (No such device)"
    assert closed.is_set()


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "plan9"])
def test_what_cannot_be_opened_is_told_in_one_line(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(UserError, match=r"^camera.*(; no camera is found|; there are|; record a)") as caught:
        open_camera("97")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("platform", "device", "file"),
    [
        ("linux", "", "/dev/video0"),
        ("linux", "2", "/dev/video2"),
        ("linux", "/dev/v4l/by-id/mine", "/dev/v4l/by-id/mine"),
        ("darwin", "1", "1"),
        ("win32", "1", "video=Front"),
        ("win32", "Rear", "video=Rear"),
    ],
)
def test_each_system_has_its_names(
    platform: str, device: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(camera, "_cameras", lambda format: ["Rear", "Front"])
    asked = []
    monkeypatch.setattr(camera, "Camera", lambda name, format, file, options: asked.append(file))
    open_camera(device)
    assert asked == [file]


def test_a_source_without_pictures_is_none() -> None:
    with pytest.raises(UserError, match="gives no pictures"):
        opened("sine=duration=1")
