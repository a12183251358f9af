"""Reading videos: exact frames, times and colours; hostile files end in one line."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_videos import encode, number_of, planes

from vid2vid.decoder.container import orientation
from vid2vid.errors import UserError
from vid2vid.video import VideoFile, index, open_frames
from vid2vid.video.reader import Part

IRREGULAR = [0, 40, 41, 120, 200, 203, 240, 360, 361, 500, 520, 640, 641, 700, 760, 800, 801, 900, 1000, 1040]
KINDS = {
    "plain.mp4": {"options": {"g": "7", "bf": "2"}},
    "all-key.mkv": {"options": {"g": "1"}},
    "open-gop.mp4": {"options": {"g": "6", "bf": "3", "x264-params": "open-gop=1:scenecut=0:b-pyramid=none"}},
    "open-gop.mkv": {"options": {"g": "6", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}},
    "refresh.mp4": {"options": {"g": "8", "x264-params": "intra-refresh=1"}},
    "stream.ts": {"options": {"g": "7", "bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "5", "bf": "2", "qscale": "2"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "6", "bf": "2", "qscale": "2"}, "format": "mpeg"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "8", "crf": "20", "b:v": "0", "auto-alt-ref": "1"}},
    "raw.h264": {"options": {"g": "7", "bf": "2"}, "format": "h264"},
    "variable.mp4": {"options": {"g": "7", "bf": "2"}, "stamps": IRREGULAR},
    "variable.mkv": {"options": {"g": "7", "bf": "2"}, "stamps": IRREGULAR},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {name: encode(folder / name, 20, **kind) for name, kind in KINDS.items()}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_comes_in_order(made: dict[str, Path], name: str) -> None:
    video = open_frames(made[name])
    assert [number_of(frame.image) for frame in video] == list(range(20))
    assert len(video) == video.info.frames == 20


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(KINDS)), indices=st.lists(st.integers(-20, 19), min_size=1, max_size=6))
def test_any_order_of_indices_is_exact(made: dict[str, Path], name: str, indices: list[int]) -> None:
    video = open_frames(made[name])
    for i in indices:
        frame = video[i]
        assert number_of(frame.image) == i % 20
        assert frame.time == video.times[i]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(KINDS)), start=st.integers(0, 20), stop=st.integers(0, 20))
def test_any_range_is_exact(made: dict[str, Path], name: str, start: int, stop: int) -> None:
    frames = open_frames(made[name]).frames(start, stop)
    assert [number_of(frame.image) for frame in frames] == list(range(20))[start:stop]


def test_indices_outside_are_refused(made: dict[str, Path]) -> None:
    with pytest.raises(IndexError):
        open_frames(made["plain.mp4"])[20]


def test_long_videos_are_indexed_without_decoding(
    made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    index._read_index.cache_clear()
    monkeypatch.setattr(index, "VERIFY_PIXELS", 0)
    try:
        for name, path in made.items():
            video = open_frames(path)
            assert [number_of(video[i].image) for i in (13, 2, 19)] == [13, 2, 19], name
            assert len(list(video)) == len(video) == 20, name
    finally:
        index._read_index.cache_clear()


def test_time_stamps_are_kept(made: dict[str, Path]) -> None:
    times = np.array(IRREGULAR) / 1000
    for name, tolerance in (("variable.mp4", 1e-9), ("variable.mkv", 1e-3)):
        video = open_frames(made[name])
        assert np.abs(video.times - times).max() <= tolerance
        assert [frame.time for frame in video] == video.times.tolist()
        assert float(video.info.rate) == pytest.approx(19 / times[-1], rel=0.05)
    assert open_frames(made["plain.mp4"]).info.rate == 25


def test_a_span_of_time_is_taken(made: dict[str, Path]) -> None:
    part = open_frames(made["plain.mp4"], (0.2, 0.4))
    assert isinstance(part, Part)
    assert [number_of(frame.image) for frame in part] == [5, 6, 7, 8, 9]
    assert part[0].time == part.times[0] == pytest.approx(0.2)
    assert number_of(part[-1].image) == 9
    assert [number_of(frame.image) for frame in part.frames(1, 3)] == [6, 7]
    with pytest.raises(UserError, match="no frame from 9 s"):
        open_frames(made["plain.mp4"], (9, None))


def test_an_open_video_travels_to_another_process(made: dict[str, Path]) -> None:
    video = open_frames(made["plain.mp4"])
    assert number_of(video[4].image) == 4
    copy = pickle.loads(pickle.dumps(video))
    assert [number_of(copy[i].image) for i in (5, 1)] == [5, 1]
    child = os.fork()
    if not child:
        os._exit(0 if [number_of(video[i].image) for i in range(5, 20)] == list(range(5, 20)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [number_of(video[i].image) for i in range(5, 20)] == list(range(5, 20))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "height"), [(1, 64), (5, 64), (2, 64), (2, 720)])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_colours_are_exact(tmp_path: Path, pixels: str, matrix: int, height: int, full: bool) -> None:
    kr, kb = (0.2126, 0.0722) if matrix == 1 or height >= 720 else (0.299, 0.114)
    scale = 4 if "10" in pixels else 1
    values = 120 * scale + scale // 2, 100 * scale, 150 * scale
    video = planes(tmp_path / "a.mkv", values, pixels, full=full, matrix=matrix, size=(64, height))
    y, u, v = (value / scale for value in values)
    luma = y / 255 if full else (y - 16) / 219
    cb, cr = ((c - 128) / (255 if full else 224) for c in (u, v))
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    image = open_frames(video)[1].image
    assert image.shape == (height, 64, 3)
    assert np.abs(image[10, 10] - 255 * np.array([red, green, blue])).max() <= 0.6


def test_odd_sizes(tmp_path: Path) -> None:
    video = planes(tmp_path / "a.mkv", (90, 128, 128), "yuv444p", full=True, matrix=1, size=(33, 17))
    assert open_frames(video).info.size == (33, 17)
    assert (open_frames(video)[2].image == 90).all()


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), (0, False)),
        ((0, 1, -1, 0), (3, False)),  # a phone's 90 degrees clockwise
        ((-1, 0, 0, -1), (2, False)),
        ((0, -1, 1, 0), (1, False)),
        ((-1, 0, 0, 1), (0, True)),
        ((1, 0, 0, -1), (2, True)),
        ((0, 1, 1, 0), (1, True)),
    ],
)
def test_display_matrices(matrix: tuple[int, ...], expected: tuple[int, bool]) -> None:
    a, b, c, d = (value << 16 for value in matrix)
    data = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes()

    turns, mirrored = orientation(data)
    assert (turns, mirrored) == expected
    # The corner pixel must land where the matrix sends it.
    picture = np.arange(4).reshape(2, 2)
    shown = np.rot90(picture[:, ::-1] if mirrored else picture, turns)
    for y, x in np.ndindex(2, 2):
        cx, cy = 2 * x - 1, 2 * y - 1
        to_x, to_y = (matrix[0] * cx + matrix[2] * cy + 1) // 2, (matrix[1] * cx + matrix[3] * cy + 1) // 2
        assert shown[to_y, to_x] == picture[y, x]


def test_memory_stays_constant(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mp4", 600, size=(240, 160), options={"preset": "ultrafast"})
    peaks = []
    for number, _ in enumerate(open_frames(path)):
        if number % 200 == 199:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[-1] - peaks[0] < 4096  # KiB; 400 frames would be 45 MiB


def one_line(error: pytest.ExceptionInfo[UserError], path: Path) -> str:
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert ";" in message or ":" in message.replace(str(path), "")
    return message


HOSTILE = {
    "text.mp4": b"this is no video\n" * 60,
    "text.txt": b"this is no video\n" * 60,
    "empty.mp4": b"",
    "noise.mkv": np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes(),
    "list.mp4": b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    with pytest.raises(UserError) as error:
        open_frames(path)
    one_line(error, path)


def test_missing_files_pipes_and_single_pictures_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "one.png").write_bytes(b"")
    for name in ("none.mp4", "pipe.mp4", "one.png", "a\nb.mp4"):
        with pytest.raises(UserError):
            open_frames(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts = 8000, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="holds no video"):
        open_frames(path)


@pytest.mark.parametrize("name", ["plain.mp4", "open-gop.mkv", "vp9.webm", "mpeg4.avi", "mpeg2.mpg"])
def test_half_a_video_is_refused(made: dict[str, Path], tmp_path: Path, name: str) -> None:
    data = made[name].read_bytes()
    half = tmp_path / name
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError) as error:
        open_frames(half)
    one_line(error, half)


def test_half_a_video_with_its_index_in_front_tells_what_can_be_read(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    with av.open(str(whole), "w", container_options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "5", "qp": "0"})
        stream.width, stream.height = 96, 64
        noise = np.random.default_rng(0)
        for number in range(40):
            image = noise.integers(0, 256, (64, 96, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    half = tmp_path / "half.mp4"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UserError, match=r"only \d+ of 40 frames can be read") as error:
        open_frames(half)
    readable = int(one_line(error, half).split("only ")[1].split()[0])
    assert 10 < readable < 22
    video = open_frames(half, partial=True)
    assert len(video) == len(list(video)) == readable


def test_damage_in_a_long_video_is_told_on_reaching_it(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "VERIFY_PIXELS", 0)
    data = bytearray(made["all-key.mkv"].read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 60] = b"\xa5" * 60
    path = tmp_path / "damaged.mkv"
    path.write_bytes(data)
    seen = []
    with pytest.raises(UserError, match=r"only \d+ of \d+ frames can be read"):
        seen.extend(number_of(frame.image) for frame in open_frames(path))
    assert seen == list(range(len(seen)))


def test_a_changed_file_is_read_anew(made: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    shutil.copy(made["plain.mp4"], path)
    assert len(open_frames(path)) == 20
    encode(path, 7)
    assert len(open_frames(path)) == 7


FACES = ["bbaf2n", "brbk7n", "lbax4n", "lbbc2a", "lrwp9a", "sbia1a", "sbwe5n"]
REAL = [
    "decoder/av1_video.mkv",
    "decoder/bt709_full_range.mp4",
    "decoder/flipping_a_pancake.mkv",
    "decoder/h264_10bits.mp4",
    "decoder/h265_10bits.mp4",
    "decoder/h265_video.mp4",
    "decoder/nasa_13013.mp4",
    "decoder/unordered.mov",
    "decoder/video_0.mov",
    "decoder/video_90.mov",
    "decoder/video_180.mov",
    "decoder/video_270.mov",
    *(f"faces_grid/{name}/frames.mpg" for name in FACES),
]


@pytest.mark.parametrize("name", REAL)
def test_real_clips_by_index_equal_real_clips_in_order(clips: Path, name: str) -> None:
    with av.open(str(clips / name)) as container:
        stamps = [frame.time for frame in container.decode(video=0)]
    video = open_frames(clips / name)
    assert isinstance(video, VideoFile)
    assert len(video) == len(stamps)
    assert np.allclose(video.times, np.array(stamps) - stamps[0], atol=1e-9)
    wanted = np.random.default_rng(0).permutation(len(video))[:3].tolist()
    in_order = {i: frame for i, frame in enumerate(video) if i in wanted}
    assert all((video[i].image == in_order[i].image).all() for i in wanted)
    assert all(video[i].time == in_order[i].time for i in wanted)


@pytest.mark.parametrize("name", [name for name in REAL if name.startswith("decoder/")])
def test_real_clips_show_what_a_plain_decoder_shows(clips: Path, name: str) -> None:
    video = open_frames(clips / name)
    assert isinstance(video, VideoFile)
    with av.open(str(clips / name)) as container:
        truth = [
            (frame.pts, frame.rotation, frame.to_ndarray(format="rgb24")[::8, ::8])
            for frame in container.decode(video=0)
        ]
    assert (np.diff([stamp for stamp, _, _ in truth]) > 0).all()
    for shown, (_, degrees, picture) in zip(video, truth, strict=True):
        stored = np.rot90(shown.image, -degrees // 90)[::8, ::8].astype(int)
        assert np.abs(stored - picture).mean() < 8  # colours are converted otherwise


def test_real_clips_are_turned_upright(clips: Path) -> None:
    sizes = [open_frames(clips / f"decoder/video_{turn}.mov").info.size for turn in (0, 90, 180, 270)]
    assert sizes == [(568, 320), (320, 568), (568, 320), (320, 568)]
    assert open_frames(clips / "decoder/video_90.mov")[0].image.shape == (568, 320, 3)


def test_the_corrupted_clip_is_refused_and_its_beginning_can_be_had(clips: Path) -> None:
    path = clips / "decoder/corrupted.mp4"
    with pytest.raises(UserError, match="only 30 of 50 frames can be read"):
        open_frames(path)
    assert len(list(open_frames(path, partial=True))) == 30


def test_what_is_known_of_a_real_clip(clips: Path) -> None:
    info = open_frames(clips / "faces_grid/bbaf2n/frames.mpg").info
    assert (info.size, info.rate, info.frames, info.has_audio) == ((360, 288), Fraction(25), 75, True)
