"""The rows of a grid: what each changes, and how all of them are held to one budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from vid2vid.config import Recipe, load_recipe
from vid2vid.errors import UserError
from vid2vid.training.budget import frames_after

FULL = "full"
"""The row of the recipe itself."""

PAPER = (
    "no foreground prior: model.foreground=false",
    "no video discriminator: discriminator.temporal_scales=0",
    "no flow warping: model.use_flow=false",
)
"""The paper's three ablations."""

_TAKEN = (FULL, "real clip", "first frame copied")  # the last two are names in reports
_HELD = ("train.steps", "train.seed", "data.size", "data.target")
_NEXT_CHANGE = re.compile(r"\s+(?=[A-Za-z_][\w.]*=)")  # a value may hold blanks: [24, 16]
_NEAR = 64  # steps either way, in which a budget is looked for that suits all


@dataclass(frozen=True)
class Variant:
    """One row. recipe: another recipe altogether, trained with the budget of the first; None: the same."""

    name: str
    changes: tuple[str, ...] = ()
    recipe: str | None = None

    @classmethod
    def read(cls, text: str) -> Variant:
        """``NAME: key=value key=value`` or ``NAME: @RECIPE key=value``.

        Raises:
            UserError: it is neither.
        """
        name, _, rest = (part.strip() for part in text.partition(":"))
        first, *more = _NEXT_CHANGE.split(rest)
        other = first[1:].strip() if first.startswith("@") else None
        changes = more if other is not None else [first, *more]
        if not name or "=" in name or other == "" or not all("=" in change for change in changes):
            raise UserError(f"--vary {text!r}: write 'NAME: key=value key=value' or 'NAME: @RECIPE'")
        return cls(name, tuple(changes), other)

    @property
    def what(self) -> str:
        """What it changes, as it was written."""
        return " ".join([*([f"@{self.recipe}"] if self.recipe else []), *self.changes])

    @property
    def slug(self) -> str:
        """Its name as part of a folder's."""
        return re.sub(r"[\W_]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Run:
    """One training. recipe, words: what ``train`` is given; frames: how many it will have made."""

    variant: Variant
    seed: int
    recipe: str
    words: tuple[str, ...]
    settings: Recipe
    frames: int

    @property
    def name(self) -> str:
        return f"{self.variant.slug}-seed{self.seed}"

    @property
    def title(self) -> str:
        return f"{self.variant.name}, seed {self.seed}"


def read_variants(texts: Iterable[str]) -> list[Variant]:
    """The variants of these words, none of them twice.

    Raises:
        UserError: a word that is none, or two rows that could not be told apart.
    """
    variants: list[Variant] = []
    for variant in map(Variant.read, texts):
        if variant in variants:
            continue
        for other in variants:
            if other.slug == variant.slug:
                raise UserError(f"--vary {variant.name}: {other.name} is '{other.what}' already; rename it")
        if not variant.slug or variant.slug == FULL or variant.name in _TAKEN:
            raise UserError(f"--vary {variant.name}: not a name that a row can have; choose another")
        variants.append(variant)
    return variants


def make_runs(
    recipe: str, overrides: Sequence[str], variants: Sequence[Variant], seeds: Sequence[int]
) -> list[Run]:
    """Every variant with every seed, the recipe itself first; all of a seed make as many frames.

    Raises:
        UserError: a recipe or a key that does not exist, a variant that changes the budget or nothing at all.
    """
    runs = []
    for seed in seeds:
        words = (*overrides, f"train.seed={seed}")
        base = load_recipe(recipe, words)
        runs.append(Run(Variant(FULL), seed, recipe, words, base, _made(base)))
        for variant in variants:
            try:
                runs.append(_run(variant, recipe, words, base))
            except UserError as error:
                raise UserError(f"--vary {variant.name}: {error}") from error
    return _balanced(runs)


def _run(variant: Variant, recipe: str, words: tuple[str, ...], base: Recipe) -> Run:
    words = (*words, *(_budget(base) if variant.recipe else ()), *variant.changes)
    settings = load_recipe(variant.recipe or recipe, words)
    for key in _HELD:
        if _key(settings, key) != _key(base, key):
            raise UserError(f"{key} is the same for all rows; give it outside --vary")
    if replace(settings, name=base.name, about=base.about) == base:
        raise UserError(f"changes nothing in {base.name}, it is the row {FULL!r}; leave it out")
    return Run(variant, base.train.seed, variant.recipe or recipe, words, settings, _made(settings))


def _budget(base: Recipe) -> Iterator[str]:
    """What another recipe takes over: how long it trains, and on what."""
    lengths = ("data.sequence", "data.first_sequence", "data.longer_every")
    for key in (*_HELD, *lengths, "data.batch", "train.chunk"):
        value = _key(base, key)
        yield f"{key}={list(value) if isinstance(value, tuple) else value}"


def _key(settings: Recipe, key: str) -> object:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def _made(settings: Recipe) -> int:
    """Frames its steps make."""
    return next(islice(frames_after(settings), settings.train.steps - 1, None))


def _balanced(runs: list[Run]) -> list[Run]:
    """The runs, each with as many steps as make the frames of the full recipe with its seed.

    Steps alone do not: where fewer real frames are given, or chunks are longer, a step makes other frames.
    """
    targets = {run.seed: run.frames for run in runs if run.variant.name == FULL}
    balanced = []
    for run in runs:
        target = targets[run.seed]
        if run.frames != target:
            counts = list(takewhile(lambda made: made <= target, frames_after(run.settings)))  # noqa: B023
            if not counts or counts[-1] != target:
                raise _unequal(run, runs, counts[-1:], target)
            words = (*run.words, f"train.steps={len(counts)}")
            run = replace(run, words=words, settings=load_recipe(run.recipe, words), frames=target)
        balanced.append(run)
    return balanced


def _unequal(run: Run, runs: list[Run], reached: list[int], target: int) -> UserError:
    """The complaint about a run that cannot make so many frames, with the nearest budget that suits all."""
    steps = next(other.settings.train.steps for other in runs if other.variant.name == FULL)
    most = steps + _NEAR
    after = {other.name: list(islice(frames_after(other.settings), 4 * most)) for other in runs}
    nearest = sorted(range(max(1, steps - _NEAR), most + 1), key=lambda count: abs(count - steps))
    for count in nearest:
        full = {r.seed: after[r.name][count - 1] for r in runs if r.variant.name == FULL}
        if all(full[other.seed] in after[other.name] for other in runs):
            mend = f"give train.steps={count}, with which all rows can"
            break
    else:
        mend = "let it differ less in model.history, data.sequence, data.batch or train.chunk"
    short = f"{(reached or [0])[-1]} frames, not the {target} of {FULL!r}"
    return UserError(f"--vary {run.variant.name}: comes to {short}, with seed {run.seed}; {mend}")
