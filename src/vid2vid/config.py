"""Recipes: everything an experiment is made of, as frozen dataclasses read from strict YAML.

A recipe is a file of ``vid2vid/recipes`` (by name), any YAML file (by path), or the ``config.yaml`` of a
run. Keys that are not given keep their defaults; an unknown key or a wrong value is refused by name.
``section.key=value`` words override what the file says.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from vid2vid.errors import UserError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how it is varied."""

    size: tuple[int, int] = (512, 256)
    """Width and height frames are resized to."""
    condition: str = "labels"
    """The folder beside the frames that describes them; ``labels`` are class maps, anything else pictures."""
    target: str = "frames"
    """The folder of the frames to learn."""
    instances: bool = True
    """Add a channel of instance edges to label maps."""
    flow: str = "dis"
    """Reference flow: dis, raft, raft:FILE, auto or exact (flow files of the dataset)."""
    sequence: int = 8
    """Frames of a training sequence."""
    batch: int = 1
    flip: float = 0.5
    """Probability of a mirrored sequence; 0 where left and right mean something (poses)."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of random enlargement; the frame is then cropped back to ``size``."""
    crop: tuple[int, int] | None = None
    """Width and height of a random part that training sees, for frames too large to train on whole."""
    jitter: float = 0.0
    """Range of random brightness and contrast changes of the frames."""
    workers: int = 1
    """Processes that read ahead; 0 reads in the training process."""


@dataclass(frozen=True)
class ModelConfig:
    """The generator."""

    history: int = 2
    """Past frames and conditions seen; 0 makes a frame-wise image model."""
    width: int = 64
    downs: int = 3
    blocks: int = 9
    use_flow: bool = True
    """Predict flow and warp the last frame."""
    foreground: bool = True
    """A network of their own for the foreground classes, where there are any."""
    kernel: int = 7
    """Size of the first and last convolutions."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Transposed convolutions as published, or resizing before a convolution: no checkerboards."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The judges."""

    scales: int = 2
    """Resolutions each of them looks at."""
    width: int = 64
    layers: int = 3
    spectral: bool = False
    """Spectral normalisation."""
    temporal_scales: int = 2
    """Video discriminators; 0 trains without."""
    frames: int = 3
    """K, frames a video discriminator sees."""
    sparse: bool = False
    """Sparse temporal groups (see ``losses.temporal``)."""


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts. The first seven are the paper's, the last three help small data."""

    gan: float = 1.0
    video_gan: float = 1.0
    feature_matching: float = 10.0
    perceptual: float = 10.0
    """VGG-19; off, and said once, where its weights are not at hand."""
    flow: float = 10.0
    """Predicted flow against the reference, and the real last frame warped by it against the real frame."""
    temporal_warp: float = 10.0
    """The output against the last output warped by the reference flow."""
    mask: float = 1.0
    """Pull of the mask towards the warp where the flow is confident; where first frames are self-made."""
    charbonnier: float = 0.0
    gradient: float = 0.0
    ssim: float = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation."""

    steps: int = 20000
    """Optimiser steps in all."""
    chunk: int = 1
    """Frames per step; a sequence is consumed in chunks, the last frames carried over."""
    backprop: int = 1
    """Frames gradients reach back within a chunk."""
    self_made_first: float = 1.0
    """Share of sequences that start from nothing; the others are given their first frames."""
    lr: float = 2e-4
    discriminator_lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    decay_from: float = 0.5
    """Share of the steps after which the learning rate falls linearly to zero."""
    ema: float = 0.0
    """Decay of the averaged generator that samples and results use; 0 keeps the last weights."""
    seed: int = 0
    checkpoint_every: int = 500
    keep: int = 2
    """Checkpoints kept."""
    sample_every: int = 500
    """Steps between sample videos."""


@dataclass(frozen=True)
class Recipe:
    """One experiment."""

    name: str = "unnamed"
    about: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    train: TrainConfig = field(default_factory=TrainConfig)

    def to_yaml(self) -> str:
        """The recipe as a file that ``load_recipe`` reads back to an equal one."""
        plain = yaml.safe_dump(_plain(dataclasses.asdict(self)), sort_keys=False)
        return str(plain)


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    folder = resources.files("vid2vid") / "recipes"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe by name or path and applies ``key=value`` words such as ``train.steps=100``.

    Raises:
        UserError: no such recipe, not YAML, an unknown key, or a value of the wrong type; named in one line.
    """
    where, text = _read(name)
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML ({' '.join(str(error).split())}); mend the file") from error
    if not isinstance(values, dict):
        raise UserError(f"{where}: a recipe is a mapping of keys to values; mend the file")
    recipe = parse_recipe(values, where)
    for word in overrides:
        recipe = _override(recipe, word)
    _check(recipe, where)
    return recipe


