"""The report as one web page that needs nothing beside it, unless its videos are large."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from vid2vid.evaluation.report import (
    ARROWS,
    beats,
    best_value,
    columns,
    heading,
    shown,
    span,
    surely_worse,
    value_of,
)
from vid2vid.evaluation.views import Views
from vid2vid.pages import Series, fill_page, line_chart
from vid2vid.video.files import whole_file

WORDS = {"higher": "higher is better", "lower": "lower is better", "one": "best at 1"}
PALETTE = 8
"""Colours the style sheet has for fakes, c0 to c7."""
SHOWN = 8
"""Clips that a page shows, the worst ones; the table has all."""
LARGEST_INSIDE = 64 * 2**20
"""Bytes of video that are put into the page."""


def write_page(report: dict, views: dict[str, Views], folder: Path) -> None:
    """Write ``index.html`` of a report, whole or not at all.

    views: what is shown of each clip, by name. Of many clips the worst are shown; their videos are part of
        the page
    unless they are large, then the page asks for them beside it.
    """
    styles = system_styles(report["systems"])
    order = worst_first(report)
    shown = order[:SHOWN]
    videos = {clip["name"]: views[clip["name"]].video for clip in shown}
    inside = sum(path.stat().st_size for path in videos.values() if path is not None) <= LARGEST_INSIDE
    width, height = report["settings"]["size"]
    data = {
        "metrics": [{key: metric[key] for key in ("key", "decimals")} for metric in report["metrics"]],
        "styles": styles,
        "clips": [_clip_data(clip, views[clip["name"]], folder) for clip in shown],
    }
    count, frames = report["real"]["clips"], report["real"]["frames"]
    page = fill_page(
        __package__,
        "page.html",
        title=escape(f"Evaluation: {', '.join(s['name'] for s in report['systems'] if s['kind'] == 'fake')}"),
        facts=" · ".join(
            (
                f"{count} {'clip' if count == 1 else 'clips'}, {frames} frames",
                f"{width} &times; {height}",
                f"{_number(report['clips'][0]['real']['rate']):.4g} fps",
                f"flow: {escape(report['settings']['flow'])}",
            )
        ),
        real=escape(report["real"]["path"]),
        created=escape(report["created"].replace("T", " ").replace("+00:00", " UTC")),
        summary=_summary(report, styles),
        notes="".join(f"<li>{escape(note)}</li>" for note in report["notes"]),
        more=_protocol(report) + _diversity(report) + _clip_table(report, order, styles),
        clips="".join(
            _clip(place, clip, views[clip["name"]], report, styles) for place, clip in enumerate(shown)
        ),
        meanings=_meanings(report),
        settings=_settings(report),
        videos="".join(
            f'<script type="text/plain" id="video-{place}">{_base64(path)}</script>'
            for place, path in enumerate(videos.values())
            if inside and path is not None
        ),
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
    )
    with whole_file(folder / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")


def worst_first(report: dict) -> list[dict]:
    """The clips, the one first in which the first fake is worst: by LPIPS where it was measured, else by
    MS-SSIM."""
    keys = [metric["key"] for metric in report["metrics"]]
    column = report["metrics"][keys.index("lpips" if "lpips" in keys else "ms_ssim")]

    def goodness(clip: dict) -> float:
        value = clip["systems"][1]["summary"][column["key"]]
        return -math.inf if value is None else value if column["better"] == "higher" else -value

    return sorted(report["clips"], key=goodness)


def _clip_data(clip: dict, views: Views, folder: Path) -> dict:
    return {
        "count": clip["frames"]["count"],
        "rate": _number(clip["real"]["rate"]),
        "names": clip["frames"]["names"],
        "video": views.video.relative_to(folder).as_posix() if views.video is not None else None,
        "tiles": views.tiles,
        "systems": [{"name": system["name"], "curves": system["curves"]} for system in clip["systems"]],
    }


def _clip(place: int, clip: dict, views: Views, report: dict, styles: Sequence[str]) -> str:
    """Everything about one clip: player, pictures, curves, drift, slices."""
    single = len(report["clips"]) == 1
    width, height = views.tiles[0][2:]
    tiles = "".join(
        f'<figure class="tile {"truth" if system["kind"] == "real" else "fake"}">'
        f'<canvas width="{width}" height="{height}" aria-label="{escape(system["name"])}"></canvas>'
        f'<figcaption><i class="key {style}"></i>{escape(system["name"])}</figcaption></figure>'
        for system, style in zip(clip["systems"], styles, strict=True)
    )
    return fill_page(
        __package__,
        "clip.html",
        place=place,
        hidden="" if place == 0 else " hidden",
        name="" if single else f"<h2 class='name'>{escape(clip['name'])}</h2>",
        tiles=tiles,
        wide="" if width > height else " narrow",
        legend=_legend(clip["systems"], styles),
        strips=_strips(clip, views),
        curves=_curves(report["metrics"], clip, styles),
        drift=_drift(clip, styles, report["settings"]["window"]),
        slices=_slices(clip, views),
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


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
            cells.append(
                f"<td{mark}>{text}{_verdict(system, column)}<small>{span(system, column)}</small></td>"
            )
        name = f'<i class="key {style}"></i>{escape(system["name"])}'
        rows.append(f'<tr class="{system["kind"]}"><th>{name}</th>{"".join(cells)}</tr>')
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _verdict(system: dict, column: dict) -> str:
    """A sign where a fake differs from the first one for sure."""
    worse = surely_worse(system, column) if system["kind"] == "fake" else None
    if worse is None:
        return ""
    words = (
        f"{'worse' if worse else 'better'} than the first system: the 95 % interval of the paired difference"
    )
    return f'<b class="{"worse" if worse else "better"}" title="{words}">{"&minus;" if worse else "+"}</b>'


def _protocol(report: dict) -> str:
    if not (found := report["protocol"]):
        return ""
    labels = {metric["key"]: metric for metric in report["metrics"]}
    rows, head = [], ""
    for name, figures in found["figures"].items():
        cells = [
            (f"{escape(heading(labels[key]))}<small>{escape(span_)}</small>", shown(value, labels[key]))
            for key, spans in figures.items()
            if key in labels
            for span_, value in spans.items()
        ]
        head = "".join(f"<th>{title}</th>" for title, _ in cells)
        values = "".join(f"<td>{text}</td>" for _, text in cells)
        rows.append(f"<tr><th>{escape(name)}</th>{values}</tr>")
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return (
        f"<section><h2>Protocol: {escape(found['name'])}</h2><p>{escape(found['about'])}</p>"
        f'<div class="card">{table}</div></section>'
    )


def _diversity(report: dict) -> str:
    if not (found := report["diversity"]):
        return ""
    rows = "".join(
        f"<tr><th>{escape(pair['one'])} and {escape(pair['other'])}</th><td>{pair['pixels']:.2f}</td>"
        f"<td>{'—' if pair['lpips'] is None else format(pair['lpips'], '.4f')}</td></tr>"
        for pair in found["pairs"]
    )
    return (
        f"<section><h2>How far the styles lie apart</h2><p>{escape(found['note'])}</p><div "
        "class='card'><table> <thead><tr><th></th><th>Pixels (0 to 255)</th><th>LPIPS</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _clip_table(report: dict, order: Sequence[dict], styles: Sequence[str]) -> str:
    """All clips, the worst first; those that the page shows can be chosen."""
    if len(order) == 1:
        return ""
    table = report["metrics"]
    head = "".join(f"<th>{escape(heading(column))}</th>" for column in table)
    rows = []
    for place, clip in enumerate(order):
        fakes = [
            (system, style)
            for system, style in zip(clip["systems"], styles, strict=True)
            if system["kind"] == "fake"
        ]
        for number, (system, style) in enumerate(fakes):
            name = escape(clip["name"])
            if place < SHOWN:
                name = f'<a href="#clip-{place}" data-clip="{place}">{name}</a>'
            first = f'<th rowspan="{len(fakes)}">{name}</th>' if number == 0 else ""
            cells = "".join(f"<td>{shown(system['summary'][c['key']], c)}</td>" for c in table)
            label = f'<th><i class="key {style}"></i>{escape(system["name"])}</th>'
            rows.append(f'<tr class="{"head" if number == 0 else ""}">{first}{label}{cells}</tr>')
    return (
        "<section><h2>Clip by clip, the worst first</h2><p>Choose one to see it below"
        f"{f'; the page shows the {SHOWN} worst' if len(order) > SHOWN else ''}.</p>"
        f'<div class="card"><table class="clips"><thead><tr><th></th><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _beats_all(report: dict, column: dict, value: float) -> bool:
    others = [value_of(system, column) for system in report["systems"] if system["kind"] == "fake"]
    return all(other is not None and beats(column, value, other) for other in others)


def _legend(systems: Sequence[dict], styles: Sequence[str]) -> str:
    return "".join(
        f'<button type="button" data-system="{place}">'
        f'<i class="key {style}"></i>{escape(system["name"])}</button>'
        for place, (system, style) in enumerate(zip(systems, styles, strict=True))
    )


def _strips(clip: dict, views: Views) -> str:
    titles = [f"frame {clip['frames']['names'][moment]}" for moment in views.moments]
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    rows = []
    for place, system in enumerate(clip["systems"]):
        if system["kind"] == "control":
            continue
        cells = []
        for title, pictures in zip(titles, views.strips, strict=True):
            alt = escape(f"{system['name']}, {title}")
            picture, gap = pictures[place]
            images = f'<img class="picture" src="{picture}" alt="{alt}">'
            if place:
                images += f'<img class="difference" src="{gap}" alt="difference of {alt} to the real clip">'
            cells.append(f'<td class="{"fake" if place else "truth"}">{images}</td>')
        rows.append(f"<tr><th>{escape(system['name'])}</th>{''.join(cells)}</tr>")
    return (
        f"<table class='strips'><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _curves(metrics: Sequence[dict], clip: dict, styles: Sequence[str]) -> str:
    figures = []
    for metric in metrics:
        series = [
            Series(system["name"], system["curves"][metric["key"]], f"s{place} {style}")
            for place, (system, style) in enumerate(zip(clip["systems"], styles, strict=True))
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


def _drift(clip: dict, styles: Sequence[str], window: int) -> str:
    first = clip["systems"][0]["drift"]["windows"]
    if len(first) < 2:
        return (
            f"<p>Drift is measured in windows of {window} frames; this clip holds only one. Compare longer "
            "clips to see it.</p>"
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
            for place, (system, style) in enumerate(zip(clip["systems"], styles, strict=True))
            if len(system["drift"]["windows"]) == len(first) and key in system["drift"]["windows"][0]
        ]
        chart = line_chart(series, label=title, x=middles, x_label="middle of the window, frame", level=level)
        figures.append(f"<figure><figcaption>{title}</figcaption>{chart}</figure>")
    identity = [
        Series(system["name"], [window["from_first"] for window in windows], f"s{place} {style}")
        for place, (system, style) in enumerate(zip(clip["systems"], styles, strict=True))
        if (windows := system["drift"].get("features"))
    ]
    if identity:
        title = "Identity: cosine distance of features to the first window"
        centres = [
            (window["start"] + window["stop"]) / 2 for window in clip["systems"][0]["drift"]["features"]
        ]
        chart = line_chart(identity, label=title, x=centres, x_label="middle of the window, frame")
        figures.append(f"<figure><figcaption>{title}</figcaption>{chart}</figure>")
    return f'<div class="charts">{"".join(figures)}</div>'


def _slices(clip: dict, views: Views) -> str:
    rows = [
        f"<figure><figcaption>{escape(system['name'])}</figcaption>"
        f'<img src="{slice_}" alt="slice through time"></figure>'
        for system, slice_ in zip(clip["systems"], views.slices, strict=True)
    ]
    return f'<div class="slices">{"".join(rows)}</div>'


def _meanings(report: dict) -> str:
    return "".join(
        f"<dt>{escape(metric['label'])} <b>{ARROWS[metric['better']]}</b></dt>"
        f"<dd>{escape(metric['note'])}</dd>"
        for metric in columns(report)
    )


def _settings(report: dict) -> str:
    settings = {key: value for key, value in report["settings"].items() if value not in (None, [], False)}
    flat = {**settings, **report["machine"], **report["versions"], "seconds": report["seconds"]}
    return "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in flat.items())


def _number(rate: str) -> float:
    over, _, under = rate.partition("/")
    return float(over) / float(under or 1)
