"""The file of answers: nothing acknowledged is ever lost, nothing is counted twice or mixed up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vid2vid.errors import UserError
from vid2vid.preference.answers import PERSON, Answers
from vid2vid.preference.trials import Shown, Trial, plan_trials

SETTINGS = {"question": "Which?", "systems": ["a", "b"], "seed": 0, "clips": {"x": {"frames": 3}}}


def opened(path: Path, clips: int = 40) -> Answers:
    answers = Answers(path, SETTINGS)
    answers.add_videos([Shown(f"c{clip}", system) for clip in range(clips) for system in "ab"])
    return answers


def planned(number: int, clips: int = 40) -> list[Trial]:
    names = [f"c{clip}" for clip in range(clips)]
    return plan_trials("ab", names, seed=0, rater=number, catch=0, real=True)


KILLED = """
import sys
from pathlib import Path
from vid2vid.preference.answers import Answers

answers = Answers(Path(sys.argv[1]))
rater = answers.rater(sys.argv[2])
while asked := answers.next(rater):
    side = "left" if asked.place % 3 else "right"
    answers.answer(rater, asked.place, side, 5)
    print(asked.place, side, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    answers = opened(path)
    rater = answers.join(PERSON, planned)
    answers.close()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), rater.id],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(7)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    acknowledged = [
        (int(place), side) for place, side in (line.split() for line in told if line.endswith("\n"))
    ]
    assert len(acknowledged) >= 7

    answers = Answers(path)
    kept = [(row.place, row.side) for row in answers.all_answers()]
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) <= len(acknowledged) + 1, "one may have been kept and not told"
    again = answers.next(rater)
    assert again is not None
    assert again.place == len(kept), "it goes on where it stopped"


def test_a_second_answer_changes_nothing(tmp_path: Path) -> None:
    answers = opened(tmp_path / "s")
    rater = answers.join(PERSON, planned)
    assert answers.answer(rater, 0, "left", 900) == "left"
    assert answers.answer(rater, 0, "right", 100) == "left"
    (row,) = answers.all_answers()
    assert (row.side, row.milliseconds) == ("left", 900)
    assert answers.progress(rater) == (1, 40)
    with pytest.raises(KeyError):
        answers.answer(rater, 40, "left", 1)


def test_many_raters_at_once(tmp_path: Path) -> None:
    answers = opened(tmp_path / "s", clips=5)

    def rate() -> None:
        rater = answers.join(PERSON, lambda number: planned(number, 5))
        while asked := answers.next(rater):
            answers.answer(rater, asked.place, "left", 1)

    threads = [threading.Thread(target=rate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(row.rater, row.place) for row in answers.all_answers()}) == len(answers.all_answers()) == 40
    assert [rater.number for rater, _ in answers.all_raters()] == list(range(1, 9))


def test_another_study_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    opened(path).close()
    opened(path).close()
    for key, other in (("seed", 1), ("question", "What?"), ("clips", {"x": {"frames": 4}})):
        with pytest.raises(UserError, match=f"other {key}") as refusal:
            Answers(path, {**SETTINGS, key: other})
        assert "\n" not in str(refusal.value)


def test_no_study_and_no_database(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study is kept here"):
        Answers(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no database at all, only words" * 50)
    with pytest.raises(UserError, match="not a database"):
        Answers(tmp_path / "text", SETTINGS)
    with pytest.raises(UserError, match="cannot be opened"):
        Answers(tmp_path / "no" / "folder", SETTINGS)
