"""Where shards come from, and what strangers did to them: each fault in one line, nothing believed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from range_server import serve
from small_clips import make_clip

from vid2vid.data import Dataset, check_dataset, sequences
from vid2vid.data.shards.blocks import BLOCK, BlockCache
from vid2vid.data.shards.index import INDEX, MAX_FILE, Shard, read_index
from vid2vid.data.shards.pack import prepare_shards
from vid2vid.data.shards.path import open_root
from vid2vid.data.shards.store import HttpStore, LocalStore, open_store
from vid2vid.errors import UserError

SHARD = "shard-000000.tar"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "vid2vid"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return prepare_shards([make_clip(tmp_path / "clip")], tmp_path / "shards")[0]


def one_line(error: BaseException, *words: str) -> None:
    assert "\n" not in str(error)
    assert all(word in str(error) for word in words), str(error)


def place(index: dict[str, Any], path: str = "clip/frames/0002.png") -> list[Any]:
    found: list[Any] = index["files"][path]
    return found


def move(index: dict[str, Any], path: str) -> None:
    index["files"][path] = index["files"].pop("clip/frames/0002.png")


LIES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "above": (lambda index: move(index, "../frames/0002.png"), "no place of a file"),
    "absolute": (lambda index: move(index, "/etc/frames/0002.png"), "no place of a file"),
    "dots inside": (lambda index: move(index, "clip/../0002.png"), "no place of a file"),
    "hidden": (lambda index: move(index, "clip/.cache/0002.png"), "no place of a file"),
    "drive": (lambda index: move(index, "C:/frames/0002.png"), "no place of a file"),
    "backslash": (lambda index: move(index, "clip\\..\\x/0002.png"), "no place of a file"),
    "terminal": (lambda index: move(index, "clip/frames/\x1b[2J.png"), "x1b[2J.png' is no place"),
    "surrogate": (lambda index: move(index, "clip/frames/\ud800.png"), "no place of a file"),
    "deep": (lambda index: move(index, "a/b/c/d.png"), "no place of a file"),
    "shallow": (lambda index: move(index, "a.png"), "no place of a file"),
    "endless": (lambda index: move(index, "clip/frames/" + "a" * 5000), "no place of a file"),
    "in a file": (lambda index: move(index, "clip/labels.yaml/x"), "lies in a file"),
    "other shard": (lambda index: place(index).__setitem__(0, 1), "shard 1 of 1"),
    "negative shard": (lambda index: place(index).__setitem__(0, -1), "shard -1 of 1"),
    "negative": (lambda index: place(index).__setitem__(1, -512), "reaches outside shard-000000.tar"),
    "beyond": (lambda index: place(index).__setitem__(1, 10**9), "reaches outside shard-000000.tar"),
    "true": (lambda index: place(index).__setitem__(1, True), "reaches outside shard-000000.tar"),
    "long": (lambda index: place(index).__setitem__(2, MAX_FILE + 1), "reaches outside shard-000000.tar"),
    "fraction": (lambda index: place(index).__setitem__(2, 1.5), "reaches outside shard-000000.tar"),
    "no checksum": (lambda index: place(index).__setitem__(3, None), "has no checksum"),
    "fewer": (lambda index: place(index).pop(), "is given as"),
    "shard above": (lambda index: index["shards"][0].update(name="../shard.tar"), "no name of a shard"),
    "shard address": (lambda index: index["shards"][0].update(name="http://x/s.tar"), "no name of a shard"),
    "huge shard": (lambda index: index["shards"][0].update(size=2**60), "has the size"),
    "twice": (lambda index: index["shards"].append(index["shards"][0]), "lists a shard twice"),
    "no shards": (lambda index: index["shards"].clear(), "lists no shards"),
    "no files": (lambda index: index["files"].clear(), "lists no files"),
    "name": (lambda index: index.update(name="../../x"), "no name of a dataset"),
    "format": (lambda index: index.update(format=2), "format 2, this version reads 1"),
    "other": (lambda index: index.pop("files"), "not an index of shards"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies(shards: Path, lie: str) -> None:
    change, told = LIES[lie]
    index = json.loads((shards / INDEX).read_text())
    change(index)
    (shards / INDEX).write_text(json.dumps(index))
    with pytest.raises(UserError) as caught:
        open_root(shards)
    one_line(caught.value, INDEX, told, "copy the shards again")


@pytest.mark.parametrize(
    "raw", [b"", b"[", b"[]", b"nul\0", b"\xff", b"[" * 200_000, b'{"a":' * 50_000, b"1" * 10_000]
)
def test_what_is_no_index(raw: bytes) -> None:
    with pytest.raises(UserError) as caught:
        read_index(raw, "here")
    one_line(caught.value, "here: ")


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@settings(max_examples=40)
@given(data=st.data())
def test_no_index_is_believed(data: st.DataObject) -> None:
    shard = {"name": "a.tar", "size": 100, "sha256": ""}
    index: dict[str, Any] = {"format": 1, "name": "x", "made_of": "", "shards": [shard]}
    index["files"] = {"c/frames/0.png": [0, 0, 10, ""]}
    spoilt = data.draw(st.sampled_from([index, shard, index["files"]]))
    spoilt[data.draw(st.sampled_from(sorted(spoilt)) | st.text(max_size=20))] = data.draw(anything)
    try:
        found = read_index(json.dumps(index).encode(), "here")
    except UserError as error:
        one_line(error, "here: ")
        return
    for path, extent in found.files.items():
        assert not set(path.split("/")) & {"", ".", ".."}
        assert 0 <= extent.offset <= extent.offset + extent.length <= found.shards[extent.shard].size


def test_too_large_an_index(monkeypatch: pytest.MonkeyPatch, shards: Path) -> None:
    monkeypatch.setattr("vid2vid.data.shards.index.MAX_INDEX", 1000)
    with pytest.raises(UserError, match="larger than"):
        open_root(shards)


@pytest.mark.parametrize("far", [False, True])
def test_a_flipped_byte_is_found_when_it_is_read(shards: Path, far: bool) -> None:
    offset = place(json.loads((shards / INDEX).read_text()))[1]
    raw = bytearray((shards / SHARD).read_bytes())
    raw[offset + 50] ^= 1
    (shards / SHARD).write_bytes(raw)
    with serve(shards) as served:
        root = served.address if far else shards
        with pytest.raises(UserError) as caught:
            next(sequences(Dataset.open(root), 6))
        one_line(caught.value, f"{root}/{SHARD}: damaged in clip/frames/0002.png; copy the shard again")
        (finding,) = (item for item in check_dataset(root).findings if item.severity == "error")
        assert SHARD in str(finding)


def test_a_shard_that_is_cut_short_or_missing(shards: Path) -> None:
    whole = (shards / SHARD).read_bytes()
    with serve(shards) as served:
        (shards / SHARD).write_bytes(whole[:3000])
        with pytest.raises(UserError, match=r"000000\.tar: 3000 bytes, index.json says \d+; copy the shard"):
            open_root(shards)
        with pytest.raises(UserError, match=r"000000\.tar: cut short before clip/"):
            next(sequences(Dataset.open(served.address), 6))
        (shards / SHARD).unlink()
        with pytest.raises(UserError, match=r"shards/shard-000000\.tar: missing; copy it there"):
            open_root(shards)
        with pytest.raises(UserError, match=r"data/shard-000000\.tar: missing; copy it there"):
            Dataset.open(served.address)


@pytest.mark.parametrize(
    ("manners", "told"),
    [
        (["403"], "the server answers 403; check the address and who may read it"),
        (["404"], "missing; copy it there"),
        (["shifted"], "sends another part than asked for"),
        (["whole"], "does not serve parts of files"),
        (["503"] * 3, r"tried 3 times \(the server answers 503\); check the network"),
        (["stall"] * 2, r"tried 2 times \(no answer within 0\.1 s\); check the network"),
        (["drip"], r"tried 1 times \(no answer within 0\.1 s\); check the network"),
        (["cut"] * 3, r"tried 3 times \(.*\); check the network"),
    ],
)
def test_servers_that_do_not_serve(shards: Path, manners: list[str], told: str) -> None:
    with serve(shards, *manners) as served:
        timeout = 0.1 if "no answer" in told else 30
        store = HttpStore(served.address, timeout, tries=len(manners), pause=0.01)
        with pytest.raises(UserError, match=told) as caught:
            store.read(SHARD, 512, 1000)
        one_line(caught.value, f"{served.address}/{SHARD}: ")
        assert len(served.asked) == len(manners)


def test_a_server_that_stumbles_is_asked_again(shards: Path) -> None:
    expected = LocalStore(shards).read(SHARD, 700, 900)
    with serve(shards, "503", "cut") as served:
        assert HttpStore(served.address, pause=0.01).read(SHARD, 700, 900) == expected
        assert served.asked == [(SHARD, 700)] * 3
    size = (shards / SHARD).stat().st_size
    with serve(shards) as served:
        store = HttpStore(served.address)
        assert store.read(SHARD, size - 5, 100) == bytes(5)
        assert store.read(SHARD, size, 100) == b""
    with pytest.raises(UserError, match="tried 2 times"):
        HttpStore(served.address, tries=2, pause=0.01).read(SHARD, 0, 1)


def test_what_fsspec_lacks_is_named() -> None:
    with pytest.raises(UserError, match="nowhere://x: cannot be read"):
        open_store("nowhere://x")
    with pytest.raises(UserError, match=r"memory://none/index\.json: missing"):
        open_root("memory://none")
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(UserError, match=r"s3://bucket/data: .*; pip install s3fs"):
            open_root("s3://bucket/data")


def test_blocks_are_kept_up_to_a_limit(tmp_path: Path) -> None:
    data = bytes(range(256)) * (BLOCK * 7 // 256) + b"end"
    (tmp_path / "a.tar").write_bytes(data)
    shard = Shard("a.tar", len(data), "")
    with serve(tmp_path) as served:
        blocks = BlockCache(HttpStore(served.address), tmp_path / "kept", kept=3 * BLOCK)
        for offset, length in [
            (0, 10),
            (BLOCK - 5, 10),
            (5 * BLOCK, 2 * BLOCK + 3),
            (100, 0),
            (3, 5 * BLOCK),
        ]:
            assert blocks.read(shard, offset, length) == data[offset : offset + length]
            kept = sum(path.stat().st_size for path in (tmp_path / "kept").iterdir())
            assert kept <= 3 * BLOCK
        assert blocks.read(shard, len(data) - 1, 1) == b"d"
        asked = len(served.asked)
        assert blocks.read(shard, len(data) - 3, 3) == b"end"
        assert len(served.asked) == asked


def test_kept_blocks_are_not_believed(shards: Path, cache: Path) -> None:
    with serve(shards) as served:
        expected = [clip.read(0, 6).frames for clip in Dataset.open(served.address).clips]
        asked = len(served.asked)
        (block,) = cache.glob("*/.blocks/*")
        block.write_bytes(bytes(block.stat().st_size))
        (clip,) = Dataset.open(served.address).clips
        assert (clip.read(0, 6).frames == expected[0]).all()
        assert len(served.asked) == asked + 2  # the index, and the block anew


def test_a_cache_that_cannot_be_written_is_no_error(shards: Path, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("in the way")
    with serve(shards) as served:
        (clip,) = Dataset.open(served.address, instances=False).clips
        assert clip.read(0, 6).frames.shape == (6, 24, 32, 3)
