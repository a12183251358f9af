"""All losses put together: what the generator and the discriminators are asked for, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vid2vid.config import LossWeights, Recipe
from vid2vid.device import autocast
from vid2vid.flow.warp import warp
from vid2vid.losses.faces import HeadFrom, corner, cut_squares, face_squares, head_mask
from vid2vid.losses.gan import feature_matching, least_squares
from vid2vid.losses.perceptual import PerceptualLoss, find_vgg_weights
from vid2vid.losses.pixel import (
    charbonnier,
    contrast_difference,
    cross_entropy,
    masked_l1,
    structural_dissimilarity,
)
from vid2vid.losses.temporal import Group
from vid2vid.models.discriminators import Judgement, MultiScaleDiscriminator
from vid2vid.types import GeneratorOutput


class Losses(NamedTuple):
    """Weighted terms by name; each side's loss is the sum of its own."""

    generator: dict[str, Tensor]
    discriminator: dict[str, Tensor]


@dataclass(frozen=True)
class Chunk:
    """The frames of one optimisation step, n per clip; (B, n, ...) throughout.

    condition: (B, n, C, H, W); real: (B, n, 3, H, W). A forecaster's frames are conditions, of as many
    channels, and beside them lies nothing: C is 0; where it learns with a renderer, all is as of a renderer.
    outputs: n outputs, as made.
    before_real, before_fake: (B, n, 3, H, W), the frame before each: real, and as generated (detached).
    flow: (B, n, 2, H, W) reference flow; confidence: (B, n, 1, H, W).
    groups: per temporal scale, what the video discriminator sees, or None.
    """

    condition: Tensor
    real: Tensor
    outputs: Sequence[GeneratorOutput]
    before_real: Tensor
    before_fake: Tensor
    flow: Tensor
    confidence: Tensor
    groups: Sequence[Group | None] = ()


