"""Shards: the files of the folder byte by byte, the same batches in the same order, from anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import tarfile
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from range_server import Served, serve
from small_clips import make_clip

from vid2vid.annotators import write_openpose
from vid2vid.annotators.keypoints import Keypoints
from vid2vid.data import Augmentation, Dataset, check_dataset, sequences
from vid2vid.data.shards.index import INDEX
from vid2vid.data.shards.pack import prepare_shards
from vid2vid.data.shards.path import ShardPath, open_root
from vid2vid.errors import UserError
from vid2vid.types import VideoBatch
from vid2vid.video import VideoWriter

RICH = Augmentation(flip=0, scale=(1.0, 1.5), jitter=0.2)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "vid2vid"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips with label maps, pictures and people."""
    root = tmp_path_factory.mktemp("data") / "street"
    for name, frames in (("a", 6), ("b", 5)):
        make_clip(root / name, frames)
        (root / name / "openpose").mkdir()
        for t in range(frames):
            write_openpose(root / name / f"openpose/{t:04d}_keypoints.json", [standing(t)])
    (root / "a" / "clip.yaml").write_text("rate: 12\n")
    return root


def standing(t: int) -> Keypoints:
    points = [[8 + t + k % 5, 2 + k * 0.8, 1.0] for k in range(25)]
    return Keypoints(body=np.array(points, np.float32))


