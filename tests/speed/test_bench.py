"""``bench``: what is measured is what was rendered, and it is all told."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from mmap import mmap
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import vid2vid
from tiny import LABELS, PICTURES, build
from vid2vid.cli import main
from vid2vid.conditions import ConditionSchema
from vid2vid.errors import UserError
from vid2vid.inference import ConditionSource
from vid2vid.speed import bench
from vid2vid.speed.drive import DISTINCT, write_drive
from vid2vid.speed.measure import untrained
from vid2vid.speed.page import HEADINGS, table, write_bench_page
from vid2vid.speed.usage import forget_peak, peak_mib, usage_now
from vid2vid.zoo import save_model

CPU = torch.device("cpu")
SIZES = ((48, 32), (32, 32))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command line writes, its words in ``told``."""
    folder = tmp_path_factory.mktemp("bench")
    save_model(build(), folder / "model")
    words = ["--sizes", "48x32", "32x32", "--frames", "5", "--rounds", "2", "--device", "cpu"]
    assert main(["bench", str(folder / "model"), *words, "--out", str(folder / "out")]) == 0
    return folder / "out"


def test_every_figure_is_there_and_fits_the_others(out: Path) -> None:
    report = json.loads((out / "bench.json").read_text())
    assert set(report["machine"]) >= {"cpu", "cores", "memory_gib", "torch", "threads"}
    assert report["model"] == "tiny"
    assert report["running"]["baseline"].endswith("float32, plain")
    assert report["running"]["engine"].endswith("float32, exact savings")
    assert [row["size"] for row in report["sizes"]] == ["48x32", "32x32"]
    for row in report["sizes"]:
        assert len(row["ratios"]) == 2
        assert min(row["ratios"]) <= row["ratio"] <= max(row["ratios"])
        for way in ("baseline", "engine"):
            figures = row[way]
            assert figures["frames a second"] > 0
            for kind in ("interval ms", "latency ms"):
                assert 0 < figures[kind]["median"] <= figures[kind]["p99"]
            assert set(figures["stages ms"]) >= {"condition", "generate", "encode"}
            course = figures["course"]
            assert course["frame"] == [1, 2, 3, 4, 5]
            tenths = course["frames a second by tenths"]
            assert len(tenths) == 10
            assert min(tenths) > 0, "four intervals have tenths, too"
        assert set(row["baseline"]["stages ms"]) == {"decode", "condition", "generate", "encode"}


def test_the_page_is_whole_and_needs_nothing_beside_it(out: Path) -> None:
    text = (out / "bench.html").read_text()
    HTMLParser().feed(text)
    assert not re.search(r"(src|href)=|https?:", text)
    charts = re.findall(r"<svg.*?</svg>", text)
    assert len(charts) == 4 + 2 * 4
    for chart in charts:
        ElementTree.fromstring(chart)
    assert "Cost against resolution" in text
    assert "Cost against length, 48x32" in text


def test_the_table_has_a_row_for_each_way_and_size(out: Path, tmp_path: Path) -> None:
    report = json.loads((out / "bench.json").read_text())
    rows = table(report)
    assert [row[:2] for row in rows] == [
        [size, way] for size in ("48x32", "32x32") for way in ("baseline", "engine")
    ]
    assert all(len(row) == len(HEADINGS) for row in rows)
    for row in report["sizes"]:  # a system that tells nothing of memory
        for way in ("baseline", "engine"):
            row[way]["peak MiB"] = {"main memory": None}
            row[way]["course"] |= {kind: [None] * 5 for kind in ("resident MiB", "open files", "threads")}
    write_bench_page(report, tmp_path)
    assert (tmp_path / "bench.html").read_text().count("<svg") == 4 + 2


