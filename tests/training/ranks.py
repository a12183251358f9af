"""Processes that train together, as the tests start them: forked by one that has imported all they need, and
acquainted by a file. What they are to do stands here, so that they need not import the tests."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from vid2vid.cli import main
from vid2vid.config import load_recipe
from vid2vid.data.processes import worker_context
from vid2vid.errors import Disbanded, Terminated
from vid2vid.training import distributed
from vid2vid.training.checkpoint import save_checkpoint
from vid2vid.training.distributed import ALONE, Team
from vid2vid.training.footage import batches, open_dataset
from vid2vid.training.trainer import Metrics, Trainer
from vid2vid.types import VideoBatch
from vid2vid.zoo import Model

Job = Callable[..., int]
_meetings = count()


def start(folder: Path, size: int, job: Job, *args: Any, patience: float = 60) -> list[BaseProcess]:
    """So many processes; each does ``job(team, *args)``, and its words go to ``words-RANK``."""
    context: Any = worker_context("vid2vid.training.loop")
    meeting = folder / f"meeting-{os.getpid()}-{next(_meetings)}"
    processes = [
        context.Process(target=_join, args=(folder, meeting, Team(rank, size), patience, job, args))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    return processes


def finish(processes: list[BaseProcess]) -> list[int | None]:
    """Their exit codes."""
    for process in processes:
        process.join(120)
        if process.exitcode is None:
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def _join(folder: Path, meeting: Path, team: Team, patience: float, job: Job, args: tuple[Any, ...]) -> None:
    words = os.open(folder / f"words-{team.rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(words, 1)
    os.dup2(words, 2)
    torch.set_num_threads(1)
    wait = timedelta(seconds=patience)
    place = f"file://{meeting}"
    dist.init_process_group("gloo", init_method=place, rank=team.rank, world_size=team.size, timeout=wait)
    try:
        code = job(team, *args)
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.exit(code)


def command(team: Team, words: list[str]) -> int:
    return main(words)


def exact(dataset: Path, settings: list[str], team: Team) -> tuple[Model, Trainer, Iterator[VideoBatch]]:
    """A model, a trainer of it in float64, and its batches."""
    recipe = load_recipe("street-tiny", settings)
    data = open_dataset(dataset, recipe, None)
    torch.manual_seed(recipe.train.seed)
    model = Model.build(recipe.model, data.schema, recipe.data.size, data.clips[0].rate)
    trained = Trainer(model, recipe, torch.device("cpu"), team)
    for part in (trained.renderer, trained.objective, trained.encoder, trained.average):
        if part is not None:
            part.double()
    prepare = trained._prepare
    trained._prepare = lambda batch: tuple(map(double, prepare(batch)))  # type: ignore[method-assign]
    return model, trained, (batch.map(double) for batch in batches(data, recipe, 0, team))


def double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def steps(
    dataset: Path, settings: list[str], count: int, team: Team = ALONE
) -> tuple[list[Metrics], Trainer]:
    """So many in float64: their losses, and what has learnt."""
    _, trained, source = exact(dataset, settings, team)
    found: list[Metrics] = []
    for batch in source:
        given, rolled = trained.given_frames(trained.sequence), trained.rolled_frames(trained.sequence)
        for metrics in trained.train_sequence(batch, given, rolled):
            found.append(metrics)
            if len(found) == count:
                return found, trained
    raise AssertionError("the batches ended")


def meet(team: Team, out: Path, dataset: Path, settings: list[str]) -> int:
    """All they can tell each other, and that unlike weights are not saved."""
    distributed.BUCKET = 8
    numbers = [torch.full((size,), float(10 ** (i + team.rank))) for i, size in enumerate((3, 20, 1, 4, 4))]
    team.average(numbers)
    assert [tensor.tolist() for tensor in numbers] == [
        [5.5 * 10**i] * size for i, size in enumerate((3, 20, 1, 4, 4))
    ]
    assert team.mean(team.rank) == 0.5
    assert team.most(3 - team.rank) == 3
    whole = torch.arange(12.0).view(6, 2)
    assert torch.equal(team.gather(team.part(whole)), whole)
    copied = torch.full((2, 2), float(team.rank))
    team.copy_first([copied])
    assert not copied.any()
    assert team.unlike_first(b"the same everywhere") == []
    assert team.unlike_first(bytes([team.rank] * 8)) == [1]
    reasons = (None, Terminated)
    assert team.agreed(lambda: reasons[team.rank])() is Terminated

    model, trained, _ = exact(dataset, settings, team)
    with torch.no_grad():
        trained.learners[0].view(-1)[0] += 1e-12 * team.rank
    try:
        save_checkpoint(out, model, trained)
    except Disbanded as error:
        print(error)
        return 0
    return 1


def exact_steps(team: Team, out: Path, dataset: Path, settings: list[str], count: int) -> int:
    found, trained = steps(dataset, settings, count, team)
    (out / f"losses-{team.rank}.json").write_text(json.dumps(found))
    save_file(weights(trained), out / f"weights-{team.rank}.safetensors")
    team.wait()
    return 0


def weights(trained: Trainer) -> dict[str, Tensor]:
    named = enumerate([*trained.learners, *trained.judges])
    return {str(number): weight.detach().contiguous() for number, weight in named}
