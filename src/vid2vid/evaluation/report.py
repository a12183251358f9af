"""The report as data: written as JSON, shown as tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vid2vid.video.files import whole_file

FORMAT = 2
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
    {
        "key": "feature_drift",
        "label": "Identity drift",
        "unit": "",
        "better": "lower",
        "decimals": 4,
        "note": "Cosine distance between the mean features (first picture network of --features) of fake "
        "and real clip, in the last window of frames less in the first. 0 is best; above 0 the fake has "
        "wandered off from what it showed.",
    },
)
"""Summary numbers of ``Drift`` and ``FeatureDrift``, shaped like the entries of a report's "metrics"."""
DISTANCES = (
    {
        "key": "frechet",
        "label": "Fréchet distance",
        "unit": "",
        "better": "lower",
        "decimals": 2,
        "note": "FID, or FVD where the network sees windows of several frames (Heusel et al. 2017, "
        "Unterthiner et al. 2018): distance of two gaussians fitted to the network's features of real and "
        "fake windows. Lower is better, from 0. It falls with the number of windows: compare equal numbers "
        "only, and one network.",
    },
    {
        "key": "kernel",
        "label": "Kernel distance x 1000",
        "unit": "",
        "better": "lower",
        "decimals": 2,
        "note": "KID (Binkowski et al. 2018): squared maximum mean discrepancy of the same features, with "
        "the cubic polynomial kernel, times 1000, and its standard deviation over subsets. Lower is better, "
        "around 0 at best; unbiased, so it suits few windows better than FID.",
    },
)
"""Numbers of ``distribution.Distributions``; one pair per network."""


def write_report(report: dict, path: Path) -> None:
    """Write the JSON, whole or not at all. Raises UserError when it cannot be written."""
    with whole_file(path) as temporary:
        temporary.write_text(
            json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
        )


def write_csv(report: dict, path: Path) -> None:
    """Every figure as a row: system, clip ("all" for all together), metric, value, and the ends of its
    interval.

    Raises UserError when it cannot be written.
    """
    rows = []
    for system in report["systems"]:
        for column in columns(report):
            if (value := value_of(system, column)) is not None:
                rows.append(
                    [system["name"], "all", column["key"], value, *(interval_of(system, column) or ("", ""))]
                )
    for clip in report["clips"]:
        for system in clip["systems"]:
            found = {
                **system["summary"],
                **{key: system["drift"][key] for key in ("colour_drift", "sharpness_drift")},
            }
            rows += [
                [system["name"], clip["name"], key, value, "", ""]
                for key, value in found.items()
                if value is not None
            ]
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["system", "clip", "metric", "value", "low", "high"])
        writer.writerows(rows)


def columns(report: dict) -> list[dict[str, Any]]:
    """The columns of the summary table: every metric, what networks say, and drift where clips are long
    enough."""
    drifts = [
        column
        for column in DRIFT_COLUMNS
        if any(system["summary"].get(column["key"]) is not None for system in report["systems"])
    ]
    distances = [
        {
            **distance,
            "key": f"{distance['key']} {place}",
            "label": f"{distance['label']}, {network['network']}",
        }
        for place, network in enumerate(report["settings"]["features"])
        for distance in DISTANCES
    ]
    return [*report["metrics"], *distances, *drifts]


def value_of(system: dict, column: dict) -> float | None:
    """The number of one system in one column; None where there is none."""
    kind, _, place = column["key"].partition(" ")
    if not place:
        value: float | None = system["summary"].get(kind)
        return value
    found = system["distribution"][int(place)]
    return None if found is None else found[kind] * (1000 if kind == "kernel" else 1)


def interval_of(system: dict, column: dict) -> list[float] | None:
    """[low, high] of the same; None where there is none."""
    found: list[float] | None = system.get("interval", {}).get(column["key"])
    return found


def surely_worse(system: dict, column: dict) -> bool | None:
    """Whether a fake is worse (True) or better (False) than the first one, all of the interval of their
    paired difference lying on one side; None where that is open. Ratios are left open: which side of 1
    counts.
    """
    found = (system.get("difference") or {}).get(column["key"])
    if not found or not found["interval"] or column["better"] == "one":
        return None
    low, high = found["interval"]
    if low <= 0 <= high:
        return None
    return (low > 0) == (column["better"] == "lower")


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


def span(system: dict, column: dict) -> str:
    """The interval as tables show it, "8.1 to 8.6"; "" where there is none."""
    ends = interval_of(system, column)
    return "" if ends is None else " to ".join(f"{end:.{column['decimals']}f}" for end in ends)


def markdown_table(report: dict, intervals: bool = False) -> str:
    """The summary as a Markdown table: a row a system, arrows for what is better, the best fake of a column
    bold. What is worse than the first fake for sure (see ``surely_worse``) has a minus after it, what is
    better a plus. ``intervals``: each figure's 95 % interval under it.
    """
    table = columns(report)
    lines = ["| | " + " | ".join(map(heading, table)) + " |", "|---|" + "---:|" * len(table)]
    for system in report["systems"]:
        cells = []
        for column in table:
            value, best = value_of(system, column), best_value(report, column)
            text = shown(value, column)
            winner = system["kind"] == "fake" and best is not None and text == shown(best, column)
            text = f"**{text}**" if winner else text
            if system["kind"] == "fake" and (worse := surely_worse(system, column)) is not None:
                text += " -" if worse else " +"
            if intervals and (around := span(system, column)):
                text += f"<br><sub>{around}</sub>"
            cells.append(text)
        name = f"*{system['name']}*" if system["kind"] == "control" else system["name"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
