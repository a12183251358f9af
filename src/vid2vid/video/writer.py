"""Frames to a video file or to a folder of pictures; never half-written."""

from __future__ import annotations

import math
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video.files import interrupt_later, make_folder, publish, temporary_name, writing_failed
from vid2vid.video.index import read_index
from vid2vid.video.pictures import PICTURE_SUFFIXES, as_rate, list_pictures, resize_picture, write_picture
from vid2vid.video.sound import Sound

VIDEO_SUFFIXES = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""What a video file may be called, and the container that stands for."""

_H264 = {"preset": "veryfast"}  # files as small as by "medium" at 0.7 dB less, in two fifths of the time
_VP9 = {"b:v": "0", "cpu-used": "4", "row-mt": "1"}  # WebM knows no H.264
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
_BT709 = 1  # primaries, transfer and matrix alike, as in H.273
_LIMITED = 1
TICKS = 90_000  # time stamps are at least as fine as 1 / TICKS seconds


class FrameWriter(Protocol):
    """Where frames go: a context manager; what is in it counts once it is left without an error."""

    count: int
    """Frames written."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, image: np.ndarray, time: float | None = None) -> None: ...


class VideoWriter:
    """Writes frames to a video file: H.264, yuv420p, tagged BT.709 limited range (VP9 in .webm).

    The file appears under its name when the ``with`` block ends well. On Ctrl-C (KeyboardInterrupt) it is
    closed properly too and holds the frames written so far; on any other error nothing is left behind and
    what stood there before stays. A video of an odd width or height gets its last column or row twice, since
    yuv420p knows even
    sizes only: nothing of the picture is lost, and a reader crops it back to the size it expects.

    Args:
        path: .mp4, .mov, .mkv or .webm.
        rate: frames per second, for frames without a time of their own.
        size: (width, height) to resize frames to; None: that of the first frame.
        crf: constant rate factor, 0 (lossless in effect) to 51; 18 is visually lossless.
        audio_from: a video whose sound is carried over, from where the first frame's ``time`` stands in it
            to the end of the frames; copied where the container can hold it, else AAC (Opus in .webm). No
            sound, no error.

    Raises:
        UserError: a suffix that is no such container; the disk is full; the place cannot be written; no
        frame.
    """

    def __init__(
        self,
        path: Path | str,
        rate: Fraction | float,
        *,
        size: Size | None = None,
        crf: float = 18,
        audio_from: Path | str | None = None,
    ) -> None:
        self.path = Path(path)
        self.count = 0
        self.rate = as_rate(rate)
        self.size = size
        self._resizes = size is not None
        self.crf = crf
        self.audio_from = None if audio_from is None else Path(audio_from)
        self._container: OutputContainer | None = None
        self._stream: VideoStream
        self._sound: Sound | None = None
        self._converter = VideoReformatter()
        # One frame at the nominal rate is a whole number of ticks, and any other time is rounded to 1/90000
        # s.
        self._time_base = Fraction(1, self.rate.numerator * math.ceil(TICKS / self.rate.numerator))
        self._frame_ticks = int(1 / self.rate / self._time_base)
        self._last = -self._frame_ticks
        self._begin = 0.0
        if self.path.suffix.lower() not in VIDEO_SUFFIXES:
            raise UserError(
                f"{path}: videos are written as {', '.join(VIDEO_SUFFIXES)}; choose one of these suffixes"
            )
        if self.path.is_dir():
            raise UserError(f"{path}: is a folder; give the video another name")

    def __enter__(self) -> Self:
        if self.audio_from:
            read_index(self.audio_from)  # no such file, no video: said before the work starts
        make_folder(self.path.parent)
        self._temporary = temporary_name(self.path)
        suffix = self.path.suffix.lower()
        options = {"movflags": "+faststart"} if suffix != ".mkv" and suffix != ".webm" else {}
        try:
            # Fails here already, not after the first hour, where the place cannot be written.
            self._temporary.open("wb").close()
            self._container = av.open(
                f"file:{self._temporary}", "w", VIDEO_SUFFIXES[suffix], container_options=options
            )
        except OSError as error:
            self._discard()
            raise writing_failed(self.path, error) from error
        return self

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB; all of one size unless the writer was given one.
            time: seconds, later than the last one; None: one frame after it. The first is at 0 in the file
                whatever its time.

        Raises:
            UserError: the disk is full.
            ValueError: not such an image, a size unlike the first one's, a time that is not later.
        """
        if self._container is None:
            raise ValueError("a VideoWriter is used in a with block")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"frames are (H, W, 3) uint8, not {image.shape} {image.dtype}")
        if self.count and image.shape[1::-1] != self.size and not self._resizes:
            raise ValueError(
                f"frame {self.count} is {image.shape[1]}x{image.shape[0]}, the first {self.size}"
            )
        with interrupt_later():
            try:
                if not self.count:
                    self._begin = time or 0.0
                    self._start(self.size or (image.shape[1], image.shape[0]))
                ticks = self._ticks(time)
                assert self.size is not None
                frame = encodable(image, self.size, self._converter)
                frame.pts, frame.time_base, frame.duration = ticks, self._time_base, self._frame_ticks
                self._container.mux(self._stream.encode(frame))
                self._last = ticks
                self.count += 1
                if self._sound:
                    self._sound.write_until(float(ticks * self._time_base))
            except (OSError, av.FFmpegError) as error:
                raise self._failure(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keep = self.count and (kind is None or issubclass(kind, KeyboardInterrupt))
        with interrupt_later():
            try:
                if keep:
                    self._finish()
            except (OSError, av.FFmpegError) as failure:
                raise self._failure(failure) from failure
            finally:
                self._discard()
        if kind is None and not self.count:
            raise UserError(f"{self.path}: not written, for there was no frame to write")

    def _start(self, size: Size) -> None:
        """Lay out the streams, now that the size is known."""
        assert self._container is not None
        self.size = size
        webm = self.path.suffix.lower() == ".webm"
        codec: Literal["libvpx-vp9", "libx264"] = "libvpx-vp9" if webm else "libx264"
        stream = lay_out(self._container, codec, self.rate, size, self._time_base)
        # Key frames every two seconds: players and our own reader start decoding from them.
        stream.options = {
            "crf": f"{self.crf:g}",
            "g": str(round(2 * self.rate) or 1),
            **(_VP9 if webm else _H264),
        }
        self._stream = stream
        if self.audio_from:
            self._sound = Sound(self.audio_from, self._container, self._begin)

    def _ticks(self, time: float | None) -> int:
        if time is None:
            return self._last + self._frame_ticks
        ticks = round((time - self._begin) / float(self._time_base))
        if ticks <= self._last:
            raise ValueError(f"frame {self.count} at {time} s is not later than the one before it")
        return ticks

    def _finish(self) -> None:
        assert self._container is not None
        self._container.mux(self._stream.encode(None))
        if self._sound:
            self._sound.write_until(float((self._last + self._frame_ticks) * self._time_base))
        self._container.close()
        self._container = None
        publish(self._temporary, self.path)

    def _discard(self) -> None:
        """Let go of everything; of the file too, unless it has got its name."""
        if self._sound:
            self._sound.close()
        if self._container is not None:
            with suppress(
                OSError, av.FFmpegError
            ):  # it is thrown away: only its memory and descriptor matter
                self._container.close()
            self._container = None
        with suppress(OSError):
            self._temporary.unlink()

    def _failure(self, error: Exception) -> UserError:
        if isinstance(error, OSError):
            return writing_failed(self.path, error)
        return UserError(f"{self.path}: could not be encoded ({error}); try another size or suffix")


def lay_out(
    container: OutputContainer,
    codec: Literal["libvpx-vp9", "libx264"],
    rate: Fraction,
    size: Size,
    time_base: Fraction,
) -> VideoStream:
    """A new video stream, yuv420p, tagged BT.709 limited range, of even sides."""
    stream = container.add_stream(codec, rate=rate)
    stream.width, stream.height = (length + length % 2 for length in size)
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = time_base
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED
    return stream


def encodable(image: np.ndarray, size: Size, converter: VideoReformatter) -> av.VideoFrame:
    """A frame (H, W, 3) uint8, scaled to ``size``, as ``lay_out`` wants it; odd sides end twice."""
    image = resize_picture(image, size)
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return converter.reformat(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
        format="yuv420p",
        interpolation=_EXACT,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_colorspace=Colorspace.ITU709,
        threads=1,
    )


class PictureWriter:
    """Writes frames losslessly to a folder of pictures, 000000.png, ...; each appears whole or not at all.

    On Ctrl-C the pictures written so far stay; on any other error they are removed again, and the folder
    with them if it was made here.

    Args:
        folder: a new folder, or one without pictures.
        suffix: picture format.

    Raises:
        UserError: pictures are there already; the disk is full; the place cannot be written; no frame.
    """

    def __init__(self, folder: Path | str, *, suffix: str = ".png") -> None:
        self.path = Path(folder)
        self.suffix = suffix
        self.count = 0
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        self._made = not self.path.exists()
        make_folder(self.path)
        if there := list_pictures(self.path):
            raise UserError(
                f"{self.path}: holds pictures already ({there[0].name}); give a new folder or empty this one"
            )
        return self

    def write(self, image: np.ndarray, time: float | None = None, name: str | None = None) -> None:
        """Write the next picture.

        Args:
            image: as ``write_picture`` takes them: RGB, or a label map.
            time: taken for the sake of ``FrameWriter``; a folder keeps none.
            name: file name, with or without suffix; None: its number, six digits.

        Raises:
            ValueError: a name used before.
        """
        file = self.path / (name or f"{self.count:06d}")
        if file.suffix.lower() not in PICTURE_SUFFIXES:
            file = file.with_name(file.name + self.suffix)
        if file.exists():
            raise ValueError(f"{file.name} has been written before")
        write_picture(file, image)
        self._written.append(file)
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = kind is not None and not issubclass(kind, KeyboardInterrupt)
        if failed:
            for file in self._written:
                with suppress(OSError):
                    file.unlink()
        if self._made:
            with suppress(OSError):  # goes only if it is empty
                self.path.rmdir()
        if kind is None and not self.count:
            raise UserError(f"{self.path}: not written, for there was no frame to write")


def open_writer(
    path: Path | str,
    rate: Fraction | float,
    *,
    size: Size | None = None,
    crf: float = 18,
    audio_from: Path | str | None = None,
) -> VideoWriter | PictureWriter:
    """A VideoWriter for .mp4, .mov, .mkv, .webm; a PictureWriter for a folder (which exists, or no suffix).

    Raises:
        UserError: another suffix.
    """
    path = Path(path)
    if path.is_dir() or not path.suffix:
        return PictureWriter(path)
    return VideoWriter(path, rate, size=size, crf=crf, audio_from=audio_from)
