"""The decoding process as this one sees it: asked politely, believed in nothing.

Videos come from strangers, and libav is written in C. It runs in a child (``vid2vid.decoder``) that may
crash, hang or want all memory: that ends as a ``UserError`` here. What the child says is checked as if the
file had taken it over: no code, no size and no text of its making is used as it comes.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BufferedReader, BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from vid2vid.decoder.container import UNKNOWN
from vid2vid.errors import UserError
from vid2vid.types import Size

_PROGRAM = ("-P", "-m", "vid2vid.decoder")
_LONGEST_LINE = 1 << 14
_LONGEST_TEXT = 300
_WIDEST_PADDING = 256  # bytes that libav may add to a line of pixels
_PIPE = 1 << 20  # bytes; half a small frame
_GOODBYE = 5.0  # seconds between the last answer of a process and its end
_MEND = "convert it with another tool first"


class Decoder:
    """A process that has one video file open. It ends on ``close``, with this object, and with this process.

    Not to be shared between threads; ``usable`` says whether a fork, a fault or ``close`` came between.
    Every method but ``close`` raises UserError: the file was refused, or the process crashed, took too long
    or said what no video says.

    Args:
        path: the file; or what messages call the pipe.
        pipe: instead of a file, the descriptor of a pipe, and what has been read of it already.
    """

    def __init__(self, path: Path | str, pipe: tuple[int, bytes] | None = None) -> None:
        self.path = path
        self._owner = os.getpid()
        # Modules are found where this process finds them. A group of its own: Ctrl-C and Ctrl-Z are for the
        # parent, which ends it.
        source = [str(Path(path).absolute())] if pipe is None else ["--pipe", str(pipe[0]), pipe[1].hex()]
        self._process = subprocess.Popen(
            [sys.executable, *_PROGRAM, *source],
            pass_fds=() if pipe is None else pipe[:1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            process_group=0 if os.name == "posix" else None,
        )
        assert isinstance(self._process.stdin, BufferedWriter)
        assert isinstance(self._process.stdout, BufferedReader)
        self._requests, self.answers = self._process.stdin, self._process.stdout
        with suppress(ImportError, AttributeError, OSError):  # fewer, larger pieces, where there is room
            import fcntl

            fcntl.fcntl(self.answers, fcntl.F_SETPIPE_SZ, _PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(AttributeError):  # it was never started
            self.close()

    @property
    def usable(self) -> bool:
        return self._owner == os.getpid() and not self._requests.closed

    def close(self) -> None:
        if self._owner == os.getpid():  # in a fork, it is another's child
            self._process.kill()
            self._process.wait()
        for pipe in (self._requests, self.answers):
            with suppress(OSError):
                pipe.close()

    def ask(self, request: str, **arguments: object) -> None:
        """Send a request, a method of ``vid2vid.decoder.__main__.Requests``."""
        try:
            self._requests.write(json.dumps([request, arguments]).encode() + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            pass  # it has ended, and its last answer says why

    def answer(self) -> Answer:
        """The next line."""
        line = self.answers.readline(_LONGEST_LINE)
        if not line:
            raise self._ended()
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or not line.endswith(b"\n"):
            raise self.nonsense()
        answer = Answer(self, fields)
        if "refused" in fields:
            raise UserError(f"{self.path}: {answer.text('refused')}")
        return answer

    def stamps(self, count: int) -> np.ndarray:
        """(count,) int64."""
        return self._bytes(8 * count).view(np.int64)

    def frame(self, size: Size, number: int) -> tuple[int, np.ndarray] | None:
        """A decoded frame: its time stamp, or UNKNOWN, and (H, W, 3) uint8 RGB; None where there is none.

        Args:
            size: (width, height) that it must have.
            number: what to call it where it has not.
        """
        answer = self.answer()
        if "end" in answer.fields:
            return None
        got = answer.integer("width", 1), answer.integer("height", 1)
        if got != size:
            raise UserError(
                f"{self.path}: frame {number} is {got[0]}x{got[1]}, those before {size[0]}x{size[1]}; "
                "convert it to one size first"
            )
        width, height = size
        stride = answer.integer("stride", 3 * width, 3 * width + _WIDEST_PADDING)
        lines = self._bytes(height * stride).reshape(height, stride)
        return answer.integer("stamp", UNKNOWN), lines[:, : 3 * width].reshape(height, width, 3)

    def nonsense(self) -> UserError:
        """What to raise where an answer is none."""
        self.close()
        return UserError(f"{self.path}: decoding it went wrong; {_MEND}")

    def _bytes(self, count: int) -> np.ndarray:
        data = np.empty(count, np.uint8)
        if self.answers.readinto(data.data) != count:
            raise self._ended()
        return data

    def _ended(self) -> UserError:
        """Why there is no answer."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GOODBYE)
        code = self._process.returncode
        self.close()
        if os.name == "posix" and code == -signal.SIGALRM:
            return UserError(f"{self.path}: decoding it took too long; {_MEND}")
        if os.name == "posix" and code == -signal.SIGKILL:
            return UserError(f"{self.path}: decoding it was stopped, perhaps for want of memory; {_MEND}")
        return UserError(f"{self.path}: decoding it crashed; {_MEND}")


@dataclass(frozen=True)
class Answer:
    """One answer; each field is fetched with what it may be, and anything else is a UserError."""

    decoder: Decoder
    fields: dict[str, Any]

    def integer(self, name: str, least: int, most: int = (1 << 63) - 1) -> int:
        value = self.fields.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.decoder.nonsense()
        return value

    def number(self, name: str) -> float | None:
        """Finite; None where the file is silent."""
        value = self.fields.get(name)
        if value is not None and not (isinstance(value, float) and math.isfinite(value)):
            raise self.decoder.nonsense()
        return value

    def flag(self, name: str) -> bool:
        value = self.fields.get(name)
        if type(value) is not bool:
            raise self.decoder.nonsense()
        return value

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST_TEXT:
            raise self.decoder.nonsense()
        return value

    def ratio(self, name: str) -> Fraction | None:
        """Above 0; None where the file is silent."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or [type(part) for part in value] != [int, int] or min(value) < 1:
            raise self.decoder.nonsense()
        return Fraction(*value)
