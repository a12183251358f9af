"""``vid2vid evaluate``."""

from __future__ import annotations

from pathlib import Path


def evaluate(
    real: Path,
    fakes: list[str],
    *,
    out: Path,
    size: tuple[int, int] | None = None,
    frames: str | None = None,
    flow: str = "dis",
    controls: bool = False,
    given: int = 0,
    window: int = 100,
) -> None:
    """Measure synthesised clips against the real one: figures, plots, videos side by side.

    A clip is a video, a folder of pictures, or a clip folder with frames/.

    Args:
        real: the real clip
        fakes (FAKE): synthesised clips; NAME=PATH gives one a name in the report
        out (REPORT): folder for report.json, index.html and side_by_side.mp4
        size (WxH): score at this size (default: that of the synthesised clips)
        frames (START:STOP): score a part of the real clip (default: all that the synthesised clips hold)
        flow: optical flow that motion is measured with: dis, raft or raft:FILE
        controls: add the first frame copied, and each clip blurred; a figure they beat means little
        given (N): leading frames that were given to the model; they are shown, but not scored
        window (N): frames per window of the drift figures

    Example:
        vid2vid evaluate data/street/frames ours.mp4 twin=twin.mp4 --out report --controls
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.evaluation import evaluate as score
    from vid2vid.evaluation import markdown_table

    with Bar("evaluate") as bar:
        report = score(
            real,
            fakes,
            out,
            size=size,
            frames=frames,
            flow=flow,
            controls=controls,
            given=given,
            window=window,
            progress=bar,
        )
    print(markdown_table(report))
    print(f"Figures: {out / 'report.json'}\nTo look at: {out / 'index.html'}")
