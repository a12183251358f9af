# ruff: noqa: PT012
"""Writing videos and folders: what goes in comes out, and nothing is left half-written."""

from __future__ import annotations

import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_videos import number_of, numbered, with_tone

from tiny import full_disk
from vid2vid.errors import UserError
from vid2vid.video import PictureWriter, VideoWriter, files, open_frames, open_writer, read_picture

SUFFIXES = [".mp4", ".mov", ".mkv", ".webm"]


def frame(number: int, size: tuple[int, int] = (48, 32)) -> np.ndarray:
    return np.repeat(numbered(number, size)[..., None], 3, axis=2)


def noise(seed: int = 0, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"a{suffix}"
    with VideoWriter(path, 30) as writer:
        for number in range(25):
            writer.write(frame(number))
    video = open_frames(path)
    assert [number_of(shown.image) for shown in video] == list(range(25))
    assert (video.info.rate, video.info.size, video.info.has_audio) == (30, (48, 32), False)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (9, 9, 9), (90, 150, 210)]
)
def test_colours_come_back(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    with VideoWriter(tmp_path / "a.mp4", 25, crf=1) as writer:
        writer.write(np.full((32, 32, 3), colour, np.uint8))
    assert np.abs(open_frames(tmp_path / "a.mp4")[0].image[16, 16].astype(int) - colour).max() <= 2
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (
            1,
            1,
            1,
            1,
        )


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.sampled_from([15, 23.976, 25, 29.97, 30, 50, 59.94, 12.5, Fraction(100, 7)]),
    begin=st.floats(0, 100),
    gaps=st.lists(st.floats(0.002, 0.5), min_size=1, max_size=12),
)
def test_times_come_back(tmp_path: Path, rate: float, begin: float, gaps: list[float]) -> None:
    times = begin + np.concatenate([[0], np.cumsum(gaps)])
    with VideoWriter(tmp_path / "a.mp4", rate) as writer:
        for number, time in enumerate(times.tolist()):
            writer.write(frame(number), time)
    video = open_frames(tmp_path / "a.mp4")
    assert len(video) == len(times)
    assert np.abs(video.times - (times - begin)).max() <= 0.51 / 90_000 + 1e-9


@pytest.mark.parametrize("rate", [15, 23.976, 25, 29.97, 59.94, 12.5, Fraction(100, 7)])
def test_constant_rates_come_back_exactly(tmp_path: Path, rate: float) -> None:
    with VideoWriter(tmp_path / "a.mp4", rate) as writer:
        for number in range(30):
            writer.write(frame(number), number / float(writer.rate) if number % 3 else None)
    video = open_frames(tmp_path / "a.mp4")
    assert video.info.rate == writer.rate
    assert np.abs(video.times - np.arange(30) / float(writer.rate)).max() < 1e-9


def test_odd_sizes_lose_nothing(tmp_path: Path) -> None:
    image = np.kron(noise(0, (10, 8))[..., :1], np.ones((5, 5, 3), np.uint8))[:39, :49]
    with VideoWriter(tmp_path / "a.mkv", 25, crf=1) as writer:
        writer.write(image)
    shown = open_frames(tmp_path / "a.mkv")[0].image
    assert shown.shape == (40, 50, 3)
    assert np.abs(shown[39].astype(int) - shown[38]).max() < 12
    assert np.abs(shown[:39, :49].mean(axis=2) - image.mean(axis=2)).mean() < 6


def test_a_given_size_is_what_comes_out(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 25, size=(24, 16)) as writer:
        writer.write(frame(3))
        writer.write(frame(4, (96, 64)))
    assert open_frames(tmp_path / "a.mp4").info.size == (24, 16)


def test_wrong_frames_are_refused_and_nothing_stays(tmp_path: Path) -> None:
    wrong = [(frame(1, (24, 16)), None), (frame(1)[..., 0], None), (frame(1) / 255, None), (frame(1), 0.0)]
    for image, time in wrong:
        with pytest.raises(ValueError), VideoWriter(tmp_path / "a.mp4", 25) as writer:  # noqa: PT011
            writer.write(frame(0), 0.5)
            writer.write(image, time)
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), VideoWriter(path, 25) as writer:
        writer.write(frame(0))
        raise RuntimeError
    with pytest.raises(UserError, match="no frame to write"), VideoWriter(path, 25):
        pass
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ctrl_c_keeps_what_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, 25) as writer:
        for number in range(100):
            writer.write(frame(number))
            if number == 11:
                signal.raise_signal(signal.SIGINT)
    assert [number_of(shown.image) for shown in open_frames(path)] == list(range(12))
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", 25):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_ctrl_c_waits_for_the_end_of_a_write() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), files.interrupt_later():
        signal.raise_signal(signal.SIGINT)
        steps.append("end")
    assert steps == ["end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_waits_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    before = signal.signal(signal.SIGTERM, lambda *_: steps.append("told"))
    try:
        with files.interrupt_later():
            signal.raise_signal(signal.SIGTERM)
            steps.append("end")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert steps == ["end", "told"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 3_000, 40_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, suffix: str, room: int) -> None:
    path = tmp_path / f"a{suffix}"
    with full_disk(room), pytest.raises(UserError) as error, VideoWriter(path, 25) as writer:
        for number in range(30):
            writer.write(noise(number))
    assert str(error.value).startswith(f"{path}: the disk is full; ")
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "file" / "a.mp4", tmp_path / "folder.mp4", tmp_path / "a.avi"):
        with pytest.raises(UserError), VideoWriter(path, 25) as writer:
            writer.write(frame(0))