def test_the_memory_shown_is_the_accelerator_s_where_there_is_one(out: Path, tmp_path: Path) -> None:
    report = json.loads((out / "bench.json").read_text())
    for row in report["sizes"]:
        for way in ("baseline", "engine"):
            row[way]["peak MiB"] = {"main memory": 900.0, "device": 77.0}
    assert {row[HEADINGS.index("peak MiB")] for row in table(report)} == {"77"}
    write_bench_page(report, tmp_path)
    (chart,) = re.findall(r'aria-label="peak memory, MiB".*?</svg>', (tmp_path / "bench.html").read_text())
    assert ">80<" in chart
    assert ">1000<" not in chart


def test_the_engine_alone_at_a_pace_and_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    report = vid2vid.bench(
        build(PICTURES),
        sizes=[(32, 32)],
        frames=6,
        rounds=1,
        rate=50,
        alone=True,
        ahead=2,
        device="cpu",
        progress=lambda done, total=None, note="": told.append((done, total)),
    )
    assert list(report["running"]) == ["engine"]
    (row,) = report["sizes"]
    assert "ratio" not in row
    assert row["engine"]["frames a second"] < 60, "no faster than its conditions come"
    assert told == [(number, 6) for number in range(1, 7)]
    write_bench_page(report, tmp_path)


def test_stages_that_take_turns_take_no_longer_than_all_of_it() -> None:
    report = vid2vid.bench(
        build(PICTURES), sizes=[(32, 32)], frames=4, rounds=1, alone=True, ahead=0, device="cpu"
    )
    figures = report["sizes"][0]["engine"]
    assert 0 < sum(figures["stages ms"].values()) <= 1000 / figures["frames a second"] * 1.001, "rounded"


def test_a_drive_in_the_classes_of_a_model_and_as_long_as_wanted(tmp_path: Path) -> None:
    clip = write_drive(tmp_path / "clip", LABELS, (48, 32), DISTINCT + 3)
    items = list(ConditionSource(clip, LABELS))
    assert len(items) == DISTINCT + 3
    assert items[0].labels is not None
    assert items[-1].labels is not None
    assert np.array_equal(items[DISTINCT + 1].labels, items[1].labels)  # type: ignore[arg-type]
    seen = set(np.unique(np.stack([item.labels for item in items]).astype(int)))  # type: ignore[misc]
    assert {0, 2} <= seen <= {0, 1, 2}, "road and car are what they are"


def test_a_recipe_is_measured_untrained() -> None:
    model = untrained("street-tiny")
    assert (model.schema.channels, model.size) == (36, (256, 192))
    assert untrained("faces-tiny").schema.kind == "image"


def test_what_cannot_be_measured_is_told() -> None:
    model = build()
    with pytest.raises(UserError, match="give a model, or --recipe NAME"):
        bench()
    with pytest.raises(UserError, match="give a model, or --recipe NAME"):
        bench(model, recipe="paper")
    with pytest.raises(UserError, match="at least 2 frames"):
        bench(model, frames=1)
    with pytest.raises(UserError, match="--rate 0: write"):
        bench(model, rate=0)
    with pytest.raises(UserError, match="at least 32x32"):
        bench(model, sizes=[(16, 16)], device="cpu")
    with pytest.raises(UserError, match="handed the flow of real frames"):
        bench(build(given_flow=True, history=1), device="cpu")
    four = build(ConditionSchema("image", "densepose", image_channels=4))
    with pytest.raises(UserError, match="'densepose' of 4 channels"):
        bench(four, device="cpu")


def test_usage_sees_what_this_process_holds() -> None:
    before = usage_now()
    if before.resident is None:
        pytest.skip("this system does not tell")
    forget_peak(CPU)
    low = peak_mib(CPU)["main memory"]
    held = mmap(-1, 64 << 20)  # np.ones may be given pages that this process holds already
    np.frombuffer(held, np.uint8)[:] = 1
    with Path(__file__).open() as file:
        now = usage_now()
        assert not file.closed
    assert now.resident is not None
    assert now.resident - before.resident > 50
    assert (now.files or 0) == (before.files or 0) + 1
    del held
    high = peak_mib(CPU)["main memory"]
    assert low is not None
    assert high is not None
    assert high - low > 50
