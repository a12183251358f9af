"""Ctrl-C and SIGTERM: asked once, asked twice, asked in a step that does not end."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from vid2vid.errors import Terminated
from vid2vid.training import stopping
from vid2vid.training.stopping import stoppable


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_asked_once_the_step_may_end(number: int, kind: type[KeyboardInterrupt]) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with stoppable(said.append) as asked:
        assert asked() is None
        signal.raise_signal(number)
        assert asked() is kind
    assert signal.getsignal(number) is before
    assert len(said) == 1


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_asked_twice_it_ends_at_once(second: int) -> None:
    with stoppable(lambda line: None) as asked:
        signal.raise_signal(signal.SIGTERM)
        assert asked() is Terminated
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)


def test_a_request_passed_on_is_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    with stoppable(lambda line: None, echo=5) as asked:
        signal.raise_signal(signal.SIGTERM)
        now[0] += 4
        signal.raise_signal(signal.SIGTERM)
        assert asked() is Terminated
        now[0] += 2
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)


def test_a_step_that_takes_too_long_is_left_when_a_scheduler_would_kill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "GRACE", 0.1)
    with stoppable(lambda line: None):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Terminated):
            time.sleep(60)


def test_a_step_that_ends_in_time_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "GRACE", 0.1)
    with stoppable(lambda line: None) as asked:
        signal.raise_signal(signal.SIGTERM)
        assert asked() is Terminated
    time.sleep(0.3)


def test_in_another_thread_signals_are_somebody_elses() -> None:
    found: list[object] = []

    def train() -> None:
        with stoppable(lambda line: None) as asked:
            found.append(asked())

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [None]
