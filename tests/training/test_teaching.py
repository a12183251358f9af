"""Learning another model's video: what is shown, what is refused, and that a student gets there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_trainer import CPU, SETTINGS, video

from tiny import CLASSES, LABELS, PICTURES, build, write_clip
from vid2vid.config import load_recipe
from vid2vid.data import Dataset
from vid2vid.errors import UserError
from vid2vid.inference import stream
from vid2vid.training import train
from vid2vid.training.teaching import Teacher
from vid2vid.training.trainer import Trainer
from vid2vid.zoo import Model, load_model, save_model


def condition(model: Model) -> torch.Tensor:
    batch = video(6)
    assert batch.labels is not None
    assert batch.instances is not None
    return model.schema.encode(batch.labels[0], batch.instances[0])[None]


@pytest.mark.parametrize("given", [0, 2])
def test_a_teacher_shows_its_own_video_after_the_frames_both_start_from(given: int) -> None:
    model, batch = build(seed=3), video(6)
    taught = Teacher(model, "teacher")(batch, condition(model), given)
    real = batch.frames[:, :given]
    assert torch.equal(taught.frames[:, :given], real)
    expected = torch.stack(list(stream(model, condition(model).unbind(1), real.unbind(1))), dim=1)
    assert torch.equal(taught.frames, expected)
    assert not torch.equal(taught.frames[:, given:], batch.frames[:, given:])
    for name in ("flow", "labels", "instances"):
        assert getattr(taught, name) is getattr(batch, name)


def test_a_student_learns_its_teacher_s_video_and_not_the_real_one() -> None:
    recipe = load_recipe("street-tiny", [*SETTINGS, "model.network=fast", "loss.gan=0", "train.lr=0.003"])
    teacher, batch = Teacher(build(seed=3), "teacher"), video(6)
    found = []
    for who in (teacher, None):
        torch.manual_seed(0)
        student = Model.build(recipe.model, LABELS, recipe.data.size, 10)
        shown = condition(student)
        trained = Trainer(student, recipe, CPU, teacher=who)
        for _ in range(10):
            list(trained.train_sequence(batch, 0))
        made = torch.stack(list(stream(student, shown.unbind(1))), dim=1)
        truths = (teacher(batch, shown, 0).frames, batch.frames)
        found.append([(made - truth).abs().mean().item() for truth in truths])
    (taught_by_it, real_by_it), (taught_alone, real_alone) = found
    assert taught_by_it < 0.8 * taught_alone
    assert real_alone < 0.8 * real_by_it


def test_who_cannot_teach_is_said(tmp_path: Path) -> None:
    for name, model, fault in (
        ("drawn", build(PICTURES), "was trained on other conditions"),
        ("styled", build(styles=2, style_downs=2), "is to be told styles or flow"),
        ("led", build(given_flow=True), "is to be told styles or flow"),
    ):
        save_model(model, tmp_path / name)
        with pytest.raises(UserError, match=f"--teacher .*{name}: {fault}"):
            Teacher.open(tmp_path / name, LABELS, CPU)


def test_a_taught_run_remembers_its_teacher_and_goes_on_with_no_other(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_clip(data, 8)
    CLASSES.write(data / "labels.yaml")
    settings = [*SETTINGS, "model.network=fast", "train.steps=2", "data.workers=0"]
    run = tmp_path / "run"
    schema = Dataset.open(data).schema
    for seed, name in ((3, "teacher"), (4, "other")):
        save_model(build(schema, seed=seed), tmp_path / name)
    train(data, "street-tiny", run, settings, teacher=tmp_path / "teacher", device="cpu")
    train(data, "street-tiny", tmp_path / "alone", settings, device="cpu")
    for other in (None, tmp_path / "other"):
        with pytest.raises(UserError, match="was trained with teacher teacher, not"):
            train(data, "street-tiny", run, settings, teacher=other, device="cpu")
    one, other = (load_model(folder).renderer.state_dict() for folder in (run, tmp_path / "alone"))
    assert any(not torch.equal(one[name], other[name]) for name in one)
