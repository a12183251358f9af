"""What people look at: a table of figures by frames ahead, and pictures of one prediction by every system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vid2vid.conditions import LabelSchema
from vid2vid.evaluation.report import heading, shown
from vid2vid.video import write_picture

REAL = "real"
_BAR, _GAP = 20, 2


def prediction_table(report: dict[str, Any]) -> str:
    """The figures of ``score`` as Markdown, a table a metric: a row a system, a column a horizon, with the
    running figure over the first k frames and, in brackets, that of frame t+k alone."""
    ahead = report["horizons"]
    counts = [(k, report["starts"][str(k)]) for k in ahead]
    columns = [f"t+{k}, {count} start{'' if count == 1 else 's'}" for k, count in counts]
    lines: list[str] = []
    for metric in report["metrics"]:
        lines += ["", f"| {heading(metric)} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(ahead)]
        for system in report["systems"]:
            if figures := system["figures"].get(metric["key"]):
                cells = [
                    f"{shown(figures[str(k)]['running'], metric)} ({shown(figures[str(k)]['frame'], metric)})"
                    for k in ahead
                ]
                lines.append(f"| {system['name']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines[1:], ""])


class Strip:
    """Pictures of one prediction: a row for the real clip and each system, a column for each horizon."""

    def __init__(self, labels: LabelSchema | None, ahead: list[int]) -> None:
        self._labels, self._ahead = labels, ahead
        self._frames: dict[str, list[np.ndarray]] = {}
        self._maps: dict[str, list[np.ndarray]] = {}

    def add(self, name: str, ahead: int, frame: np.ndarray | None, labels: np.ndarray | None) -> None:
        """What a system made of frame t + ``ahead``: (H, W, 3) uint8, and class indices (H, W)."""
        if ahead not in self._ahead:
            return
        if frame is not None:
            self._frames.setdefault(name, []).append(frame)
        if labels is not None and self._labels is not None:
            self._maps.setdefault(name, []).append(self._labels.colorize(labels))

    def write(self, folder: Path) -> None:
        """``frames.png`` and ``labels.png``, those of which there is something. Raises UserError."""
        for file, rows in (("frames.png", self._frames), ("labels.png", self._maps)):
            if rows:
                titles = [f"t+{k}" for k in self._ahead]
                parts = [_row(name, titles, pictures) for name, pictures in rows.items()]
                write_picture(folder / file, np.concatenate(parts))


def _row(name: str, titles: list[str], pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of one size side by side, each under its title."""
    cells = []
    for title, picture in zip(titles, pictures, strict=True):
        cell = np.pad(picture, ((_BAR, _GAP), (0, _GAP), (0, 0)))
        text = f"{name}, {title}"
        cv2.putText(cell, text, (4, 14), cv2.FONT_HERSHEY_DUPLEX, 0.42, (225, 225, 225), 1, cv2.LINE_AA)
        cells.append(cell)
    return np.concatenate(cells, axis=1)
