"""``vid2vid predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vid2vid.errors import UserError

Models = tuple[str | None, str | None, str]
"""Forecaster, renderer and clip."""


def predict(
    words: list[str],
    *,
    out: Path,
    observed: int = 4,
    start: int | None = None,
    frames: int = 10,
    samples: int = 1,
    seed: int = 0,
    annotate: str | None = None,
    score: bool = False,
    targets: str | None = None,
    every: int = 1,
    beside: list[str] | None = None,
    flow: str = "dis-fine",
    lpips: str = "auto",
    size: tuple[int, int] | None = None,
    device: str = "auto",
    precision: str = "auto",
    path: str = "auto",
) -> None:
    """Predict how a clip goes on: label maps, each from the last, and the frames they describe.

    With --score it predicts what is known, from every frame of the clips on, and measures how well, beside
    the last frame copied, everything moving on at its speed in the picture (flow) or in space (inertia), and
    the real label maps rendered.

    Args:
        words (FORECASTER RENDERER CLIP): a forecaster (recipes forecast-tiny and forecast), a renderer of
            label maps of the same classes, and a clip folder that has label maps; or all three of pictures,
            such as edges/; with --annotate also a video or a folder of frames; with --score also a folder of
            clips. Without RENDERER the one is taken that the forecaster has learnt with (recipe
            forecast-tiny-joint), else label maps alone are predicted, or frames alone by a forecaster of
            frames; CLIP alone, with --score, is for the baselines
        out (X): a video (.mp4, .mkv, .mov, .webm), label maps beside frames; or a folder for it, and for the
            same as PNGs in clips; with --score the folder for report.json and pictures
        observed (N): frames that are seen, 2 to 64
        start (I): the place in the clip of the first of them (default: they are the clip's last ones)
        frames (K): frames to predict; memory does not grow with them
        samples (N): futures: the first is the most likely, others are drawn; the last line tells, by class,
            how many of the first one's pixels the others see otherwise
        seed: of what is drawn
        annotate (labels:NETWORK|edges|...): find what describes the observed frames, as synthesize does
        score: hold predictions against what came
        targets (START:STOP): score predictions of this part of each clip; what is observed may lie before it
        every (N): frames from one scored prediction to the next
        beside (NAME=FORECASTER): score further forecasters, each with the renderer it holds, else the same
        flow: optical flow between the last observed frames, which goes on: dis-fine, dis, raft, raft:FILE
        lpips: perceptual distance: alex, vgg, alex:FILE, vgg:FILE, none; auto takes alex where its weights
            are at hand
        size (WxH): size of the result (default: what the renderer was trained at)
        device: auto, cpu, cuda, cuda:1 or mps
        precision (P): of the renderer, as for synthesize
        path (P): how the renderer is run, as for synthesize

    Example:
        vid2vid predict runs/future runs/drive data/drive/clip --out next.mp4 --frames 30
        vid2vid predict runs/future runs/drive data/drive --score --targets 57: --out report
    """
    models = _told_apart(words)
    options: dict[str, Any] = {"observed": observed, "frames": frames, "size": size}
    options |= {"flow": flow, "device": device, "precision": precision, "path": path}
    one: dict[str, Any] = {"start": start, "samples": samples, "seed": seed, "annotate": annotate}
    many: dict[str, Any] = {"targets": targets, "every": every, "beside": beside or ()}
    many |= {"lpips": lpips}
    if score:
        _refuse("--score", start=start is not None, samples=samples != 1, annotate=annotate is not None)
        _score(models, out, options | many)
        return
    _refuse("one prediction", targets=targets is not None, every=every != 1, beside=bool(beside))
    from vid2vid.cli.bar import Bar
    from vid2vid.prediction import predict as run

    with Bar("predict") as bar:
        made = run(*models, out, progress=bar, **(options | one))
    futures = "" if samples == 1 else f" of {samples} futures"
    print(f"{made.frames} frames{futures} from frame {made.first} on, in {out}: {made.seconds:.1f} s")
    if made.spread:
        shares = sorted(made.spread.items(), key=lambda item: -item[1])
        print("others differ: " + ", ".join(f"{name} {share:.1%}" for name, share in shares))


def _score(models: Models, out: Path, options: dict[str, Any]) -> None:
    from vid2vid.cli.bar import Bar
    from vid2vid.prediction import prediction_table, score

    with Bar("predict") as bar:
        report = score(*models, out, **options, progress=bar)
    print(prediction_table(report))
    print(f"Figures: {out / 'report.json'}\nTo look at: {out / 'frames.png'}")


def _told_apart(words: list[str]) -> Models:
    *models, clip = words
    if len(models) > 2:
        raise UserError(f"{words[3]}: one word too many; write FORECASTER RENDERER CLIP")
    forecaster, renderer = [*models, None, None][:2]
    return forecaster, renderer, clip


def _refuse(where: str, **given: bool) -> None:
    """Options that mean nothing here."""
    for name, is_given in given.items():
        if is_given:
            raise UserError(f"--{name}: means nothing to {where}; drop it")
