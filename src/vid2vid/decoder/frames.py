"""Frames of a video from any place on, as a player shows them but for turning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain

import av
from av.container import InputContainer
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from vid2vid.decoder.container import UNKNOWN, DamagedStream, Video, decode_packets

# Without these flags swscale rounds coarsely and halves the chroma resolution of the result.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_BT709, _BT601, _UNSPECIFIED = 1, 5, 2  # matrix coefficients as in H.273


def frames_from(
    video: Video, keys: list[int] | None, target: int | None, threads: bool
) -> Iterator[av.VideoFrame]:
    """Frames in the order they are shown; ends at the first one that is damaged.

    Args:
        keys: stamps of key frames to start from, the best first; None: from the beginning.
        target: the stamp of the first frame that is wanted.
    """
    with video.opened(threads) as (container, stream), suppress(DamagedStream):
        if keys is None:
            packets: Iterable[av.Packet] = video.packets(container.demux(stream))
        else:
            packets = _packets_from(video, container, stream, keys, target or 0)
        for frame in decode_packets(stream, packets, lenient_before=None if keys is None else target):
            if frame.is_corrupt:
                return
            yield frame


def frames_on(video: Video, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Frames of a stream that cannot be asked again, until it ends; damaged ones are passed over."""
    packets = video.packets(container.demux(stream))
    with suppress(DamagedStream):
        for frame in decode_packets(stream, packets, lenient_before=-UNKNOWN):
            if not frame.is_corrupt:
                yield frame


class Colours:
    """Decoded frames to RGB, by the colour matrix and range of the file."""

    def __init__(self) -> None:
        self._converter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """rgb24; BT.709 from 720 lines and BT.601 below where the frame names no matrix."""
        if frame.colorspace == _UNSPECIFIED:
            frame.colorspace = _BT709 if frame.height >= 720 else _BT601
        return self._converter.reformat(
            frame, format="rgb24", interpolation=_EXACT, dst_color_range=ColorRange.JPEG, threads=1
        )


def _packets_from(
    video: Video, container: InputContainer, stream: VideoStream, keys: list[int], target: int
) -> Iterable[av.Packet]:
    """Packets from a key frame on that is not shown after ``target``; none where seeking finds none.

    Where a container lands depends on its own index, and in MPEG streams on luck: hence several tries, and
    decoding never starts at a packet that is not a key frame.
    """
    for key in keys:
        with suppress(av.FFmpegError, EOFError):
            video.limits.step()
            container.seek(key, stream=stream)
            packets = video.packets(container.demux(stream))
            for packet in packets:
                if packet.is_keyframe:
                    if packet.pts is not None and packet.pts <= target:
                        return chain((packet,), packets)
                    break
    return ()
