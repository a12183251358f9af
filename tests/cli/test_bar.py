"""Progress as people see it."""

from __future__ import annotations

import io

import pytest

from vid2vid.cli.bar import Bar, Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_pace_knows_rate_and_time_left() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.describe(100, "frames") == ""
    for done in range(5001, 5011):  # a resumed job: what was there before says nothing of the rate
        clock.now += 0.5
        pace.tick(done)
    assert pace.rate == pytest.approx(2.0)
    assert pace.describe(5130, "steps") == "2 steps/s, 1:00 left"
    assert pace.describe(None, "steps") == "2 steps/s"
    assert pace.describe(5010 + 2 * 3725, "steps") == "2 steps/s, 1:02:05 left"
    pace.tick(0)
    assert pace.rate is None


def test_pace_follows_the_last_half_minute() -> None:
    clock = Clock()
    pace = Pace(clock)
    for second in range(100):
        clock.now = second
        pace.tick(10 * second)
    for second in range(100, 200):
        clock.now = second
        pace.tick(1000 + (second - 100) // 20)
    assert pace.rate == pytest.approx(1 / 20, abs=0.03)
    assert pace.describe(None, "frames").endswith("s/frame")


def test_pace_keeps_little() -> None:
    clock = Clock()
    pace = Pace(clock)
    for done in range(20_000):
        clock.now += 0.001
        pace.tick(done)
    assert len(pace._seen) < 400
    assert pace.rate == pytest.approx(1000, rel=0.01)


def test_without_a_terminal_a_plain_line_now_and_then() -> None:
    clock, stream = Clock(), io.StringIO()
    with Bar("train", "steps", stream, clock) as bar:
        for done in range(1, 36):
            clock.now += 1.0
            bar(done, 35, f"loss {done}")
        bar.say("saved")
    lines = stream.getvalue().splitlines()
    assert lines == [
        "train: 10/35 steps  1 steps/s, 0:25 left  loss 10",
        "train: 20/35 steps  1 steps/s, 0:15 left  loss 20",
        "train: 30/35 steps  1 steps/s, 0:05 left  loss 30",
        "saved",
        "train: 35/35 steps  1 steps/s, 0:00 left  loss 35",
    ]


def test_nothing_done_says_nothing() -> None:
    stream = io.StringIO()
    with Bar("train", "steps", stream):
        pass
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_and_it_ends_with_an_error() -> None:
    stream = Terminal()

    def job() -> None:
        with Bar("render", "frames", stream) as bar:
            bar(1, None, "[unknown] length")
            bar(2, 4, "x")
            bar.say("[aside]")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job()
    text = stream.getvalue()
    assert "render" in text
    assert "2/4" in text
    assert "[aside]\n" in text
    assert text.endswith("\n") or "\x1b[?25h" in text  # the cursor is back
