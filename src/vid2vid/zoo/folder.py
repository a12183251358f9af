"""A model as a folder: ``config.json``, one safetensors file per part, and a model card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema, check_alike
from vid2vid.config import ModelConfig, model_faults, read_settings
from vid2vid.errors import UserError
from vid2vid.models.feature_encoder import FeatureEncoder
from vid2vid.models.forecaster import Forecaster
from vid2vid.models.joint import Joint
from vid2vid.models.styles import Styles
from vid2vid.types import Size
from vid2vid.zoo.exported.card import step_card
from vid2vid.zoo.exported.renderer import ExportedRenderer, open_exported
from vid2vid.zoo.files import read_json, read_tensors, whole_folder, write_json, write_tensors
from vid2vid.zoo.renderers import AnyRenderer, build_renderer, join

FORMAT = 1
FIRST_FRAME = "first_frame"
"""The folder, inside a model's, of the image model that makes its first frames."""
RENDERER = "renderer"
"""The folder, inside a forecaster's, of the renderer that has learnt with it."""


@dataclass(frozen=True)
class Model:
    """A renderer with everything needed to use it.

    renderer: a network; or, of an exported model, a stand-in that can render and not learn.
    architecture: the generator's settings; schema: what its conditions are; size, rate: what it was trained
    at; about: free facts for the model card (data, recipe, frames seen); encoder: of styles, if it has any;
    styles: the looks its encoder found in the training set; first_frame: an image model that makes the first
    frames where none are given; shown_by: of a forecaster, the renderer that has learnt with it, if one has.
    """

    renderer: AnyRenderer | ExportedRenderer
    architecture: ModelConfig
    schema: ConditionSchema
    size: Size
    rate: Fraction
    about: dict[str, Any]
    encoder: FeatureEncoder | None = None
    styles: Styles | None = None
    first_frame: Model | None = None
    shown_by: Model | None = None

    @classmethod
    def build(
        cls,
        architecture: ModelConfig,
        schema: ConditionSchema,
        size: Size,
        rate: Fraction | float,
        **about: Any,
    ) -> Model:
        """An untrained model; weights come from torch's random state."""
        renderer = build_renderer(
            architecture,
            schema.channels,
            schema.foreground_channels,
            classes=len(schema.labels) if schema.labels else 0,
        )
        encoder, styles = None, None
        if architecture.styles:
            width, downs = architecture.style_width, architecture.style_downs
            encoder = FeatureEncoder(architecture.styles, width=width, downs=downs)
            styles = Styles(len(schema.labels) if schema.labels else 1, architecture.styles)
        exact = Fraction(rate).limit_denominator(100_000)
        return cls(renderer, architecture, schema, size, exact, about, encoder, styles)

    def to(self, device: torch.device | str) -> Model:
        """The same model; its networks are moved."""
        for module in _networks(self).values():
            module.to(device)
        for inner in _nested(self).values():
            inner.to(device)
        return self


def learners_of(model: Model) -> AnyRenderer:
    """The network that learns: a forecaster together with the renderer inside it, where there is one."""
    renderer, shown_by = model.renderer, model.shown_by
    assert not isinstance(renderer, ExportedRenderer)  # a file cannot learn
    if shown_by is None:
        return renderer
    assert not isinstance(shown_by.renderer, ExportedRenderer)
    return join(renderer, shown_by.renderer, model.schema.labels)


def with_learners(model: Model, network: AnyRenderer) -> Model:
    """The inverse: the model with what has learnt in its place."""
    if not isinstance(network, Joint) or model.shown_by is None:
        return dataclasses.replace(model, renderer=network)
    shown_by = dataclasses.replace(model.shown_by, renderer=network.renderer)
    return dataclasses.replace(model, renderer=network.forecaster, shown_by=shown_by)


def save_model(model: Model, folder: Path, parts: Mapping[str, Mapping[str, Tensor]] | None = None) -> None:
    """Writes the model to ``folder``, whole or not at all; an older one there is replaced.

    Args:
        parts: further tensors by file name, such as ``{"discriminators": ...}``.

    Raises:
        UserError: something else stands there; the disk is full, or the place cannot be written; the model
            is an exported one.
    """
    check_replaceable(folder)
    if isinstance(model.renderer, ExportedRenderer):
        raise UserError(f"{model.renderer.folder}: is an exported model; copy its folder instead")
    with whole_folder(folder) as temporary:
        write_model(model, temporary, parts)


def check_replaceable(folder: Path) -> None:
    """Raises UserError where something stands that is no model."""
    if folder.exists() and not (folder / "config.json").is_file() and not _is_empty(folder):
        raise UserError(f"{folder}: exists and is not a model; name another folder")


