"""The figures of ``bench`` as a table, and as one web page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from json import dumps
from pathlib import Path
from typing import Any

from vid2vid.pages import Series, figure, fill_page
from vid2vid.video import whole_file

PAGE = "bench.html"
WAYS = {"baseline": "c1", "engine": "c0"}
STAGES = ("decode", "condition", "generate", "encode")
HEADINGS = (
    *("size", "way", "frames/s", "times", "interval ms", "p99", "latency ms", "p99", "first s", "peak MiB"),
    *(f"{name} ms" for name in STAGES),
)


def table(report: Mapping[str, Any]) -> list[list[str]]:
    """A row of words for each size and way, under `HEADINGS`."""
    return [
        _row(row["size"], way, row[way], row.get("ratio"))
        for row in report["sizes"]
        for way in WAYS
        if way in row
    ]


def _row(size: str, way: str, figures: Mapping[str, Any], ratio: float | None) -> list[str]:
    peak = _peak(figures)
    return [
        size,
        way,
        f"{figures['frames a second']:.3g}",
        f"{ratio:.2f}" if ratio is not None and way == "engine" else "",
        *(
            f"{figures[kind][part]:.4g}"
            for kind in ("interval ms", "latency ms")
            for part in ("median", "p99")
        ),
        f"{figures['first frame s']:.3g}",
        "" if peak is None else f"{peak:.0f}",
        *(f"{figures['stages ms'][name]:.3g}" if name in figures["stages ms"] else "" for name in STAGES),
    ]


def _peak(figures: Mapping[str, Any]) -> float | None:
    """MiB of the accelerator's memory, where there is one."""
    peak: Mapping[str, float | None] = figures["peak MiB"]
    return peak.get("device") or peak["main memory"]


def write_bench_page(report: Mapping[str, Any], folder: Path) -> None:
    """Writes ``bench.html``, whole or not at all. Raises UserError: the place cannot be written."""
    running = (f"{name}: {what}" for name, what in report["running"].items())
    facts = [f"{report['parameters'] / 1e6:.2f} million parameters", *running]
    rounds = report["rounds"]
    facts.append(f"{rounds} {'round' if rounds == 1 else 'rounds'} of {report['frames']} frames")
    if report["conditions a second"]:
        facts.append(f"{report['conditions a second']:g} conditions a second")
    page = fill_page(
        __package__,
        "page.html",
        title=escape(f"Speed of {report['model']}"),
        facts=" · ".join(map(escape, facts)),
        table=_html_table(table(report)),
        resolution=_resolution(report["sizes"]),
        length="".join(_length(row) for row in report["sizes"]),
        machine=escape(dumps(report["machine"], indent=1)),
    )
    with whole_file(folder / PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _html_table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(word)}</th>" for word in HEADINGS)
    body = "".join(
        f"<tr><th>{escape(size)}</th>{''.join(f'<td>{escape(word)}</td>' for word in row)}</tr>"
        for size, *row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _resolution(rows: Sequence[Mapping[str, Any]]) -> str:
    """Cost against the number of pixels."""
    rows = sorted(rows, key=lambda row: row["pixels"])
    if len(rows) < 2:
        return ""
    pixels = [row["pixels"] / 1000 for row in rows]
    ways = [way for way in WAYS if way in rows[0]]
    charts = [
        _from_zero(
            title,
            [Series(way, [value(row[way]) for row in rows], WAYS[way]) for way in ways],
            pixels,
            "thousand pixels",
        )
        for title, value in (
            ("milliseconds a frame", lambda figures: 1000 / figures["frames a second"]),
            ("99th percentile of the latency, ms", lambda figures: figures["latency ms"]["p99"]),
            ("peak memory, MiB", _peak),
        )
    ]
    stages = [
        Series(name, [row["engine"]["stages ms"].get(name) for row in rows], f"c{number}")
        for number, name in enumerate(STAGES)
    ]
    charts.append(_from_zero("stages of the engine, ms a frame", stages, pixels, "thousand pixels"))
    return _section("Cost against resolution", charts)


def _length(row: Mapping[str, Any]) -> str:
    """Cost in the course of the last round, at one size."""
    ways = {way: row[way]["course"] for way in WAYS if way in row}
    tenths = [Series(way, course["frames a second by tenths"], WAYS[way]) for way, course in ways.items()]
    charts = [_from_zero("frames a second", tenths, list(range(1, 11)), "tenth of the frames")]
    for title in ("resident MiB", "open files", "threads"):
        series = [Series(way, course[title], WAYS[way]) for way, course in ways.items() if course["frame"]]
        if any(value is not None for one in series for value in one.values):
            charts.append(_from_zero(title, series, next(iter(ways.values()))["frame"], "frame"))
    return _section(f"Cost against length, {row['size']}", charts)


def _section(title: str, charts: Sequence[str]) -> str:
    return f'<section><h2>{escape(title)}</h2><div class="charts">{"".join(charts)}</div></section>'


def _from_zero(title: str, series: Sequence[Series], x: Sequence[float], x_label: str) -> str:
    """A chart that began above zero would make much of little."""
    return figure(title, series, x, x_label, level=0)
