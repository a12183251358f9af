"""``vid2vid check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vid2vid.data.findings import Report


def check(
    dataset: str,
    *,
    recipe: str | None = None,
    condition: str | None = None,
    frames: str | None = None,
    overlay: Path | None = None,
) -> int:
    """Look at every file of a dataset: each problem, its file and its mend, then a summary.

    The exit code is 1 if there are errors (warnings are none), else 0.

    Args:
        dataset: a dataset folder, or one clip, or shards in a folder or at an address
        recipe (NAME): check it for this recipe too: its condition, and clips as long as its sequences
        condition (NAME): the folder that describes the frames, such as labels (default: all there are)
        frames (START:STOP): check this part of each clip only (default: all)
        overlay (FOLDER): also write videos there, CLIP-CONDITION.mp4, of each condition laid over its frames:
            label maps in their colours, grey lines in magenta

    Example:
        vid2vid check data/drive --recipe street-tiny
        vid2vid check data/drive --condition edges --overlay out/look
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.data.doctor import check_dataset

    target, length = "frames", None
    if recipe is not None:
        from vid2vid.config import load_recipe

        wanted = load_recipe(recipe).data
        target, length = wanted.target, wanted.sequence
        condition = condition or wanted.condition
    with Bar("check", "files") as bar:
        report = check_dataset(
            dataset, condition=condition, target=target, min_length=length, frames=frames, progress=bar
        )
    for finding in report.findings:
        print(f"{finding.severity}: {finding}")
    if report.findings:
        print()
    _summarise(report)
    if overlay is not None:
        _lay_over(dataset, overlay, condition, target, frames)
    return 1 if report.errors else 0


def _lay_over(dataset: str, out: Path, condition: str | None, target: str, frames: str | None) -> None:
    from vid2vid.cli.bar import Bar
    from vid2vid.data.overlays import write_overlays

    with Bar("overlay") as bar:
        videos = write_overlays(dataset, out, condition=condition, target=target, frames=frames, progress=bar)
    for video in videos:
        print(video)


def _summarise(report: Report) -> None:
    """Clips, frames, sizes, the share of each class with its colour, and the verdict."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    sizes = ", ".join(f"{width}x{height}" for width, height in report.sizes)
    print(f"{_count(report.clips, 'clip')}, {_count(report.frames, 'frame')}, {sizes}")
    if report.classes:
        table = Table.grid(padding=(0, 2))
        largest = max(item.share for item in report.classes) or 1.0
        for item in report.classes:
            colour = "rgb({},{},{})".format(*item.color)
            bar = Text("█" * round(30 * item.share / largest) or "▏", style=colour)
            table.add_row(Text(str(item.id), justify="right"), item.name, f"{item.share:7.2%}", bar)
        Console(highlight=False).print(table)
    warnings = len(report.findings) - report.errors
    print(f"{_count(report.errors, 'error')}, {_count(warnings, 'warning')}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
