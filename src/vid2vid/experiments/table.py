"""The results of a grid: means over clips and seeds, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

from vid2vid.evaluation.report import heading
from vid2vid.experiments.grid import FORMAT, Grid
from vid2vid.experiments.variants import Run
from vid2vid.video import whole_file

Scores = Sequence[dict[str, Any]]
"""A report for each seed and clip: "clip", "seed", "metrics", "systems"."""


def summarise(grid: Grid, measured: dict[str, dict[str, Any]], scores: Scores) -> dict[str, Any]:
    """What ``results.json`` holds."""
    metrics = scores[0]["metrics"]
    runs: dict[str, list[Run]] = {}
    for run in grid.runs:
        runs.setdefault(run.variant.name, []).append(run)
    rows = []
    for system in scores[0]["systems"]:
        row = {"name": system["name"], "kind": system["kind"]}
        row |= _statistics(system["name"], system["kind"], metrics, scores)
        if system["kind"] == "fake":
            row |= _facts(grid, runs[system["name"]], measured)
        rows.append(row)
    return {
        "format": FORMAT,
        "recipe": grid.base.name,
        "about": {
            "dataset": grid.dataset.resolve().name,
            "frames": grid.frames or "all",
            "test clips": {clip.name: len(clip.picks) for clip in grid.clips},
            "given": grid.given,
            "frames scored": grid.scored,
            "seeds": grid.seeds,
            "scored frames also trained on": sum(clip.trained for clip in grid.clips),
        },
        "machines": _machines(measured),
        "metrics": metrics,
        "rows": rows,
        "scores": [{key: score[key] for key in ("clip", "seed", "systems")} for score in scores],
    }


def _statistics(name: str, kind: str, metrics: Sequence[dict[str, Any]], scores: Scores) -> dict[str, Any]:
    """Mean over clips, then over seeds, and the deviation over seeds, for what depends on them."""
    seeds = dict.fromkeys(score["seed"] for score in scores)
    mean: dict[str, float | None] = {}
    deviation: dict[str, float | None] = {}
    for key in (metric["key"] for metric in metrics):
        values = [
            _mean(
                system["summary"].get(key)
                for score in scores
                if score["seed"] == seed
                for system in score["systems"]
                if system["name"] == name
            )
            for seed in seeds
        ]
        known = [value for value in values if value is not None]
        depends = kind == "fake" or len(set(known)) > 1
        mean[key] = _mean(known)
        deviation[key] = stdev(known) if len(known) > 1 and depends else None
    return {"mean": mean, "deviation": deviation}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _facts(grid: Grid, runs: Sequence[Run], measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a row cost, as a mean over its runs."""
    kept = [measured[run.name] for run in runs]
    renderings = [rendering for one in kept for rendering in one["rendered"].values()]
    timed, seconds = (sum(rendering[key] for rendering in renderings) for key in ("timed", "seconds"))
    complete = all(
        one["steps_timed"] >= run.settings.train.steps for one, run in zip(kept, runs, strict=True)
    )
    return {
        "changes": runs[0].variant.what,
        "steps": fmean(run.settings.train.steps for run in runs),
        "frames_seen": fmean(run.frames for run in runs),
        "parameters": grid.parameters[runs[0].name],
        "training_minutes": fmean(one["train_seconds"] for one in kept) / 60,
        "training_minutes_complete": complete,  # a run that was killed could not write down its time
        "frames_per_second": timed / seconds if timed and seconds else None,
    }


def _machines(measured: dict[str, dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(r["machine"] for one in measured.values() for r in one["rendered"].values()))


def write_tables(grid: Grid, results: dict[str, Any]) -> None:
    """``table.md``, ``results.csv`` and ``results.json``, each whole or not at all."""
    with whole_file(grid.out / "results.json") as temporary:
        temporary.write_text(
            json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
        )
    with whole_file(grid.out / "results.csv") as temporary, temporary.open("w", newline="") as file:
        lines = [_flat(row) for row in results["rows"]]
        writer = csv.DictWriter(file, list(dict.fromkeys(key for line in lines for key in line)))
        writer.writeheader()
        writer.writerows(lines)
    with whole_file(grid.out / "table.md") as temporary:
        temporary.write_text(markdown(grid, results), "utf-8")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {key: value for key, value in row.items() if key not in ("mean", "deviation")}
    flat |= row["mean"]
    return flat | {f"{key}_deviation": value for key, value in row["deviation"].items()}


_COSTS = ("Steps", "Frames seen", "Parameters (M)", "Training (min)", "Speed (frames/s)")


def markdown(grid: Grid, results: dict[str, Any]) -> str:
    """``table.md``: the counts, the table, and what each row changes."""
    metrics, rows = results["metrics"], results["rows"]
    how = "Means over clips" if len(grid.clips) > 1 else "Means over frames"
    if len(grid.seeds) > 1:
        how += ", then over seeds; ± is the standard deviation over seeds."
    else:
        how += ". One training each: how far another seed would fall from it is not known."
    titles = ["", *map(heading, metrics), *_COSTS]
    lines = [f"# Ablation of {grid.base.name} on {grid.dataset.resolve().name}", ""]
    lines += [*grid.facts(), how, "", "| " + " | ".join(titles) + " |"]
    lines.append("|---|" + "---:|" * (len(titles) - 1))
    best = {metric["key"]: _best(metric, rows) for metric in metrics}
    for row in rows:
        cells = [_cell(row, metric, best[metric["key"]]) for metric in metrics]
        name = f"*{row['name']}*" if row["kind"] == "control" else row["name"]
        lines.append("| " + " | ".join([name, *cells, *_costs(row)]) + " |")
    lines += ["", *(f"- {row['name']}: `{row['changes']}`" for row in rows if row.get("changes"))]
    lines += [
        "",
        f"Training and speed: wall time on {'; '.join(results['machines'])}, with all reading and writing of "
        "files, and whatever else ran there.",
    ]
    return "\n".join(lines) + "\n"


def _best(metric: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str | None:
    """The best mean of a column, as shown; None where there is nothing to choose from."""
    values = [row["mean"][metric["key"]] for row in rows if row["kind"] == "fake"]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    badness = {"higher": lambda x: -x, "lower": lambda x: x, "one": lambda x: abs(x - 1)}[metric["better"]]
    return f"{min(known, key=badness):.{metric['decimals']}f}"


def _cell(row: dict[str, Any], metric: dict[str, Any], best: str | None) -> str:
    value, deviation = (row[part][metric["key"]] for part in ("mean", "deviation"))
    if value is None:
        return "—"
    text = f"{value:.{metric['decimals']}f}"
    text = f"**{text}**" if row["kind"] == "fake" and text == best else text
    return text if deviation is None else f"{text} ± {deviation:.{metric['decimals']}f}"


def _costs(row: dict[str, Any]) -> list[str]:
    if row["kind"] != "fake":
        return ["—"] * len(_COSTS)
    speed = row["frames_per_second"]
    return [
        f"{row['steps']:g}",
        f"{row['frames_seen']:g}",
        f"{row['parameters'] / 1e6:.2f}",
        ("" if row["training_minutes_complete"] else "> ") + f"{row['training_minutes']:.1f}",
        "—" if speed is None else f"{speed:.3g}",
    ]
