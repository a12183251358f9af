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

from vid2vid.conditions import ConditionSchema
from vid2vid.config import ModelConfig
from vid2vid.errors import UserError
from vid2vid.models.renderer import Renderer
from vid2vid.types import Size
from vid2vid.zoo.files import read_json, read_tensors, whole_folder, write_json, write_tensors

FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A renderer with everything needed to use it.

    architecture: the generator's settings; schema: what its conditions are; size, rate: what it was trained
    at; about: free facts for the model card (data, recipe, frames seen).
    """

    renderer: Renderer
    architecture: ModelConfig
    schema: ConditionSchema
    size: Size
    rate: Fraction
    about: dict[str, Any]

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
        settings = dataclasses.asdict(architecture)
        renderer = Renderer(schema.channels, foreground_channels=schema.foreground_channels, **settings)
        return cls(renderer, architecture, schema, size, Fraction(rate).limit_denominator(100_000), about)


def save_model(model: Model, folder: Path, parts: Mapping[str, Mapping[str, Tensor]] | None = None) -> None:
    """Writes the model to ``folder``, whole or not at all; an older one there is replaced.

    Args:
        parts: further tensors by file name, such as ``{"discriminators": ...}``.
    """
    with whole_folder(folder) as temporary:
        write_model(model, temporary, parts)


def write_model(model: Model, folder: Path, parts: Mapping[str, Mapping[str, Tensor]] | None = None) -> None:
    """The files of ``save_model``, into a folder that exists."""
    config = {
        "format": FORMAT,
        "architecture": dataclasses.asdict(model.architecture),
        "condition": model.schema.to_dict(),
        "size": list(model.size),
        "rate": [model.rate.numerator, model.rate.denominator],
        "about": model.about,
    }
    write_json(folder / "config.json", config)
    write_tensors(folder / "generator.safetensors", model.renderer.state_dict())
    for name, tensors in (parts or {}).items():
        write_tensors(folder / f"{name}.safetensors", tensors)
    (folder / "README.md").write_text(_card(model))


def load_model(path: Path | str, device: torch.device | str = "cpu") -> Model:
    """Reads a model folder, a run (its newest checkpoint), or a bundled model by name.

    Raises:
        UserError: no such model, a damaged or foreign file, an unknown format; in one line.
    """
    folder = find_model(path)
    config = read_json(folder / "config.json")
    model = _from_config(config, folder / "config.json")
    with torch.no_grad():
        model.renderer.load_state_dict(
            read_tensors(folder / "generator.safetensors", model.renderer.state_dict())
        )
    model.renderer.to(device).eval().requires_grad_(False)
    return model


def bundled() -> dict[str, Path]:
    """The models that come with the package, by name."""
    folder = Path(__file__).parent / "bundled"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}


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
    """The checkpoints of a run, oldest first."""
    folders = [
        path
        for path in run.glob("checkpoints/step-*")
        if path.name[5:].isdigit() and (path / "config.json").is_file()
    ]
    return sorted(folders, key=lambda path: int(path.name[5:]))


def _from_config(config: dict[str, Any], where: Path) -> Model:
    if config.get("format") != FORMAT:
        raise UserError(
            f"{where}: model format {config.get('format')!r}, and this version reads {FORMAT}; "
            "use the version of vid2vid that wrote it"
        )
    schema = ConditionSchema.from_dict(config.get("condition"), source=str(where))
    known = {field.name: field for field in dataclasses.fields(ModelConfig)}
    try:
        given = dict(config["architecture"])
        if unknown := [key for key in given if key not in known]:
            raise ValueError(f"unknown architecture key {unknown[0]!r}")
        for key, value in given.items():
            if type(value) is not type(known[key].default):
                raise ValueError(f"architecture key {key!r} is {value!r}")
        architecture = ModelConfig(**given)
        if not (
            0 <= architecture.history <= 16 and 1 <= architecture.downs <= 8 and architecture.blocks <= 64
        ):
            raise ValueError("an architecture beyond all bounds")
        width, height = (int(side) for side in config["size"])
        rate = Fraction(*(int(part) for part in config["rate"]))
        about = dict(config.get("about") or {})
        # Shapes first, without memory: an absurd header must not cost any.
        with torch.device("meta"):
            shape_only = Model.build(architecture, schema, (width, height), rate, **about)
        if sum(parameter.numel() for parameter in shape_only.renderer.parameters()) > 4e9:
            raise ValueError("more than four billion parameters")
    except (KeyError, TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{where}: damaged ({reason}); copy the model again") from error
    return Model.build(architecture, schema, (width, height), rate, **about)


def _card(model: Model) -> str:
    """The model card: what a stranger needs to know before using it."""
    about = model.about
    kind = "class label maps" if model.schema.kind == "labels" else f"pictures ({model.schema.name})"
    lines = [
        f"# {about.get('name', 'A vid2vid renderer')}",
        "",
        f"Turns {kind} into video, frame by frame; trained at {model.size[0]}x{model.size[1]}, "
        f"{float(model.rate):g} frames a second.",
        "",
        f"- parameters: {sum(p.numel() for p in model.renderer.parameters()) / 1e6:.2f} million",
    ]
    lines += [f"- {key}: {value}" for key, value in about.items() if key != "name"]
    if model.schema.labels is not None:
        lines += ["", "Classes: " + ", ".join(item.name for item in model.schema.labels.classes) + "."]
    return "\n".join(lines) + "\n"
