"""How long jobs tell where they stand. Rooms call it and never print; the command line draws it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a long job calls after each item (frame, step, file); cheap enough to call for every one."""

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Report.

        Args:
            done: items finished so far. A smaller number than last time starts a new count.
            total: items in all, or None where nobody knows.
            note: one short line: what is being done, or the latest figures.
        """
        ...


def silent(done: int, total: int | None = None, note: str = "") -> None:
    """The progress of a caller who does not want to hear."""
