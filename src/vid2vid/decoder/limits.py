"""What the decoding process may use: the memory of a few large frames, one file, a few seconds a step."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MEMORY = 1 << 30
"""Bytes above what the process has when it starts."""

_PATIENCE = 8.0  # seconds
_SLOW_DISK = 1 << 25  # bytes a second; without an index, a seek reads all that comes before


class Limits:
    """Sets the limits of this process for good, and its alarm for each step.

    The kernel keeps them, whatever libav does: no file and no socket can be opened any more, none written
    to, and an alarm that is not put off in time ends the process. Where the platform has no such limit
    (Windows has none), it is left out.

    Args:
        file_size: bytes of the video; an honest step may have to read all of it.
    """

    def __init__(self, file_size: int) -> None:
        self.file_size = file_size
        self.seconds = _PATIENCE + file_size / _SLOW_DISK
        self._parent = os.getppid()
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        with suppress(ImportError):
            import resource

            for kind, most in (
                (resource.RLIMIT_DATA, _data() + MEMORY),
                (resource.RLIMIT_FSIZE, 0),
                (resource.RLIMIT_CORE, 0),
                (resource.RLIMIT_NOFILE, 0),
            ):
                with suppress(ValueError, OSError):
                    resource.setrlimit(kind, (most, most))

    def step(self) -> None:
        """Something was done: the alarm is put off. Nobody waits for the answers of an orphan: it ends."""
        if os.getppid() != self._parent:
            os._exit(1)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def rest(self) -> None:
        """Now it is for the parent to do something."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _data() -> int:
    """Bytes of memory that count towards RLIMIT_DATA already; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGESIZE")
    return 0