class Objective(nn.Module):
    """Turns a chunk into the losses of both sides, with one forward of each discriminator on the fakes.

    Args:
        image_discriminator: sees (condition, frame); None trains without one.
        face_discriminator: sees the same of faces alone; head_from: where they are (see ``losses.faces``).
        video_discriminators: one per temporal scale.
        perceptual: a perceptual distance of k N pictures made to N real ones, or None.
        self_made_first: the model makes its own first frame (turns the mask term on).
        scales: spatial scales of the generator; its flow, in pixels, doubles with each.
        precision: of the discriminators' and VGG's convolutions; losses have that of the frames.

    Every term is a mean over the batch: where processes share one, the mean of theirs is that of the whole.
    Not so for faces, which not every part has as many of: ``mean``, to be set by who knows the others, weighs
    them; it gives the mean of a number over all processes.
    """

    def __init__(
        self,
        image_discriminator: nn.Module | None,
        video_discriminators: Sequence[nn.Module],
        weights: LossWeights,
        *,
        perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
        self_made_first: bool = False,
        scales: int = 1,
        face_discriminator: nn.Module | None = None,
        head_from: HeadFrom = "none",
        precision: str = "float32",
    ) -> None:
        super().__init__()
        self.image_discriminator = image_discriminator
        self.face_discriminator = face_discriminator
        self.head_from: HeadFrom = head_from
        self.video_discriminators = nn.ModuleList(video_discriminators)
        self.weights = weights
        self.perceptual = perceptual
        self.self_made_first = self_made_first
        self.flow_share = 1 / 2 ** (scales - 1)
        self.precision = precision
        self.mean: Callable[[float], float] = float

    @property
    def discriminators(self) -> list[nn.Module]:
        """All there are."""
        judges = (self.image_discriminator, self.face_discriminator, *self.video_discriminators)
        return [judge for judge in judges if judge is not None]

    def forward(self, chunk: Chunk) -> Losses:
        """Losses of a chunk: means over its frames."""
        losses = Losses({}, {})
        condition, real = chunk.condition.flatten(0, 1), chunk.real.flatten(0, 1)
        frame = _stack([output.frame for output in chunk.outputs])
        raw = _stack([output.raw for output in chunk.outputs])
        warps = any(output.flow is not None for output in chunk.outputs)
        # Both the result and the raw hallucination count; where they are the same, it counts twice.
        pictures = [frame, raw] if warps else [frame]

        if self.image_discriminator is not None and self.weights.gan:
            pairs = [torch.cat([condition, picture], dim=1) for picture in (real, *pictures)]
            self._judge(losses, "", pairs, self.image_discriminator)
            if self.face_discriminator is not None:
                heads = head_mask(condition, self.head_from)
                squares = face_squares(heads)
                if usual := self.mean(len(squares)):
                    faces = [cut_squares(pair, squares or [corner(heads)]) for pair in pairs]
                    self._judge(losses, "face_", faces, self.face_discriminator, len(squares) / usual)
        for scale, group in enumerate(chunk.groups):
            if group is not None and self.weights.video_gan:
                self._judge_video(losses, scale, group)
        self._compare(losses.generator, real, torch.cat(pictures))
        if described := [_stack(soft) for soft in zip(*(o.described for o in chunk.outputs), strict=True)]:
            self._compare_described(losses.generator, condition, torch.cat(described))
        elif self.weights.cross_entropy:
            self._compare_described(losses.generator, real, torch.cat(pictures))
        self._flow_terms(losses.generator, chunk)
        return losses

    def _judge(
        self, losses: Losses, who: str, pairs: list[Tensor], discriminator: nn.Module, share: float = 1.0
    ) -> None:
        """Least squares and feature matching on what was laid beside its condition: the real frames, then
        each kind of picture made. The latter are judged at once, and their mean counts twice.
        ``share``: how much all of it counts."""
        real, *made = pairs
        on_real = self._judgement(discriminator, real)
        on_fake = self._judgement(discriminator, torch.cat(made))
        losses.discriminator[f"{who}real"] = least_squares(on_real, 1.0) * share
        losses.discriminator[f"{who}fake"] = least_squares(on_fake, 0.0) * share
        losses.generator[f"{who}gan"] = 2 * least_squares(on_fake, 1.0) * self.weights.gan * share
        losses.generator[f"{who}feature_matching"] = (
            2 * feature_matching(on_real, on_fake) * self.weights.feature_matching * share
        )

    def _judge_video(self, losses: Losses, scale: int, group: Group) -> None:
        discriminator = self.video_discriminators[scale]
        on_real = self._judgement(discriminator, torch.cat([group.real, group.flows], dim=1))
        on_fake = self._judgement(discriminator, torch.cat([group.fake, group.flows], dim=1))
        losses.discriminator[f"video_{scale}_real"] = least_squares(on_real, 1.0) / 2
        losses.discriminator[f"video_{scale}_fake"] = least_squares(on_fake, 0.0) / 2
        losses.generator[f"video_{scale}_gan"] = least_squares(on_fake, 1.0) * self.weights.video_gan
        losses.generator[f"video_{scale}_feature_matching"] = (
            feature_matching(on_real, on_fake) * self.weights.feature_matching
        )

    def _judgement(self, discriminator: nn.Module, x: Tensor) -> Judgement:
        with autocast(x.device, self.precision):
            judgement = discriminator(x)
        return [[activation.to(x.dtype) for activation in scale] for scale in judgement]

    def _compare(self, terms: dict[str, Tensor], real: Tensor, made: Tensor) -> None:
        """Pixel and perceptual distances to the truth: of the result, then of the raw hallucination."""
        if self.weights.perceptual and self.perceptual is not None:
            with autocast(real.device, self.precision):
                terms["perceptual"] = 2 * self.perceptual(made, real) * self.weights.perceptual
        truth = real.repeat(len(made) // len(real), 1, 1, 1)
        distances: list[tuple[str, float, Callable[[Tensor, Tensor], Tensor]]] = [
            ("charbonnier", self.weights.charbonnier, charbonnier),
            ("contrast", self.weights.contrast, contrast_difference),
            ("ssim", self.weights.ssim, structural_dissimilarity),
        ]
        for name, weight, distance in distances:
            if weight:
                terms[name] = 2 * distance(made, truth) * weight

    def _compare_described(self, terms: dict[str, Tensor], real: Tensor, made: Tensor) -> None:
        """Forecast conditions, those beside frames as well, against the real ones."""
        truth = real.repeat(len(made) // len(real), 1, 1, 1)
        if self.weights.cross_entropy:
            terms["cross_entropy"] = 2 * cross_entropy(made, truth).mean() * self.weights.cross_entropy
        else:
            terms["described"] = 2 * charbonnier(made, truth) * self.weights.charbonnier

    def _flow_terms(self, terms: dict[str, Tensor], chunk: Chunk) -> None:
        """Flow, warp and mask terms, over the frames that were made with a warp."""
        made = [(i, output) for i, output in enumerate(chunk.outputs) if output.flow is not None]
        weights = self.weights
        if made:
            picks = [i for i, _ in made]
            flow = _stack([output.flow for _, output in made])
            reference, confidence = (
                chunk.flow[:, picks].flatten(0, 1),
                chunk.confidence[:, picks].flatten(0, 1),
            )
            real, before = chunk.real[:, picks].flatten(0, 1), chunk.before_real[:, picks].flatten(0, 1)
            terms["flow"] = masked_l1(flow, reference, confidence) * weights.flow * self.flow_share
            terms["flow_warp"] = masked_l1(warp(before, flow), real, confidence) * weights.flow
            if self.self_made_first and weights.mask:
                mask = _stack([output.mask for _, output in made])
                terms["mask"] = masked_l1(mask, torch.zeros_like(mask), confidence) * weights.mask
        # Needs a frame before, made or given: the first self-made frame has zero confidence.
        if weights.temporal_warp:
            frame = _stack([output.frame for output in chunk.outputs])
            expected = warp(chunk.before_fake.flatten(0, 1), chunk.flow.flatten(0, 1)).detach()
            terms["temporal_warp"] = (
                masked_l1(frame, expected, chunk.confidence.flatten(0, 1)) * weights.temporal_warp
            )


def build_objective(channels: int, recipe: Recipe) -> Objective:
    """The discriminators and losses of a recipe, untrained, for conditions of so many channels."""
    judge, weights = recipe.discriminator, recipe.loss
    alone = recipe.model.network == "forecast" and not recipe.train.joint
    beside, made = (0, channels) if alone else (channels, 3)
    build = partial(
        MultiScaleDiscriminator,
        scales=judge.scales,
        width=judge.width,
        layers=judge.layers,
        spectral=judge.spectral,
    )
    image = build(beside + made) if weights.gan else None
    face = build(beside + made) if weights.gan and judge.face != "none" else None
    video_channels = judge.frames * made + (judge.frames - 1) * 2
    count = judge.temporal_scales if weights.video_gan else 0
    video: list[nn.Module] = [build(video_channels) for _ in range(count)]
    vgg = find_vgg_weights() if weights.perceptual else None
    return Objective(
        image,
        video,
        weights,
        perceptual=PerceptualLoss(vgg) if vgg else None,
        self_made_first=recipe.train.self_made_first > 0,
        scales=recipe.model.scales,
        face_discriminator=face,
        head_from=judge.face,
        precision=recipe.train.precision,
    )


def _stack(frames: Sequence[Tensor | None]) -> Tensor:
    """n tensors (B, C, H, W) as one (B * n, C, H, W), a clip's frames together."""
    return torch.stack([frame for frame in frames if frame is not None], dim=1).flatten(0, 1)
