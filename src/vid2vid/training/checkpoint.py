"""Checkpoints: a model folder with all else that training needs to go on. Tensors and JSON, never pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vid2vid.errors import Disbanded, Diverged, UserError
from vid2vid.models.joint import Joint
from vid2vid.training.distributed import Team
from vid2vid.training.trainer import Place, Trainer
from vid2vid.types import RecurrentState
from vid2vid.video.files import temporary_name, writing_failed
from vid2vid.zoo.files import (
    check_checksums,
    read_any_tensors,
    read_json,
    read_tensors,
    whole_folder,
    write_checksums,
    write_json,
)
from vid2vid.zoo.folder import RENDERER, Model, step_folders, write_model

Scores = Mapping[str, float | None]
"""What validation found, by the key of the metric."""

Better = Callable[[float], float]
"""Of the metric that chooses the best checkpoint: the higher this is, the better."""


def save_checkpoint(run: Path, model: Model, trainer: Trainer, scores: Scores | None = None) -> Path:
    """Writes ``checkpoints/step-N``, whole or not at all. All processes of a training call it together, and
    the first writes; how many they were does not show.

    Raises:
        Disbanded: the weights of another process are not those of the first.
        UserError: the disk is full, or the place cannot be written.
        Diverged: something in it is not finite: such a checkpoint would be of no use.
    """
    folder = run / "checkpoints" / f"step-{trainer.step}"
    parts: dict[str, dict[str, Tensor]] = {
        "discriminators": _judges(trainer),
        "optimiser": _moments(trainer),
        "random": _random_states(trainer.device),
    }
    if trainer.average is not None:
        parts["training_generator"] = trainer.renderer.state_dict()
    if trainer.place is not None:
        parts["place"] = _place_tensors(trainer.place, trainer.team)
    for part, tensors in {"generator": trainer.result.state_dict(), **parts}.items():
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise Diverged(
                    f"{part}: {name} is not finite at step {trainer.step}, so it is not saved; lower "
                    "train.lr and resume from the last checkpoint"
                )
    if trainer.team.size > 1 and (unlike := trainer.team.unlike_first(digest(trainer))):
        raise Disbanded(
            f"process {unlike[0]} of {trainer.team.size} has other weights than the first at step "
            f"{trainer.step}, so none are saved; use machines of one kind and go on from the last checkpoint"
        )
    if not trainer.team.leads:
        return folder
    with whole_folder(folder) as temporary:
        write_model(model, temporary, parts)
        write_json(temporary / "training.json", _progress(trainer) | {"scores": dict(scores or {})})
        write_checksums(temporary)
    return folder


def prune(run: Path, keep: int, metric: str, better: Better) -> None:
    """Removes all checkpoints but the newest ``keep`` and the best by ``metric``."""
    folders = step_folders(run)
    spared = {*folders[-keep:], best_checkpoint(run, metric, better)}
    for old in (folder for folder in folders if folder not in spared):
        _remove(old)


def best_checkpoint(run: Path, metric: str, better: Better) -> Path | None:
    """The first of the best, of those that have been scored."""
    known = {}
    for folder in step_folders(run):
        with suppress(UserError):  # damaged: found out when it is needed
            scores = read_json(folder / "training.json").get("scores")
            if isinstance(scores, dict) and isinstance(score := scores.get(metric), int | float):
                known[folder] = better(score)
    return max(known, key=lambda folder: known[folder], default=None)


def _remove(folder: Path) -> None:
    """Out of sight first: a process killed on its way leaves no half of a checkpoint under its name."""
    hidden = temporary_name(folder)
    try:
        os.replace(folder, hidden)
    except OSError as error:
        raise writing_failed(folder, error) from error
    shutil.rmtree(hidden, ignore_errors=True)


def sweep(run: Path) -> None:
    """Removes what a killed training was about to write."""
    for place in ("", "checkpoints", "samples"):
        for left in [*(run / place).glob(".*.part"), *(run / place).glob(".*.old")]:
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def whole_checkpoint(run: Path) -> tuple[Path | None, dict[Path, UserError]]:
    """The newest checkpoint that is as it was written, and what is wrong with each newer one.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    damaged: dict[Path, UserError] = {}
    for folder in reversed(step_folders(run)):
        try:
            check_checksums(folder)
            return folder, damaged
        except UserError as error:
            damaged[folder] = error
    if damaged:
        first = str(next(iter(damaged.values()))).rpartition(";")[0]
        others = f", and so are all {len(damaged) - 1} before it" if len(damaged) > 1 else ""
        raise UserError(f"{first}{others}; copy the run again, or begin anew with another --out")
    return None, damaged


