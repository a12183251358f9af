"""Conditions through a pipe, frames to a pipe or an address: what is sent is what is made from a disk."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tiny import PICTURES, build, write_clip
from vid2vid.cli import main
from vid2vid.conditions import ConditionSchema
from vid2vid.errors import UserError
from vid2vid.inference import synthesize
from vid2vid.video import StreamWriter, open_frames, open_pipe, write_picture
from vid2vid.zoo import save_model

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")

FRAMES = 6
EDGES = ConditionSchema("image", "edges")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"), FRAMES)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert [one for one in threading.enumerate() if one not in before and one.name != "writer"] == []


@contextmanager
def piped(tmp_path: Path, data: bytes, hold: threading.Event | None = None) -> Iterator[Path]:
    """A named pipe that the bytes come through; it ends with them, or when it may."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def write() -> None:
        try:
            with fifo.open("wb", buffering=0) as file:
                file.write(data)
                if hold is not None:
                    hold.wait(20)
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=write, name="writer", daemon=True)
    thread.start()
    yield fifo
    if hold is not None:
        hold.set()
    thread.join(20)


def pngs(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def video(format: str, codec: str, count: int = FRAMES, size: tuple[int, int] = (64, 48)) -> bytes:
    """Moving pictures; "ffv1" keeps every bit of them."""
    file = BytesIO()
    with av.open(file, "w", format) as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
        for t in range(count):
            picture = np.full((size[1], size[0], 3), 30 * t, np.uint8)
            picture[10:30, 5 * t : 5 * t + 15] = (255, 60, 0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def pictures(folder: Path) -> list[np.ndarray]:
    return [frame.image for frame in open_frames(folder)]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_label_maps_through_a_pipe_are_as_good_as_files(clip: Path, tmp_path: Path) -> None:
    model = build()
    synthesize(model, clip, tmp_path / "files", device="cpu", ahead=1)  # threads as for what is live
    with piped(tmp_path, pngs(clip / "labels")) as fifo, open_pipe(fifo) as pipe:
        assert pipe.size == (32, 32)
        assert synthesize(model, pipe, tmp_path / "piped", device="cpu").frames == FRAMES
        assert (pipe.taken, pipe.dropped, pipe.fault) == (FRAMES, 0, None)
    assert same(pictures(tmp_path / "piped"), pictures(tmp_path / "files"))


def test_pictures_through_a_pipe_and_a_part_of_them(clip: Path, tmp_path: Path) -> None:
    model = build(PICTURES)
    synthesize(model, clip, tmp_path / "files", device="cpu", frames=":4", ahead=1)
    with piped(tmp_path, pngs(clip / "densepose")) as fifo, open_pipe(fifo) as pipe:
        synthesize(model, pipe, tmp_path / "piped", device="cpu", frames=":4")
    assert same(pictures(tmp_path / "piped"), pictures(tmp_path / "files"))


@pytest.mark.parametrize(
    ("format", "codec"), [("matroska", "libx264"), ("mpegts", "mpeg2video"), ("mjpeg",) * 2]
)
def test_raw_frames_of_a_stream_drive_a_model(format: str, codec: str, tmp_path: Path) -> None:
    data = video(format, codec)
    with piped(tmp_path, data) as fifo, open_pipe(fifo) as pipe:
        assert pipe.size == (64, 48)
        made = synthesize(build(EDGES), pipe, tmp_path / "out.mp4", annotate="edges", device="cpu")
        assert made.frames == FRAMES
    assert len(open_frames(tmp_path / "out.mp4")) == FRAMES


def test_a_stream_is_decoded_as_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file.mkv").write_bytes(data := video("matroska", "libx264"))
    with piped(tmp_path, data) as fifo, open_pipe(fifo) as pipe:
        frames = list(pipe.frames())
    expected = list(open_frames(tmp_path / "file.mkv"))
    assert same([frame.image for frame in frames], [frame.image for frame in expected])
    assert np.allclose([frame.time for frame in frames], [frame.time for frame in expected], atol=2e-3)


@pytest.mark.parametrize("drop", [False, True])
def test_whoever_is_slow_makes_the_pipe_wait_or_drops(drop: bool, clip: Path, tmp_path: Path) -> None:
    seen = threading.Event()

    def show(picture: np.ndarray) -> bool:
        seen.wait(0.02)
        return True

    with piped(tmp_path, pngs(clip / "labels") * 20) as fifo, open_pipe(fifo, drop) as pipe:
        made = synthesize(build(), pipe, show=show, device="cpu")
        assert made.frames == pipe.taken
        if drop:
            assert made.frames < 20 * FRAMES
        else:
            assert (made.frames, pipe.dropped) == (20 * FRAMES, 0)
        seen.set()


def test_a_pipe_that_falls_silent_ends_when_it_is_no_longer_wanted(clip: Path, tmp_path: Path) -> None:
    shown: list[int] = []

    def show(picture: np.ndarray) -> bool:
        shown.append(1)
        return len(shown) < 3

    hold = threading.Event()
    with piped(tmp_path, pngs(clip / "labels"), hold) as fifo, open_pipe(fifo) as pipe:
        assert synthesize(build(), pipe, show=show, device="cpu").frames == 3


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"no video at all " * 999, "no video stream that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 99, "picture 0 is too large"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\x04IHDR", "ends in the middle of picture 0"),
    ],
)
def test_what_is_no_stream_is_told_in_a_line(data: bytes, told: str, tmp_path: Path) -> None:
    with piped(tmp_path, data) as fifo, pytest.raises(UserError, match=told):
        open_pipe(fifo)


