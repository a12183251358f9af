"""Settings that are of the right type and still make no sense."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from vid2vid.config.settings import ModelConfig, Recipe


def model_faults(model: ModelConfig) -> Iterator[str]:
    """What makes no sense, or is beyond all bounds, in an architecture."""
    finest = 2 ** max(model.scales - 1, 0)
    warps = model.use_flow and model.history > 0
    forecasts = model.network == "forecast"
    demands = [
        (0 <= model.history <= 16, "history: past frames, 0 to 16"),
        (1 <= model.scales <= 6, "scales: 1 to 6"),
        (
            2 * finest <= model.width <= 4096 and model.width % finest == 0,
            f"width: halved at each finer scale, so a multiple of {finest} from {2 * finest} to 4096",
        ),
        (1 <= model.downs <= 8, "downs: halvings, 1 to 8"),
        (0 <= model.blocks <= 64, "blocks: residual blocks, 0 to 64"),
        (0 <= model.enhancer_blocks <= 64, "enhancer_blocks: residual blocks, 0 to 64"),
        (1 <= model.kernel <= 15 and model.kernel % 2 == 1, "kernel: an odd number, 1 to 15"),
        (0 <= model.styles <= 64, "styles: numbers per object, 0 to 64"),
        (
            1 <= model.style_width <= 256 and 1 <= model.style_downs <= 8,
            "style_width: 1 to 256; style_downs: 1 to 8",
        ),
        (warps or not model.given_flow, "given_flow: warps the last frame; it needs use_flow and a history"),
        (model.network != "image" or model.history == 0, "history: an image network has none; set it to 0"),
        (model.network != "image" or model.scales <= 2, "scales: an image network has 1 or 2"),
        (model.network != "fast" or model.history > 0, "history: a fast network sees 1 past frame or more"),
        (model.network != "fast" or model.scales == 1, "scales: a fast network has 1"),
        (model.network != "fast" or not model.given_flow, "given_flow: a fast network predicts its own"),
        (1 <= model.noise <= 256, "noise: numbers, 1 to 256"),
        (not forecasts or model.history > 1, "history: a forecaster goes on from 2 conditions or more"),
        (
            not forecasts or (model.scales == 1 and not model.styles and not model.given_flow),
            "network: a forecaster has 1 scale and no styles, and the flow is its own",
        ),
    ]
    yield from (f"model.{demand}" for holds, demand in demands if not holds)


def recipe_faults(recipe: Recipe) -> Iterator[str]:
    """Likewise in a recipe."""
    data, train, judges = recipe.data, recipe.train, recipe.discriminator
    weights = dataclasses.asdict(recipe.loss)
    pictures = ("gan", "perceptual", "charbonnier", "ssim", "cross_entropy")
    demands = [
        (16 <= min(data.size) <= max(data.size) <= 16384, "data.size: 16 to 16384 pixels a side"),
        (0 <= data.recolour < 1, "data.recolour: a range, from 0 to below 1"),
        (0 <= data.drop < 1 and 0 <= data.wobble < 1, "data.drop and data.wobble: 0 to below 1"),
        (data.sequence > 0 and data.batch > 0, "data.sequence and data.batch must be positive"),
        (
            min(data.first_sequence, data.longer_every) >= 0
            and bool(data.first_sequence) == bool(data.longer_every),
            "data.first_sequence and data.longer_every: frames and sequences, both or neither",
        ),
        (0 <= data.flip <= 1, "data.flip: a probability, 0 to 1"),
        (0 <= data.jitter <= 1, "data.jitter: a range, 0 to 1"),
        (data.scale[0] <= data.scale[1], "data.scale: the lowest, then the highest"),
        (data.scale[0] >= 1, "data.scale: frames can only be enlarged, so the lowest must be at least 1"),
        (data.crop is None or min(data.crop) >= 16, "data.crop: needs at least 16 pixels a side"),
        (
            data.crop is None or (data.crop[0] <= data.size[0] and data.crop[1] <= data.size[1]),
            "data.crop: cannot be larger than data.size",
        ),
        (data.workers >= 0, "data.workers must not be negative"),
        # At most 4 scales: the smallest frames have 2 pixels a side left at the coarsest.
        (1 <= judges.scales <= 4, "discriminator.scales: resolutions, 1 to 4"),
        (judges.width >= 1 and 1 <= judges.layers <= 8, "discriminator: width from 1, layers 1 to 8"),
        (0 <= judges.temporal_scales <= 4, "discriminator.temporal_scales: 0 to 4"),
        (2 <= judges.frames <= 16, "discriminator.frames: 2 to 16"),
        (judges.face == "none" or data.condition != "labels", "discriminator.face: label maps show no heads"),
        (min(weights.values()) >= 0, "loss: weights must not be negative"),
        (any(weights[name] for name in pictures), f"loss: one of {', '.join(pictures)} must count"),
        (train.steps > 0, "train.steps must be positive"),
        (0 < train.backprop <= train.chunk, "train.backprop: must lie between 1 and train.chunk"),
        (0 <= train.first_backprop <= train.backprop, "train.first_backprop: 0 to train.backprop"),
        (train.chunk <= data.sequence, "train.chunk: a chunk cannot be longer than data.sequence"),
        (0 <= train.self_made_first <= 1, "train.self_made_first: a share between 0 and 1"),
        (0 <= min(train.betas) <= max(train.betas) < 1, "train.betas: at least 0 and below 1"),
        (0 <= train.decay_from <= 1, "train.decay_from: a share between 0 and 1"),
        (0 <= train.finest_alone <= 1, "train.finest_alone: a share between 0 and 1"),
        (0 <= train.rollout <= 10_000, "train.rollout: frames, 0 to 10000"),
        (0 <= train.history_noise <= 1, "train.history_noise: frames range from -1 to 1, so 0 to 1"),
        (train.clip >= 0, "train.clip must not be negative"),
        (0 <= train.ema < 1, "train.ema: a decay of at least 0 and below 1"),
        (0 <= train.seed < 2**32, "train.seed: 0 to 4294967295"),
        (train.keep > 0, "train.keep must be positive"),
        (train.checkpoint_every > 0, "train.checkpoint_every must be positive"),
        (train.sample_every > 0, "train.sample_every must be positive"),
        (train.lr > 0 and train.discriminator_lr > 0, "train.lr and discriminator_lr must be positive"),
    ]
    yield from model_faults(recipe.model)
    yield from (demand for holds, demand in demands if not holds)
    yield from _forecast_faults(recipe)


def _forecast_faults(recipe: Recipe) -> Iterator[str]:
    """Of what is for forecasters, or not for them."""
    loss, train, judges = recipe.loss, recipe.train, recipe.discriminator
    forecasts = recipe.model.network == "forecast"
    of_labels = forecasts and recipe.data.condition == "labels"
    draws_labels = of_labels and not train.joint
    demands = [
        (
            not draws_labels or not (loss.perceptual or loss.ssim or loss.contrast),
            "loss: perceptual, contrast and ssim compare pictures; a forecaster of label maps makes none",
        ),
        (
            of_labels or not (loss.cross_entropy or train.futures),
            "loss.cross_entropy and train.futures: are for a forecaster of label maps; of pictures take "
            "forecast-tiny-rgb",
        ),
        (not forecasts or judges.face == "none", "discriminator.face: a forecaster shows no faces"),
        (
            not forecasts or train.self_made_first == 0,
            "train.self_made_first: a forecaster goes on from real frames; set it to 0",
        ),
        (0 <= train.futures <= 64, "train.futures: 0 to 64"),
        (
            not train.joint or (forecasts and recipe.data.condition != recipe.data.target),
            "train.joint: is for a forecaster of what a renderer shows, label maps or pictures",
        ),
        (
            not train.joint or not train.history_noise,
            "train.history_noise: is not for train.joint, which has two histories; set it to 0",
        ),
    ]
    yield from (demand for holds, demand in demands if not holds)