def parse_recipe(values: Mapping[str, Any], where: str) -> Recipe:
    """Builds a recipe from plain values; ``where`` begins the message of an error."""
    parser = _parser()
    try:
        recipe = parser.instantiate(parser.parse_object(dict(values)))
    except Exception as error:
        message = " ".join(str(error).split())
        raise UserError(
            f"{where}: {message}{_suggestion(message)}; `vid2vid info` lists every key"
        ) from error
    return Recipe(**vars(recipe))


@functools.cache
def _parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe)
    return parser


def _read(name: str) -> tuple[str, str]:
    path = Path(name)
    if path.is_dir() and (path / "config.yaml").is_file():
        path = path / "config.yaml"
    if path.suffix in (".yaml", ".yml"):
        try:
            return str(path), path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); name a recipe or a YAML file") from error
    if name not in recipe_names():
        raise UserError(f"{name}: no such recipe; there are {', '.join(recipe_names())}, or name a YAML file")
    return name, (resources.files("vid2vid") / "recipes" / f"{name}.yaml").read_text()


def _override(recipe: Recipe, word: str) -> Recipe:
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"{word}: an override is written key=value, such as train.steps=1000")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"{word}: the value is not YAML; quote it") from error
    values = _plain(dataclasses.asdict(recipe))
    inner = values
    *path, last = key.split(".")
    for part in path:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or last not in inner:
        raise UserError(f"{word}: no key {key!r}{_suggestion(key)}; `vid2vid info` lists every key")
    inner[last] = parsed
    return parse_recipe(values, word)


def _keys() -> list[str]:
    keys = []
    for name, value in dataclasses.asdict(Recipe()).items():
        keys += [f"{name}.{inner}" for inner in value] if isinstance(value, dict) else [name]
    return keys


def _suggestion(text: str) -> str:
    word = text.split("'")[1] if text.count("'") >= 2 else text
    leaf = word.split(".")[-1]
    near = difflib.get_close_matches(leaf, [key.split(".")[-1] for key in _keys()], n=1)
    if not near or near[0] == leaf:
        near = [key for key in _keys() if key.split(".")[-1] == leaf and key != word][:1]
        return f" (did you mean {near[0]}?)" if near else ""
    return f" (did you mean {next(key for key in _keys() if key.split('.')[-1] == near[0])}?)"


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML stays plain."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _check(recipe: Recipe, where: str) -> None:
    """Refuses values that are of the right type and still make no sense."""
    data, model, train, judges = recipe.data, recipe.model, recipe.train, recipe.discriminator
    demands = [
        (min(data.size) >= 16, "data.size: frames need at least 16 pixels a side"),
        (data.sequence > 0 and data.batch > 0, "data.sequence and data.batch must be positive"),
        (0 < data.scale[0] <= data.scale[1], "data.scale: needs 0 < low <= high"),
        (data.scale[0] >= 1, "data.scale: frames can only be enlarged, so low must be at least 1"),
        (data.crop is None or min(data.crop) >= 16, "data.crop: needs at least 16 pixels a side"),
        (
            data.crop is None or (data.crop[0] <= data.size[0] and data.crop[1] <= data.size[1]),
            "data.crop: cannot be larger than data.size",
        ),
        (data.workers >= 0, "data.workers must not be negative"),
        (model.history >= 0, "model.history must not be negative"),
        (model.kernel % 2 == 1, "model.kernel must be odd"),
        (
            model.width >= 2 and model.downs >= 1 and model.blocks >= 0,
            "model: width, downs or blocks too small",
        ),
        (judges.temporal_scales >= 0 and judges.frames >= 2, "discriminator.frames must be at least 2"),
        (train.steps > 0, "train.steps must be positive"),
        (0 < train.backprop <= train.chunk, "train.backprop: must lie between 1 and train.chunk"),
        (train.chunk <= data.sequence, "train.chunk: a chunk cannot be longer than data.sequence"),
        (0 <= train.self_made_first <= 1, "train.self_made_first: a share between 0 and 1"),
        (0 <= train.decay_from <= 1, "train.decay_from: a share between 0 and 1"),
        (0 <= train.ema < 1, "train.ema: a decay of at least 0 and below 1"),
        (train.keep > 0 and train.checkpoint_every > 0, "train.keep and checkpoint_every must be positive"),
        (train.lr > 0 and train.discriminator_lr > 0, "train.lr must be positive"),
    ]
    for holds, demand in demands:
        if not holds:
            raise UserError(f"{where}: {demand}")