def write_model(model: Model, folder: Path, parts: Mapping[str, Mapping[str, Tensor]] | None = None) -> None:
    """The files of ``save_model``, into a folder that exists; of an exported model all but the step's."""
    config = {
        "format": FORMAT,
        "architecture": dataclasses.asdict(model.architecture),
        "condition": model.schema.to_dict(),
        "size": list(model.size),
        "rate": [model.rate.numerator, model.rate.denominator],
        "about": model.about,
    }
    if isinstance(model.renderer, ExportedRenderer):
        config["step"] = dict(model.renderer.facts)
    write_json(folder / "config.json", config)
    for name, module in _networks(model).items():
        write_tensors(folder / f"{name}.safetensors", module.state_dict())
    for name, inner in _nested(model).items():
        (folder / name).mkdir()
        write_model(inner, folder / name)
    for name, tensors in (parts or {}).items():
        write_tensors(folder / f"{name}.safetensors", tensors)
    (folder / "README.md").write_text(_card(model), encoding="utf-8")


def _networks(model: Model) -> dict[str, torch.nn.Module]:
    """A model's own networks by the names of their files; the renderer of an exported one is none."""
    networks = {"generator": model.renderer, "encoder": model.encoder, "styles": model.styles}
    return {
        name: network
        for name, network in networks.items()
        if network is not None and not isinstance(network, ExportedRenderer)
    }


def _nested(model: Model) -> dict[str, Model]:
    """The models inside a model by the names of their folders."""
    inner = {FIRST_FRAME: model.first_frame, RENDERER: model.shown_by}
    return {name: one for name, one in inner.items() if one is not None}


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def load_model(path: Path | str, device: torch.device | str = "cpu") -> Model:
    """Reads a model folder, a run (its newest checkpoint), or a bundled model by name.

    Raises:
        UserError: no such model, a damaged or foreign file, an unknown format; in one line.
    """
    folder = find_model(path)
    where = folder / "config.json"
    # Shapes first, without memory: it is had only when the file holds what the settings promise.
    config = read_json(where)
    with torch.device("meta"):
        model = _from_config(config, where)
    # An imported generator may have come without.
    if not (folder / "encoder.safetensors").is_file():
        model = dataclasses.replace(model, encoder=None)
    if not (folder / "styles.safetensors").is_file():
        model = dataclasses.replace(model, styles=None)
    if "step" in config:
        model = _with_step(model, folder, config["step"], device)
    for name, module in _networks(model).items():
        tensors = read_tensors(folder / f"{name}.safetensors", module.state_dict())
        # Copies, because what was read may still be the file itself, mapped into memory.
        copies = {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}
        module.load_state_dict(copies, assign=True)
        module.eval().requires_grad_(False)
    # A painter's own painter, should it have one, is nobody's: no deeper than this.
    if (folder / FIRST_FRAME).is_dir() and folder.name != FIRST_FRAME:
        model = with_painter(model, folder / FIRST_FRAME, device)
    if (folder / RENDERER).is_dir() and isinstance(model.renderer, Forecaster):
        shown_by = load_renderer(folder / RENDERER, device)
        check_alike(model.schema, shown_by.schema, str(folder / RENDERER))
        model = dataclasses.replace(model, shown_by=shown_by)
    return model


def load_renderer(model: Model | Path | str, device: torch.device | str = "cpu") -> Model:
    """A model that makes frames, as it is given, or read; see ``load_model``.

    Raises:
        UserError: it is a forecaster; or as ``load_model``.
    """
    found = model if isinstance(model, Model) else load_model(model, device)
    if isinstance(found.renderer, Forecaster):
        name = found.about.get("name", "the model") if isinstance(model, Model) else model
        raise UserError(f"{name}: is a forecaster, which makes no frames; give it to vid2vid predict")
    return found


def _with_step(model: Model, folder: Path, facts: object, device: torch.device | str) -> Model:
    """The model, its step run from a file."""
    assert not isinstance(model.renderer, ExportedRenderer)
    try:
        renderer = open_exported(model.renderer, folder, model.size, facts, device)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder / 'config.json'}: damaged ({reason}); copy the model again") from error
    return dataclasses.replace(model, renderer=renderer)


