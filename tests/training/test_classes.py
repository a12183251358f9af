"""Going on with other classes: what was learnt of those that keep their name stays, to the last digit."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tiny import LABELS
from vid2vid.conditions import ConditionSchema, LabelClass, LabelSchema
from vid2vid.config import Recipe, load_recipe
from vid2vid.training.checkpoint import _judges
from vid2vid.training.classes import _FIRST, carrying
from vid2vid.training.start import start_from
from vid2vid.training.trainer import Trainer
from vid2vid.types import RecurrentState
from vid2vid.zoo import Model, import_checkpoints, load_model
from vid2vid.zoo.folder import save_model

CASES = Path(__file__).parents[1] / "parity" / "cases"
SETTINGS = (
    *("data.size=[32, 32]", "model.width=4", "model.downs=2", "model.blocks=2", "model.enhancer_blocks=1"),
    *("discriminator.width=4", "discriminator.layers=2", "loss.perceptual=0"),
)
FAST = ("model.network=fast",)
IMAGE = ("model.network=image", "model.history=0", "discriminator.temporal_scales=0")


def classes(*names: str) -> LabelSchema:
    """Those called car are in the foreground."""
    return LabelSchema(
        tuple(LabelClass(i, name, (i, 0, 0), name.lower() == "car") for i, name in enumerate(names))
    )


def schema(*names: str, instances: bool = True) -> ConditionSchema:
    return ConditionSchema("labels", "labels", classes(*names), instances=instances)


OTHERS = schema("car", "Road", "bus", "tree")
PLACES = torch.tensor([1, 3, 0])
"""Of road, tree and car among the others."""


def started(schema: ConditionSchema, recipe: Recipe, seed: int = 0) -> tuple[Model, Trainer]:
    torch.manual_seed(seed)
    model = Model.build(recipe.model, schema, recipe.data.size, Fraction(10))
    return model, Trainer(model, recipe, torch.device("cpu"))


def continued(
    folder: Path, before: ConditionSchema, now: ConditionSchema, *overrides: str
) -> tuple[Trainer, Trainer, list[str]]:
    """An untrained model of some classes, one of others that starts from it, and what was said."""
    recipe = load_recipe("street-tiny", [*SETTINGS, *overrides])
    model, old = started(before, recipe)
    save_model(model, folder, {"discriminators": _judges(old)})
    _, new = started(now, recipe, seed=1)
    said: list[str] = []
    start_from(folder, new, said.append)
    for trained in (old, new):
        trained.renderer.double().eval()
        trained.objective.double().eval()
    return old, new, said


def noise(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.scales=2", "discriminator.spectral=true", "train.ema=0"),
        ("model.styles=2", "model.style_downs=2", "model.history=1"),
        (*FAST, "model.styles=2", "model.style_downs=2"),
        IMAGE,
        (*IMAGE, "model.scales=2", "model.styles=2", "model.style_downs=2", "model.width=8"),
    ],
    ids=["one scale", "two scales", "styles", "fast", "image", "image of two scales"],
)
@torch.no_grad()
def test_what_shows_only_known_classes_looks_and_is_judged_as_before(
    overrides: tuple[str, ...], tmp_path: Path
) -> None:
    old, new, said = continued(tmp_path / "model", LABELS, OTHERS, *overrides)
    assert "classes carried over: car, Road, tree; new: bus" in said
    labels = torch.randint(0, 3, (3, 4, 4), generator=torch.Generator().manual_seed(2))
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    styles = noise(3, old.recipe.model.styles, 32, 32)
    states: list[RecurrentState | None] = [None, None]
    for t in range(3):
        frames = []
        for i, (trained, seen) in enumerate(((old, labels), (new, PLACES[labels]))):
            own = trained.schema.encode(seen[t][None], labels[t][None], dtype=torch.float64)
            condition = torch.cat([own, styles[t][None]], dim=1)
            state = states[i] or trained.renderer.init_state(condition)
            output, states[i] = trained.renderer.step(condition, state)
            frames.append(output.frame)
        torch.testing.assert_close(frames[1], frames[0], rtol=0, atol=1e-12)
        assert frames[0].std() > 1e-3
    pairs = [
        torch.cat([t.schema.encode(seen, labels, dtype=torch.float64), noise(3, 3, 32, 32)], dim=1)
        for t, seen in ((old, labels), (new, PLACES[labels]))
    ]
    judged = [t.objective.image_discriminator(pair) for t, pair in zip((old, new), pairs, strict=True)]  # type: ignore[misc]
    for one, other in zip(*judged, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            torch.testing.assert_close(theirs, mine, rtol=0, atol=1e-12)
    for mine, theirs in zip(
        old.objective.video_discriminators.parameters(),
        new.objective.video_discriminators.parameters(),
        strict=True,
    ):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("overrides", [(), ("discriminator.spectral=true",), FAST, IMAGE])
def test_the_tensors_that_depend_on_the_classes_are_known(overrides: tuple[str, ...]) -> None:
    """A convolution more that sees conditions must not be forgotten here."""
    scales = 1 if overrides == FAST else 2
    recipe = load_recipe("street-tiny", [*SETTINGS, f"model.scales={scales}", "model.width=8", *overrides])
    few, many = (started(which, recipe)[1] for which in (LABELS, OTHERS))
    for part in ("renderer", "objective"):
        one, other = (getattr(trained, part).state_dict() for trained in (few, many))
        differ = {name for name in one if one[name].shape != other[name].shape}
        assert differ
        seeing = re.compile(rf"(?:.+\.)?{_FIRST.pattern}")
        assert differ == {n for n in one if seeing.fullmatch(n) and not n.startswith("video_")}


def test_a_new_class_starts_as_the_mean_of_all_and_new_edges_as_nothing(tmp_path: Path) -> None:
    plain, edged = schema("road", "tree", instances=False), schema("bus", "tree")
    old, new, said = continued(tmp_path / "model", plain, edged)
    assert (
        "classes carried over: tree; new: bus; not wanted here: 1 of the model's; instance edges: new" in said
    )
    before, now = (
        t.renderer.networks[0].encode_conditions.stem[0].weight.unflatten(1, (3, -1)) for t in (old, new)
    )
    torch.testing.assert_close(now[:, :, 0], before.mean(dim=2))
    assert torch.equal(now[:, :, 1], before[:, :, 1])
    assert not now[:, :, 2].any()


def test_as_many_classes_of_other_names_are_taken_in_their_order(tmp_path: Path) -> None:
    unnamed = schema("class 0", "class 1", "class 2")
    old, new, said = continued(tmp_path / "model", unnamed, schema("sand", "sky", "sea"))
    assert "no class has the same name: all 3 are taken in their order" in said
    for name, value in old.renderer.state_dict().items():
        assert torch.equal(new.renderer.state_dict()[name], value), name


def test_the_same_classes_are_not_worth_a_word(tmp_path: Path) -> None:
    _, _, said = continued(tmp_path / "model", LABELS, LABELS)
    assert len(said) == 1
    assert carrying(LABELS, ConditionSchema("image", "edges")) is None


def test_a_model_without_discriminators_says_that_they_are_new(tmp_path: Path) -> None:
    recipe = load_recipe("street-tiny", SETTINGS)
    save_model(started(LABELS, recipe)[0], tmp_path / "model")
    said: list[str] = []
    start_from(tmp_path / "model", started(OTHERS, recipe)[1], said.append)
    assert "anew: video_discriminators.0, video_discriminators.1, image_discriminator" in said[0]


NAMES = st.lists(st.sampled_from("abcdefgABC"), min_size=1, max_size=8, unique=True)


@given(NAMES, NAMES, st.booleans(), st.booleans())
def test_every_new_channel_is_a_copy_or_a_mean_or_nothing(
    before: list[str], now: list[str], edges_before: bool, edges_now: bool
) -> None:
    one, other = schema(*before, instances=edges_before), schema(*now, instances=edges_now)
    found = carrying(one, other)
    if found is None:
        assert (before, edges_before) == (now, edges_now)
        return
    assert found.shares.shape == (other.channels, one.channels)
    assert "\n" not in found.report
    known = {name.casefold() for name in before}
    shared = [name for name in now if name.casefold() in known]
    for name, row in zip(now, found.shares, strict=False):
        if name in before:
            assert row[before.index(name)] == 1
        assert float(row.sum()) == pytest.approx(1)
        copied = name in shared or len(before) == 1 or (not shared and len(before) == len(now))
        assert bool((row == 1).any()) == copied
    if edges_now:
        assert float(found.shares[-1].sum()) == edges_before


@torch.no_grad()
def test_an_imported_model_goes_on_with_classes_of_its_own(tmp_path: Path) -> None:
    """The golden frames of 2018, made after the street's classes were dropped, added to and reordered."""
    case = CASES / "sequence_labels_3scales"
    imported = import_checkpoints(case, tmp_path / "model", foreground=[26])
    published = load_model(imported)
    assert published.schema.labels is not None
    arrays = {name: torch.from_numpy(value) for name, value in np.load(case / "io.npz").items()}
    labels = arrays["labels"].long()
    listed = list(published.schema.labels.classes)
    shown = [item for i, item in enumerate(listed) if (labels == i).any()]
    crane = LabelClass(90, "crane", (9, 9, 9))
    mine = LabelSchema(
        (*reversed(shown[1:]), crane, dataclasses.replace(shown[0], name=shown[0].name.upper()))
    )
    names = [name.lower() for name in mine.names]
    places = torch.tensor([names.index(i.name) if i in shown else -1 for i in listed])

    recipe = dataclasses.replace(load_recipe("street-tiny", SETTINGS), model=published.architecture)
    model, trained = started(dataclasses.replace(published.schema, labels=mine), recipe)
    said: list[str] = []
    start_from(imported, trained, said.append)
    assert any("; new: crane; not wanted here" in line for line in said)
    encode, double = model.schema.encode, torch.float64
    conditions = encode(places[labels], arrays["instances"].long(), dtype=double)
    renderer = trained.renderer.double()
    state = renderer.init_state(conditions[None, :2], arrays["real"].double()[None])
    for k, expected in enumerate(arrays["output"].double()):
        output, state = renderer.step(conditions[None, k + 2], state)
        torch.testing.assert_close(output.frame[0], expected, rtol=0, atol=2e-6)
