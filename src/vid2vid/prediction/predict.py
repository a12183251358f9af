"""``predict``: observed frames in, the frames and label maps that come next out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.flow import open_estimator
from vid2vid.inference.accelerate import warm_up
from vid2vid.prediction.output import Output, Shown
from vid2vid.prediction.pair import Pair
from vid2vid.prediction.past import Past, encoded, observe, pictures
from vid2vid.prediction.rollout import Future, draw_noise
from vid2vid.prediction.spread import Spread
from vid2vid.progress import Progress, silent
from vid2vid.types import Size, to_bytes
from vid2vid.zoo import Model

MOST_SAMPLES = 64
"""Futures that are made side by side: memory grows with them, not with their length."""


@dataclass(frozen=True)
class Prediction:
    """What has been predicted. frames: of each future; seconds: that they took, with their writing."""

    frames: int
    seconds: float
    first: int
    """The place in the clip of the first predicted frame."""
    spread: Mapping[str, float] = field(default_factory=dict)
    """Of several futures, by class: the share of its pixels, in the most likely one, that others see
    otherwise."""


def predict(
    forecaster: Model | Path | str | None,
    renderer: Model | Path | str | None,
    clip: Path | str,
    out: Path | str,
    *,
    observed: int = 4,
    start: int | None = None,
    frames: int = 10,
    samples: int = 1,
    seed: int = 0,
    annotate: str | None = None,
    flow: str = "dis-fine",
    size: Size | None = None,
    device: str = "auto",
    precision: str = "auto",
    path: str = "auto",
    progress: Progress = silent,
) -> Prediction:
    """Predicts how a clip goes on: label maps, each from the last ones, and the frames that they describe.

    The observed frames are the renderer's history, so that things keep their looks. Memory does not grow with
    the number of frames.

    Args:
        forecaster: a model of the recipes ``forecast``, its folder or its run; there has to be one.
        renderer: a model of label maps of the same classes, or of the pictures that are forecast; None: the
            one that the forecaster has learnt with, else label maps or pictures alone are predicted, or, by a
            forecaster of frames, frames alone.
        clip: a clip folder with label maps or pictures; with ``annotate`` also a video, or frames alone.
        out: a video (.mp4, .mkv, .mov, .webm) of label maps beside frames, observed ones first; or a folder,
            which gets that as ``prediction.mp4`` and the futures as clips, losslessly: ``frames/``,
            ``labels/`` and ``labels.yaml``, or pictures; of several futures in ``future-0/`` and so on. Files
            are named like those of the clip where it goes on as far, else by their place in it.
        observed: how many frames are seen, 2 to 64.
        start: the place of the first of them; None: they are the clip's last ones.
        frames: how many are predicted.
        samples: futures: the first is the most likely one, others are drawn.
        seed: of what is drawn.
        annotate: finds what describes the observed frames: "labels:NETWORK", "edges" and so on.
        flow: estimator of the motion last observed, as for training.
        size: (width, height) of the result; default: what the renderer was trained at.
        device: auto, cpu, cuda, cuda:1, mps.
        precision, path: how the renderer is run; see ``inference.accelerate``.
        progress: called after every frame.

    Raises:
        UserError: a model or clip that is missing, damaged, too short or of the wrong kind; ``out`` cannot be
            written.
    """
    if forecaster is None:
        raise UserError("missing FORECASTER; baselines alone, without one, are for --score")
    if frames < 1 or not 1 <= samples <= MOST_SAMPLES:
        raise UserError(
            f"--frames {frames}, --samples {samples}: 1 frame or more, and 1 to {MOST_SAMPLES} futures"
        )
    where = pick_device(device)
    estimator = open_estimator(flow, device=where)
    pair = Pair.open(forecaster, renderer, where, precision, path)
    assert pair.forecaster is not None
    wanted = pair.size(size)
    assert wanted is not None
    past = observe(Path(clip), pair.schema, observed, start, annotate, device, wanted)
    if pair.renderer is not None and pair.running is not None and pair.running.warms:
        warm_up(pair.renderer, wanted, samples)
    noise = draw_noise(pair.forecaster, samples, seed, where)
    futures = islice(pair.forecast(wanted, estimator)(past.seen, noise), frames)
    labels = None if pair.shown is None else pair.shown.labels
    spread = None if labels is None or samples == 1 else Spread(labels)
    begun = time.perf_counter()
    with Output(Path(out), pair.shown, wanted, past, observed + frames, samples) as output:
        for done, shown in enumerate(_shown(pair, past, wanted, futures, samples, spread), 1):
            output.write(shown)
            progress(done, observed + frames, "observed" if done <= observed else "predicted")
    seconds = time.perf_counter() - begun
    return Prediction(frames, seconds, past.start + observed, {} if spread is None else spread.shares())


def _shown(
    pair: Pair, past: Past, size: Size, futures: Iterator[Future], samples: int, spread: Spread | None
) -> Iterator[list[Shown]]:
    """The observed frames, then the predicted ones: of each future what there is to see."""
    here = torch.device("cpu")
    frames = to_bytes(pictures(past.seen, size, here)).numpy()
    maps = None if pair.shown is None else encoded(past.seen, pair.shown, size, here)
    bare = pair.renderer is None and maps is not None
    for t, frame in enumerate(frames):
        yield [Shown(None if maps is None else maps[t], None if bare else frame)] * samples
    for future in futures:
        if spread is not None and future.condition is not None:
            spread.see(future.condition)
        made = [None] * samples if future.frame is None else list(to_bytes(future.frame).cpu().numpy())
        described = [None] * samples if future.condition is None else list(future.condition)
        yield [Shown(*both) for both in zip(described, made, strict=True)]
