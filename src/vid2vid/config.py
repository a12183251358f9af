"""Recipes: everything an experiment is made of, as frozen dataclasses read from strict YAML.

A recipe is a file of ``vid2vid/recipes`` (by name), any YAML file (by path), or the ``config.yaml`` of a
run. Keys that are not given keep their defaults; an unknown key or a wrong value is refused by name.
``section.key=value`` words override what the file says.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from vid2vid.errors import UserError

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how it is varied."""

    size: tuple[int, int] = (512, 256)
    """Width and height frames are resized to."""
    condition: str = "labels"
    """Folder beside the frames: ``labels`` are class maps, others pictures; or a drawing of landmarks."""
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
    recolour: float = 0.0
    """Range of random colour changes, class by class, in half of the sequences: looks to tell apart."""
    drop: float = 0.0
    """Probability of a limb, a hand or a part of the face to be left out of a drawing of landmarks."""
    wobble: float = 0.0
    """How far landmarks waver before they are drawn, as a share of the size of the person or face."""
    workers: int = 1
    """Processes that read ahead; 0 reads in the training process."""


@dataclass(frozen=True)
class ModelConfig:
    """The generator."""

    network: Literal["video", "image"] = "video"
    """The sequential generator, or the image generator of pix2pixHD, which makes first frames. An image
    network looks at scales (1 or 2), width, downs, blocks, enhancer_blocks and the styles alone."""
    history: int = 2
    """Past frames and conditions seen; 0 makes a frame-wise image model."""
    scales: int = 1
    """Spatial scales: the coarsest network, and an enhancer for each doubling of its size."""
    width: int = 64
    """Channels of the coarsest network at its full size; each enhancer has half of those below."""
    downs: int = 3
    blocks: int = 9
    enhancer_blocks: int = 3
    use_flow: bool = True
    """Predict flow and warp the last frame."""
    given_flow: bool = False
    """Warp by the real clip's reference flow, and predict the mask alone: the paper's baseline COVST."""
    foreground: bool = True
    """A network of their own for the foreground classes, where there are any."""
    kernel: int = 7
    """Size of the first and last convolutions."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """Transposed convolutions as published, or resizing before a convolution: no checkerboards."""
    skips: bool = False
    """Connect encoders and decoders at every size: finer detail from little training; not in the paper."""
    cubic_warp: bool = False
    """Warp by splines, not bilinearly: what is warped frame after frame stays sharp; not in the paper."""
    styles: int = 0
    """Numbers that say what an object looks like, learnt by an encoder; 0: one look only."""
    style_width: int = 16
    style_downs: int = 4
    """The encoder: channels at full size, and halvings."""


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
    face: Literal["none", "parts", "colours"] = "none"
    """A discriminator more, for the faces of people: told by DensePose's part channel or its colours."""


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
    contrast: float = 0.0
    """As much fine detail as there should be, wherever it lies: pixel distances alone end in a blur."""
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
    finest_alone: float = 0.0
    """Share of the steps, from the first, in which only the finest of several scales is trained."""
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
    values = _yaml(text, where)
    recipe = read_settings(Recipe, {} if values is None else values, where)
    for word in overrides:
        recipe = _override(recipe, word)
    for fault in _faults(recipe):
        raise UserError(f"{where}: {fault}")
    return recipe


