"""What the answers say: as data, as Markdown, as CSV. People and simulated raters are never added up."""

from __future__ import annotations

import csv
import datetime
import io
import json
import statistics as averages
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from vid2vid.preference.answers import Answer, Answers, Rater
from vid2vid.preference.statistics import (
    bradley_terry,
    bradley_terry_interval,
    krippendorff_alpha,
    raw_agreement,
    wilson_interval,
)

CATCH_LIMIT = 0.25
"""A rater who fails more than this share of the catch trials they answered is left out."""
FEW_RATERS = 10
"""With fewer, the intervals of strengths come from drawing answers anew; else from drawing raters."""
GROUPS = (("people", False), ("simulated raters", True))

CSV_COLUMNS = (
    *("rater", "kind", "counts", "place", "clip", "left", "right", "catch", "expected", "answer", "chosen"),
    *("milliseconds", "answered"),
)


def summarise(answers: Answers, catch_limit: float = CATCH_LIMIT) -> dict[str, Any]:
    """All results, as `results.json` holds them.

    Answers of raters who have not finished count as well. A rater who fails more than `catch_limit` of the
    catch trials is listed, but counts nowhere. Catch trials themselves count for nothing else.
    """
    rows = answers.all_answers()
    raters = [_rater(rater, trials, rows, catch_limit) for rater, trials in answers.all_raters()]
    counted = {rater["number"] for rater in raters if not rater["excluded"]}
    systems, seed = answers.settings["systems"], answers.settings["seed"]
    groups = []
    for who, simulated in GROUPS:
        members = [r["number"] for r in raters if (r["kind"] != "person") == simulated and r["answered"]]
        own = [
            row for row in rows if row.rater in members and row.rater in counted and not row.trial.is_catch
        ]
        if members:
            groups.append({"who": who, "excluded": len({*members} - counted), **_group(own, systems, seed)})
    return {
        "question": answers.settings["question"],
        "systems": systems,
        "clips": list(answers.settings["clips"]),
        "catch_limit": catch_limit,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "simulated_answers": sum(row.kind != "person" for row in rows),
        "answers": len(rows),
        "groups": groups,
        "raters": raters,
    }


def _rater(rater: Rater, trials: int, rows: Sequence[Answer], limit: float) -> dict[str, Any]:
    own = [row for row in rows if row.rater == rater.number]
    catches = [row for row in own if row.trial.is_catch]
    failed = sum(row.side != row.trial.expected for row in catches)
    seconds = averages.median(row.milliseconds for row in own) / 1000 if own else None
    return {
        "number": rater.number,
        "kind": rater.kind,
        "answered": len(own),
        "trials": trials,
        "catches": len(catches),
        "catches_failed": failed,
        "excluded": failed > limit * len(catches),
        "left": sum(row.side == "left" for row in own) / len(own) if own else None,
        "median_seconds": seconds,
    }


def _group(rows: Sequence[Answer], systems: Sequence[str], seed: int) -> dict[str, Any]:
    raters = sorted({row.rater for row in rows})
    single = [_wins([row], systems) for row in rows]
    by_rater = [_wins([row for row in rows if row.rater == rater], systems) for rater in raters]
    drawn = "raters" if len(raters) >= FEW_RATERS else "answers"
    return {
        "raters": len(raters),
        "answers": len(rows),
        "left": _share(sum(row.side == "left" for row in rows), len(rows)),
        "agreement": raw_agreement(list(_units(rows, systems).values())),
        "pairs": [_pair(rows, first, second) for first, second in combinations(systems, 2)],
        "strengths": _strengths(by_rater if drawn == "raters" else single, systems, seed),
        "drawn_anew": drawn,
    }


def _pair(rows: Sequence[Answer], first: str, second: str) -> dict[str, Any]:
    own = [row for row in rows if {row.trial.left.system, row.trial.right.system} == {first, second}]
    units = list(_units(own, (first, second)).values())
    won = sum(row.chosen.system == first for row in own)
    return {
        "first": first,
        "second": second,
        **_share(won, len(own)),
        "agreement": raw_agreement(units),
        "alpha": krippendorff_alpha(units),
    }


def _share(hits: int, count: int) -> dict[str, Any]:
    low, high = wilson_interval(hits, count)
    return {
        "hits": hits,
        "answers": count,
        "share": hits / count if count else None,
        "low": low,
        "high": high,
    }


def _units(rows: Sequence[Answer], systems: Sequence[str]) -> dict[tuple[str, frozenset[str]], list[int]]:
    """The answers to each pair on each clip, as the places of the chosen systems."""
    units: dict[tuple[str, frozenset[str]], list[int]] = {}
    for row in rows:
        pair = frozenset((row.trial.left.system, row.trial.right.system))
        units.setdefault((row.trial.left.clip, pair), []).append(systems.index(row.chosen.system))
    return units


def _wins(rows: Sequence[Answer], systems: Sequence[str]) -> np.ndarray:
    wins = np.zeros((len(systems), len(systems)))
    for row in rows:
        other = row.trial.right if row.side == "left" else row.trial.left
        wins[systems.index(row.chosen.system), systems.index(other.system)] += 1
    return wins


