"""The cache: same numbers with and without it, never stale, never damaged, shared by workers."""

import errno
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vid2vid.flow import FileIdentity, FlowCache
from vid2vid.flow.cache import dequantise, quantise

SIZE = (24, 16)
FILES = (FileIdentity("frames/2.png", 100, 5, 5), FileIdentity("frames/1.png", 90, 4, 4))


class Estimator:
    """Stands for an estimator; the cache reads its name and fingerprint only."""

    def __init__(self, fingerprint: str = "settings 1") -> None:
        self.name = "fake"
        self.fingerprint = fingerprint

    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Counter:
    """Computes a flow and counts how often it was asked."""

    def __init__(self, seed: int = 0, scale: float = 3.0) -> None:
        self.flow = scale * np.random.default_rng(seed).normal(size=(2, SIZE[1], SIZE[0])).astype(np.float32)
        self.calls = 0

    def __call__(self) -> np.ndarray:
        self.calls += 1
        return self.flow


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_computes_once_and_returns_the_same_numbers(tmp_path: Path) -> None:
    compute = Counter()
    first = FlowCache(tmp_path / "cache", Estimator()).get(FILES, SIZE, 2, compute)
    second = FlowCache(tmp_path / "cache", Estimator()).get(FILES, SIZE, 2, compute)
    assert compute.calls == 1
    assert first.dtype == second.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - compute.flow).max() <= 1 / 128


