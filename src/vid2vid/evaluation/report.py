"""The report as data: written as JSON, shown as tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vid2vid.video.files import whole_file

FORMAT = 1
ARROWS = {"higher": "↑", "lower": "↓", "one": "→1"}
DRIFT_COLUMNS = (
    {
        "key": "colour_drift",
        "label": "Colour drift",
        "unit": "ΔE",
        "better": "lower",
        "decimals": 2,
        "note": "How far the fake's error in mean colour (CIE L*a*b*, Delta E 1976) has moved between the "
        "first window of frames and the last. Lower is better; 2 to 3 is just visible.",
    },
    {
        "key": "sharpness_drift",
        "label": "Sharpness drift",
        "unit": "",
        "better": "one",
        "decimals": 3,
        "note": "By which factor the gradient energy, as a ratio to the real clip, has changed between the "
        "first window of frames and the last. 1 is steady, less has grown blurred, more has grown noisy.",
    },
)
"""Summary numbers of `drift.Drift`, shaped like the entries of a report's "metrics"."""


def write_report(report: dict, path: Path) -> None:
    """Write the JSON, whole or not at all. Raises UserError when it cannot be written."""
    with whole_file(path) as temporary:
        temporary.write_text(
            json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
        )


def columns(report: dict) -> list[dict[str, Any]]:
    """The columns of the summary table: every metric, and the drift figures where the clip is long enough."""
    drift = any(system["drift"]["colour_drift"] is not None for system in report["systems"])
    return [*report["metrics"], *(DRIFT_COLUMNS if drift else ())]


def value_of(system: dict, column: dict) -> float | None:
    """The number of one system in one column; None where there is none."""
    found = system["summary"] if column["key"] in system["summary"] else system["drift"]
    return found.get(column["key"])


def best_value(report: dict, column: dict) -> float | None:
    """The best number any fake reached, as displayed; None when there is nothing to choose from.

    Controls do not compete.
    """
    values = [value_of(system, column) for system in report["systems"] if system["kind"] == "fake"]
    known = [round(value, column["decimals"]) for value in values if value is not None]
    return min(known, key=_badness(column)) if len(known) > 1 else None


def beats(column: dict, value: float, other: float) -> bool:
    """Whether `value` is better than `other` in this column."""
    badness = _badness(column)
    return badness(value) < badness(other)


def _badness(column: dict) -> Callable[[float], float]:
    return {"higher": lambda x: -x, "lower": lambda x: x, "one": lambda x: abs(x - 1)}[column["better"]]


def heading(column: dict) -> str:
    """ "PSNR (dB) ↑"."""
    unit = f" ({column['unit']})" if column["unit"] else ""
    return f"{column['label']}{unit} {ARROWS[column['better']]}"


def shown(value: float | None, column: dict) -> str:
    """A number as tables show it."""
    return "—" if value is None else f"{value:.{column['decimals']}f}"


def markdown_table(report: dict) -> str:
    """The summary as a Markdown table: a row a system, arrows for what is better, the best fake of a column
    bold."""
    table = columns(report)
    lines = ["| | " + " | ".join(map(heading, table)) + " |", "|---|" + "---:|" * len(table)]
    for system in report["systems"]:
        cells = []
        for column in table:
            value, best = value_of(system, column), best_value(report, column)
            text = shown(value, column)
            winner = system["kind"] == "fake" and best is not None and text == shown(best, column)
            cells.append(f"**{text}**" if winner else text)
        name = f"*{system['name']}*" if system["kind"] == "control" else system["name"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
