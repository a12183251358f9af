"""What one rater is asked: which pairs, in which order, on which side. Pure: the same seed asks the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

Side = Literal["left", "right"]

REAL = "real"
"""The `role` of the real clip; the others are "system" and "degraded" (a copy spoilt on purpose)."""


@dataclass(frozen=True)
class Shown:
    """One video by what it shows. system: whose it is; "" for the real clip."""

    clip: str
    system: str
    role: Literal["system", "real", "degraded"] = "system"


@dataclass(frozen=True)
class Trial:
    """Two videos of one clip. expected: the side that is right in a catch trial; None in all others."""

    left: Shown
    right: Shown
    expected: Side | None = None

    @property
    def is_catch(self) -> bool:
        return self.expected is not None


def plan_trials(
    systems: Sequence[str], clips: Sequence[str], *, seed: int, rater: int, catch: float = 0.1, real: bool
) -> list[Trial]:
    """The trials of one rater, in order.

    Each pair of systems is shown once for each clip, in an order and on sides of the rater's own: whoever
    always answers "left" prefers nobody. Over the clips, each system of a pair stands on the left as often
    as on the right (give or take one). Catch trials, which have a right answer, are spread evenly among them.

    Args:
        systems: two names or more.
        clips: one name or more.
        seed: of the study.
        rater: number of the rater in the study.
        catch: share of catch trials among all; at least one is asked, unless this is 0.
        real: whether there are real clips: they are what is right in catch trials. Otherwise it is a
            system's own clip, against the spoilt copy of it.
    """
    dice = random.Random(f"{seed}/{rater}")  # a string seeds the same on every machine
    trials = []
    for first, second in combinations(systems, 2):
        for clip, swap in zip(clips, _balanced(len(clips), dice), strict=True):
            left, right = Shown(clip, first), Shown(clip, second)
            trials.append(Trial(right, left) if swap else Trial(left, right))
    dice.shuffle(trials)
    return _mixed(trials, _catch_trials(systems, clips, _catches(len(trials), catch), real, dice), dice)


def degraded_owner(systems: Sequence[str], clips: Sequence[str], clip: str, real: bool) -> Shown:
    """Whose clip is spoilt for catch trials: the real one, else that of each system in turn."""
    if real:
        return Shown(clip, "", "real")
    return Shown(clip, systems[list(clips).index(clip) % len(systems)])


def _catches(others: int, share: float) -> int:
    """So many that they are `share` of all trials."""
    return max(1, round(others * share / (1 - share))) if share else 0


def _catch_trials(
    systems: Sequence[str], clips: Sequence[str], count: int, real: bool, dice: random.Random
) -> list[Trial]:
    chosen = list(clips)
    dice.shuffle(chosen)
    trials = []
    for place, swap in enumerate(_balanced(count, dice)):
        good = degraded_owner(systems, clips, chosen[place % len(chosen)], real)
        bad = Shown(good.clip, good.system, "degraded")
        trials.append(Trial(bad, good, "right") if swap else Trial(good, bad, "left"))
    return trials


def _balanced(count: int, dice: random.Random) -> list[bool]:
    """As many True as False, give or take one, in random order."""
    first = dice.random() < 0.5
    flags = [first == (place % 2 == 0) for place in range(count)]
    dice.shuffle(flags)
    return flags


def _mixed(trials: list[Trial], catches: list[Trial], dice: random.Random) -> list[Trial]:
    """One catch trial at a random place of each equal stretch, so that none of it goes unwatched."""
    mixed = []
    for number, catch in enumerate(catches):
        stretch = trials[len(trials) * number // len(catches) : len(trials) * (number + 1) // len(catches)]
        stretch.insert(dice.randint(0, len(stretch)), catch)
        mixed += stretch
    return mixed or trials
