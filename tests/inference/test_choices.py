"""What is chosen at synthesis: where first frames come from, how things look, what is taken for what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiny import CLASSES, LABELS, PICTURES, SIZE, build, scene, write_clip
from vid2vid.config import ModelConfig
from vid2vid.errors import UserError
from vid2vid.inference import synthesize
from vid2vid.inference.styling import Styling
from vid2vid.video import open_frames, read_picture, write_picture
from vid2vid.zoo import Model, load_model, save_model

FRAMES = 5


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_clip(tmp_path_factory.mktemp("clip"), FRAMES)
    CLASSES.write(folder / "labels.yaml")
    return folder


def render(model: Model, conditions: Path, out: Path, **options: Any) -> list[np.ndarray]:
    synthesize(model, conditions, out, device="cpu", **options)
    return [frame.image for frame in open_frames(out)]


def refused(model: Model, conditions: Path, out: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        synthesize(model, conditions, out, device="cpu", **options)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


def painter(schema: Any = LABELS, styles: int = 0) -> Model:
    torch.manual_seed(5)
    config = ModelConfig(network="image", history=0, width=4, downs=2, blocks=1, scales=2, styles=styles)
    model = Model.build(config, schema, SIZE, 10, name="painter")
    with torch.no_grad():
        for weight in model.renderer.parameters():
            weight.mul_(5)
    model.renderer.eval()
    return model


def styled() -> Model:
    """A model with looks for trees (class 1) and cars (class 2)."""
    model = build(styles=2)
    assert model.styles is not None
    rng = torch.Generator().manual_seed(0)
    for kind in (1, 2):
        model.styles.fit(kind, torch.rand(80, 2, generator=rng) * 2 - 1)
    return model


def test_a_clip_gives_its_frames_of_the_same_numbers(clip: Path, tmp_path: Path) -> None:
    made = render(build(), clip, tmp_path / "one", first_frames=[clip], frames="2:")
    assert np.array_equal(made[0], scene(2)[0])
    assert np.array_equal(made[1], scene(3)[0])
    assert not np.array_equal(made[2], scene(4)[0])
    again = render(build(), clip, tmp_path / "two", first_frames=[clip / "frames"], frames="2:")
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    short = write_clip(tmp_path / "short", 2)
    assert "not number 3" in refused(build(), clip, tmp_path / "out", first_frames=[short], frames="2:")


def test_an_image_model_paints_the_first_frames(clip: Path, tmp_path: Path) -> None:
    save_model(painter(), tmp_path / "painter")
    paints = render(painter(), clip, tmp_path / "paints")
    made = render(build(), clip, tmp_path / "made", first_frames=[tmp_path / "painter"])
    alone = render(build(), clip, tmp_path / "alone")
    assert all(np.array_equal(made[t], paints[t]) for t in range(2))
    assert not np.array_equal(made[2], paints[2])
    assert not np.array_equal(made[0], alone[0])


def test_a_model_carries_its_painter_and_self_leaves_it_out(clip: Path, tmp_path: Path) -> None:
    model = replace(build(), first_frame=painter(styles=3))
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.first_frame is not None
    assert loaded.first_frame.encoder is not None
    made = render(model, clip, tmp_path / "made")
    again = render(loaded, clip, tmp_path / "again")
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    own = render(loaded, clip, tmp_path / "own", first_frames=["self"])
    alone = render(build(), clip, tmp_path / "alone")
    assert all(np.array_equal(a, b) for a, b in zip(own, alone, strict=True))
    assert not np.array_equal(own[0], made[0])


def test_painters_that_do_not_fit_are_refused(clip: Path, tmp_path: Path) -> None:
    save_model(painter(PICTURES), tmp_path / "pictures")
    save_model(build(), tmp_path / "video")
    assert "other conditions" in refused(
        build(), clip, tmp_path / "out", first_frames=[tmp_path / "pictures"]
    )
    assert "past frames" in refused(build(), clip, tmp_path / "out", first_frames=[tmp_path / "video"])


def test_a_painter_inside_a_model_is_checked_too(tmp_path: Path) -> None:
    save_model(build(), tmp_path / "model")
    save_model(painter(PICTURES), tmp_path / "model" / "first_frame")
    with pytest.raises(UserError, match="other conditions"):
        load_model(tmp_path / "model")
    loop = tmp_path / "loop"
    save_model(painter(), loop)
    (loop / "first_frame").symlink_to(loop, target_is_directory=True)
    inner = load_model(loop).first_frame
    assert inner is not None
    assert inner.first_frame is None


def test_relabelling_renders_what_the_edited_maps_would(clip: Path, tmp_path: Path) -> None:
    edited = write_clip(tmp_path / "edited", 0)
    for path in sorted((clip / "labels").iterdir()):
        ids = read_picture(path, mode="labels")
        ids[ids == 3] = 7  # trees are cars now
        write_picture(edited / "labels" / path.name, ids)
    made = render(build(), clip, tmp_path / "made", relabel=["tree=car"])
    expected = render(build(), edited, tmp_path / "expected")
    assert all(np.array_equal(a, b) for a, b in zip(made, expected, strict=True))
    plain = render(build(), clip, tmp_path / "plain")
    assert not np.array_equal(made[0], plain[0])


@pytest.mark.parametrize("word", ["tree", "tree=", "bush=car", "tree=bush", "=car"])
def test_relabelling_with_unknown_classes_is_refused(word: str, clip: Path, tmp_path: Path) -> None:
    assert "road, tree, car" in refused(build(), clip, tmp_path / "out", relabel=[word])


def test_pictures_have_no_classes_to_relabel(clip: Path, tmp_path: Path) -> None:
    assert "no classes" in refused(build(PICTURES), clip, tmp_path / "out", relabel=["tree=car"])


def test_styles_change_what_is_seen_and_several_make_a_grid(clip: Path, tmp_path: Path) -> None:
    model = styled()
    alone = [render(model, clip, tmp_path / style, styles=[style]) for style in ("0", "1", "random")]
    assert not np.array_equal(alone[0][0], alone[1][0])
    assert not np.array_equal(alone[0][0], alone[2][0])
    grid = render(model, clip, tmp_path / "grid", styles=["0", "1", "random"])
    assert grid[0].shape == (64, 64, 3)
    for t in range(FRAMES):
        cells = [grid[t][:32, :32], grid[t][:32, 32:], grid[t][32:, :32]]
        for cell, one in zip(cells, alone, strict=True):
            assert np.abs(cell.astype(int) - one[t]).mean() < 1
        assert not grid[t][32:, 32:].any()
    default = render(model, clip, tmp_path / "default")
    assert np.array_equal(default[3], alone[0][3])


def test_an_object_keeps_its_style_whatever_else_is_seen() -> None:
    model = styled()
    styling = Styling(model, "random", seed=3)
    car, other, tree = 2 + 3 * 5, 2 + 3 * 8, 1
    one = styling(torch.tensor([[[car, car, tree], [tree, tree, other]]]))
    two = styling(torch.tensor([[[other, tree, 0], [0, 0, car]]]))
    assert torch.equal(one[0, :, 0, 0], two[0, :, 1, 2])
    assert torch.equal(one[0, :, 1, 2], two[0, :, 0, 0])
    assert torch.equal(one[0, :, 0, 0], one[0, :, 0, 1])
    assert not torch.equal(one[0, :, 0, 0], one[0, :, 1, 2]), "two cars, two looks"
    assert not torch.equal(
        Styling(model, "random", seed=4)(torch.tensor([[[car]]]))[0, :, 0, 0], one[0, :, 0, 0]
    )


def test_classes_can_be_told_apart() -> None:
    model = styled()
    assert model.styles is not None
    objects = torch.tensor([[[1, 2, 2 + 3]]])
    mixed = Styling(model, "1,car=0")(objects)[0]
    assert torch.equal(mixed[:, 0, 0], model.styles.typical(1, 1))
    assert torch.equal(mixed[:, 0, 1], model.styles.typical(2, 0))
    assert torch.equal(mixed[:, 0, 2], mixed[:, 0, 1])


@pytest.mark.parametrize("choice", ["blue", "bush=1", "1,car=", "", "-1"])
def test_styles_that_make_no_sense_are_refused(choice: str, clip: Path, tmp_path: Path) -> None:
    assert "road, tree, car" in refused(styled(), clip, tmp_path / "out", styles=[choice])


def test_a_model_of_one_look_has_no_styles(clip: Path, tmp_path: Path) -> None:
    assert "one look only" in refused(build(), clip, tmp_path / "out", styles=["1"])


def test_an_imported_model_without_looks_takes_the_middle_of_all(clip: Path, tmp_path: Path) -> None:
    save_model(replace(painter(styles=3), encoder=None, styles=None), tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert (loaded.encoder, loaded.styles) == (None, None)
    assert not Styling(loaded)(torch.tensor([[[0, 1, 2]]])).any()
    assert len(render(loaded, clip, tmp_path / "made")) == FRAMES
