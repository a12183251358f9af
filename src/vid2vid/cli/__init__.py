"""The command line, ``vid2vid VERB ...``: finds the verb's own small file, runs it and words its errors.

Exit codes: 0 done; 1 ``check`` found faults, or another process of a training is gone; 2 input or call is
wrong; 3 training diverged; 130 interrupted (Ctrl-C); 143 ended by a scheduler (SIGTERM).

Nothing heavy is imported before a verb runs: a verb's file imports its room inside its function.
"""

from __future__ import annotations

import errno
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from keyword import iskeyword

from vid2vid import __version__
from vid2vid.errors import Disbanded, Diverged, Terminated, UserError

VERBS: tuple[str, ...] = (
    *("demo", "prepare", "check", "train", "synthesize", "predict", "bench", "evaluate", "ablate", "study"),
    *("import", "export", "info"),
)
"""As a newcomer meets them. Each is a file of this folder, and the function of that name in it; what Python
reserves has an underscore there."""

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_PIPE_CLOSED = 128 + 13  # what a shell reports for a program ended by SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after ``vid2vid``; those of this process when None.

    Returns:
        The exit code. An error nobody foresaw is raised instead: it is a bug, and its traceback is wanted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (``| head``) has had enough. Python flushes once more at exit: give that somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except (Exception, KeyboardInterrupt) as error:
        message, code = _explain(error)
        if debug or not message:
            raise
        who = f"vid2vid {words[0]}" if words and words[0] in VERBS else "vid2vid"
        print(f"{who}: {' '.join(message.split())}", file=sys.stderr)
        return code


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    verb, rest = words[0], words[1:]
    if verb in ("-V", "--version"):
        print(f"vid2vid {__version__}")
        return 0
    if verb not in VERBS:
        near = get_close_matches(verb, VERBS, n=1)
        meant = f"did you mean '{near[0]}'?" if near else "see vid2vid --help"
        raise UserError(f"there is no command '{verb}'; {meant}")
    from vid2vid.cli.arguments import call  # the parser takes a third of a second to import

    return call(_function(verb), f"vid2vid {verb}", rest)


def _function(verb: str) -> Callable[..., int | None]:
    name = f"{verb}_" if iskeyword(verb) else verb
    function: Callable[..., int | None] = getattr(importlib.import_module(f"vid2vid.cli.{name}"), name)
    return function


def _overview() -> str:
    width = max(map(len, VERBS), default=0)
    lines = [
        "usage: vid2vid COMMAND ...",
        "",
        "Coherent video from label maps, sketches, poses or degraded frames.",
        "",
    ]
    for verb in VERBS:
        sentence = (inspect.getdoc(_function(verb)) or "").partition("\n")[0]
        lines.append(f"  {verb:{width}}  {sentence}")
    return "\n".join(
        [
            *lines,
            "",
            "  vid2vid COMMAND --help   what a command takes, and an example",
            "  vid2vid --version        the version",
            "  vid2vid COMMAND --debug  show the traceback of an error",
        ]
    )


def _explain(error: BaseException) -> tuple[str, int]:
    """One line for the user and the exit code; an empty line for an error that is our own fault."""
    match error:
        case UserError():
            return str(error), 2
        case Disbanded():
            return str(error), 1
        case Diverged():
            return str(error), 3
        case Terminated():
            return str(error) or "terminated", 143
        case KeyboardInterrupt():
            return str(error) or "interrupted", 130
        case OSError() if error.errno in _DISK_FULL:
            return f"{error.filename or 'output'}: the disk is full; free some space and run this again", 2
        case OSError() if error.filename is not None:
            return f"{os.fsdecode(error.filename)}: {error.strerror}", 2
        case MemoryError():
            return "out of memory; a smaller --size needs less", 2
        case RuntimeError() if (
            type(error).__name__ == "OutOfMemoryError"
        ):  # torch's, which is not imported here
            return "the accelerator is out of memory; a smaller --size or --device cpu needs less", 2
    return "", 1