def test_a_stream_that_goes_bad_ends_there(clip: Path, tmp_path: Path, capsys: Any) -> None:
    save_model(build(), tmp_path / "model")
    good = pngs(clip / "labels")
    out = tmp_path / "out.mp4"
    words = [
        "synthesize",
        str(tmp_path / "model"),
        str(tmp_path / "fifo"),
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    with piped(tmp_path, good + b"\x89PNG\r\n\x1a\n\x00\x00"):
        assert main(words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith(
        f"ends in the middle of picture {FRAMES}; it was cut short; all frames before that are rendered"
    )
    assert len(open_frames(out)) == FRAMES
    (tmp_path / "fifo").unlink()
    write_picture(tmp_path / "large" / "0.png", np.zeros((40, 40), np.uint8))
    with piped(tmp_path, good + pngs(tmp_path / "large")):
        assert main(words) == 2
    assert f"picture {FRAMES} is 40x40, the first 32x32" in capsys.readouterr().err


def test_what_does_not_fit_is_told(clip: Path, tmp_path: Path) -> None:
    with piped(tmp_path, video("mpegts", "mpeg2video")) as fifo, open_pipe(fifo) as pipe:
        with pytest.raises(UserError, match="video compression mixes labels up; pipe PNGs"):
            synthesize(build(), pipe, tmp_path / "out", device="cpu")
        with pytest.raises(UserError, match="write :N for N"):
            synthesize(build(EDGES), pipe, tmp_path / "out", frames="2:", device="cpu")
        with pytest.raises(UserError, match=r"--smooth: .* holds no landmarks"):
            synthesize(build(EDGES), pipe, tmp_path / "out", smooth=True, device="cpu")
    model = build()
    for out, options, told in (
        ("gopher://x", {}, "streams go to rtsp://"),
        ("udp://127.0.0.1:9", {"format": "raw"}, "takes mpegts"),
        ("rtsp://127.0.0.1:9", {"format": "mpegts"}, "takes rtsp"),
        ("-", {"format": "gif"}, "there are mpegts, matroska, raw"),
        ("-", {"audio_from": "x.mp4"}, "sent without sound"),
        (str(tmp_path / "x.mp4"), {"format": "mpegts"}, "is for streams"),
        ("http://127.0.0.1:1/x", {}, "nobody takes the stream"),
    ):
        with pytest.raises(UserError, match=told):
            synthesize(model, clip, out, device="cpu", **options)  # type: ignore[arg-type]


def decoded(data: bytes) -> list[np.ndarray]:
    with av.open(BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def close(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Alike, as far as compression allows."""
    pairs = zip(one, other, strict=True)
    return all(np.abs(a.astype(int) - b).mean() < 20 for a, b in pairs)


def sent(out: str, frames: list[np.ndarray], **options: Any) -> None:
    with StreamWriter(out, 25, **options) as writer:
        for frame in frames:
            writer.write(frame)


def moving(count: int = 8) -> list[np.ndarray]:
    y, x = np.mgrid[:48, :64]
    return [np.stack([4 * x, 5 * y, 20 * t + 0 * x], -1).clip(0, 255).astype(np.uint8) for t in range(count)]


def test_datagrams_carry_all_frames() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.settimeout(0.5)
        sent(f"udp://127.0.0.1:{receiver.getsockname()[1]}?pkt_size=1316", moving())
        data = b""
        try:
            while True:
                data += receiver.recv(1 << 16)
        except TimeoutError:
            pass
    assert close(decoded(data), moving())


def test_a_server_is_posted_the_stream() -> None:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b""
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            bodies.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.handle_request, name="server")
    thread.start()
    sent(f"http://127.0.0.1:{server.server_port}/feed", moving(), format="matroska")
    thread.join(20)
    server.server_close()
    assert close(decoded(bodies[0]), moving())


@pytest.mark.parametrize("format", ["mpegts", "matroska", "raw"])
def test_from_standard_input_to_standard_output(format: str, clip: Path, tmp_path: Path) -> None:
    model = build()
    save_model(model, tmp_path / "model")
    synthesize(model, clip, tmp_path / "files", device="cpu", ahead=1)  # threads as for what is live
    words = ["synthesize", str(tmp_path / "model"), "-", "--out", "-", "--format", format, "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "vid2vid", *words],
        input=pngs(clip / "labels"),
        capture_output=True,
        timeout=120,
        check=True,
    )
    expected = pictures(tmp_path / "files")
    assert f"{FRAMES} frames rendered, 0 dropped in -: ".encode() in done.stderr
    if format == "raw":
        made = np.frombuffer(done.stdout, np.uint8).reshape(-1, 32, 32, 3)
        assert same(list(made), expected)
    else:
        assert len(decoded(done.stdout)) == FRAMES


def test_a_reader_that_has_had_enough_ends_it_quietly(clip: Path, tmp_path: Path) -> None:
    save_model(build(), tmp_path / "model")
    words = [
        "synthesize",
        str(tmp_path / "model"),
        str(clip),
        "--out",
        "-",
        "--format",
        "raw",
        "--device",
        "cpu",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "vid2vid", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) == 128 + 13
