"""From clips to systems: the figures of all clips together, their intervals, and who is better for sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vid2vid.evaluation.comparison import Comparison
from vid2vid.evaluation.distribution import Distributions
from vid2vid.evaluation.intervals import draw_weights, interval, redrawn
from vid2vid.evaluation.metrics import FrameMetric

DRIFTS = ("colour_drift", "sharpness_drift")


def pooled(
    comparisons: Sequence[Comparison], distributions: Sequence[Distributions], seed: int
) -> list[dict[str, Any]]:
    """What a report says of each system.

    "summary": all frames of all clips together; "interval": [low, high] that hold 95 % of a bootstrap;
    "difference": to the first fake, with the interval of paired draws. "distribution": one entry per network.
    """
    weights = draw_weights([len(comparison.matching) for comparison in comparisons], seed=seed)
    apart = [distribution.compute() for distribution in distributions]
    systems = [
        _system(place, [comparison.systems[place] for comparison in comparisons], weights)
        for place in range(len(comparisons[0].systems))
    ]
    first = systems[1]["redrawn"]
    for place, system in enumerate(systems):
        system["distribution"] = [found[place] for found in apart]
        system["difference"] = {}
        if place > 1:
            for key, figures in system["redrawn"].items():
                one, other = system["summary"][key], systems[1]["summary"][key]
                if one is not None and other is not None:
                    between = interval(figures - first[key]) if figures is not None else None
                    system["difference"][key] = {"value": one - other, "interval": between}
    for system in systems:
        del system["redrawn"]
    return systems


def _system(place: int, clips: Sequence[Any], weights: np.ndarray | None) -> dict[str, Any]:
    summary: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    figures: dict[str, np.ndarray | None] = {}
    for number, metric in enumerate(clips[0].metrics):
        terms = [_terms(clip.metrics[number]) for clip in clips]
        whole = float(metric.summary(np.sum([rows.sum(axis=0) for rows in terms], axis=0)))
        summary[metric.key] = whole if np.isfinite(whole) else None
        figures[metric.key] = None if weights is None else metric.summary(redrawn(weights, terms))
        found = figures[metric.key]
        intervals[metric.key] = None if found is None else interval(found)
    drifts = [clip.drift.compute() for clip in clips]
    for key in DRIFTS:
        known = [drift[key] for drift in drifts if drift[key] is not None]
        summary[key] = float(np.mean(known)) if known else None
    return {
        "name": clips[0].name,
        "kind": clips[0].kind,
        "path": clips[0].path if len(clips) == 1 else None,
        "given": clips[0].given,
        "summary": summary,
        "interval": intervals,
        "redrawn": figures,
    }


def _terms(metric: FrameMetric) -> np.ndarray:
    return metric.terms()
