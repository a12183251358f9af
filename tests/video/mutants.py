"""Two hundred videos that no honest program writes, made from honest ones by a seeded hand."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from made_videos import encode, with_tone

SEED, COUNT = 5, 200
CANARY = (66, 22)
"""The size of the decoy's frames, which no other video has."""

# What names a table or a header, by container; a lie is told in the four or eight bytes beside it.
_BOXES = (b"moov", b"trak", b"mdia", b"stbl", b"stsd", b"stts", b"stsz", b"stco", b"stsc", b"mdat", b"ftyp")
_ELEMENTS = (
    b"\x18\x53\x80\x67",
    b"\x1f\x43\xb6\x75",
    b"\x16\x54\xae\x6b",
    b"\x1c\x53\xbb\x6b",
    b"\xae",
    b"\xa3",
)
_CHUNKS = (b"RIFF", b"LIST", b"avih", b"strh", b"strf", b"idx1", b"00dc", b"movi")
_LIES = (0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x10000)


@dataclass(frozen=True)
class Mutant:
    """A hostile file: ``kind`` says what was done to it."""

    name: str
    kind: str
    data: bytes


def honest(folder: Path) -> list[Path]:
    """Small videos in every common container, to make mutants of."""
    folder.mkdir(exist_ok=True)
    x264 = {"options": {"g": "7", "bf": "2"}}
    return [
        with_tone(folder / "a.mp4", "aac"),
        with_tone(folder / "b.mkv", "libopus"),
        encode(folder / "c.mov", 20, **x264),
        encode(folder / "d.avi", 20, codec="mpeg4", options={"qscale": "2"}),
        encode(folder / "e.mpg", 20, codec="mpeg2video", options={"g": "6", "bf": "2"}, format="mpeg"),
        encode(folder / "f.webm", 20, codec="libvpx-vp9", options={"crf": "20", "b:v": "0"}),
        encode(folder / "g.ts", 20, **x264),
        encode(folder / "h.flv", 20, **x264),
    ]


def decoys(folder: Path) -> None:
    """What a file that points elsewhere points to."""
    for suffix in ("mp4", "mkv", "ts"):
        encode(folder / f"decoy.{suffix}", 5, size=CANARY)


def mutants(sources: Sequence[Path], folder: Path, port: int) -> Iterator[Mutant]:
    """All of them, the same at each call.

    Args:
        folder: where they and the decoys will lie.
        port: of a server on this machine that nobody must call.
    """
    pointers = pointing(folder, port)
    hands = [hand for hand, times in HANDS.items() for _ in range(times)]
    hands += [_pointer] * len(pointers)
    assert len(hands) == COUNT, len(hands)
    source, pointer = cycle(sources), iter(pointers)
    for number, hand in enumerate(hands):
        rng = random.Random(1000 * SEED + number)
        if hand is _pointer:
            name, data = next(pointer)
            yield Mutant(f"{number:03d}-{name}", "points elsewhere", data)
            continue
        kind = hand.__name__.strip("_").replace("_", " ")
        for _ in range(len(sources)):
            path = next(source)
            data = hand(rng, bytearray(path.read_bytes()))
            if data is not None:  # else it knows no such trick for this container
                break
        suffix = rng.choice((".mp4", ".avi", ".txt", ".ts", "")) if hand is _wrong_suffix else path.suffix
        yield Mutant(f"{number:03d}-{path.stem}{suffix}", kind, bytes(data))


def _truncated(rng: random.Random, data: bytearray) -> bytearray:
    return data[: int(len(data) * rng.choice((0.02, 0.2, 0.5, 0.8, 0.97, rng.random())))]


def _bits_flipped_in_the_header(rng: random.Random, data: bytearray) -> bytearray:
    return _flip(rng, data, 0, 600, rng.choice((1, 4, 30)))


