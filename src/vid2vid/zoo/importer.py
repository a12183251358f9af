"""``import``: a folder of published checkpoints becomes a model folder. What tensors tell is not asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vid2vid.annotators.drawn import DRAWN
from vid2vid.conditions import ConditionSchema, LabelClass, LabelSchema
from vid2vid.config import ModelConfig, model_faults
from vid2vid.errors import UserError
from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.models.feature_encoder import FeatureEncoder
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.models.renderer import Renderer
from vid2vid.types import Size
from vid2vid.zoo.checkpoint_file import read_published
from vid2vid.zoo.folder import Model, save_model
from vid2vid.zoo.published import (
    Published,
    fill_discriminator,
    fill_encoder,
    fill_image_renderer,
    fill_renderer,
)

_FILE = re.compile(r"(?:(?P<epoch>\w+)_)?net_(?P<role>G\d*|E|D|D_T\d+|D_f)\.pth")
_CITYSCAPES = 35
"""Classes of the published street networks."""


@dataclass(frozen=True)
class _File:
    """One checkpoint, read."""

    path: Path
    tensors: Published

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a convolution's weight: (out, in, height, width), or (in, out, ...) where it is transposed."""
        if name not in self.tensors:
            raise UserError(
                f"{self.path}: tensor {name} is missing; the file is damaged or of another network"
            )
        shape = tuple(self.tensors[name].shape)
        if len(shape) != 4 or 0 in shape:
            raise UserError(f"{self.path}: tensor {name} is {shape}, no convolution; get the original")
        return shape

    def blocks(self, part: str) -> int:
        return sum(bool(re.fullmatch(rf"{part}\.\d+\.conv_block\.1\.weight", name)) for name in self.tensors)

    def plain(self, part: str) -> int:
        """Convolutions outside residual blocks, first and last ones included."""
        return sum(bool(re.fullmatch(rf"{part}\.\d+\.weight", name)) for name in self.tensors)

    def has(self, part: str) -> bool:
        return any(name.startswith(part) for name in self.tensors)


@dataclass(frozen=True)
class _Found:
    """What the tensors of a network tell: its settings, the channels of one condition."""

    config: ModelConfig
    channels: int
    foreground: bool = False


