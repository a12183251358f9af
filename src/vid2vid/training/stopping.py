"""Leaving in good order: Ctrl-C, or the SIGTERM of a scheduler, ends a training after the step it is in."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vid2vid.errors import Terminated

GRACE = 25.0
"""Seconds from a SIGTERM to the next, should the step take so long: schedulers kill after 30."""

ECHO = 5.0
"""Seconds in which the same request may come twice: from a scheduler, and passed on by torchrun."""

Asked = Callable[[], type[KeyboardInterrupt] | None]
"""Whether the loop is to stop: the error to leave with."""


@contextmanager
def stoppable(say: Callable[[str], None], echo: float = 0.0) -> Iterator[Asked]:
    """Ctrl-C or SIGTERM once asks the loop to stop at the end of the step; twice stops at once, if it is not
    within ``echo`` seconds."""
    asked: list[type[KeyboardInterrupt]] = []
    first = 0.0
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield lambda: None
        return
    # To the main thread itself: only so does it wake up from whatever it waits for.
    again = threading.Timer(GRACE, signal.pthread_kill, [threading.get_ident(), signal.SIGTERM])
    again.daemon = True

    def ask(number: int, _: object) -> None:
        nonlocal first
        kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if asked:
            if time.monotonic() - first >= echo:
                raise kind
            return
        first = time.monotonic()
        asked.append(kind)
        if kind is Terminated:
            again.start()
        say("stopping after this step (asked again: at once, back to the last checkpoint)")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked[0] if asked else None
    finally:
        again.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
