"""A verb's typed signature and Google-style docstring, turned into its command line.

* a plain parameter is a positional argument (``list[...]``: one or more words), a keyword-only one an option;
* ``*settings: str`` takes the ``key=value`` words, wherever they stand;
* what has no default is required; ``bool`` is a switch; an option of ``list[...]`` takes one or more words;
* the docstring's ``Args:`` are the help; a name in brackets is the placeholder: ``frames (START:STOP): ...``;
  an option's word may be left out, and is "" then, where that is ``([DEVICE])``.
"""

from __future__ import annotations

import argparse
import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

from vid2vid.errors import UserError

Verb = Callable[..., int | None]

_SETTING = re.compile(r"[A-Za-z_][\w.]*=.*", re.DOTALL)
_ARGUMENT = re.compile(r"\*?(\w+)(?: \((.+?)\))?: (.*)")


def call(function: Verb, program: str, words: list[str]) -> int:
    """Parse ``words`` as the arguments of ``function``, call it, and return its exit code.

    Raises:
        UserError: the words do not fit the signature.
        SystemExit: ``--help`` was asked for, and has been printed.
    """
    parameters = inspect.signature(function).parameters.values()
    parser = build_parser(function, program)
    settings: list[str] = []
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        settings, words = _split_settings(words, parser)
    try:
        values = vars(parser.parse_args(words))
    except argparse.ArgumentError as error:
        raise UserError(f"{_reword(str(error), parser)}; see {program} --help") from error
    leading = [values.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return function(*leading, *settings, **values) or 0


def build_parser(function: Verb, program: str) -> ArgumentParser:
    """The parser of one verb. It raises ``argparse.ArgumentError`` where others exit."""
    text = read_docstring(inspect.getdoc(function) or "")
    parser = _Parser(
        prog=program,
        description=text.description,
        epilog=text.example and f"example:\n{text.example}",
        formatter_class=_Formatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    hints = get_type_hints(function)
    usage = [program]
    for parameter in inspect.signature(function).parameters.values():
        placeholder, help_text = text.arguments[parameter.name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            parser.add_argument_group(placeholder, help_text)
            usage.append(f"[{placeholder} ...]")
            continue
        name, options = _argument(parameter, hints[parameter.name], placeholder, help_text)
        parser.add_argument(name, **options)
        several = " ..." if options.get("nargs") in ("+", "*") else ""
        if not name.startswith("--"):
            shown = options["metavar"] + several
            usage.append(f"[{shown}]" if options.get("nargs") in ("?", "*") else shown)
        elif options.get("required"):
            usage.append(f"{name} {options['metavar']}{several}")
    parser.usage = " ".join([*usage, "[options]"])
    return parser


def _argument(
    parameter: inspect.Parameter, hint: object, placeholder: str, help_text: str
) -> tuple[str, dict[str, Any]]:
    """The name and the keywords of ``add_argument`` for one parameter."""
    options: dict[str, Any] = {"help": help_text.replace("%", "%%")}
    kind, several = _unwrap(hint)
    if kind is bool:
        options["action"] = "store_true"
    elif get_origin(kind) is Literal:
        options |= {"choices": get_args(kind), "metavar": placeholder or "|".join(get_args(kind))}
    else:
        options |= {"type": _READERS.get(kind, kind), "metavar": placeholder or parameter.name.upper()}
    if several:
        options |= {"nargs": "+", "action": "extend"}  # given again, it adds
    if placeholder.startswith("["):
        options |= {"nargs": "?", "const": "", "metavar": placeholder.strip("[]")}
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
        if parameter.default is not parameter.empty:
            options |= {"nargs": "*" if several else "?", "default": parameter.default}
        return parameter.name, options
    if parameter.default is parameter.empty:
        options["required"] = True
    else:
        options["default"] = parameter.default
        if parameter.default is not None and parameter.default is not False:
            default = parameter.default
            shown = "x".join(map(str, default)) if isinstance(default, tuple) else default
            options["help"] += f" (default: {shown})"
    return f"--{parameter.name.replace('_', '-')}", options


def _unwrap(hint: object) -> tuple[Any, bool]:
    """``X | None`` is X; ``list[X]`` is X, several times."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (member for member in get_args(hint) if member is not type(None))
    if get_origin(hint) is list:
        return get_args(hint)[0], True
    return hint, False


def _path(text: str) -> Path:
    """A path as it was typed: for the class itself jsonargparse reads YAML, where ``3:`` is a map."""
    return Path(text)


def _size(text: str | tuple[int, int]) -> tuple[int, int]:
    """``512x256``: width and height. jsonargparse checks a value by reading it again, hence the tuple."""
    if isinstance(text, tuple):
        return text
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or 0 in (size := (int(match[1]), int(match[2]))):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size; write WIDTHxHEIGHT, such as 512x256")
    return size


def _fraction(text: str | Fraction) -> Fraction:
    """``30``, ``29.97`` or ``30000/1001``."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


_READERS = {Path: _path, tuple[int, int]: _size, Fraction: _fraction}


def _split_settings(words: list[str], parser: ArgumentParser) -> tuple[list[str], list[str]]:
    """The ``key=value`` words, and the others: argparse would want all positional words side by side."""
    valued = {name for action in parser._actions if action.nargs != 0 for name in action.option_strings}
    settings: list[str] = []
    others: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        chosen = settings if _SETTING.fullmatch(word) and before not in valued else others
        chosen.append(word)
    return settings, others


def _reword(message: str, parser: ArgumentParser) -> str:
    """The parser's complaint in the words of the command line: ``--size``, not ``Parser key "size"``."""
    names = {a.dest: a.option_strings[-1] if a.option_strings else str(a.metavar) for a in parser._actions}
    if match := re.match(
        r'(?s)Parser key "(\w+)".*?Expected an? <class \'(\w+)\'>\. Got value: (.*)', message
    ):
        key, kind, value = match.groups()
        return f"{names[key]}: '{value}' is not {'a whole number' if kind == 'int' else 'a number'}"
    if match := re.match(r"the following arguments are required: (.*)", message):
        return f"missing {', '.join(names.get(key, key) for key in match[1].split(', '))}"
    return message.removeprefix("argument ")


@dataclass(frozen=True)
class Text:
    """A docstring taken apart; ``arguments`` maps a parameter to its placeholder (or "") and its help."""

    description: str
    arguments: Mapping[str, tuple[str, str]]
    example: str


def read_docstring(docstring: str) -> Text:
    """Take a Google-style docstring apart, by its sections ``Args:`` and ``Example:``."""
    description, *sections = re.split(r"^(\w+):\n", docstring, flags=re.MULTILINE)
    body = dict(zip(sections[::2], sections[1::2], strict=True))
    arguments = {}
    for entry in re.split(r"\n {4}(?=\S)", "\n" + body.get("Args", "").rstrip()):
        if match := _ARGUMENT.match(" ".join(entry.split())):
            arguments[match[1]] = (match[2] or "", match[3])
    return Text(description.strip(), arguments, body.get("Example", "").rstrip())


class _Parser(ArgumentParser):
    """Lets a positional that may be missing stand behind options, as Python's own does from 3.12.7 on."""

    def _match_arguments_partial(
        self, actions: Sequence[argparse.Action], arg_strings_pattern: str
    ) -> list[int]:
        counts: list[int] = super()._match_arguments_partial(actions, arg_strings_pattern)
        while counts and not counts[-1] and arg_strings_pattern[sum(counts) :].startswith("O"):
            counts.pop()
        return counts


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of description and example; one column for all names."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)
