"""Single pictures and folders of them."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tiny import full_disk
from vid2vid.errors import UserError
from vid2vid.video import (
    PictureFolder,
    as_rate,
    natural_key,
    open_frames,
    picture_size,
    read_picture,
    resize_picture,
    write_picture,
)

NAMES = st.text(st.sampled_from("ab01290_-²٣é"), min_size=1, max_size=8)


@given(st.lists(st.integers(0, 10**12), unique=True))
def test_numbers_in_names_are_ordered_as_numbers(numbers: list[int]) -> None:
    assert sorted((f"frame{n}.png" for n in numbers), key=natural_key) == [
        f"frame{n}.png" for n in sorted(numbers)
    ]


@given(st.lists(NAMES, unique=True))
def test_natural_order_is_total(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    assert ordered == sorted(set(names), key=natural_key)
    assert len({str(natural_key(name)) for name in names}) == len(names)


def grey(mode: str, values: np.ndarray, path: Path) -> Path:
    Image.fromarray(values).convert(mode).save(path)
    return path


def test_palette_pictures_give_their_indices(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    picture = Image.fromarray(ids, "P")
    picture.putpalette([255 - i // 3 for i in range(36)] + [7] * 732)
    picture.save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png", "labels") == ids).all()
    assert read_picture(tmp_path / "a.png").tolist() == [[[255 - i] * 3 for i in row] for row in ids.tolist()]


def test_sixteen_bits_keep_their_ids(tmp_path: Path) -> None:
    ids = np.array([[0, 7, 255], [256, 26001, 65535]], np.uint16)
    write_picture(tmp_path / "a.png", ids)
    found = read_picture(tmp_path / "a.png", "labels")
    assert found.dtype == np.int32
    assert (found == ids).all()
    assert read_picture(tmp_path / "a.png")[..., 0].tolist() == [[0, 0, 1], [1, 101, 255]]


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "1"])
def test_ids_in_any_grey_picture(tmp_path: Path, mode: str) -> None:
    ids = np.array([[0, 255], [255, 0]], np.uint8)
    path = grey(mode, ids, tmp_path / "a.png")
    assert (read_picture(path, "labels") > 0).tolist() == (ids > 0).tolist()
    assert (read_picture(path) == ids[..., None]).all()


@given(arrays.arrays(st.sampled_from([np.uint8, np.uint16, np.int64]), (5, 3), elements=st.integers(0, 255)))
def test_label_maps_come_back(tmp_path_factory: pytest.TempPathFactory, ids: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("ids") / "a.png"
    write_picture(path, ids)
    assert (read_picture(path, "labels") == ids).all()


def test_colours_and_lossy_files_are_no_label_maps(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    write_picture(tmp_path / "a.png", colours)
    assert (read_picture(tmp_path / "a.png") == colours).all()
    with pytest.raises(UserError, match="a colour picture"):
        read_picture(tmp_path / "a.png", "labels")
    write_picture(tmp_path / "a.jpg", colours[..., 0])
    with pytest.raises(UserError, match="JPEG changes class ids"):
        read_picture(tmp_path / "a.jpg", "labels")


def test_the_orientation_of_a_camera_is_applied(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((4, 10, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert picture_size(tmp_path / "a.jpg") == (4, 10)
    assert read_picture(tmp_path / "a.jpg").shape == (10, 4, 3)


def forged_png(width: int, height: int) -> bytes:
    """A PNG whose header promises a picture that its few bytes do not hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def test_hostile_pictures_end_in_one_line(tmp_path: Path) -> None:
    write_picture(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8))
    whole = (tmp_path / "whole.png").read_bytes()
    broken = bytearray(whole)
    broken[60:90] = b"\0" * 30
    hostile = {
        "text.png": b"no picture\n" * 20,
        "empty.png": b"",
        "half.png": whole[: len(whole) // 2],
        "broken.png": bytes(broken),
        "huge.png": forged_png(200_000, 200_000),
        "forged.png": forged_png(4000, 4000),
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    }
    for name, data in hostile.items():
        (tmp_path / name).write_bytes(data)
        for mode in ("rgb", "labels"):
            with pytest.raises(UserError) as error:
                read_picture(tmp_path / name, mode)  # type: ignore[arg-type]
            assert str(error.value).startswith(str(tmp_path / name))
            assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        read_picture(tmp_path / "none.png")


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    write_picture(tmp_path / "a.png", picture)
    with full_disk(2000), pytest.raises(UserError, match=r"a\.png: the disk is full"):
        write_picture(tmp_path / "a.png", 255 - picture)
    assert (read_picture(tmp_path / "a.png") == picture).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be written"):
        write_picture(tmp_path / "file" / "a.png", picture)


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4)), np.full((2, 2), -1)])
def test_what_is_no_picture_is_not_written(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture"):
        write_picture(tmp_path / "a.png", bad)
    assert not list(tmp_path.iterdir())


@given(
    arrays.arrays(
        np.int64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 5)
    ),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_resized_labels_hold_no_new_class(ids: np.ndarray, width: int, height: int) -> None:
    resized = resize_picture(ids, (width, height), labels=True)
    assert resized.shape == (height, width)
    assert set(resized.flat) <= set(ids.flat)
    bigger = resize_picture(ids, (3 * ids.shape[1], 3 * ids.shape[0]), labels=True)
    assert (bigger == np.kron(ids, np.ones((3, 3), int))).all()
    assert (resize_picture(bigger, ids.shape[::-1], labels=True) == ids).all()


def test_resized_frames_keep_their_mean() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    for size in ((40, 30), (40, 120), (160, 30), (320, 30), (320, 240)):
        resized = resize_picture(noise, size)
        assert resized.shape == (size[1], size[0], 3)
        assert abs(resized.mean() - noise.mean()) < 2
    assert resize_picture(noise, (40, 30)).std() < 25  # averaged, not picked


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 100, 1):
        write_picture(tmp_path / f"f{number}.png", np.full((4, 6, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    folder = open_frames(tmp_path)
    assert [frame.image[0, 0, 0] for frame in folder] == [1, 9, 10, 100]
    assert (folder.info.size, folder.info.frames, folder.info.rate) == ((6, 4), 4, 25)
    assert folder[-1].image[0, 0, 0] == 100
    assert [frame.time for frame in folder.frames(1, 3)] == [0.04, 0.08]
    with pytest.raises(IndexError):
        folder[4]


def test_the_rate_of_a_folder(tmp_path: Path) -> None:
    write_picture(tmp_path / "frames" / "0.png", np.zeros((4, 6, 3), np.uint8))
    (tmp_path / "clip.yaml").write_text("rate: 30000/1001\n")
    assert open_frames(tmp_path / "frames").info.rate == Fraction(30000, 1001)
    assert PictureFolder(tmp_path / "frames", rate=12.5).info.rate == Fraction(25, 2)
    for wrong in ("rate: fast", "rate: 0", "[", "- 1"):
        (tmp_path / "clip.yaml").write_text(wrong)
        with pytest.raises(UserError, match=r"clip\.yaml: does not say the frame rate"):
            open_frames(tmp_path / "frames")


def test_folders_that_are_no_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pictures"):
        open_frames(tmp_path)
    for number, width in enumerate((6, 6, 7, 8)):
        write_picture(tmp_path / "frames" / f"{number}.png", np.zeros((4, width, 3), np.uint8))
    with pytest.raises(UserError, match="did you mean"):
        open_frames(tmp_path)
    with pytest.raises(UserError, match=r"2\.png: 7x4, but 0\.png is 6x4"):
        open_frames(tmp_path / "frames")
    with pytest.raises(UserError, match="no such file"):
        open_frames(tmp_path / "none")


@pytest.mark.parametrize(
    ("given_rate", "exact"),
    [
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (25.0, 25),
        ("15", 15),
        (12.5, Fraction(25, 2)),
    ],
)
def test_rates_are_exact(given_rate: float | str, exact: Fraction) -> None:
    assert as_rate(given_rate) == exact


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "fast", 1e9])
def test_wrong_rates(wrong: float | str) -> None:
    with pytest.raises(ValueError, match="rate"):
        as_rate(wrong)
