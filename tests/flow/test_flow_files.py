"""Exact flow files: what is right is read, everything else is one line."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid2vid.errors import UserError
from vid2vid.flow import read_exact_flow

FLOW = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4) - 10
OCCLUSION = np.eye(3, 4, dtype=bool)


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def flo(flow: np.ndarray) -> bytes:
    height, width = flow.shape[1:]
    return b"PIEH" + struct.pack("<2i", width, height) + flow.transpose(1, 2, 0).astype("<f4").tobytes()


def forged_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """An archive whose flow claims a shape it does not hold."""
    buffer = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("flow.npy", header.getvalue() + bytes(64))
        archive.writestr("occlusion.npy", header.getvalue() + bytes(64))
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_reads_npz(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(npz(flow=FLOW.astype(dtype), occlusion=OCCLUSION))
    flow, occlusion = read_exact_flow(path)
    assert flow.dtype == np.float32
    assert occlusion.dtype == bool
    np.testing.assert_array_equal(flow, FLOW)
    np.testing.assert_array_equal(occlusion, OCCLUSION)


def test_reads_flo_with_x_before_y(tmp_path: Path) -> None:
    path = tmp_path / "a.flo"
    path.write_bytes(flo(FLOW))
    flow, occlusion = read_exact_flow(path)
    np.testing.assert_array_equal(flow, FLOW)
    assert not occlusion.any()


@pytest.mark.parametrize("value", [1.7e9, -1e10, np.nan, np.inf])
@pytest.mark.parametrize("suffix", [".flo", ".npz"])
def test_unknown_motion_is_occluded(tmp_path: Path, value: float, suffix: str) -> None:
    broken = FLOW.copy()
    broken[1, 2, 3] = value
    path = tmp_path / f"a{suffix}"
    path.write_bytes(flo(broken) if suffix == ".flo" else npz(flow=broken, occlusion=OCCLUSION))
    flow, occlusion = read_exact_flow(path)
    assert occlusion[2, 3]
    assert flow[0, 2, 3] == flow[1, 2, 3] == 0
    assert np.isfinite(flow).all()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"text"),
        ("a.flo", b""),
        ("a.flo", b"PIEH"),
        ("a.flo", b"JUNK" + flo(FLOW)[4:]),
        ("a.flo", flo(FLOW)[:-1]),
        ("a.flo", flo(FLOW) + b"x"),
        ("a.flo", b"PIEH" + struct.pack("<2i", 2**31 - 1, 2**31 - 1)),
        ("a.flo", b"PIEH" + struct.pack("<2i", 32_000, 32_000)),
        ("a.flo", b"PIEH" + struct.pack("<2i", -3, -4) + bytes(96)),
        ("a.flo", b"PIEH" + struct.pack("<2i", 0, 5)),
        ("a.npz", b""),
        ("a.npz", b"text"),
        ("a.npz", npz(flow=FLOW, occlusion=OCCLUSION)[:-40]),
        ("a.npz", npz(flow=FLOW)),
        ("a.npz", npz(occlusion=OCCLUSION)),
        ("a.npz", npz(flow=FLOW.astype(np.int32), occlusion=OCCLUSION)),
        ("a.npz", npz(flow=FLOW.transpose(1, 2, 0), occlusion=OCCLUSION)),
        ("a.npz", npz(flow=FLOW[None], occlusion=OCCLUSION)),
        ("a.npz", npz(flow=FLOW[0, 0], occlusion=OCCLUSION)),
        ("a.npz", npz(flow=FLOW, occlusion=OCCLUSION[:2])),
        ("a.npz", npz(flow=FLOW, occlusion=OCCLUSION.astype(np.float32))),
        ("a.npz", npz(flow=np.array([[[None]]] * 2), occlusion=OCCLUSION)),
        ("a.npz", forged_header((2, 10**6, 10**6))),
        ("a.npz", forged_header((2, 8000, 8000))),
        ("a.npz", forged_header((10**9, 2, 2))),
        ("a.npz", forged_header((2, 3, 4), "|V2000000000")),
        ("a.npz", forged_header((2, -3, -4))),
    ],
)
def test_anything_else_is_one_line_naming_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_exact_flow(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_absent_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_exact_flow(tmp_path / "none.npz")
    (tmp_path / "folder.flo").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_exact_flow(tmp_path / "folder.flo")


@given(
    st.sampled_from([".npz", ".flo"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
)
@settings(max_examples=150)
def test_no_damage_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(flo(FLOW) if suffix == ".flo" else npz(flow=FLOW, occlusion=OCCLUSION))
    for position, value in damage:
        content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(content)
    try:
        flow, occlusion = read_exact_flow(path)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert flow.shape[1:] == occlusion.shape
