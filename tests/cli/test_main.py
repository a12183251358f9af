"""The frame of the command line: finding verbs, wording errors, exit codes."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
import types
from collections.abc import Callable

import pytest

import vid2vid.cli as cli
from vid2vid import __version__
from vid2vid.errors import Diverged, Terminated, UserError


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int | None]], None]:
    """Install a verb ``act`` whose body is the given function."""

    def install(body: Callable[[], int | None]) -> None:
        def act() -> int | None:
            """Do something."""
            return body()

        module = types.ModuleType("vid2vid.cli.act")
        module.act = act  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "vid2vid.cli.act", module)
        monkeypatch.setattr(cli, "VERBS", ("act", "rest"))

    return install


def raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("a.mp4: no such file; name another"), 2, "vid2vid act: a.mp4: no such file; name another"),
        (UserError("two\nlines"), 2, "vid2vid act: two lines"),
        (Diverged("loss.gan stayed nan"), 3, "vid2vid act: loss.gan stayed nan"),
        (KeyboardInterrupt(), 130, "vid2vid act: interrupted"),
        (
            KeyboardInterrupt("stopped at step 7; the same command goes on"),
            130,
            "vid2vid act: stopped at step 7; the same command goes on",
        ),
        (Terminated("stopped at step 7"), 143, "vid2vid act: stopped at step 7"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "vid2vid act: output: the disk is full; free some space and run this again",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "x/y"), 2, "vid2vid act: x/y: Permission denied"),
        (MemoryError(), 2, "vid2vid act: out of memory; a smaller --size needs less"),
        (
            OutOfMemoryError("CUDA out of memory"),
            2,
            "vid2vid act: the accelerator is out of memory; a smaller --size or --device cpu needs less",
        ),
    ],
)
def test_an_error_is_one_line_and_a_code(
    verb: Callable, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    verb(raising(error))
    assert cli.main(["act"]) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", line + "\n")


def test_debug_shows_the_traceback_wherever_it_stands(verb: Callable) -> None:
    verb(raising(UserError("bad")))
    for words in (["act", "--debug"], ["--debug", "act"]):
        with pytest.raises(UserError):
            cli.main(words)


def test_a_bug_keeps_its_traceback(verb: Callable) -> None:
    for error in (ZeroDivisionError(), RuntimeError("shapes differ"), OSError("no file is named")):
        verb(raising(error))
        with pytest.raises(type(error)):
            cli.main(["act"])


def test_exit_codes_of_a_verb(verb: Callable) -> None:
    verb(lambda: None)
    assert cli.main(["act"]) == 0
    verb(lambda: 1)
    assert cli.main(["act"]) == 1


def test_an_unknown_verb_names_its_nearest(verb: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    verb(lambda: None)
    assert cli.main(["acts"]) == 2
    assert capsys.readouterr().err == "vid2vid: there is no command 'acts'; did you mean 'act'?\n"
    assert cli.main(["zzz"]) == 2
    assert capsys.readouterr().err == "vid2vid: there is no command 'zzz'; see vid2vid --help\n"


def test_no_verb_shows_the_overview_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: vid2vid COMMAND" in err


def test_overview_lists_every_verb_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in cli.VERBS:
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert line.endswith("."), f"{name}: one sentence"
        assert len(line) <= 110, f"{name}: the sentence is too long"


@pytest.mark.parametrize("name", cli.VERBS)
def test_help_of_each_verb_explains_every_argument(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: vid2vid {name} ")
    assert f"vid2vid {name}" in text.partition("example:")[2], "an example of the very command"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"vid2vid {__version__}\n"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60)


def test_module_and_command_are_the_same() -> None:
    done = run("-m", "vid2vid", "--version")
    assert (done.returncode, done.stdout) == (0, f"vid2vid {__version__}\n")
    done = run("-m", "vid2vid", "trane")
    assert done.returncode == 2
    assert done.stderr.startswith("vid2vid: there is no command 'trane'")


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    words = [["--help"], *([name, "--help"] for name in cli.VERBS)]
    script = f"""
import sys
from vid2vid.cli import main
for words in {words}:
    try:
        main(words)
    except SystemExit:
        pass
print(*sorted({{"torch", "numpy", "cv2", "av"}} & sys.modules.keys()), file=sys.stderr)
"""
    started = time.monotonic()
    done = run("-c", script)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert time.monotonic() - started < 10  # far above the usual half second, for a busy machine


def test_a_closed_pipe_is_quiet() -> None:
    script = "import sys; from vid2vid.cli import main; sys.exit(main(['--help']))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
