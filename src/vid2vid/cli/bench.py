"""``vid2vid bench``."""

from __future__ import annotations

from pathlib import Path


def bench(
    model: Path | None = None,
    *,
    recipe: str | None = None,
    sizes: list[tuple[int, int]] | None = None,
    frames: int = 48,
    rounds: int = 3,
    rate: float | None = None,
    alone: bool = False,
    ahead: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    path: str = "auto",
    out: Path | None = None,
) -> None:
    """Measure how fast a model renders here, PNGs in, mp4 out: the plain way and the engine in turn.

    Args:
        model: a model folder, a run, or a bundled model by name
        recipe (NAME): instead of a model, its network untrained (of label maps: with 35 classes)
        sizes (WxH): sizes of the frames (default: 256x128 512x256 1024x512 2048x1024)
        frames (N): frames that are rendered at a time
        rounds (N): how many times each way has its turn
        rate (FPS): conditions come at so many a second, as from a camera: what the latency is then (default:
            as soon as they are asked for)
        alone: the engine without the baseline (float32, the networks as they are, one thing after the other)
        ahead (N): frames that each stage of the engine works ahead; 0: none (default: as in synthesize)
        device: auto, cpu, cuda, cuda:1 or mps
        precision (P): of the engine: auto, float32, bf16, fp16, as in synthesize
        path (P): of the engine: auto, plain, exact, compiled, as in synthesize
        out (FOLDER): write bench.json and a page with charts, bench.html, there

    Example:
        vid2vid bench city --sizes 256x128 512x256 --out out/bench
        vid2vid bench city --sizes 512x256 --frames 10000 --rounds 1 --alone --out out/long
    """
    from rich.console import Console
    from rich.table import Table

    from vid2vid.cli.bar import Bar
    from vid2vid.speed import bench as run
    from vid2vid.speed.measure import SIZES
    from vid2vid.speed.page import HEADINGS, table

    with Bar("bench") as bar:
        report = run(
            model,
            recipe=recipe,
            sizes=sizes or SIZES,
            frames=frames,
            rounds=rounds,
            rate=rate,
            alone=alone,
            ahead=ahead,
            device=device,
            precision=precision,
            path=path,
            out=out,
            progress=bar,
        )
    drawn = Table(box=None)
    for number, heading in enumerate(HEADINGS):
        drawn.add_column(heading, justify="left" if number < 2 else "right")
    for row in table(report):
        drawn.add_row(*row)
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    console.print(drawn)
    for name, running in report["running"].items():
        console.print(f"{name}: {running}", markup=False)
    if out is not None:
        console.print(f"written to {out}", markup=False)