def set_aside(damaged: Mapping[Path, UserError]) -> Iterator[str]:
    """Gives damaged checkpoints names under which nothing looks for them; yields what is to be said."""
    for folder, error in damaged.items():
        aside = folder.with_name(f"damaged-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            os.replace(folder, aside)
        except OSError as problem:
            raise writing_failed(folder, problem) from problem
        yield f"{str(error).rpartition(';')[0]}; set aside as {aside.name}"


def load_checkpoint(folder: Path, trainer: Trainer) -> None:
    """Puts everything back as it was.

    Raises:
        UserError: a part is missing, damaged, or belongs to another recipe, or to another size of the batch.
    """
    progress = read_json(folder / "training.json")
    if (was := progress.get("batch", now := _whole_batch(trainer))) != now:
        raise UserError(
            f"{folder}: was trained with {was} sequences a step, not {now} (data.batch times processes); "
            "start as many processes as then, or change data.batch"
        )
    for network, home in _kept(trainer, folder):
        network.load_state_dict(read_tensors(home / "generator.safetensors", network.state_dict()))
    if trainer.average is not None:
        training = read_tensors(folder / "training_generator.safetensors", trainer.renderer.state_dict())
        trainer.renderer.load_state_dict(training)
    if trainer.encoder is not None:
        encoder = read_tensors(folder / "encoder.safetensors", trainer.encoder.state_dict())
        trainer.encoder.load_state_dict(encoder)
    judges = read_tensors(folder / "discriminators.safetensors", _judges(trainer))
    trainer.objective.load_state_dict(judges, strict=False)
    _restore_moments(trainer, folder / "optimiser.safetensors")
    try:
        _restore_progress(trainer, progress, folder / "place.safetensors")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'training.json'}: damaged ({error}); copy it again") from error
    _restore_random_states(trainer.device, folder / "random.safetensors")


def _kept(trainer: Trainer, folder: Path) -> list[tuple[nn.Module, Path]]:
    """The networks to keep, and the folders of the models that they are."""
    if isinstance(result := trainer.result, Joint):
        return [(result.forecaster, folder), (result.renderer, folder / RENDERER)]
    return [(result, folder)]


def digest(trainer: Trainer) -> bytes:
    """Of all that is to be the same in every process of a training."""
    found = hashlib.sha256(json.dumps([_progress(trainer), trainer.objective.perceptual is None]).encode())
    for tensor in (*shared(trainer), *_moments(trainer).values()):
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.digest()


def shared(trainer: Trainer) -> list[Tensor]:
    """The tensors of all networks."""
    networks = (trainer.renderer, trainer.encoder, trainer.average)
    states = [network.state_dict() for network in networks if network is not None]
    return [tensor for state in (*states, _judges(trainer)) for tensor in state.values()]


def _whole_batch(trainer: Trainer) -> int:
    """Sequences a step, over all processes."""
    return trainer.recipe.data.batch * trainer.team.size


def _progress(trainer: Trainer) -> dict[str, Any]:
    place, average = trainer.place, trainer.average
    return {
        "step": trainer.step,
        "frames": trainer.frames,
        "batch": _whole_batch(trainer),
        "skipped": [trainer.skipped, trainer.skipped_in_all],
        "verdicts": trainer.verdicts.means,
        "averaged": 0 if average is None else int(average.n_averaged),
        "sequence": trainer.sequence,
        "place": None if place is None else {"frame": place.frame, "filled": place.state.filled},
    }


def _restore_progress(trainer: Trainer, progress: Mapping[str, Any], place: Path) -> None:
    trainer.step, trainer.frames = int(progress["step"]), int(progress["frames"])
    trainer.skipped, trainer.skipped_in_all = (int(count) for count in progress["skipped"])
    trainer.verdicts.means = {who: (float(x), int(n)) for who, (x, n) in progress["verdicts"].items()}
    trainer.sequence = int(progress["sequence"])
    if trainer.average is not None:
        trainer.average.n_averaged.fill_(int(progress["averaged"]))
    if (found := progress["place"]) is not None:
        whole = read_any_tensors(place)
        tensors = {name: trainer.team.part(tensor).to(trainer.device) for name, tensor in whole.items()}

        def numbered(kind: str) -> tuple[Tensor, ...]:
            names = sorted((n for n in tensors if n.startswith(kind)), key=lambda n: int(n.split(".")[1]))
            return tuple(tensors[name] for name in names)

        state = RecurrentState(numbered("conditions."), numbered("frames."), int(found["filled"]))
        trainer.place = Place(int(found["frame"]), state, numbered("made."))


def _place_tensors(place: Place, team: Team) -> dict[str, Tensor]:
    kinds = {"conditions": place.state.conditions, "frames": place.state.frames, "made": place.made}
    # Clones, because one may be a view of another, which a file of tensors does not allow.
    return {
        f"{kind}.{i}": team.gather(x).clone()
        for kind, tensors in kinds.items()
        for i, x in enumerate(tensors)
    }


def _random_states(device: torch.device) -> dict[str, Tensor]:
    """Of torch, which nobody here draws from without a reason; all other chance is a function of the seed."""
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def _restore_random_states(device: torch.device, path: Path) -> None:
    states = read_any_tensors(path)  # those of another device than before are of no use here
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


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
                like = optimiser.param_groups[0]["params"][int(number)] if value.ndim else value
                state.setdefault(int(number), {})[name] = torch.empty_like(like).copy_(value)
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