def onset(path: Path) -> tuple[str, float, float]:
    """The sound's codec, when the tone begins, when it ends; seconds from the first frame."""
    begin = -1.0
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        for block in container.decode(track):
            assert block.time is not None
            samples = np.abs(block.to_ndarray().astype(np.float64).reshape(1, -1)[0])
            scale = 32768 if "s16" in block.format.name else 1
            loud = np.flatnonzero(samples > 0.1 * scale)
            if begin < 0 and len(loud):
                begin = block.time + loud[0] / len(samples) * block.samples / block.sample_rate
            end = block.time + block.samples / block.sample_rate
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time or 0.0
    return track.codec_context.name, begin - first, end - first


@pytest.mark.parametrize(
    ("source", "codec", "suffix", "expected"),
    [
        ("a.mp4", "aac", ".mp4", "aac"),
        ("a.mkv", "libopus", ".mp4", "opus"),
        ("a.mkv", "mp2", ".mkv", "mp2float"),
        ("a.mkv", "mp2", ".mp4", "aac"),
        ("a.mkv", "pcm_s16le", ".webm", "opus"),
        ("a.mkv", "libopus", ".mov", "aac"),
    ],
)
@pytest.mark.parametrize("begin", [0.0, 0.5])
def test_sound_is_carried_over_in_time(
    tmp_path: Path, source: str, codec: str, suffix: str, expected: str, begin: float
) -> None:
    driving = with_tone(tmp_path / source, codec, frames=30, rate=10, begins=1)
    out = tmp_path / f"out{suffix}"
    with VideoWriter(out, 10, audio_from=driving) as writer:
        for number in range(15):
            writer.write(frame(number), begin + number / 10)
    video = open_frames(out)
    assert video.info.has_audio
    assert [number_of(shown.image) for shown in video] == list(range(15))
    name, starts, ends = onset(out)
    assert name.startswith(expected[:3])
    assert starts == pytest.approx(1.0 - begin, abs=0.06)
    assert ends == pytest.approx(1.5, abs=0.06)


def test_a_driving_video_without_sound_gives_none(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "silent.mp4", 10) as writer:
        writer.write(frame(0))
    with VideoWriter(tmp_path / "out.mp4", 10, audio_from=tmp_path / "silent.mp4") as writer:
        writer.write(frame(0))
    assert not open_frames(tmp_path / "out.mp4").info.has_audio


def test_a_driving_video_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        VideoWriter(tmp_path / "out.mp4", 10, audio_from=tmp_path / "none.mp4").__enter__()
    assert not list(tmp_path.iterdir())


def test_sound_of_a_real_clip(clips: Path, tmp_path: Path) -> None:
    driving = clips / "faces_grid/bbaf2n/frames.mpg"
    with VideoWriter(tmp_path / "a.mp4", 25, audio_from=driving) as writer:
        for shown in open_frames(driving).frames(0, 20):
            writer.write(shown.image, shown.time)
    assert open_frames(tmp_path / "a.mp4").info.has_audio
    assert onset(tmp_path / "a.mp4")[2] == pytest.approx(0.8, abs=0.06)


def test_pictures_are_lossless_and_named(tmp_path: Path) -> None:
    with PictureWriter(tmp_path / "out") as writer:
        writer.write(noise(0))
        writer.write(noise(1), 0.3, name="left.one")
        writer.write(noise(2), name="c.png")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["000000.png", "c.png", "left.one.png"]
    assert (read_picture(tmp_path / "out" / "left.one.png") == noise(1)).all()
    with pytest.raises(UserError, match="holds pictures already"), PictureWriter(tmp_path / "out"):
        pass
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_pictures_go_again_on_errors_and_stay_on_ctrl_c(tmp_path: Path) -> None:
    for error, left in ((RuntimeError, 0), (KeyboardInterrupt, 2)):
        with pytest.raises(error), PictureWriter(tmp_path / "out") as writer:
            writer.write(noise(0))
            writer.write(noise(1))
            raise error
        assert len(list(tmp_path.rglob("*.png"))) == left
    with pytest.raises(UserError, match="disk is full"), PictureWriter(tmp_path / "full") as writer:
        writer.write(frame(0))
        with full_disk(1000):
            writer.write(noise(1))
    assert not (tmp_path / "full").exists()
    with pytest.raises(UserError, match="no frame"), PictureWriter(tmp_path / "none"):
        pass


def test_the_suffix_chooses_the_writer(tmp_path: Path) -> None:
    assert isinstance(open_writer(tmp_path / "a.MP4", 25), VideoWriter)
    assert isinstance(open_writer(tmp_path / "a", 25), PictureWriter)
    (tmp_path / "v1.2").mkdir()
    assert isinstance(open_writer(tmp_path / "v1.2", 25), PictureWriter)
    with pytest.raises(UserError, match=r"a\.avi: videos are written as"):
        open_writer(tmp_path / "a.avi", 25)