def read_settings(kind: type[_Settings], values: object, where: str, within: str = "") -> _Settings:
    """Builds one of the dataclasses above from plain values; what is not given keeps its default.

    Args:
        where: the file or word they come from, for the message of an error.
        within: the section they are in, such as ``train.``, likewise.

    Raises:
        UserError: an unknown key, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise UserError(
            f"{where}: {within.rstrip('.') or 'a recipe'} is a mapping of keys to values; mend it"
        )
    hints = get_type_hints(kind)
    given = {}
    for key, value in values.items():
        name = f"{within}{key}"
        if key not in hints:
            raise UserError(f"{where}: no key {name!r}{_suggestion(name)}; `vid2vid info` lists every key")
        if dataclasses.is_dataclass(hints[key]):
            given[key] = read_settings(hints[key], value, where, f"{name}.")
        else:
            given[key] = _value(value, hints[key], f"{where}: {name} is {_short(value)}")
    return kind(**given)


def _value(value: Any, hint: Any, complaint: str) -> Any:
    """``value`` as the type wants it: YAML has lists for tuples, and takes 1e-4 for a word."""
    parts = get_args(hint)
    if isinstance(hint, UnionType):
        return None if value is None else _value(value, parts[0], complaint)
    if get_origin(hint) is Literal:
        if value in parts:
            return value
        raise UserError(f"{complaint}; there are {', '.join(parts)}")
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and len(value) == len(parts):
            return tuple(_value(item, part, complaint) for item, part in zip(value, parts, strict=True))
        raise UserError(f"{complaint}; it must be a list of {len(parts)} numbers")
    if hint is float and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):
                return number
        except (TypeError, ValueError, OverflowError):
            pass
    elif type(value) is hint:
        return value
    raise UserError(f"{complaint}; it must be {_KINDS[hint]}")


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _read(name: str) -> tuple[str, str]:
    path = Path(name)
    if path.is_dir() and (path / "config.yaml").is_file():
        path = path / "config.yaml"
    if path.suffix in (".yaml", ".yml"):
        try:
            return str(path), path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); name a recipe or a YAML file") from error
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise UserError(f"{name}: no such recipe{hint}; `vid2vid info` lists them, or name a YAML file")
    return name, (resources.files("vid2vid") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def _override(recipe: Recipe, word: str) -> Recipe:
    key, equals, value = word.partition("=")
    word = _short(word)
    if not equals:
        raise UserError(f"{word}: an override is written key=value, such as train.steps=1000")
    parsed = _yaml(value, word)
    values = _plain(dataclasses.asdict(recipe))
    inner = values
    *path, last = key.split(".")
    for part in path:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or last not in inner:
        raise UserError(f"{word}: no key {key!r}{_suggestion(key)}; `vid2vid info` lists every key")
    inner[last] = parsed
    return read_settings(Recipe, values, word)


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that is none
        raise UserError(f"{where}: not YAML ({_short(error)}); mend or quote it") from error


def _short(value: object, most: int = 120) -> str:
    """A value for a message of one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[:most]}..."


def _suggestion(name: str) -> str:
    """The known key that is most like an unknown one: by its whole name, else by its last word."""
    keys = []
    for key, value in dataclasses.asdict(Recipe()).items():
        keys += [key, *(f"{key}.{inner}" for inner in value)] if isinstance(value, dict) else [key]
    near = difflib.get_close_matches(name, keys, n=1, cutoff=0.75)
    near += [key for key in keys if key.split(".")[-1] == name.split(".")[-1]]
    return f" (did you mean {near[0]}?)" if near else ""


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML stays plain."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def model_faults(model: ModelConfig) -> Iterator[str]:
    """What makes no sense, or is beyond all bounds, in an architecture."""
    finest = 2 ** max(model.scales - 1, 0)
    warps = model.use_flow and model.history > 0
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
        (model.network == "video" or model.history == 0, "history: an image network has none; set it to 0"),
        (model.network == "video" or model.scales <= 2, "scales: an image network has 1 or 2"),
    ]
    yield from (f"model.{demand}" for holds, demand in demands if not holds)


def _faults(recipe: Recipe) -> Iterator[str]:
    """Values that are of the right type and still make no sense."""
    data, train, judges = recipe.data, recipe.train, recipe.discriminator
    weights = dataclasses.asdict(recipe.loss)
    pictures = ("gan", "perceptual", "charbonnier", "ssim")
    demands = [
        (16 <= min(data.size) <= max(data.size) <= 16384, "data.size: 16 to 16384 pixels a side"),
        (0 <= data.recolour < 1, "data.recolour: a range, from 0 to below 1"),
        (0 <= data.drop < 1 and 0 <= data.wobble < 1, "data.drop and data.wobble: 0 to below 1"),
        (data.sequence > 0 and data.batch > 0, "data.sequence and data.batch must be positive"),
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
        (train.chunk <= data.sequence, "train.chunk: a chunk cannot be longer than data.sequence"),
        (0 <= train.self_made_first <= 1, "train.self_made_first: a share between 0 and 1"),
        (0 <= min(train.betas) <= max(train.betas) < 1, "train.betas: at least 0 and below 1"),
        (0 <= train.decay_from <= 1, "train.decay_from: a share between 0 and 1"),
        (0 <= train.finest_alone <= 1, "train.finest_alone: a share between 0 and 1"),
        (0 <= train.ema < 1, "train.ema: a decay of at least 0 and below 1"),
        (0 <= train.seed < 2**32, "train.seed: 0 to 4294967295"),
        (train.keep > 0, "train.keep must be positive"),
        (train.checkpoint_every > 0, "train.checkpoint_every must be positive"),
        (train.sample_every > 0, "train.sample_every must be positive"),
        (train.lr > 0 and train.discriminator_lr > 0, "train.lr and discriminator_lr must be positive"),
    ]
    yield from model_faults(recipe.model)
    yield from (demand for holds, demand in demands if not holds)
