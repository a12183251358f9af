"""The two pages of a study: where raters answer, and what their answers say."""

from __future__ import annotations

from html import escape
from typing import Any

from vid2vid.pages import fill_page
from vid2vid.preference.answers import PERSON
from vid2vid.preference.results import (
    group_title,
    is_clear,
    notes,
    pair_cells,
    percent,
    simulated_warning,
    span,
)

PAIR_COLUMNS = ("Preferred", "95 % interval", "Answers", "Agreement", "Alpha")
WHO = "Who"
RATER_COLUMNS = (WHO, "Answered", "Catch trials failed", "Left", "Median time", "Counts")

_ROW, _TOP, _BOTTOM = 34, 8, 26  # of the chart, in units of its view box


def rating_page(question: str, name: str, nonce: str) -> str:
    """The page that raters answer on. name: of the study, by which a browser tells several apart."""
    return fill_page(__package__, "rating.html", question=escape(question), name=escape(name), nonce=nonce)


def results_page(summary: dict[str, Any], nonce: str = "", exports: bool = False) -> str:
    """The results as a page. exports: link to the server's exports."""
    warning = simulated_warning(summary)
    links = ' · <a href="/export.csv">answers as CSV</a> · <a href="/export.json">results as JSON</a>'
    groups = "".join(map(_group, summary["groups"]))
    clips = len(summary["clips"])
    return fill_page(
        __package__,
        "results.html",
        systems=escape(", ".join(summary["systems"])),
        question=escape(summary["question"]),
        facts=escape(
            f"{', '.join(summary['systems'])} · {clips} clip{'' if clips == 1 else 's'} · "
            f"{summary['answers']} answers in all, catch trials included"
        ),
        created=escape(summary["created"].replace("T", " ").replace("+00:00", " UTC")),
        exports=links if exports else "",
        warning=f'<p class="warn" role="note">{escape(warning)}</p>' if warning else "",
        groups=groups or "<section><p>Nobody has answered yet.</p></section>",
        raters=_raters(summary["raters"]),
        notes="".join(f"<li>{escape(note)}</li>" for note in notes(summary)),
        nonce=nonce,
    )


def _group(group: dict[str, Any]) -> str:
    left = group["left"]
    side = f" The left side was chosen in {percent(left['share'])} ({span(left)})." if left["answers"] else ""
    return (
        f"<section><h2>{escape(group_title(group))}</h2><p>{side}</p>"
        f'<h3>Pair by pair</h3><div class="card pairs">{_pairs(group["pairs"])}</div>'
        f'<h3>Strength: chance to be preferred to an average system</h3><div class="card figure">'
        f"{_bars(group['strengths'], 760, 170, 'big')}{_bars(group['strengths'], 340, 0, 'small')}"
        "</div></section>"
    )


def _pairs(pairs: list[dict[str, Any]]) -> str:
    rows = []
    for pair in pairs:
        cells = pair_cells(pair)
        first = f'<td class="clear">{cells[0]}</td>' if is_clear(pair) else f"<td>{cells[0]}</td>"
        others = "".join(f"<td>{cell}</td>" for cell in cells[1:])
        name = f"{escape(pair['first'])} <small>to</small> {escape(pair['second'])}"
        rows.append(f"<tr><th>{name}</th>{first}{others}</tr>")
    return _table("", PAIR_COLUMNS, rows)


def _raters(raters: list[dict[str, Any]]) -> str:
    rows = []
    for one in raters:
        left = "—" if one["left"] is None else percent(one["left"])
        seconds = "—" if one["median_seconds"] is None else f"{one['median_seconds']:.1f} s"
        verdict = "no: failed catch trials" if one["excluded"] else "yes" if one["answered"] else "no answer"
        kind = one["kind"] if one["kind"] == PERSON else f"<i>{escape(one['kind'])}</i>"
        rows.append(
            f"<tr{' class=excluded' if one['excluded'] else ''}><th>{one['number']}</th>"
            f'<td class="who">{kind}</td><td>{one["answered"]} of {one["trials"]}</td>'
            f"<td>{one['catches_failed']} of {one['catches']}</td><td>{left}</td><td>{seconds}</td>"
            f'<td class="verdict">{verdict}</td></tr>'
        )
    return _table("Rater", RATER_COLUMNS, rows)


def _table(corner: str, columns: tuple[str, ...], rows: list[str]) -> str:
    head = "".join(f"<th{' class=who' if column == WHO else ''}>{column}</th>" for column in columns)
    return f"<table><thead><tr><th>{corner}</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _bars(strengths: list[dict[str, Any]], width: int, left: int, style: str) -> str:
    """A bar a system, with its interval; the dotted line is where nobody is preferred.

    left: room for the names beside the bars; with none they stand above them.
    """
    row = _ROW if left else _ROW + 16
    height = _TOP + row * len(strengths) + _BOTTOM
    start, stop = left or 14, width - 60
    bottom = height - _BOTTOM
    parts = [
        f'<svg class="chart {style}" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="chance of each system to be preferred to an average one, with 95 % interval">'
    ]

    def across(share: float) -> float:
        return start + (stop - start) * share

    for share in (0, 0.25, 0.5, 0.75, 1):
        kind, x = "level" if share == 0.5 else "grid", across(share)
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{percent(share)}</text>'
        )
    for place, one in enumerate(strengths):
        low, middle, high = (across(one["beats"][key]) for key in ("low", "score", "high"))
        y = _TOP + row * place + (row / 2 if left else row - 16)
        anchor = (
            f'x="{left - 12}" y="{y + 4.5:.1f}" text-anchor="end"' if left else f'x="14" y="{y - 16:.1f}"'
        )
        label = f"{one['system']}: {percent(one['beats']['score'])}, {span(one['beats'])}"
        parts.append(
            f"<g><title>{escape(label)}</title><text {anchor}>{escape(_short(one['system']))}</text>"
            f'<rect class="bar" x="{start}" y="{y - 9:.1f}" width="{middle - start:.1f}" height="18" rx="2"/>'
            f'<line class="reach" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle class="middle" cx="{middle:.1f}" cy="{y:.1f}" r="4"/>'
            f'<text x="{stop + 12}" y="{y + 4.5:.1f}">{percent(one["beats"]["score"])}</text></g>'
        )
    return "".join([*parts, "</svg>"])


def _short(name: str) -> str:
    """What fits beside a bar."""
    return name if len(name) <= 22 else f"{name[:21]}…"
