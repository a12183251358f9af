"""Recipes from strict YAML: an unknown key or a wrong value is refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from vid2vid.config.faults import recipe_faults
from vid2vid.config.settings import Recipe, plain
from vid2vid.errors import UserError

_Settings = TypeVar("_Settings")


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    folder = resources.files("vid2vid") / "recipes"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe by name or path and applies ``key=value`` words such as ``train.steps=100``.

    Raises:
        UserError: no such recipe, not YAML, an unknown key, or a value of the wrong type; named in one line.
    """
    where, text = _read(name)
    values = _yaml(text, where)
    recipe = read_settings(Recipe, {} if values is None else values, where)
    for word in overrides:
        recipe = _override(recipe, word)
    for fault in recipe_faults(recipe):
        raise UserError(f"{where}: {fault}")
    return recipe


def read_settings(kind: type[_Settings], values: object, where: str, within: str = "") -> _Settings:
    """Builds one of the dataclasses above from plain values; what is not given keeps its default.

    Args:
        where: the file or word they come from, for the message of an error.
        within: the section they are in, such as ``train.``, likewise.

    Raises:
        UserError: an unknown key, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise UserError(
            f"{where}: {within.rstrip('.') or 'a recipe'} is a mapping of keys to values; mend it"
        )
    hints = get_type_hints(kind)
    given = {}
    for key, value in values.items():
        name = f"{within}{key}"
        if key not in hints:
            raise UserError(f"{where}: no key {name!r}{_suggestion(name)}; `vid2vid info` lists every key")
        if dataclasses.is_dataclass(hints[key]):
            given[key] = read_settings(hints[key], value, where, f"{name}.")
        else:
            given[key] = _value(value, hints[key], f"{where}: {name} is {_short(value)}")
    return kind(**given)


def _value(value: Any, hint: Any, complaint: str) -> Any:
    """``value`` as the type wants it: YAML has lists for tuples, and takes 1e-4 for a word."""
    parts = get_args(hint)
    if isinstance(hint, UnionType):
        return None if value is None else _value(value, parts[0], complaint)
    if get_origin(hint) is Literal:
        if value in parts:
            return value
        raise UserError(f"{complaint}; there are {', '.join(parts)}")
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and len(value) == len(parts):
            return tuple(_value(item, part, complaint) for item, part in zip(value, parts, strict=True))
        raise UserError(f"{complaint}; it must be a list of {len(parts)} numbers")
    if hint is float and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):
                return number
        except (TypeError, ValueError, OverflowError):
            pass
    elif type(value) is hint:
        return value
    raise UserError(f"{complaint}; it must be {_KINDS[hint]}")


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _read(name: str) -> tuple[str, str]:
    path = Path(name)
    if path.is_dir() and (path / "config.yaml").is_file():
        path = path / "config.yaml"
    if path.suffix in (".yaml", ".yml"):
        try:
            return str(path), path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); name a recipe or a YAML file") from error
    if name not in recipe_names():
        near = difflib.get_close_matches(name, recipe_names(), n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise UserError(f"{name}: no such recipe{hint}; `vid2vid info` lists them, or name a YAML file")
    return name, (resources.files("vid2vid") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def _override(recipe: Recipe, word: str) -> Recipe:
    key, equals, value = word.partition("=")
    word = _short(word)
    if not equals:
        raise UserError(f"{word}: an override is written key=value, such as train.steps=1000")
    parsed = _yaml(value, word)
    values = plain(dataclasses.asdict(recipe))
    inner = values
    *path, last = key.split(".")
    for part in path:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or last not in inner:
        raise UserError(f"{word}: no key {key!r}{_suggestion(key)}; `vid2vid info` lists every key")
    inner[last] = parsed
    return read_settings(Recipe, values, word)


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that is none
        raise UserError(f"{where}: not YAML ({_short(error)}); mend or quote it") from error


def _short(value: object, most: int = 120) -> str:
    """A value for a message of one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[:most]}..."


def _suggestion(name: str) -> str:
    """The known key that is most like an unknown one: by its whole name, else by its last word."""
    keys = []
    for key, value in dataclasses.asdict(Recipe()).items():
        keys += [key, *(f"{key}.{inner}" for inner in value)] if isinstance(value, dict) else [key]
    near = difflib.get_close_matches(name, keys, n=1, cutoff=0.75)
    near += [key for key in keys if key.split(".")[-1] == name.split(".")[-1]]
    return f" (did you mean {near[0]}?)" if near else ""
