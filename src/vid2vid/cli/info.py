"""``vid2vid info``."""

from __future__ import annotations


def info(
    what: str | None = None,
    *settings: str,
    size: tuple[int, int] | None = None,
    json: bool = False,
) -> None:
    """Tell what a model or a recipe is made of and costs, or list what there is.

    Args:
        what (MODEL_OR_RECIPE): a model folder, a run, a bundled model, a recipe or a YAML file
        *settings (key=value): change a key of the recipe before looking
        size (WxH): count the operations of a frame of this size (default: that of the model or recipe)
        json: print JSON rather than YAML

    Example:
        vid2vid info street-tiny model.width=32
    """
    from json import dumps, loads

    from yaml import safe_dump

    from vid2vid.zoo import info as look_up

    text = dumps(look_up(what, settings, size=size), default=str, indent=1)
    print(text if json else safe_dump(loads(text), sort_keys=False, allow_unicode=True, width=100).rstrip())