def with_painter(model: Model, path: Path, device: torch.device | str) -> Model:
    """The model, its first frames made by the image model at ``path``.

    Raises:
        UserError: no such model, one that needs past frames itself, or one of other conditions.
    """
    painter = load_model(path, device)
    if painter.renderer.history:
        raise UserError(f"{path}: looks at past frames, so it cannot make the first; give an image model")
    if painter.schema != model.schema:
        raise UserError(f"{path}: was trained on other conditions than the model; give one like it")
    return dataclasses.replace(model, first_frame=painter)


def bundled() -> dict[str, Path]:
    """The models that come with the package, by name."""
    folder = Path(__file__).parent / "bundled"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}


def is_model(path: Path) -> bool:
    """Whether a model folder or a run with a checkpoint lies there."""
    return (path / "config.json").is_file() or bool(checkpoint_folders(path))


def find_model(path: Path | str) -> Path:
    """The model folder that ``path`` means."""
    folder = Path(path)
    if (folder / "config.json").is_file():
        return folder
    if checkpoints := checkpoint_folders(folder):
        return checkpoints[-1]
    if str(path) in bundled():
        return bundled()[str(path)]
    if folder.is_dir():
        raise UserError(
            f"{path}: neither a model (no config.json) nor a run with a checkpoint; name another folder"
        )
    names = ", ".join(bundled()) or "none"
    raise UserError(f"{path}: no such model; give a model or run folder, or a bundled model ({names})")


def checkpoint_folders(run: Path) -> list[Path]:
    """The checkpoints of a run that can be used as models, oldest first."""
    return [folder for folder in step_folders(run) if (folder / "config.json").is_file()]


def step_folders(run: Path) -> list[Path]:
    """All that goes by the name of a checkpoint, oldest first."""
    folders = [path for path in run.glob("checkpoints/step-*") if path.name[5:].isdecimal()]
    return sorted(folders, key=lambda path: int(path.name[5:]))


def _from_config(config: dict[str, Any], where: Path) -> Model:
    if config.get("format") != FORMAT:
        raise UserError(
            f"{where}: model format {config.get('format')!r}, and this version reads {FORMAT}; "
            "use the version of vid2vid that wrote it"
        )
    schema = ConditionSchema.from_dict(config.get("condition"), source=str(where))
    architecture = read_settings(ModelConfig, config.get("architecture"), str(where), "architecture.")
    try:
        for fault in model_faults(architecture):
            raise ValueError(fault)
        if Path(schema.name).name != schema.name:
            raise ValueError(f"the condition {schema.name!r} is no name of a folder")
        size = _two_numbers(config, "size", 16384)
        rate = Fraction(*_two_numbers(config, "rate", 10**9))
        if not Fraction(1, 1000) <= rate <= 1000:
            raise ValueError(f"{rate} frames a second")
        about = config.get("about", {})
        if not isinstance(about, dict):
            raise ValueError("about is no mapping")
        return dataclasses.replace(Model.build(architecture, schema, size, rate), about=about)
    # The last three are torch's words for shapes beyond all bounds.
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{where}: damaged ({reason}); copy the model again") from error


def _two_numbers(config: dict[str, Any], key: str, most: int) -> tuple[int, int]:
    match config.get(key):
        case [int(first), int(second)] if 0 < first <= most and 0 < second <= most:
            return first, second
    raise ValueError(f"{key} must be two whole numbers from 1 to {most}")


def _card(model: Model) -> str:
    """The model card: what a stranger needs to know before using it."""
    about = model.about
    made = "made for" if isinstance(model.renderer, ExportedRenderer) else "trained at"
    renderer = model.renderer.shell if isinstance(model.renderer, ExportedRenderer) else model.renderer
    kind = "class label maps" if model.schema.kind == "labels" else f"pictures ({model.schema.name})"
    does = f"Turns {kind} into video, frame by frame"
    if isinstance(renderer, Forecaster):
        does = f"Forecasts {kind}, each from the last ones, for vid2vid predict"
    lines = [
        f"# {about.get('name', 'A vid2vid renderer')}",
        "",
        f"{does}; {made} {model.size[0]}x{model.size[1]}, {float(model.rate):g} frames a second.",
        "",
        f"- parameters: {sum(p.numel() for p in renderer.parameters()) / 1e6:.2f} million",
    ]
    lines += [f"- {key}: {value}" for key, value in about.items() if key != "name"]
    if model.shown_by is not None:
        lines.append(f"- shown by the renderer in `{RENDERER}/`, which learnt with it")
    if model.schema.labels is not None:
        lines += ["", "Classes: " + ", ".join(item.name for item in model.schema.labels.classes) + "."]
    if isinstance(model.renderer, ExportedRenderer):
        lines += ["", *step_card(model.renderer)]
    return "\n".join(lines) + "\n"