def _bits_flipped_in_the_index(rng: random.Random, data: bytearray) -> bytearray:
    places = [place for tag in (b"moov", b"idx1", _ELEMENTS[3]) if (place := data.rfind(tag)) > 0]
    return _flip(rng, data, places[0] if places else len(data) * 3 // 4, len(data), rng.choice((1, 4, 30)))


def _bits_flipped_in_the_payload(rng: random.Random, data: bytearray) -> bytearray:
    return _flip(rng, data, len(data) // 5, len(data), rng.choice((1, 10, 200)))


def _pieces_moved(rng: random.Random, data: bytearray) -> bytearray:
    a, b = sorted(rng.sample(range(len(data)), 2))
    return rng.choice(
        (data[:a] + data[b:], data[:b] + data[a:], data[b:] + data[:b], data[:a] + bytes(b - a) + data[b:])
    )


def _lying_sizes(rng: random.Random, data: bytearray) -> bytearray | None:
    lie = rng.choice(_LIES)
    if places := _places(data, _BOXES):
        place = rng.choice(places)
        return _put(data, place - 4, struct.pack(">I", lie))
    if places := _places(data, _CHUNKS):
        return _put(data, rng.choice(places) + 4, struct.pack("<I", lie))
    if data[:4] == b"\x1a\x45\xdf\xa3" and (places := _places(data, _ELEMENTS)):
        return _put(
            data,
            rng.choice(places) + 4,
            rng.choice((b"\x01" + b"\xff" * 7, b"\x08\xff\xff\xff\xff", b"\x80")),
        )
    return None


def _lying_counts(rng: random.Random, data: bytearray) -> bytearray | None:
    lie = rng.choice(_LIES[3:])
    if places := _places(data, (b"stts", b"stsz", b"stco", b"stsc", b"ctts", b"stss", b"stsd", b"elst")):
        return _put(data, rng.choice(places) + rng.choice((8, 12, 16)), struct.pack(">I", lie))
    if places := _places(data, (b"avih", b"strh", b"idx1")):
        return _put(data, rng.choice(places) + 8 + 4 * rng.randrange(12), struct.pack("<I", lie))
    return None


def _giant_pictures(rng: random.Random, data: bytearray) -> bytearray | None:
    width, height = rng.choice(
        ((16384, 8192), (65535, 65535), (16384, 16384), (0, 0), (1, 65535), (8191, 8191))
    )
    if (place := data.find(b"avcC")) > 0 and rng.random() < 0.5:
        old = struct.unpack_from(">H", data, place + 10)[0]  # bytes of the sequence header that is there
        return _put(data, place + 12, (bytes.fromhex("67 42 00 3f") + _sps(16384, 8192) + bytes(old))[:old])
    for tag, offset in ((b"avc1", 28), (b"mp4v", 28)):
        if (place := data.find(tag)) > 0:
            _put(data, place + offset, struct.pack(">HH", width, height))
            return _put(
                data, data.find(b"tkhd") + 80, struct.pack(">II", width << 16, height << 16 & 0xFFFFFFFF)
            )
    if (place := data.find(b"strf")) > 0:
        return _put(data, place + 12, struct.pack("<ii", width, height))
    if (place := data.find(b"\x00\x00\x01\xb3")) >= 0:
        return _put(data, place + 4, b"\xff\xff\xff")
    if (place := data.find(b"\xb0\x81")) > 0:  # PixelWidth of one byte, PixelHeight after it
        return data[:place] + b"\xb0\x82" + struct.pack(">H", width) + data[place + 3 :]
    return None


def _endless_edit_lists(rng: random.Random, data: bytearray) -> bytearray | None:
    place = data.find(b"elst") - 4
    if place < 0 or data.find(b"moov") < data.find(b"mdat"):
        return None
    count = rng.choice((3, 500, 20_000))
    old = struct.unpack_from(">I", data, place)[0]
    entry = struct.pack(">IiI", rng.choice((1, 800, 0x7FFFFFFF)), rng.choice((0, 1024, -1)), 0x10000)
    more = struct.pack(">I4sII", 16 + 12 * count, b"elst", 0, count) + entry * count
    data[place : place + old] = more
    for parent in (b"edts", b"trak", b"moov"):
        at = data.rfind(parent, 0, place) - 4
        _put(data, at, struct.pack(">I", struct.unpack_from(">I", data, at)[0] + len(more) - old))
    return data


def _absurd_times(rng: random.Random, data: bytearray) -> bytearray | None:
    lie = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000001))
    tricks = [
        (b"mdhd", 16, ">I"),
        (b"mvhd", 16, ">I"),
        (b"stts", 16, ">I"),
        (b"elst", 16, ">I"),
        (b"strh", 28, "<I"),
    ]
    tricks += [
        (b"strh", 32, "<I"),
        (b"avih", 8, "<I"),
        (b"\x2a\xd7\xb1\x83", 4, ">I"),
        (b"\xe7\x81", 1, ">I"),
    ]
    found = [trick for trick in tricks if trick[0] in data]
    if found:
        tag, offset, form = rng.choice(found)
        return _put(data, rng.choice(_places(data, (tag,))) + offset, struct.pack(form, lie))
    if places := _places(data, (b"\x00\x00\x01\xe0",)):  # time stamps of an MPEG stream
        for place in places[:: rng.choice((1, 2))]:
            _put(data, place + 9, bytes(rng.randrange(256) | 1 for _ in range(5)))
        return data
    return None


def _wrong_suffix(rng: random.Random, data: bytearray) -> bytearray:
    return data


def _nothing_or_noise(rng: random.Random, data: bytearray) -> bytes:
    head = bytes(data[:64])
    return rng.choice((b"", b"\0", bytes(9000), rng.randbytes(5000), head, head + rng.randbytes(5000)))


def _pointer() -> None:
    """Stands for the files of ``pointing``."""


HANDS: dict[Callable[..., bytearray | bytes | None], int] = {
    _truncated: 20,
    _bits_flipped_in_the_header: 22,
    _bits_flipped_in_the_index: 20,
    _bits_flipped_in_the_payload: 16,
    _pieces_moved: 10,
    _lying_sizes: 24,
    _lying_counts: 16,
    _giant_pictures: 16,
    _endless_edit_lists: 6,
    _absurd_times: 18,
    _wrong_suffix: 5,
    _nothing_or_noise: 6,
}


