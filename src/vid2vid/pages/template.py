"""Pages from templates. What is special to a page stands in its room; all pages share ``page.css``."""

from __future__ import annotations

from importlib.resources import files
from string import Template


def fill_page(room: str, name: str, /, **parts: object) -> str:
    """A template with all that it asks for in its place, as one text that needs nothing beside it.

    Args:
        room: the package in which the template lies.
        parts: by name, what ``$name`` stands for: HTML, escaped by the caller. ``$style`` is the stylesheet.
    """
    return Template(_text(room, name)).substitute(parts, style=_text(__package__, "page.css"))


def _text(room: str, name: str) -> str:
    return files(room).joinpath(name).read_text(encoding="utf-8").rstrip("\n")
