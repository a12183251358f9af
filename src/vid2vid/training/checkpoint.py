"""Checkpoints: a model folder with all else that training needs to go on. Tensors and JSON, never pickle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vid2vid.errors import UserError
from vid2vid.training.trainer import Trainer
from vid2vid.zoo.files import read_json, read_tensors, whole_folder, write_json
from vid2vid.zoo.folder import Model, checkpoint_folders, write_model


def save_checkpoint(run: Path, model: Model, trainer: Trainer, sequence: int, keep: int) -> Path:
    """Writes ``checkpoints/step-N``, whole or not at all, then removes all but the newest ``keep``."""
    folder = run / "checkpoints" / f"step-{trainer.step}"
    parts: dict[str, dict[str, Tensor]] = {
        "discriminators": _judges(trainer),
        "optimiser": _moments(trainer),
    }
    if trainer.average is not None:
        parts["training_generator"] = trainer.renderer.state_dict()
    progress = {"step": trainer.step, "frames": trainer.frames, "sequence": sequence}
    with whole_folder(folder) as temporary:
        write_model(model, temporary, parts)
        write_json(temporary / "training.json", progress)
    for old in checkpoint_folders(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def load_checkpoint(folder: Path, trainer: Trainer) -> int:
    """Puts everything back as it was and returns the number of the next sequence.

    Raises:
        UserError: a part is missing, damaged, or belongs to another recipe.
    """
    try:
        return _load(folder, trainer)
    except UserError as error:
        what = str(error).rpartition(";")[0]
        raise UserError(f"{what}; remove {folder} to go on from the checkpoint before it") from error


def _load(folder: Path, trainer: Trainer) -> int:
    progress = read_json(folder / "training.json")
    step, frames, sequence = (progress.get(key) for key in ("step", "frames", "sequence"))
    if not (isinstance(step, int) and isinstance(frames, int) and isinstance(sequence, int)):
        raise UserError(f"{folder / 'training.json'}: damaged; copy it again")
    kept = read_tensors(folder / "generator.safetensors", trainer.renderer.state_dict())
    trainer.result.load_state_dict(kept)
    if trainer.average is not None:
        training = read_tensors(folder / "training_generator.safetensors", trainer.renderer.state_dict())
        trainer.renderer.load_state_dict(training)
        trainer.average.n_averaged.fill_(step)
    if trainer.encoder is not None:
        encoder = read_tensors(folder / "encoder.safetensors", trainer.encoder.state_dict())
        trainer.encoder.load_state_dict(encoder)
    judges = read_tensors(folder / "discriminators.safetensors", _judges(trainer))
    trainer.objective.load_state_dict(judges, strict=False)
    _restore_moments(trainer, folder / "optimiser.safetensors")
    trainer.step, trainer.frames = step, frames
    return sequence


def _judges(trainer: Trainer) -> dict[str, Tensor]:
    """The discriminators' tensors; the perceptual network is not theirs."""
    state = trainer.objective.state_dict()
    return {name: value for name, value in state.items() if not name.startswith("perceptual.")}


def _optimisers(trainer: Trainer) -> dict[str, torch.optim.Optimizer]:
    found = {"generator": trainer.optimiser, "discriminators": trainer.judge_optimiser}
    return {name: optimiser for name, optimiser in found.items() if optimiser is not None}


def _moments(trainer: Trainer) -> dict[str, Tensor]:
    """Adam's state as named tensors: ``side.parameter number.moment``; zeros for what was never stepped."""
    moments: dict[str, Tensor] = {}
    for side, optimiser in _optimisers(trainer).items():
        for number, parameter in enumerate(optimiser.param_groups[0]["params"]):
            state = optimiser.state[parameter]
            moments[f"{side}.{number}.step"] = state.get("step", torch.zeros(()))
            for name in ("exp_avg", "exp_avg_sq"):
                moments[f"{side}.{number}.{name}"] = state.get(name, torch.zeros_like(parameter))
    return moments


def _restore_moments(trainer: Trainer, path: Path) -> None:
    tensors = read_tensors(path, _moments(trainer))
    for side, optimiser in _optimisers(trainer).items():
        state: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            owner, number, name = key.split(".")
            if owner == side:
                state.setdefault(int(number), {})[name] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
