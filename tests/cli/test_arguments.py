"""From signature and docstring to the words a user types."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest

from vid2vid.cli.arguments import build_parser, call, read_docstring
from vid2vid.errors import UserError


class Seen:
    """What the verb below was called with, last."""

    values: dict[str, Any]


def train(
    dataset: Path,
    *settings: str,
    recipe: str,
    out: Path,
    frames: str | None = None,
    steps: int = 3,
    rate: float | None = None,
    first_frame: list[Path] | None = None,
    device: Literal["auto", "cpu"] = "auto",
    fresh: bool = False,
    size: tuple[int, int] | None = None,
    fps: Fraction | None = None,
) -> int | None:
    """Train something.

    Args:
        dataset: a folder of clips, 100 % of it
            and a second line
        *settings (key=value): a key of the recipe
        recipe (NAME): the recipe
        out (RUN): the run
        frames (START:STOP): a part of each clip
        steps: how many
        rate: how fast
        first_frame (PICTURE): given frames
        device: where
        fresh: start anew
        size (WxH): how large
        fps: how often

    Example:
        vid2vid train street --recipe tiny --out runs/street
    """
    Seen.values = dict(locals())
    return None


def collect(sources: list[Path], *, out: Path) -> int:
    """Collect.

    Args:
        sources (SOURCE): files
        out (X): folder
    """
    Seen.values = {"sources": sources, "out": out}
    return 1


def look(what: str | None = None, *settings: str) -> None:
    """Look.

    Args:
        what (THING): anything
        *settings (key=value): more
    """
    Seen.values = {"what": what, "settings": settings}


def parse(*words: str) -> dict[str, Any]:
    assert call(train, "vid2vid train", list(words)) == 0
    return Seen.values


def complaint(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        call(train, "vid2vid train", list(words))
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith("; see vid2vid train --help")
    return message.removesuffix("; see vid2vid train --help")


REQUIRED = ("street", "--recipe", "tiny", "--out", "run")


def test_types_and_defaults() -> None:
    values = parse(*REQUIRED)
    assert values == {
        "dataset": Path("street"),
        "settings": (),
        "recipe": "tiny",
        "out": Path("run"),
        "frames": None,
        "steps": 3,
        "rate": None,
        "first_frame": None,
        "device": "auto",
        "fresh": False,
        "size": None,
        "fps": None,
    }
    values = parse(
        *REQUIRED,
        "--steps=5",
        "--rate",
        "2.5",
        "--first-frame",
        "a.png",
        "b.png",
        "--device",
        "cpu",
        "--fresh",
    )
    assert values["first_frame"] == [Path("a.png"), Path("b.png")]
    again = parse(*REQUIRED, "--first-frame", "a.png", "--first-frame", "b.png", "c.png")
    assert again["first_frame"] == [Path("a.png"), Path("b.png"), Path("c.png")]
    assert parse(*REQUIRED, "--size", "512x256")["size"] == (512, 256)
    assert parse(*REQUIRED, "--fps", "30000/1001")["fps"] == Fraction(30000, 1001)
    assert (values["steps"], values["rate"], values["device"], values["fresh"]) == (5, 2.5, "cpu", True)


@pytest.mark.parametrize("text", ["0:57", "12", "null", "true", "1e3", "-3:", "[1", "~"])
def test_text_stays_text(text: str) -> None:
    assert parse(*REQUIRED, f"--frames={text}")["frames"] == text
    assert parse(text.lstrip("-"), *REQUIRED[1:])["dataset"] == Path(text.lstrip("-"))


def test_settings_stand_anywhere_but_are_no_option_values() -> None:
    values = parse("a=1", "street", "--recipe", "tiny", "b.c=[2, 3]", "--fresh", "d=", "--out", "lr=3")
    assert values["settings"] == ("a=1", "b.c=[2, 3]", "d=")
    assert values["out"] == Path("lr=3")
    assert parse("runs/a=b", *REQUIRED[1:])["dataset"] == Path("runs/a=b")


def test_a_list_of_positionals_and_the_exit_code() -> None:
    assert call(collect, "vid2vid collect", ["a", "b", "--out", "x"]) == 1
    assert Seen.values == {"sources": [Path("a"), Path("b")], "out": Path("x")}
    assert call(collect, "vid2vid collect", ["--out", "x", "a"]) == 1


def test_a_positional_with_a_default_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    call(look, "vid2vid look", [])
    assert Seen.values == {"what": None, "settings": ()}
    call(look, "vid2vid look", ["a=1", "thing"])
    assert Seen.values == {"what": "thing", "settings": ("a=1",)}
    with pytest.raises(SystemExit):
        call(look, "vid2vid look", ["--help"])
    assert capsys.readouterr().out.startswith("usage: vid2vid look [THING] [key=value ...] [options]")


def test_a_word_that_may_be_left_out_and_a_positional_behind_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def render(
        model: str, driver: str | None = None, *, camera: str | None = None, fast: bool = False
    ) -> None:
        """Render.

        Args:
            model: by what
            driver: from what
            camera ([DEVICE]): from which
            fast: soon
        """
        Seen.values = dict(locals())

    hints = {"model": str, "driver": str | None, "camera": str | None, "fast": bool, "return": None}
    render.__annotations__ = hints
    for words, (driver, camera, fast) in {
        "m": (None, None, False),
        "m --camera": (None, "", False),
        "m --camera --fast": (None, "", True),
        "m --fast --camera 2": (None, "2", True),
        "m --fast d": ("d", None, True),
        "--fast m d": ("d", None, True),
        "m d --fast": ("d", None, True),
    }.items():
        call(render, "vid2vid render", words.split())
        assert Seen.values == {"model": "m", "driver": driver, "camera": camera, "fast": fast}
    with pytest.raises(SystemExit):
        call(render, "vid2vid render", ["--help"])
    assert "--camera [DEVICE] " in capsys.readouterr().out


def test_a_list_of_positionals_with_a_default_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def compare(systems: list[str] | None = None, *, out: Path) -> None:
        """Compare.

        Args:
            systems (NAME=PATH): what
            out: where
        """
        Seen.values = dict(locals())

    compare.__annotations__ = {"systems": list[str] | None, "out": Path, "return": None}
    call(compare, "vid2vid compare", ["--out", "x"])
    assert not Seen.values["systems"]
    call(compare, "vid2vid compare", ["a=1", "--out", "x"])
    assert Seen.values["systems"] == ["a=1"]
    call(compare, "vid2vid compare", ["--out", "x", "a=1", "b"])
    assert Seen.values["systems"] == ["a=1", "b"]
    with pytest.raises(SystemExit):
        call(compare, "vid2vid compare", ["--help"])
    assert capsys.readouterr().out.startswith("usage: vid2vid compare [NAME=PATH ...] --out OUT [options]")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "missing DATASET, --recipe, --out"),
        ((*REQUIRED, "--steps", "many"), "--steps: 'many' is not a whole number"),
        ((*REQUIRED, "--rate", "fast"), "--rate: 'fast' is not a number"),
        ((*REQUIRED, "--device", "gpu"), "--device: invalid choice: 'gpu' (choose from 'auto', 'cpu')"),
        (
            (*REQUIRED, "--size", "512"),
            "--size: '512' is not a size; write WIDTHxHEIGHT, such as 512x256",
        ),
        (
            (*REQUIRED, "--size", "0x4"),
            "--size: '0x4' is not a size; write WIDTHxHEIGHT, such as 512x256",
        ),
        ((*REQUIRED, "--fps", "1/0"), "--fps: '1/0' is not a number"),
        ((*REQUIRED, "--frames"), "--frames: expected one argument"),
        ((*REQUIRED, "--step", "3"), "unrecognized arguments: --step 3"),
        ((*REQUIRED, "other"), "unrecognized arguments: other"),
    ],
)
def test_complaints_are_one_line(words: tuple[str, ...], message: str) -> None:
    assert complaint(*words) == message


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call(train, "vid2vid train", ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(
        "usage: vid2vid train DATASET [key=value ...] --recipe NAME --out RUN [options] Train something."
    )
    assert "DATASET a folder of clips, 100 % of it and a second line" in text
    assert "--frames START:STOP a part of each clip" in text
    assert "--steps STEPS how many (default: 3)" in text
    assert "--device auto|cpu where (default: auto)" in text
    assert "key=value: a key of the recipe" in text
    assert text.endswith("example: vid2vid train street --recipe tiny --out runs/street")


def test_an_argument_without_help_is_refused() -> None:
    def bare(source: Path) -> None:
        """Do.

        Args:
            other: not there
        """

    with pytest.raises(KeyError):
        build_parser(bare, "vid2vid bare")


def test_read_docstring_of_one_line() -> None:
    text = read_docstring("Do something.")
    assert (text.description, text.arguments, text.example) == ("Do something.", {}, "")
