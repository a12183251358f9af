"""The report as one web page: self-contained but for the video beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from vid2vid.evaluation.figures import Series, line_chart
from vid2vid.evaluation.report import ARROWS, beats, best_value, columns, shown, value_of
from vid2vid.evaluation.views import Views, data_uri, difference
from vid2vid.video.files import whole_file

WORDS = {"higher": "higher is better", "lower": "lower is better", "one": "best at 1"}
PALETTE = 8
"""Colours the style sheet has for fakes, c0 to c7."""


def write_page(report: dict, views: Views, path: Path) -> None:
    """Write the page of a report, whole or not at all. `side_by_side.mp4` is expected beside it."""
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    styles = system_styles(report["systems"])
    width, height = report["settings"]["size"]
    count, rate = report["frames"]["count"], report["real"]["rate"]
    data = {
        "count": count,
        "rate": _number(rate),
        "names": report["frames"]["names"],
        "metrics": [{key: metric[key] for key in ("key", "decimals")} for metric in report["metrics"]],
        "systems": [
            {"name": system["name"], "style": style, "curves": system["curves"]}
            for system, style in zip(report["systems"], styles, strict=True)
        ],
    }
    page = template.substitute(
        title=escape(f"Evaluation: {', '.join(s['name'] for s in report['systems'] if s['kind'] == 'fake')}"),
        facts=" · ".join(
            (
                f"{count} frames",
                f"{width} &times; {height}",
                f"{_number(rate):.4g} fps",
                f"flow: {escape(report['settings']['flow'])}",
            )
        ),
        real=escape(report["real"]["path"]),
        created=escape(report["created"].replace("T", " ").replace("+00:00", " UTC")),
        summary=_summary(report, styles),
        notes="".join(f"<li>{escape(note)}</li>" for note in report["notes"]),
        legend=_legend(report["systems"], styles),
        strips=_strips(report, views),
        curves=_curves(report, styles),
        drift=_drift(report, styles),
        slices=_slices(report, views),
        meanings=_meanings(report),
        settings=_settings(report),
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def system_styles(systems: Sequence[dict]) -> list[str]:
    """CSS classes of each system: a colour a fake; its blurred control has its colour, broken."""
    fakes = [system["name"] for system in systems if system["kind"] == "fake"]
    styles = []
    for system in systems:
        origin = next(
            (i for i, name in enumerate(fakes) if system["name"].startswith(f"{name} blurred")), None
        )
        if system["kind"] == "fake":
            styles.append(f"c{fakes.index(system['name']) % PALETTE}")
        elif system["kind"] == "real":
            styles.append("real")
        else:
            styles.append("control copied" if origin is None else f"control c{origin % PALETTE}")
    return styles


def _summary(report: dict, styles: Sequence[str]) -> str:
    table = columns(report)
    head = "".join(
        f'<th title="{WORDS[column["better"]]}">{escape(column["label"]).replace("-", "&#8209;")}'
        f"<small>{escape(column['unit'])} <b>{ARROWS[column['better']]}</b></small></th>"
        for column in table
    )
    rows = []
    for system, style in zip(report["systems"], styles, strict=True):
        cells = []
        for column in table:
            value, best = value_of(system, column), best_value(report, column)
            text, mark = shown(value, column), ""
            if (
                value is not None
                and system["kind"] == "fake"
                and best is not None
                and text == shown(best, column)
            ):
                mark = ' class="best"'
            elif value is not None and system["kind"] == "control" and _beats_all(report, column, value):
                mark = ' class="beats" title="better than every system here: read this column with care"'
            cells.append(f"<td{mark}>{text}</td>")
        name = f'<i class="key {style}"></i>{escape(system["name"])}'
        rows.append(f'<tr class="{system["kind"]}"><th>{name}</th>{"".join(cells)}</tr>')
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _beats_all(report: dict, column: dict, value: float) -> bool:
    others = [value_of(system, column) for system in report["systems"] if system["kind"] == "fake"]
    return all(other is not None and beats(column, value, other) for other in others)


def _legend(systems: Sequence[dict], styles: Sequence[str]) -> str:
    return "".join(
        f'<button type="button" data-system="{place}">'
        f'<i class="key {style}"></i>{escape(system["name"])}</button>'
        for place, (system, style) in enumerate(zip(systems, styles, strict=True))
    )


def _strips(report: dict, views: Views) -> str:
    titles = [f"frame {report['frames']['names'][moment]}" for moment in views.moments]
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    rows = []
    for place, system in enumerate(report["systems"]):
        if system["kind"] == "control":
            continue
        cells = []
        for title, pictures in zip(titles, views.strips, strict=True):
            alt = escape(f"{system['name']}, {title}")
            images = f'<img class="picture" src="{data_uri(pictures[place])}" alt="{alt}">'
            if place:
                gap = data_uri(difference(pictures[place], pictures[0]))
                images += f'<img class="difference" src="{gap}" alt="difference of {alt} to the real clip">'
            cells.append(f'<td class="{"fake" if place else "truth"}">{images}</td>')
        rows.append(f"<tr><th>{escape(system['name'])}</th>{''.join(cells)}</tr>")
    return (
        f"<table class='strips'><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _curves(report: dict, styles: Sequence[str]) -> str:
    figures = []
    for metric in report["metrics"]:
        series = [
            Series(system["name"], system["curves"][metric["key"]], f"s{place} {style}")
            for place, (system, style) in enumerate(zip(report["systems"], styles, strict=True))
            if any(value is not None for value in system["curves"].get(metric["key"], ()))
        ]
        if series:
            unit = f" <small>{escape(metric['unit'])}</small>" if metric["unit"] else ""
            level = 1.0 if metric["better"] == "one" else None
            figures.append(
                f'<figure data-metric="{metric["key"]}"><figcaption>{escape(metric["label"])}{unit} '
                f"<b>{ARROWS[metric['better']]}</b></figcaption>"
                f"{line_chart(series, label=metric['label'], level=level)}</figure>"
            )
    return "".join(figures)


def _drift(report: dict, styles: Sequence[str]) -> str:
    first = report["systems"][0]["drift"]["windows"]
    if len(first) < 2:
        return (
            f"<p>Drift is measured in windows of {report['settings']['window']} frames; "
            "this clip holds only one. Compare longer clips to see it.</p>"
        )
    middles = [(window["start"] + window["stop"]) / 2 for window in first]
    kinds = (
        ("colour_from_first", "Colour: distance to the first window (ΔE)", None),
        ("colour_from_real", "Colour: distance to the real clip (ΔE)", None),
        ("gradient_from_first", "Gradient energy: ratio to the first window", 1.0),
        ("gradient_to_real", "Gradient energy: ratio to the real clip", 1.0),
    )
    figures = []
    for key, title, level in kinds:
        series = [
            Series(
                system["name"], [window[key] for window in system["drift"]["windows"]], f"s{place} {style}"
            )
            for place, (system, style) in enumerate(zip(report["systems"], styles, strict=True))
            if len(system["drift"]["windows"]) == len(first) and key in system["drift"]["windows"][0]
        ]
        chart = line_chart(series, label=title, x=middles, x_label="middle of the window, frame", level=level)
        figures.append(f"<figure><figcaption>{title}</figcaption>{chart}</figure>")
    return f'<div class="charts">{"".join(figures)}</div>'


def _slices(report: dict, views: Views) -> str:
    rows = []
    for place, system in enumerate(report["systems"]):
        slice_ = views.time_slice(place)
        wide = np.repeat(slice_, max(1, 480 // slice_.shape[1]), axis=1)
        rows.append(
            f"<figure><figcaption>{escape(system['name'])}</figcaption>"
            f'<img src="{data_uri(wide, lossless=True)}" alt="slice through time"></figure>'
        )
    return f'<div class="slices">{"".join(rows)}</div>'


def _meanings(report: dict) -> str:
    return "".join(
        f"<dt>{escape(metric['label'])} <b>{ARROWS[metric['better']]}</b></dt>"
        f"<dd>{escape(metric['note'])}</dd>"
        for metric in columns(report)
    )


def _settings(report: dict) -> str:
    flat = {**report["settings"], **report["machine"], **report["versions"], "seconds": report["seconds"]}
    return "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in flat.items())


def _number(rate: str) -> float:
    over, _, under = rate.partition("/")
    return float(over) / float(under or 1)
