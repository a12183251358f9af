"""``vid2vid demo``."""

from __future__ import annotations

from pathlib import Path


def demo(
    *,
    out: Path = Path("demo.mp4"),
    model: Path = Path("city"),
    frames: int = 120,
    size: tuple[int, int] = (512, 256),
    seed: int = 1,
    device: str = "auto",
) -> None:
    """Render a drive through a synthetic city with the bundled model: label maps left, video right.

    Args:
        out (X): a video (.mp4, .mkv, .mov, .webm), or a folder for PNGs
        model: a bundled model by name, or a model folder of yours that was trained on the city
        frames (N): how many
        size (WxH): size of each half
        seed (N): which city
        device: auto, cpu, cuda, cuda:1 or mps

    Example:
        vid2vid demo --out city.mp4 --frames 300 --seed 7
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.inference.demo import demo as run

    with Bar("demo") as bar:
        count = run(out, model=model, frames=frames, size=size, seed=seed, device=device, progress=bar)
    print(f"{count} frames in {out}")
