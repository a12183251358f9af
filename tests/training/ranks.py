"""Processes that train together, as the tests start them: forked by one that has imported all they need, and
acquainted by a file. What they are to do stands here, so that they need not import the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from vid2vid.cli import main
from vid2vid.config import load_recipe
from vid2vid.errors import Disbanded, Terminated
from vid2vid.training import distributed
from vid2vid.training.checkpoint import save_checkpoint
from vid2vid.training.distributed import ALONE, Team
from vid2vid.training.footage import batches, open_dataset
from vid2vid.training.trainer import Metrics, Trainer
from vid2vid.types import VideoBatch
from vid2vid.zoo import Model

Job = Callable[..., int]


class Ranks:
    """The other end of a process that forks trainings. folder: where they meet and where their words go."""

    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        self._server, self._folder, self._meetings = server, folder, count()

    def start(self, size: int, job: Job, *args: Any, patience: float = 60) -> list[int]:
        """So many processes, by their numbers; each does ``job(team, *args)``, of plain values."""
        meeting = self._folder / f"meeting-{next(self._meetings)}"
        about = {"job": job.__name__, "args": args, "size": size, "patience": patience}
        return [
            self._ask(about | {"rank": rank, "meeting": str(meeting), "words": str(self._file(rank))})
            for rank in range(size)
        ]

    def wait(self, *processes: int) -> list[int]:
        """Their exit codes, or minus the signals that ended them."""
        return [self._ask({"wait": process}) for process in processes]

    def words(self, rank: int) -> str:
        """What the last process of that rank has said."""
        return self._file(rank).read_text()

    def _file(self, rank: int) -> Path:
        return self._folder / f"words-{rank}"

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


@contextmanager
def ranks(folder: Path) -> Iterator[Ranks]:
    """Ends with the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, __file__], **pipes, env=environment) as server:
        yield Ranks(server, folder)


def _serve() -> None:
    import torch._dynamo  # noqa: F401  an optimiser imports it at its first step
    from torch.utils import tensorboard  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(_end(request["wait"]), flush=True)
            continue
        child = os.fork()
        if not child:
            _join(request)
        print(child, flush=True)


def _end(child: int) -> int:
    for _ in range(6000):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _join(request: dict[str, Any]) -> None:
    words = os.open(request["words"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(words, 1)
    os.dup2(words, 2)
    team = Team(request["rank"], request["size"])
    wait = timedelta(seconds=request["patience"])
    place = f"file://{request['meeting']}"
    code = 70
    try:
        dist.init_process_group("gloo", init_method=place, rank=team.rank, world_size=team.size, timeout=wait)
        code = globals()[request["job"]](team, *request["args"])
    except BaseException:
        traceback.print_exc()
    sys.exit(code)


def command(team: Team, words: list[str]) -> int:
    """RANK in a word becomes this one's."""
    return main([word.replace("RANK", str(team.rank)) for word in words])


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
    encoded = trained._encoded
    trained._encoded = lambda batch: encoded(batch).double()  # type: ignore[method-assign]
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


def meet(team: Team, out: str, dataset: str, settings: list[str]) -> int:
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
        trained.learners[0][0, 0, 0, 0] += 1e-12 * team.rank
    try:
        save_checkpoint(Path(out), model, trained)
    except Disbanded as error:
        print(error)
        return 0
    return 1


def exact_steps(team: Team, out: str, dataset: str, settings: list[str], count: int) -> int:
    found, trained = steps(dataset, settings, count, team)
    (Path(out) / f"losses-{team.rank}.json").write_text(json.dumps(found))
    save_file(weights(trained), Path(out) / f"weights-{team.rank}.safetensors")
    team.wait()
    return 0


def weights(trained: Trainer) -> dict[str, Tensor]:
    named = enumerate([*trained.learners, *trained.judges])
    return {str(number): weight.detach().contiguous() for number, weight in named}


if __name__ == "__main__":
    _serve()