@pytest.mark.parametrize(
    "changed",
    [
        {"files": (replace(FILES[0], size=101), FILES[1])},
        {"files": (replace(FILES[0], modified_ns=6), FILES[1])},
        {"files": (replace(FILES[0], changed_ns=6), FILES[1])},
        {"files": (replace(FILES[0], name="frames/3.png"), FILES[1])},
        {"files": (FILES[0], replace(FILES[1], size=91))},
        {"files": FILES[::-1]},
        {"size": (16, 24)},
        {"index": 3},
        {"fingerprint": "settings 2"},
        {"format": 2},
    ],
    ids=str,
)
def test_anything_it_depends_on_makes_it_compute_anew(
    tmp_path: Path, changed: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    FlowCache(tmp_path, Estimator()).get(FILES, SIZE, 2, Counter())
    if "format" in changed:
        monkeypatch.setattr("vid2vid.flow.cache.FORMAT", changed["format"])
    size = changed.get("size", SIZE)
    compute = Counter(seed=1)
    compute.flow = compute.flow.reshape(2, size[1], size[0])
    cache = FlowCache(tmp_path, Estimator(changed.get("fingerprint", "settings 1")))
    for _ in range(2):
        flow = cache.get(changed.get("files", FILES), size, changed.get("index", 2), compute)
        assert np.abs(flow - compute.flow).max() <= 1 / 128
    assert compute.calls == 1


def test_a_replaced_frame_is_noticed_even_with_its_size_and_time_kept(tmp_path: Path) -> None:
    """And its new flow takes the place of the old: the folder does not grow."""
    frames = [tmp_path / "1.png", tmp_path / "2.png"]
    for frame in frames:
        frame.write_bytes(b"picture")
    cache = FlowCache(tmp_path / ".cache", Estimator())

    def identities() -> list[FileIdentity]:
        return [FileIdentity.of(frame, tmp_path) for frame in reversed(frames)]

    cache.get(identities(), SIZE, 1, Counter(0))
    before = identities()
    stat = frames[0].stat()
    while identities() == before:  # file systems count time in ticks of some milliseconds
        frames[0].write_bytes(b"another"[:7])
        os.utime(frames[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    replaced = Counter(1)
    assert np.abs(cache.get(identities(), SIZE, 1, replaced) - replaced.flow).max() <= 1 / 128
    assert replaced.calls == 1
    assert len(entries(tmp_path / ".cache")) == 1


def test_names_are_relative_so_that_clips_can_move(tmp_path: Path) -> None:
    (tmp_path / "clip" / "frames").mkdir(parents=True)
    (tmp_path / "clip" / "frames" / "1.png").write_bytes(b"picture")
    before = FileIdentity.of(tmp_path / "clip" / "frames" / "1.png", tmp_path / "clip")
    (tmp_path / "clip").rename(tmp_path / "moved")
    assert FileIdentity.of(tmp_path / "moved" / "frames" / "1.png", tmp_path / "moved") == before
    assert before.name == "frames/1.png"


@given(
    position=st.floats(0, 1, exclude_max=True),
    bits=st.integers(1, 255),
    how=st.sampled_from(["flip", "truncate", "empty", "append", "text"]),
)
@settings(max_examples=100)
def test_a_damaged_entry_is_computed_anew_and_mended(
    tmp_path_factory: pytest.TempPathFactory, position: float, bits: int, how: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damage"
    cache, compute = FlowCache(folder, Estimator()), Counter()
    good = cache.get(FILES, SIZE, 2, compute)
    (entry,) = entries(folder)
    content = bytearray(entry.read_bytes())
    where = int(position * len(content))
    content[where] ^= bits
    damaged = {
        "flip": content,
        "truncate": content[:where],
        "empty": b"",
        "append": content + b"x",
        "text": b"hello",
    }
    entry.write_bytes(damaged[how])
    compute.calls = 0
    for _ in range(2):
        np.testing.assert_array_equal(cache.get(FILES, SIZE, 2, compute), good)
    assert compute.calls == 1


@given(hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(-20_000, 20_000, width=32)))
def test_rounding_is_below_half_a_step(flow: np.ndarray) -> None:
    values, step = quantise(flow)
    assert step == 1 / 64 or np.abs(flow).max() > 511
    assert np.abs(dequantise(values, step).astype(np.float64) - flow).max() <= step / 2


@pytest.mark.parametrize("scale", [0.0, 0.01, 3.0, 500.0, 30_000.0])
def test_motion_of_any_length_survives_the_file(tmp_path: Path, scale: float) -> None:
    compute = Counter(scale=scale)
    fresh = FlowCache(tmp_path, Estimator()).get(FILES, SIZE, 0, compute)
    kept = FlowCache(tmp_path, Estimator()).get(FILES, SIZE, 0, compute)
    np.testing.assert_array_equal(fresh, kept)
    assert np.abs(kept - compute.flow).max() <= max(1 / 128, np.abs(compute.flow).max() / 32_000)


def test_flow_that_is_not_finite_is_passed_on_but_not_kept(tmp_path: Path) -> None:
    compute = Counter()
    compute.flow[0, 0, 0] = np.nan
    for _ in range(2):
        assert np.isnan(FlowCache(tmp_path, Estimator()).get(FILES, SIZE, 0, compute)[0, 0, 0])
    assert compute.calls == 2
    assert not entries(tmp_path)


def test_flow_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="flow of shape"):
        FlowCache(tmp_path, Estimator()).get(FILES, (8, 8), 0, Counter())


def test_a_folder_that_cannot_be_made_means_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    compute = Counter()
    for calls in (1, 2):
        flow = FlowCache(tmp_path / "file" / "cache", Estimator()).get(FILES, SIZE, 0, compute)
        assert np.abs(flow - compute.flow).max() <= 1 / 128
        assert compute.calls == calls


def refuse(number: int) -> Callable[..., None]:
    def replacement(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return replacement


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("os.replace", refuse(number))
    compute = Counter()
    flow = FlowCache(tmp_path, Estimator()).get(FILES, SIZE, 0, compute)
    assert np.abs(flow - compute.flow).max() <= 1 / 128
    assert not entries(tmp_path)


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        FlowCache(tmp_path, Estimator()).get(FILES, SIZE, 0, Counter())
    assert not entries(tmp_path)


def _write_and_read(folder: Path, worker: int) -> None:
    """Two versions of the frames contend for the same entries; every answer is of the version asked for."""
    for turn in range(60):
        version = (worker + turn) % 2
        compute = Counter(seed=version)
        files = (replace(FILES[0], size=version), FILES[1])
        flow = FlowCache(folder, Estimator()).get(files, SIZE, turn % 3, compute)
        assert np.abs(flow - compute.flow).max() <= 1 / 128


def test_workers_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_and_read, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(entries(tmp_path)) == 3  # no temporary file stays
