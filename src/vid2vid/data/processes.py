"""Other processes that help this one: started cleanly, deaf to what ends it, gone when this one is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext


def worker_context(preload: str) -> BaseContext:
    """How to start processes; where a server forks them, it has the module ``preload`` imported before.

    A forked copy of this process would hang in OpenCV, whose threads do not survive a fork.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])
    with _deaf():  # Ctrl-C would end the server in its imports, with two tracebacks
        forkserver.ensure_running()
    return context


def start_worker() -> None:
    """To be called first in each of them."""
    import cv2

    # Ctrl-C is the parent's affair; it ends its workers. So is the SIGTERM that a scheduler sends to all
    # processes of a job: the second one is meant.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))
    cv2.setNumThreads(1)


def leave_with_parent() -> None:
    """To be called in a worker that nobody would end where its parent was killed."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C and SIGTERM: these are for this one, which ends the others."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may ask for that
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
