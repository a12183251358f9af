"""Who is asked what: every pair once a clip, sides in balance, catch trials with a right answer."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from vid2vid.preference.trials import Trial, plan_trials

COUNTS = {"systems": st.integers(2, 5), "clips": st.integers(1, 9), "seed": st.integers(0, 99)}


def plan(
    systems: int, clips: int, seed: int, rater: int = 1, catch: float = 0.1, real: bool = True
) -> list[Trial]:
    return plan_trials(
        [f"s{n}" for n in range(systems)],
        [f"c{n}" for n in range(clips)],
        seed=seed,
        rater=rater,
        catch=catch,
        real=real,
    )


@given(**COUNTS, catch=st.sampled_from([0, 0.1, 0.5]), real=st.booleans())
def test_each_pair_once_for_each_clip(systems: int, clips: int, seed: int, catch: float, real: bool) -> None:
    trials = plan(systems, clips, seed, catch=catch, real=real)
    asked = Counter(
        (one.left.clip, frozenset((one.left.system, one.right.system))) for one in trials if not one.is_catch
    )
    names = [f"s{n}" for n in range(systems)]
    pairs = [frozenset(pair) for pair in combinations(names, 2)]
    assert asked == Counter((f"c{n}", pair) for n in range(clips) for pair in pairs)
    assert all(one.left.clip == one.right.clip for one in trials)


@given(**COUNTS)
def test_sides_are_balanced(systems: int, clips: int, seed: int) -> None:
    left = Counter()
    for one in plan(systems, clips, seed):
        if not one.is_catch:
            left[frozenset((one.left.system, one.right.system))] += (
                1 if one.left.system < one.right.system else -1
            )
    assert all(abs(surplus) <= 1 for surplus in left.values())


@given(**COUNTS)
def test_the_same_seed_asks_the_same_and_raters_differ(systems: int, clips: int, seed: int) -> None:
    assert plan(systems, clips, seed) == plan(systems, clips, seed)
    orders = {tuple(plan(systems, clips, seed, rater)) for rater in range(8)}
    assert len(orders) > 1


@given(**COUNTS, catch=st.floats(0.05, 0.5), real=st.booleans())
def test_catch_trials_have_a_right_answer_and_their_share(
    systems: int, clips: int, seed: int, catch: float, real: bool
) -> None:
    trials = plan(systems, clips, seed, catch=catch, real=real)
    catches = [one for one in trials if one.is_catch]
    others = len(trials) - len(catches)
    assert len(catches) == max(1, round(others * catch / (1 - catch)))
    for one in catches:
        good, bad = (one.left, one.right) if one.expected == "left" else (one.right, one.left)
        assert good.role == ("real" if real else "system")
        assert bad.role == "degraded"
        assert bad.system == good.system == ("" if real else good.system)
    lefts = sum(one.expected == "left" for one in catches)
    assert abs(2 * lefts - len(catches)) <= 1


def test_one_in_ten_is_one_in_ten_and_spread() -> None:
    trials = plan(2, 45, 0)
    places = [place for place, one in enumerate(trials) if one.is_catch]
    assert len(trials) == 50
    assert [place // 10 for place in places] == [0, 1, 2, 3, 4]


def test_without_catch_trials_there_are_none() -> None:
    assert not any(one.is_catch for one in plan(3, 4, 0, catch=0))
