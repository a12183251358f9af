"""``vid2vid prepare``."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path


def prepare(
    sources: list[str],
    *,
    out: Path,
    size: str | None = None,
    fps: Fraction | None = None,
    start: float | None = None,
    end: float | None = None,
    crop: str | None = None,
    frames: int | None = None,
    seed: int = 0,
    whole: bool = False,
    partial: bool = False,
) -> None:
    """Turn raw footage into a dataset: a folder of clips, a clip per shot.

    A clip folder brings its conditions along (labels, instances, pictures, landmarks). The same command
    goes on where it was interrupted.

    Args:
        sources (SOURCE): videos, folders of pictures, clip folders; city or city:SEED for the synthetic city
        out (DATASET): the dataset's folder
        size (WxH): resize, after the crop; one of them -1 keeps the aspect: --size=-1x256 (default: as it is)
        fps (RATE): frames per second, such as 15 or 30000/1001: at each tick the nearest frame (default: all)
        start (SECONDS): begin here in each source
        end (SECONDS): end here in each source
        crop (X,Y,W,H): take this box of the picture, in pixels of the source
        frames (N): at most so many frames of each source; of the city as many
        seed (N): the city's seed
        whole: do not split at scene cuts
        partial: take the readable beginning of a video that is cut short or damaged

    Example:
        vid2vid prepare drive.mp4 --out data/drive --size 512x256 --fps 15 --start 3 --end 30
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.data.prepare import prepare as run

    with Bar("prepare", "frames") as bar:
        clips = run(
            sources,
            out,
            size=size,
            fps=fps,
            start=start,
            end=end,
            crop=crop,
            split_cuts=not whole,
            frames=frames,
            seed=seed,
            partial=partial,
            progress=bar,
        )
    for clip in clips:
        print(clip)