def _strengths(wins: Sequence[np.ndarray], systems: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Bradley-Terry scores, the strongest first. beats: chance against a system of mean strength."""
    if not wins:
        return []
    scores = bradley_terry(np.sum(wins, axis=0))
    low, high = bradley_terry_interval(wins, seed)
    strengths = []
    for place, system in enumerate(systems):
        ends = {"score": scores[place], "low": low[place], "high": high[place]}
        strengths.append(
            {
                "system": system,
                **{key: float(value) for key, value in ends.items()},
                "beats": {key: float(1 / (1 + np.exp(-value))) for key, value in ends.items()},
            }
        )
    return sorted(strengths, key=lambda one: -one["score"])


def notes(summary: dict[str, Any]) -> list[str]:
    """What a reader has to know beside the numbers."""
    limit = percent(summary["catch_limit"])
    return [
        "Shares: Wilson's 95 % interval, which takes answers as independent. Where it leaves out 50 %, the "
        "share is bold; all others show no preference.",
        "Agreement: how often two raters gave the same answer to the same pair; tossing coins gives 50 %. "
        "Alpha is Krippendorff's: 1 when all agree, 0 when as by chance; where nearly all prefer the same, "
        "chance agrees as well, and alpha is low.",
        "Strength: the chance to be preferred to a system of average strength, after Bradley and Terry, with "
        f"half a win added on each side of every pair. 95 % bootstrap interval, drawn from raters where "
        f"there are {FEW_RATERS} or more, else from answers.",
        f"Raters who failed more than {limit} of their catch trials are listed, but do not count.",
    ]


def markdown_table(summary: dict[str, Any]) -> str:
    """The results as Markdown tables."""
    lines = [f"Question: {summary['question']}", ""]
    if warning := simulated_warning(summary):
        lines += [f"**{warning}**", ""]
    if not summary["groups"]:
        lines.append("Nobody has answered yet.")
    for group in summary["groups"]:
        lines += [f"{group_title(group)}:", ""]
        lines += ["| | preferred | 95 % interval | answers | agreement | alpha |", "|---|" + "---:|" * 5]
        for pair in group["pairs"]:
            share, *others = pair_cells(pair)
            share = f"**{share}**" if is_clear(pair) else share
            lines.append(f"| {pair['first']} / {pair['second']} | {' | '.join([share, *others])} |")
        lines += ["", "| | strength | 95 % interval |", "|---|---:|---:|"]
        for one in group["strengths"]:
            beats = one["beats"]
            lines.append(f"| {one['system']} | {percent(beats['score'])} | {span(beats)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def group_title(group: dict[str, Any]) -> str:
    """ "People: 12 raters, 240 answers; 1 rater left out"."""
    out = group["excluded"]
    left_out = f"; {_counted(out, 'rater')} left out" if out else ""
    return (
        f"{group['who'].capitalize()}: {_counted(group['raters'], 'rater')}, "
        f"{_counted(group['answers'], 'answer')}{left_out}"
    )


def pair_cells(pair: dict[str, Any]) -> list[str]:
    """The numbers of a pair as tables show them."""
    if not pair["answers"]:
        return ["—", "—", "0", "—", "—"]
    return [
        percent(pair["share"]),
        span(pair),
        str(pair["answers"]),
        "—" if pair["agreement"] is None else percent(pair["agreement"]),
        "—" if pair["alpha"] is None else f"{round(pair['alpha'], 2) + 0.0:.2f}",
    ]


def is_clear(pair: dict[str, Any]) -> bool:
    """Whether one of the two is preferred: the interval leaves out a half."""
    return not pair["low"] <= 0.5 <= pair["high"]


def percent(share: float) -> str:
    """ "62 %"."""
    return f"{100 * share:.0f} %"


def span(ends: dict[str, Any]) -> str:
    """ "55 to 71 %"."""
    return f"{100 * ends['low']:.0f} to {100 * ends['high']:.0f} %"


def simulated_warning(summary: dict[str, Any]) -> str:
    """The line to stand above everything when a script has answered; "" when none has."""
    simulated, total = summary["simulated_answers"], summary["answers"]
    if not simulated:
        return ""
    if simulated == total:
        return f"All {total} answers were given by simulated raters: they say nothing about people."
    return (
        f"{simulated} of the {total} answers were given by simulated raters: they say nothing about people, "
        "and are summed up apart."
    )


def answers_csv(answers: Answers, summary: dict[str, Any]) -> str:
    """Every answer as a row. Raters by number: their ids would let a reader answer in their place."""
    excluded = {rater["number"]: rater["excluded"] for rater in summary["raters"]}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CSV_COLUMNS)
    for row in answers.all_answers():
        left, right = row.trial.left, row.trial.right
        names = {one: one.system if one.role == "system" else f"({one.role})" for one in (left, right)}
        table.writerow(
            (
                *(row.rater, row.kind, int(not excluded[row.rater] and not row.trial.is_catch), row.place),
                *(left.clip, names[left], names[right], int(row.trial.is_catch), row.trial.expected or ""),
                *(row.side, names[row.chosen], row.milliseconds, row.answered),
            )
        )
    return text.getvalue()


def json_text(summary: dict[str, Any]) -> str:
    """The results as JSON."""
    return json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
