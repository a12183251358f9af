"""A run as one web page, ``report.html``: curves, the newest sample videos, the recipe and the command."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from vid2vid.pages import Series, figure, fill_page
from vid2vid.video import whole_file

PAGE = "report.html"
POINTS = 500
"""Longer curves are drawn as means of neighbours."""
LARGEST = 1e30
"""What is beyond, or not a number, is not drawn."""
VIDEOS = 4
"""Sample videos shown, the newest first."""

_TOGETHER = re.compile(r"_?(real|fake)$")
_SIDES = ("generator", "discriminator")

Curves = Mapping[str, Mapping[int, float]]
"""By the name of what was measured, and by the number of a stretch of steps: the mean there."""


def write_run_page(run: Path, title: str, facts: Mapping[str, str], command: str, last: int) -> None:
    """Writes the page of a run, whole or not at all, from what lies in its folder.

    Args:
        run: the folder; ``metrics.jsonl``, ``samples/`` and ``config.yaml`` are read, where they are there.
        facts: what is told at the top.
        command: the words that started it.
        last: the newest step; lines of later ones are not drawn.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    size = max(1, math.ceil(last / POINTS))
    curves = _curves(run / "metrics.jsonl", last, size)
    recipe = run / "config.yaml"
    page = fill_page(
        __package__,
        "run_page.html",
        title=escape(title),
        facts=" · ".join(f"{escape(key)}: {escape(value)}" for key, value in facts.items()),
        command=escape(command),
        samples=_samples(run),
        validation=_section(
            "Validation",
            "Of what is kept out of training.",
            {name.partition("/")[2]: (name,) for name in curves if name.startswith("validation/")},
            curves,
            size,
        ),
        overall=_section(
            "Course", "All terms of a side, and what moves the weights.", _overall(curves), curves, size
        ),
        terms=_section("Terms", "Weighted, as they are summed.", _terms(curves), curves, size),
        recipe=escape(recipe.read_text(encoding="utf-8")) if recipe.is_file() else "",
    )
    with whole_file(run / PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")


def command_line(dataset: object, settings: Sequence[str], options: Mapping[str, object]) -> str:
    """The words of a shell for a training; options that are empty are left out."""
    words = ["vid2vid", "train", str(dataset), *settings]
    for name, value in options.items():
        if value:
            words += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return shlex.join(words)


def _curves(path: Path, last: int, size: int) -> Curves:
    """Means over ``size`` steps each, and the sums of both sides; what was not finite is left out."""
    sums: dict[str, dict[int, tuple[float, int]]] = {}
    for step, values in _lines(path):
        if not 0 < step <= last:
            continue
        for side in _SIDES:
            terms = [value for name, value in values.items() if name.startswith(f"{side}/")]
            if terms:
                values[side] = sum(terms)
        for name, value in values.items():
            stretches = sums.setdefault(name, {})
            total, count = stretches.get((step - 1) // size, (0.0, 0))
            stretches[(step - 1) // size] = (total + value, count + 1)
    return {
        name: {place: total / count for place, (total, count) in sorted(stretches.items())}
        for name, stretches in sums.items()
    }


def _lines(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The numbers of each step; torn lines are passed over."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if not isinstance(values, dict) or not isinstance(step := values.pop("step", None), int):
                continue
            numbers = {
                name: x for name, x in values.items() if isinstance(x, int | float) and abs(x) < LARGEST
            }
            yield step, {name: x if abs(x) > 1 / LARGEST else 0.0 for name, x in numbers.items()}


def _overall(curves: Curves) -> dict[str, tuple[str, ...]]:
    charts = {
        "generator, all terms": ("generator",),
        "discriminators, all terms": ("discriminator",),
        "length of the gradients": tuple(f"gradient/{side}" for side in _SIDES),
        "rate, as a share of the recipe's": ("rate",),
        "steps skipped so far": ("skipped",),
    }
    return {
        what: known for what, names in charts.items() if (known := tuple(n for n in names if n in curves))
    }


def _terms(curves: Curves) -> dict[str, tuple[str, ...]]:
    """A chart for each; what a discriminator says of real and of made frames is one."""
    charts: dict[str, tuple[str, ...]] = {}
    for name in sorted(curves, key=lambda name: name.startswith("discriminator/")):
        side, _, term = name.partition("/")
        if term and side in _SIDES:
            what = term if side == "generator" else f"judging {_TOGETHER.sub('', term) or 'frames'}"
            charts[what] = (*charts.get(what, ()), name)
    return charts


def _section(
    heading: str, hint: str, charts: Mapping[str, tuple[str, ...]], curves: Curves, size: int
) -> str:
    if not charts:
        return ""
    figures = "".join(_figure(what, names, curves, size) for what, names in charts.items())
    return f'<section><h2>{heading}</h2><p>{hint}</p><div class="charts">{figures}</div></section>'


def _figure(what: str, names: tuple[str, ...], curves: Curves, size: int) -> str:
    places = sorted(set().union(*(curves[name] for name in names)))
    series = [
        Series(re.split("[/_]", name)[-1], [curves[name].get(place) for place in places], f"c{number}")
        for number, name in enumerate(names)
    ]
    # A stretch stands at its middle; where each is one step, at that step.
    steps = [place * size + (size + 1) / 2 for place in places]
    return figure(what.replace("_", " "), series, steps, "step")


def _samples(run: Path) -> str:
    newest = sorted((run / "samples").glob("step-*.mp4"), reverse=True)[:VIDEOS]
    videos = "".join(
        f'<figure><video src="samples/{quote(path.name)}" controls loop muted playsinline preload="metadata">'
        f"</video><figcaption>{escape(path.stem)}</figcaption></figure>"
        for path in newest
    )
    return videos or "<p>None yet.</p>"
