"""A process that has imported all that a training needs and forks one per request: a start takes a moment and
not ten seconds, so that a hundred trainings can be killed. Speaks JSON, a line each way; run as a script."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Zygote:
    """The other end. log: where the trainings' words go."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def start(self, *words: str, die_at: int | None = None) -> int:
        """Starts ``vid2vid WORDS``; die_at: it kills itself at this call into the file system, from the start
        of its first save on. Returns the process's number."""
        self._ask({"words": words, "log": str(self._log), "die_at": die_at})
        return int(self._answer())

    def wait(self) -> tuple[int, str]:
        """How the last training ended (exit code, or minus the signal), and what it said."""
        self._ask({})
        return int(self._answer()), self._log.read_text()

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def zygote(folder: Path) -> Iterator[Zygote]:
    """One that ends with the block."""
    command = [sys.executable, __file__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        yield Zygote(process, folder / "words.log")


def serve() -> None:
    import torch._dynamo  # noqa: F401  an optimiser imports it at its first step
    from torch.utils import tensorboard  # noqa: F401

    import vid2vid.cli.train
    import vid2vid.training  # noqa: F401

    child = 0
    for line in sys.stdin:
        request = json.loads(line)
        if not request:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        child = os.fork()
        if not child:
            _train(request)
        print(child, flush=True)


def _train(request: dict[str, Any]) -> None:
    from vid2vid.cli import main

    os.setsid()  # a group of its own, as a job has
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if request["die_at"] is not None:
        _doom(request["die_at"])
    code = 70
    try:
        code = main(request["words"])
    finally:
        sys.stdout.flush()
        os._exit(code)


def _doom(calls: int) -> None:
    """SIGKILL at that call: before it, or, where a file is written, with half of it written."""
    import vid2vid.training.loop
    import vid2vid.zoo.files

    left = [0, calls]  # armed, calls to go
    save = vid2vid.training.loop.save_checkpoint

    def armed(*args: Any) -> Path:
        left[0] = 1
        return save(*args)

    vid2vid.training.loop.save_checkpoint = armed

    def deadly(place: Any, name: str, written: int | None = None) -> None:
        original = getattr(place, name)

        def call(*args: Any, **options: Any) -> Any:
            left[1] -= left[0]
            if left[1] < 0 and written is not None:
                original(*args, **options)
                os.truncate(args[written], os.path.getsize(args[written]) // 2)
            if left[1] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **options)

        setattr(place, name, call)

    deadly(vid2vid.zoo.files, "save_file", written=1)
    deadly(Path, "write_text", written=0)
    for place, name in ((os, "fsync"), (os, "replace"), (shutil, "rmtree"), (os, "rmdir"), (os, "unlink")):
        deadly(place, name)


if __name__ == "__main__":
    serve()