@pytest.fixture(scope="module")
def shards(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_shards([root], tmp_path_factory.mktemp("packed") / "shards")[0]


@pytest.fixture
def served(shards: Path) -> Iterator[Served]:
    with serve(shards) as served:
        yield served


def in_memory(folder: Path) -> str:
    """The folder in fsspec's memory, which other processes do not see."""
    import fsspec

    files = fsspec.filesystem("memory")
    for path in folder.iterdir():
        files.pipe_file(f"/{folder.name}/{path.name}", path.read_bytes())
    return f"memory://{folder.name}"


def hashes(batches: Iterator[VideoBatch], count: int) -> list[str]:
    found = []
    for batch in islice(batches, count):
        whole = hashlib.sha256()
        for name in ("frames", "flow", "labels", "instances", "image"):
            if (tensor := getattr(batch, name)) is not None:
                whole.update(tensor.numpy().tobytes())
        found.append(whole.hexdigest())
    return found


def batches(root: Path | str, first: int = 0, workers: int = 0, **options: Any) -> Iterator[VideoBatch]:
    data = Dataset.open(root, **options)
    return sequences(data, 3, batch=2, seed=5, first_step=first, augment=RICH, workers=workers)


def contents(root: Path) -> dict[str, bytes]:
    """Every visible file of a dataset by its path in it."""
    found = {}
    for path in sorted(root.iterdir()):
        if path.name[0] != ".":
            inside = {"": path.read_bytes()} if path.is_file() else contents(path)
            found |= {f"{path.name}/{name}".rstrip("/"): data for name, data in inside.items()}
    return found


@pytest.mark.parametrize("condition", ["labels", "densepose", "pose"])
def test_all_places_give_the_same_batches(root: Path, shards: Path, served: Served, condition: str) -> None:
    expected = hashes(batches(root, condition=condition), 7)
    assert len(set(expected)) == 7
    for place in (shards, str(shards), served.address, in_memory(shards)):
        assert hashes(batches(place, condition=condition), 7) == expected
        assert hashes(batches(place, 4, condition=condition), 3) == expected[4:]


def test_workers_read_shards_and_go_on_in_the_middle(root: Path, shards: Path, served: Served) -> None:
    expected = hashes(batches(root), 6)
    assert hashes(batches(shards, 2, workers=2), 4) == expected[2:]
    assert hashes(batches(served.address, 3, workers=2), 3) == expected[3:]


def test_exact_flow_sizes_and_parts_come_along(tmp_path: Path) -> None:
    clip, rng = make_clip(tmp_path / "clip"), np.random.default_rng(0)
    (clip / "flow").mkdir()
    for t in range(6):
        flow = rng.normal(size=(2, 24, 32)).astype(np.float16)
        np.savez_compressed(clip / "flow" / f"{t:04d}.npz", flow=flow, occlusion=flow[0] > 1)
    (packed,) = prepare_shards([clip], tmp_path / "packed")
    options = {"flow": "exact", "size": (16, 12), "frames": "1:"}
    assert hashes(batches(packed, **options), 4) == hashes(batches(clip, **options), 4)


def test_a_dataset_in_shards_looks_like_its_folder(root: Path, shards: Path, served: Served) -> None:
    folder = Dataset.open(root)
    for place in (shards, served.address):
        data = Dataset.open(place)
        assert (data.name, data.schema) == (folder.name, folder.schema)
        told = [(clip.name, len(clip), clip.size, clip.rate) for clip in data.clips]
        assert told == [(clip.name, len(clip), clip.size, clip.rate) for clip in folder.clips]
    report, expected = check_dataset(served.address), check_dataset(root)
    assert report.to_dict() == expected.to_dict() | {"findings": report.to_dict()["findings"]}
    assert [finding.what for finding in report.findings] == [item.what for item in expected.findings]


def test_what_is_computed_stays_in_the_users_cache(shards: Path, cache: Path) -> None:
    before = sorted(path.name for path in shards.iterdir())
    hashes(batches(shards), 2)
    assert sorted(path.name for path in shards.iterdir()) == before
    (place,) = cache.iterdir()
    assert re.fullmatch("shards-street-[0-9a-f]{16}", place.name)
    assert sorted(path.name for path in place.iterdir()) == ["a", "b"]  # a local shard is not copied


def test_nothing_goes_past_the_shards(shards: Path) -> None:
    tree = open_root(shards)
    frame = tree / "a" / "frames" / "0000.png"
    assert isinstance(frame, ShardPath)
    assert pickle.loads(pickle.dumps(frame)).read_bytes() == frame.read_bytes()
    assert frame.parent.parent == tree / "a"
    assert frame.relative_to(tree / "a").as_posix() == "frames/0000.png"
    for work in (os.stat, os.listdir, open, frame.rename, frame.unlink):
        with pytest.raises(UserError, match="lies in shards"):
            work(frame)
    with pytest.raises(UserError, match="not written to"):
        frame.write_bytes(b"")
    with pytest.raises(FileNotFoundError):
        (tree / "a" / "frames" / "none.png").read_bytes()


names = st.text("abz019_ .é-", min_size=1, max_size=8).filter(lambda name: name[0] not in ". ")
sizes = st.sampled_from([0, 1, 511, 512, 513, 200_000])


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of a dataset; their contents are not looked into."""
    files: dict[str, int] = {}
    for clip in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        stems = draw(st.lists(names, min_size=1, max_size=4, unique=True))
        files |= {f"{clip}/frames/{stem}.png": draw(sizes) for stem in stems}
        for folder, suffix in (("labels", ".png"), ("openpose", "_keypoints.json"), ("flow", ".npz")):
            given = stems if draw(st.booleans()) else draw(st.lists(names, max_size=5, unique=True))
            files |= {f"{clip}/{folder}/{stem}{suffix}": draw(sizes) for stem in given}
        files |= {f"{clip}/{name}": draw(sizes) for name in draw(st.sets(st.sampled_from(["x.json", "y"])))}
        files[f"{clip}/labels.yaml"] = draw(sizes)
    return {path: hashlib.sha256(path.encode()).digest() * 6250 for path in files} | {
        path: b"%d" % size * size for path, size in files.items() if size < 1000
    }


@settings(max_examples=25)
@given(tree=trees())
def test_every_file_is_found_again(tree: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for path, data in tree.items():
        (folder / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / path).write_bytes(data)
    (packed,) = prepare_shards([folder / "data"], folder / "packed", megabytes=1)
    assert contents(open_root(packed)) == contents(folder / "data")
    shutil.rmtree(folder / "data")
    index = json.loads((packed / INDEX).read_text())
    for number, shard in enumerate(index["shards"]):
        whole = (packed / shard["name"]).read_bytes()
        assert (shard["size"], shard["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
        samples = webdataset_samples(packed / shard["name"])
        assert len(whole) <= 10**6 or len(samples) <= 1
        here = {tuple(entry[1:3]) for entry in index["files"].values() if entry[0] == number}
        with tarfile.open(packed / shard["name"]) as archive:
            assert here == {(member.offset_data, member.size) for member in archive}
    frames = [path for path in tree if "/frames/" in path]
    every = [sample for shard in index["shards"] for sample in webdataset_samples(packed / shard["name"])]
    assert sum("frames.png" in sample for sample in every) == len(every) == len(frames)
    assert len({sample["__key__"] for sample in every}) == len(every)


def webdataset_samples(shard: Path) -> list[dict[str, Any]]:
    """As the library makes them: neighbours with the same name up to the first dot of its last part."""
    with tarfile.open(shard) as archive:
        members = [m for m in archive if not re.match("__[^/]*__($|/)", m.name)]
        found = [
            (re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", m.name), archive.extractfile(m)) for m in members
        ]
        keys = [(match[1], match[2], file.read()) for match, file in found if match and file]
    assert len(keys) == len(members)
    samples = [
        {"__key__": key} | {suffix.lower(): data for _, suffix, data in group}
        for key, group in groupby(keys, key=lambda item: item[0])
    ]
    assert sum(map(len, samples)) == len(keys) + len(samples)
    return samples


def test_an_interrupted_call_is_repeated(tmp_path: Path) -> None:
    root = make_clip(tmp_path / "clip")
    for t in range(6):  # large, so that there are several shards
        (root / "frames" / f"{t:04d}.notes").write_bytes(bytes(400_000))
    straight = prepare_shards([root], tmp_path / "straight", megabytes=1)[0]
    assert len(list(straight.glob("*.tar"))) == 3

    def stop(done: int, total: int | None = None, note: str = "") -> None:
        if note == "shard-000002.tar":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_shards([root], tmp_path / "again", megabytes=1, progress=stop)
    first = (tmp_path / "again" / "shard-000000.tar").stat().st_ino
    (tmp_path / "again" / ".shard-000002.tar.1.part").write_text("begun by a call that was killed")
    assert not (tmp_path / "again" / INDEX).exists()
    again = prepare_shards([root], tmp_path / "again", megabytes=1)[0]
    assert (again / "shard-000000.tar").stat().st_ino == first
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {
        p.name: p.read_bytes() for p in straight.iterdir()
    }
    written = (again / INDEX).stat().st_mtime_ns
    prepare_shards([root], again, megabytes=1)
    assert (again / INDEX).stat().st_mtime_ns == written
    with pytest.raises(UserError, match="other sources or settings"):
        prepare_shards([root], again, megabytes=2)


def test_raw_footage_is_prepared_on_the_way(tmp_path: Path, root: Path) -> None:
    with VideoWriter(tmp_path / "drive.mp4", 10) as writer:
        for t in range(5):
            writer.write(Dataset.open(root).clips[0].frame(t))
    (packed,) = prepare_shards([tmp_path / "drive.mp4"], tmp_path / "packed", split_cuts=False)
    assert sorted(path.name for path in packed.iterdir()) == [INDEX, "shard-000000.tar"]
    data = Dataset.open(packed, condition="frames")
    assert [(clip.name, len(clip), clip.rate) for clip in data.clips] == [("drive", 5, 10)]
    assert prepare_shards([tmp_path / "drive.mp4"], packed, split_cuts=False) == [packed]


def test_what_cannot_be_packed_is_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "shard-000000.tar").write_text("of somebody else")
    with pytest.raises(UserError, match=r"shard-000000\.tar: shards want a folder of their own"):
        prepare_shards([root], tmp_path / "full")
    with pytest.raises(UserError, match="lies in"):
        prepare_shards([root], root / "packed")
    with pytest.raises(UserError, match="say with --out"):
        prepare_shards([root], None)
    clip = make_clip(tmp_path / "clip")
    with pytest.raises(UserError, match=r"another clip is named clip too"):
        prepare_shards([clip, clip], tmp_path / "out")
    (clip / "labels.yaml").rename(clip / "a:b.yaml")
    with pytest.raises(UserError, match=r"a:b\.yaml.*rename it"):
        prepare_shards([clip], tmp_path / "out")
    (clip / "a:b.yaml").unlink()
    with VideoWriter(clip / "edges.mp4", 10) as writer:
        writer.write(Dataset.open(root).clips[0].frame(0))
    with pytest.raises(UserError, match=r"edges\.mp4: shards hold pictures"):
        prepare_shards([clip], tmp_path / "out")
    assert not (tmp_path / "out" / INDEX).exists()