def import_checkpoints(
    checkpoints: Path | str,
    out: Path | str,
    *,
    labels: Path | str | None = None,
    foreground: Sequence[int] = (),
    instances: bool = False,
    condition: str | None = None,
    size: Size | None = None,
    rate: Fraction | int = 25,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Turns a folder of published checkpoints (``latest_net_G0.pth`` ...) into a model folder.

    Widths, depths, scales, branches and channels are read off the tensors. Generators of all scales, the
    image generator (it will make the first frames), its feature encoder, and the discriminators (for
    fine-tuning) are taken.

    Args:
        checkpoints: the folder of ``.pth`` files.
        out: the model folder.
        labels: a ``labels.yaml`` with the classes. Default: those of Cityscapes for 35 or 36 channels; with a
            foreground network classes without a name; else the condition is taken for pictures.
        foreground: ids of the classes that the foreground network draws; tensors do not tell.
        instances: where classes have no names: the last channel is that of instance edges.
        condition: the folder that conditions will be read from, or a drawn one's name; default: ``labels``;
            ``face`` or ``dance`` for 15 or 6 channels, as published; ``condition`` for other pictures.
        size: (width, height) it was trained at; default: 512x256 at the coarsest scale, 512x512 for pictures.
        rate: frames per second it was trained at.
        say: called with what was found, a line each.

    Returns:
        The model folder.

    Raises:
        UserError: no checkpoints there, or the first thing in them that does not fit.
    """
    out = Path(out)
    files = {role: _File(path, read_published(path)) for role, path in _find(Path(checkpoints)).items()}
    scales = _scales(files)
    found = _video_settings(scales) if scales else _image_settings(files["G"])
    schema = _schema(
        found, (scales or [files["G"]])[0].path, _classes(found, labels, instances), foreground, condition
    )
    if size is None:
        aspect = (512, 256) if schema.kind == "labels" else (512, 512)
        size = (aspect[0] << found.config.scales - 1, aspect[1] << found.config.scales - 1)
    name = Path(checkpoints).resolve().name
    model = _build(found.config, schema, size, rate, name)
    if scales:
        pairs = [(file.path, file.tensors) for file in scales]
        assert isinstance(model.renderer, Renderer)
        _load(model.renderer, fill_renderer(model.renderer, found.config, pairs))
        if "G" in files:
            image = _build(_image_settings(files["G"]).config, schema, size, rate, f"{name}, first frames")
            model = replace(model, first_frame=_fill_image(image, files))
    else:
        model = _fill_image(model, files)
    judges, settings = _discriminators(files, schema)
    if settings:
        model.about["discriminators"] = settings
    save_model(model, out, {"discriminators": judges} if judges else None)
    for line in _report(model, sorted(file.path.name for file in files.values())):
        say(line)
    return out


def _find(folder: Path) -> dict[str, Path]:
    """The checkpoints by their role (G0, G, E, D, D_T0 ...); of several epochs the latest."""
    epochs: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*.pth")) if folder.is_dir() else ():
        if match := _FILE.fullmatch(path.name):
            epochs.setdefault(match["epoch"] or "", {})[match["role"]] = path
    if not epochs:
        raise UserError(f"{folder}: no checkpoints here; give the folder that holds latest_net_G0.pth")
    newest = max(epochs, key=lambda epoch: (epoch == "latest", int(epoch) if epoch.isdecimal() else -1))
    files = epochs[newest]
    if not {"G", "G0"} & files.keys():
        raise UserError(
            f"{folder}: neither latest_net_G0.pth nor latest_net_G.pth is here; add the generator"
        )
    return files


def _scales(files: dict[str, _File]) -> list[_File]:
    """The generators, the coarsest first, without a gap."""
    count = sum(bool(re.fullmatch(r"G\d+", role)) for role in files)
    for scale in range(count):
        if f"G{scale}" not in files:
            where = next(iter(files.values())).path.parent
            raise UserError(f"{where}: the generator of scale {scale} (net_G{scale}.pth) is missing; add it")
    return [files[f"G{scale}"] for scale in range(count)]


def _video_settings(scales: list[_File]) -> _Found:
    coarsest = scales[0]
    width, seen, *_ = coarsest.shape("model_down_seg.1.weight")
    history = coarsest.shape("model_down_img.1.weight")[1] // 3
    config = ModelConfig(
        history=history,
        scales=len(scales),
        width=width,
        downs=coarsest.plain("model_down_seg") - 1,
        blocks=coarsest.blocks("model_down_seg") + coarsest.blocks("model_res_img"),
        enhancer_blocks=scales[1].blocks("model_up_img") if len(scales) > 1 else 3,
        use_flow=coarsest.has("model_final_flow."),
        foreground=coarsest.has("indv_"),
    )
    if seen % (history + 1):
        raise UserError(f"{coarsest.path}: {seen} condition channels are not {history + 1} times the same")
    return _checked(_Found(config, seen // (history + 1), config.foreground), coarsest.path)


def _image_settings(file: _File) -> _Found:
    local = file.has("model1_1.")
    styled = file.has("model_downsample.")
    if styled:
        width, seen, *_ = file.shape("model_downsample.1.weight")
        last = "model_final.1.weight" if local else "model_upsample_conv.1.weight"
        # Its input is the features of the last layer and the styles beside them.
        styles = file.shape(last)[1] - (width // 2 if local else width)
        downs, blocks = file.plain("model_downsample") - 1, file.blocks("model_resnet")
    else:
        width, seen, *_ = file.shape("model.1.weight")
        styles, blocks = 0, file.blocks("model")
        downs = (file.plain("model") - (1 if local else 2)) // 2
    config = ModelConfig(
        network="image",
        history=0,
        scales=2 if local else 1,
        width=width,
        downs=downs,
        blocks=blocks,
        enhancer_blocks=file.blocks("model1_2") if local else 3,
        styles=styles,
    )
    return _checked(_Found(config, seen - styles), file.path)


def _checked(found: _Found, where: Path) -> _Found:
    for fault in model_faults(found.config):
        raise UserError(f"{where}: what its tensors describe makes no sense ({fault}); get the original")
    if found.channels < 1:
        raise UserError(f"{where}: its tensors leave no channel for a condition; get the original")
    return found


def _classes(found: _Found, labels: Path | str | None, instances: bool) -> LabelSchema | None:
    """The class list: as named, that of Cityscapes for its number of channels, or one without names."""
    if labels is not None:
        return LabelSchema.read(labels)
    if found.channels in (_CITYSCAPES, _CITYSCAPES + 1):
        return LabelSchema.read(str(resources.files("vid2vid") / "zoo" / "cityscapes.yaml"))
    if not found.foreground:
        return None
    count = max(found.channels - instances, 1)  # edges alone are no condition
    shades = [(255 * i // max(count - 1, 1),) * 3 for i in range(count)]
    return LabelSchema(tuple(LabelClass(i, f"class {i}", shade) for i, shade in enumerate(shades)))


def _schema(
    found: _Found, where: Path, classes: LabelSchema | None, foreground: Sequence[int], name: str | None
) -> ConditionSchema:
    if classes is None:
        if foreground:
            raise UserError(f"{where}: sees pictures, which have no classes; leave --foreground out")
        published = {DRAWN[name].channels: name for name in ("face", "dance")}
        default = published.get(found.channels, "condition")
        return ConditionSchema("image", name or default, image_channels=found.channels)
    if found.channels - len(classes) not in (0, 1):
        raise UserError(
            f"{where}: has {found.channels} channels, and {len(classes)} classes are named; list them all"
        )
    if foreground and not found.foreground:
        raise UserError(f"{where}: has no foreground network; leave --foreground out")
    known = {item.id for item in classes.classes}
    for number in foreground:
        if number not in known:
            raise UserError(f"--foreground {number}: no class has this id; it is one of the class list")
    chosen = {item.id for item in classes.classes if item.foreground}
    chosen = (set(foreground) or chosen) if found.foreground else set()
    if found.foreground and not chosen:
        raise UserError(f"{where}: has a foreground network; name the ids that it draws: --foreground 26")
    marked = (replace(item, foreground=item.id in chosen) for item in classes.classes)
    edges = found.channels > len(classes)
    return ConditionSchema("labels", name or "labels", LabelSchema(tuple(marked)), instances=edges)


def _check(schema: ConditionSchema, size: Size, rate: Fraction | int) -> None:
    """What ``load_model`` would refuse is not written."""
    demands = [
        (Path(schema.name).name == schema.name, f"--condition {schema.name}: give the name of a folder"),
        (0 < min(size) <= max(size) <= 16384, f"--size {size[0]}x{size[1]}: give 1 to 16384 pixels a side"),
        (Fraction(1, 1000) <= rate <= 1000, f"--fps {rate}: give 0.001 to 1000 frames a second"),
    ]
    for holds, demand in demands:
        if not holds:
            raise UserError(demand)


def _build(
    config: ModelConfig, schema: ConditionSchema, size: Size, rate: Fraction | int, name: str
) -> Model:
    """A model without memory: it is had only where the tensors fill it."""
    _check(schema, size, rate)
    with torch.device("meta"):
        return Model.build(config, schema, size, rate, name=name, source="published checkpoints of 2018")


def _load(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    module.load_state_dict(tensors, assign=True)
    module.eval().requires_grad_(False)


def _fill_image(model: Model, files: dict[str, _File]) -> Model:
    """The image model with its weights, and the encoder of its styles if that is here."""
    file = files["G"]
    assert isinstance(model.renderer, ImageRenderer)
    _load(model.renderer, fill_image_renderer(model.renderer, model.architecture, file.tensors, file.path))
    if "E" not in files:
        return replace(model, encoder=None, styles=None)
    file = files["E"]
    downs = (file.plain("model") - 2) // 2
    styles = file.shape(f"model.{6 * downs + 5}.weight")[0]
    if styles != model.architecture.styles:
        wants = model.architecture.styles
        raise UserError(f"{file.path}: gives {styles} features, but {files['G'].path.name} takes {wants}")
    width = file.shape("model.1.weight")[0]
    config = replace(model.architecture, style_width=width, style_downs=downs)
    _checked(_Found(config, 1), file.path)
    with torch.device("meta"):
        encoder = FeatureEncoder(styles, width=width, downs=downs)
    _load(encoder, fill_encoder(encoder, downs, file.tensors, file.path))
    return replace(model, architecture=config, encoder=encoder, styles=None)


def _discriminators(
    files: dict[str, _File], schema: ConditionSchema
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Their tensors under the names training gives them, and the recipe settings they belong to."""
    tensors: dict[str, Tensor] = {}
    settings: dict[str, Any] = {}
    temporal = sorted(role for role in files if role.startswith("D_T"))
    for role in [role for role in ("D", "D_f", *temporal) if role in files]:
        file = files[role]
        names = (re.match(r"scale\d+_layer(\d+)\.", name) for name in file.tensors)
        found = {int(match[1]) for match in names if match}
        scales = len({name.partition("_")[0] for name in file.tensors})
        if not 1 <= scales <= 8 or not 3 <= len(found) <= 10:
            raise UserError(f"{file.path}: not a discriminator of the published kind; get the original")
        width, channels, *_ = file.shape(f"scale{scales - 1}_layer0.0.weight")
        layers = len(found) - 2
        with torch.device("meta"):
            network = MultiScaleDiscriminator(channels, scales=scales, width=width, layers=layers)
        filled = fill_discriminator(network, file.tensors, file.path)
        if role.startswith("D_T"):
            place = f"video_discriminators.{temporal.index(role)}"
            settings |= {"temporal_scales": len(temporal), "frames": (channels + 2) // 5}
        else:
            place = "image_discriminator" if role == "D" else "face_discriminator"
        if role == "D":
            settings |= {"scales": scales, "width": width, "layers": layers}
        tensors |= {f"{place}.{name}": value for name, value in filled.items()}
    return tensors, settings


def _report(model: Model, files: Sequence[str]) -> list[str]:
    """What was found, for people."""
    lines = [f"read {', '.join(files)}"]
    for what, part in (("generator", model), ("first frames", model.first_frame)):
        if part is None:
            continue
        config = part.architecture
        millions = sum(p.numel() for p in part.renderer.parameters()) / 1e6
        line = f"{what}: {config.network}, {config.scales} scales, width {config.width}, "
        line += f"{config.downs} halvings, {config.blocks} residual blocks"
        line += f", {config.enhancer_blocks} in each finer scale" if config.scales > 1 else ""
        if config.network == "video":
            line += f", {config.history} past frames, " + ("flow, " if config.use_flow else "no flow, ")
            line += "foreground network" if config.foreground else "no foreground network"
        if config.styles:
            line += f", {config.styles} features, encoder {'found' if part.encoder else 'not found'}"
        lines.append(f"{line}: {millions:.1f} M parameters")
    schema = model.schema
    if schema.labels is None:
        lines.append(f"condition: {schema.channels} channels from {schema.name}/")
    else:
        drawn = ", ".join(item.name for item in schema.labels.classes if item.foreground) or "none"
        edges = " and instance edges" if schema.instances else ""
        lines.append(
            f"condition: {len(schema.labels)} classes{edges} from {schema.name}/; foreground: {drawn}"
        )
    if judges := model.about.get("discriminators"):
        lines.append(f"discriminators: {', '.join(f'{key} {value}' for key, value in judges.items())}")
    return lines
