"""Seconds a frame of a training step: the procedure as published, written plainly, against ours, in one run.

    python benchmarks/step_time.py --threads 2 --out benchmarks/results/step_time.json

Both train the network of recipe ``paper`` at width 16 (discriminators at 32, two temporal scales, no VGG; two
halvings and no network for the foreground, unless ``key=value`` words say otherwise) on 256x192 label maps of
a street: the same weights to begin with, the same frames, the same losses. The plain step judges the real
frames once for each picture they are compared with, and every picture made twice: detached for the
discriminators, and once more for the generator, whose backward pass goes through the discriminators' weights
too; Adam goes from weight to weight, and channels come first. The two take turns, sequence by sequence, so
that whatever else the machine does hits both. ``--variants`` adds settings of ours to compare. On a machine
that others use as well, the processor's seconds (of all threads) say more than the clock's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F
from machine import describe, tell
from torch import Tensor

from vid2vid.conditions import ConditionSchema, LabelClass, LabelSchema
from vid2vid.config import load_recipe
from vid2vid.device import pick_device
from vid2vid.losses.gan import feature_matching, least_squares
from vid2vid.losses.objective import Chunk, Losses, Objective
from vid2vid.models.layers import put_in_order
from vid2vid.training.compiling import compile_networks
from vid2vid.training.trainer import Metrics, Trainer
from vid2vid.types import VideoBatch
from vid2vid.zoo import Model

CLASSES, FOREGROUND = 12, (8, 9, 10)
SETTINGS = (
    "model.width=16",
    "discriminator.width=32",
    "discriminator.temporal_scales=2",
    "loss.perceptual=0",
    "model.downs=2",
    "model.foreground=false",
)
VARIANTS = {
    "float32": (),
    "bfloat16": ("train.precision=bfloat16",),
    "compiled": ("train.compile=true",),
    "compiled bfloat16": ("train.precision=bfloat16", "train.compile=true"),
}


class PlainTrainer(Trainer):
    """The same training with nothing shared: what is needed twice is computed twice."""

    def __init__(self, *args) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args)
        for part in (self.renderer, self.objective):
            put_in_order(part, torch.contiguous_format)
        train = self.recipe.train
        self.optimiser = torch.optim.Adam(self.learners, train.lr, train.betas, foreach=False)
        self.judge_optimiser = torch.optim.Adam(
            self.judges, train.discriminator_lr, train.betas, foreach=False
        )

    def _optimise(self, chunk: Chunk) -> Metrics:
        losses = plain_losses(self.objective, chunk)
        for optimiser, terms in (
            (self.optimiser, losses.generator),
            (self.judge_optimiser, losses.discriminator),
        ):
            optimiser.zero_grad()
            sum(terms.values()).backward()  # type: ignore[union-attr]
            optimiser.step()
        self.step += 1
        sides = {"generator": losses.generator, "discriminator": losses.discriminator}
        return {
            f"{side}/{name}": float(x.detach()) for side, terms in sides.items() for name, x in terms.items()
        }


def plain_losses(objective: Objective, chunk: Chunk) -> Losses:
    """The terms of ``Objective``, term by term."""
    losses, weights = Losses({}, {}), objective.weights
    condition, real = chunk.condition.flatten(0, 1), chunk.real.flatten(0, 1)
    frame, raw = (
        torch.stack([getattr(output, name) for output in chunk.outputs], dim=1).flatten(0, 1)
        for name in ("frame", "raw")
    )
    warps = any(output.flow is not None for output in chunk.outputs)
    pictures = [frame, raw] if warps else [frame]
    judged = [
        _plain_terms(
            objective.image_discriminator,
            torch.cat([condition, real], dim=1),
            torch.cat([condition, picture], dim=1),
        )
        for picture in pictures
    ]
    means = [sum(terms) / len(pictures) for terms in zip(*judged, strict=True)]
    losses.discriminator["real"], losses.discriminator["fake"] = means[:2]
    losses.generator["gan"] = 2 * means[2] * weights.gan
    losses.generator["feature_matching"] = 2 * means[3] * weights.feature_matching
    for scale, group in enumerate(chunk.groups):
        if group is not None:
            on_real, on_fake, gan, matching = _plain_terms(
                objective.video_discriminators[scale],
                torch.cat([group.real, group.flows], dim=1),
                torch.cat([group.fake, group.flows], dim=1),
            )
            losses.discriminator[f"video_{scale}_real"] = on_real / 2
            losses.discriminator[f"video_{scale}_fake"] = on_fake / 2
            losses.generator[f"video_{scale}_gan"] = gan * weights.video_gan
            losses.generator[f"video_{scale}_feature_matching"] = matching * weights.feature_matching
    objective._flow_terms(losses.generator, chunk)
    return losses


def _plain_terms(judge: Callable, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    on_real, on_fake = judge(real), judge(fake)
    return (
        least_squares(on_real, 1.0),
        least_squares(judge(fake.detach()), 0.0),
        least_squares(on_fake, 1.0),
        feature_matching(on_real, on_fake),
    )


def street(frames: int, size: tuple[int, int], device: torch.device) -> VideoBatch:
    """Smooth noise that moves a pixel a frame, the flow that says so, and classes by its brightness."""
    width, height = size
    noise = torch.rand(1, 3, height // 16, (width + frames) // 16, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(noise * 2 - 1, size=(height, width + frames), mode="bicubic").clamp(-1, 1)
    real = torch.stack([wide[..., t : t + width] for t in range(frames)], dim=1)
    labels = ((real.mean(2) + 1) / 2 * CLASSES).long().clamp(0, CLASSES - 1)
    flow = torch.zeros(1, frames, 2, height, width)
    flow[:, 1:, 0] = 1
    return VideoBatch(real, flow, labels=labels, instances=labels).to(device)


def build(kind: type[Trainer], overrides: tuple[str, ...], device: torch.device) -> Trainer:
    recipe = load_recipe("paper", overrides)
    classes = tuple(
        LabelClass(i, f"class {i}", (i, i, i), foreground=i in FOREGROUND) for i in range(CLASSES)
    )
    schema = ConditionSchema("labels", "labels", LabelSchema(classes), instances=True)
    torch.manual_seed(0)
    model = Model.build(recipe.model, schema, recipe.data.size, Fraction(15), name="paper", dataset="street")
    return kind(model, recipe, device)


def timed(trainer: Trainer, batch: VideoBatch) -> tuple[float, float, Metrics]:
    """Seconds a frame by the clock and of the processor, and the losses of the last step of a sequence."""
    begun, before = time.perf_counter(), time.process_time()
    *_, last = trainer.train_sequence(batch, 0)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
    frames = batch.frames.shape[1]
    return (time.perf_counter() - begun) / frames, (time.process_time() - before) / frames, last


def rows(args: argparse.Namespace, device: torch.device) -> Iterator[dict]:
    size = f"data.size=[{args.size[0]},{args.size[1]}]"
    overrides = (*SETTINGS, size, f"data.sequence={args.frames}", *args.overrides)
    batch = street(args.frames, tuple(args.size), device)
    trainers = {"plain": build(PlainTrainer, overrides, device)}
    for name in args.variants:
        trainers[name] = build(Trainer, (*overrides, *VARIANTS[name]), device)
        if trainers[name].recipe.train.compile and (fault := compile_networks(trainers[name])):
            print(fault)
            del trainers[name]
    first = {name: timed(trainer, batch) for name, trainer in trainers.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in trainers}
    for _ in range(args.rounds):
        for name, trainer in trainers.items():
            times[name].append(timed(trainer, batch)[:2])
            print(f"{name}: %.3f s a frame, %.3f of the processor" % times[name][-1], flush=True)
    medians = {
        name: [statistics.median(kind) for kind in zip(*each, strict=True)] for name, each in times.items()
    }
    for name, each in times.items():
        yield {
            "step": name,
            "seconds a frame": round(medians[name][0], 4),
            "least": round(min(clock for clock, _ in each), 4),
            "most": round(max(clock for clock, _ in each), 4),
            "processor seconds a frame": round(medians[name][1], 4),
            "times the plain speed": round(medians["plain"][0] / medians[name][0], 3),
            "times the plain speed, by the processor": round(medians["plain"][1] / medians[name][1], 3),
            "seconds a frame of the first sequence": round(first[name][0], 3),
            "losses after the first sequence": {
                key: float(f"{value:.6g}")
                for key, value in first[name][2].items()
                if key.startswith(("generator/", "discriminator/"))
            },
        }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--size", type=int, nargs=2, default=(256, 192))
    words.add_argument("--frames", type=int, default=8, help="of a sequence")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--variants", nargs="+", choices=VARIANTS, default=["float32"])
    words.add_argument("--threads", type=int, default=torch.get_num_threads())
    words.add_argument("--device", default="cpu")
    words.add_argument("--out", type=Path)
    words.add_argument("overrides", nargs="*", help="key=value words, after --")
    args = words.parse_args()
    torch.set_num_threads(args.threads)
    results = {
        "machine": describe(),
        "size": list(args.size),
        "frames of a sequence": args.frames,
        "settings": [*SETTINGS, *args.overrides],
        "rows": list(rows(args, pick_device(args.device))),
    }
    tell(results, args.out)


if __name__ == "__main__":
    main()