def pointing(folder: Path, port: int) -> list[tuple[str, bytes]]:
    """Playlists and films whose pictures lie in another file or on a server: (name, data) of each."""
    web, here = f"http://127.0.0.1:{port}/decoy.ts", (folder / "decoy.ts").as_posix()
    targets = [web, f"file://{here}", here, "decoy.ts", f"crypto:{here}", f"subfile,,start,0,end,0,,:{here}"]
    targets += [f"concat:{here}|{here}", f"data:video/mp2t;base64,{'A' * 40}"]
    lists = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    files = [
        (f"list{n}.{suffix}", lists.format(target))
        for n, (target, suffix) in enumerate(zip(targets, cycle(("m3u8", "m3u8", "mp4")), strict=False))
    ]
    stream = f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    dash = '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>'
    dash += f"{web}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    files += [
        ("key.m3u8", lists.format(f'decoy.ts\n#EXT-X-KEY:METHOD=AES-128,URI="{web}"')),
        ("concat.mp4", "ffconcat version 1.0\nfile decoy.mp4\n"),
        ("concat.ffconcat", f"ffconcat version 1.0\nfile '{here}'\n"),
        ("session.mp4", f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n{stream}"),
        ("dash.mpd", f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">{dash}'),
        ("list.xspf", f"<playlist><trackList><track><location>{web}</location></track></trackList>"),
        ("list.asx", f'<asx version="3.0"><entry><ref href="{web}"/></entry></asx>'),
        ("list.rm", f"rtsp://127.0.0.1:{port}/x.rm\n"),
        ("frames%03d.mp4", "decoy"),
    ]
    films = [
        (f"reference-{kind}.mov", _reference_movie(kind, target))
        for kind, target in (("url", web), ("url", f"file://{here}"), ("alis", here), ("rdrf", web))
    ]
    return [(name, text.encode()) for name, text in files] + films


def _reference_movie(kind: str, target: str) -> bytes:
    """A QuickTime film whose track lies in another file, or that names another film to play instead."""
    path = target.encode() + b"\0"
    if kind == "rdrf":
        data = _box(b"rdrf", struct.pack(">I4sI", 0, b"url ", len(path)) + path)
        return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", _box(b"rmra", _box(b"rmda", data)))
    if kind == "alis":
        alias = bytes(150) + struct.pack(">HH", 18, len(path)) + path + bytes(len(path) % 2) + b"\xff\xff\0\0"
        entry = _box(b"alis", bytes(4) + struct.pack(">HHH", 0, len(alias) + 6, 2) + alias)
    else:
        entry = _box(b"url ", bytes(4) + path)
    places = _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1) + entry))
    picture = bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", 48, 32) + bytes(50)
    tables = _box(b"stsd", struct.pack(">II", 0, 1) + _box(b"jpeg", picture))
    tables += _box(b"stts", struct.pack(">IIII", 0, 1, 20, 512)) + _box(
        b"stsc", struct.pack(">IIIII", 0, 1, 1, 20, 1)
    )
    tables += _box(b"stsz", struct.pack(">III", 0, 400, 20)) + _box(b"stco", struct.pack(">III", 0, 1, 0))
    header = struct.pack(">IIIIIHH", 0, 0, 0, 12800, 10240, 0, 0)
    media = _box(b"mdhd", header) + _box(b"hdlr", bytes(4) + b"mhlrvide" + bytes(13))
    media += _box(b"minf", _box(b"vmhd", bytes(12)) + places + _box(b"stbl", tables))
    track = _box(b"tkhd", bytes(11) + b"\x07" + bytes(72)) + _box(b"mdia", media)
    film = _box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 12800, 10240) + bytes(80)) + _box(b"trak", track)
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", film)


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def _sps(width: int, height: int) -> bytes:
    """The rest of an H.264 sequence header of that size, after profile and level."""
    bits = ""
    for value in (0, 0, 2, 1):  # its id, frame numbers, picture order 2, one reference
        bits += _golomb(value)
    bits += "0" + _golomb(width // 16 - 1) + _golomb(height // 16 - 1) + "1100" + "1"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _golomb(value: int) -> str:
    return "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"


def _flip(rng: random.Random, data: bytearray, begin: int, end: int, times: int) -> bytearray:
    for _ in range(times):
        data[rng.randrange(begin, min(end, len(data)))] ^= 1 << rng.randrange(8)
    return data


def _places(data: bytearray, tags: Sequence[bytes]) -> list[int]:
    found = (match.start() for tag in tags for match in re.finditer(re.escape(tag), data))
    return [place for place in found if 4 <= place < len(data) - 64]


def _put(data: bytearray, place: int, value: bytes) -> bytearray:
    if 0 <= place <= len(data) - len(value):
        data[place : place + len(value)] = value
    return data
