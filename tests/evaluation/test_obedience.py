"""Classes found again: the counting against its definition, and a segmenter that learns a tiny scene."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_jaccard_index

from tiny import CLASSES, scene, write_clip
from vid2vid.data import Dataset
from vid2vid.errors import UserError
from vid2vid.evaluation import evaluate
from vid2vid.evaluation.metrics import Context
from vid2vid.evaluation.obedience import ClassIoU, PixelAccuracy
from vid2vid.evaluation.segmenter import InClassesOf, Segmenter, fit_segmenter, open_classifier
from vid2vid.flow import open_estimator

CPU = torch.device("cpu")
DIS = open_estimator("dis")


class Given:
    """Says what it was told to say."""

    name = "given"

    def __init__(self, answers: list[np.ndarray], classes: tuple[str, ...] = ("a", "b", "c", "d")) -> None:
        self.classes = classes
        self._answers = iter(answers)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return next(self._answers)


def score(truth: list[np.ndarray], found: list[np.ndarray]) -> tuple[ClassIoU, PixelAccuracy]:
    overlap = ClassIoU(Given(found))
    accuracy = PixelAccuracy(overlap)
    for labels in truth:
        for metric in (overlap, accuracy):
            metric.update(
                np.zeros((*labels.shape, 3)), np.zeros((*labels.shape, 3)), Context(DIS, labels=labels)
            )
    return overlap, accuracy


def test_overlap_and_accuracy_are_those_of_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    truth = [rng.integers(0, 4, (20, 30)) for _ in range(3)]
    found = [np.where(rng.random((20, 30)) < 0.7, labels, rng.integers(0, 4, (20, 30))) for labels in truth]
    overlap, accuracy = score(truth, found)
    expected = multiclass_jaccard_index(
        torch.tensor(np.stack(found)), torch.tensor(np.stack(truth)), num_classes=4
    )
    assert overlap.compute() == pytest.approx(float(expected), abs=1e-6)
    assert accuracy.compute() == pytest.approx(float((np.stack(found) == np.stack(truth)).mean()))


def test_all_found_is_one_and_nothing_found_is_zero() -> None:
    truth = [np.arange(40).reshape(5, 8) % 3]
    assert [metric.compute() for metric in score(truth, truth)] == [1, 1]
    assert [metric.compute() for metric in score(truth, [(truth[0] + 1) % 3])] == [0, 0]


def test_pixels_without_a_label_do_not_count_and_other_classes_are_wrong() -> None:
    truth = np.zeros((4, 10), np.int64)
    truth[:, 5:] = 1
    truth[0] = -1
    found = truth.clip(0)
    found[0] = 3  # nobody knows better there
    overlap, accuracy = score([truth], [found])
    assert overlap.compute() == accuracy.compute() == 1
    found[1, :5] = 4  # a class that the label maps do not know
    overlap, accuracy = score([truth], [found])
    assert overlap.compute() == pytest.approx((10 / 15 + 1) / 2)
    assert accuracy.compute() == pytest.approx(25 / 30)
    unknown = score([np.full((4, 10), -1)], [found])
    assert [metric.compute() for metric in unknown] == [None, None]


def test_classes_are_matched_by_name() -> None:
    other = InClassesOf(Given([np.array([[0, 1, 2]])], ("Car", "sky", "road")), CLASSES)
    assert other.classes == CLASSES.names
    assert other(np.zeros((1, 3, 3))).tolist() == [[2, len(CLASSES), 0]]
    with pytest.raises(UserError, match="is named as one of the label maps"):
        InClassesOf(Given([], ("cat", "dog")), CLASSES)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_clip(tmp_path_factory.mktemp("street"), 8, (64, 48))
    CLASSES.write(folder / "labels.yaml")
    return folder


@pytest.fixture(scope="module")
def fitted(street: Path) -> Segmenter:
    return fit_segmenter(Dataset.open(street, frames="0:5", instances=False), CPU, steps=60)


def test_a_segmenter_learns_a_scene_and_comes_back_from_disk(fitted: Segmenter, tmp_path: Path) -> None:
    picture, ids = scene(6, (64, 48))
    truth = CLASSES.indices(ids)
    assert (fitted(picture) == truth).mean() > 0.9
    fitted.save(tmp_path / "kept")
    again = open_classifier(str(tmp_path / "kept"), CPU)
    assert again.classes == fitted.classes == CLASSES.names
    assert (again(picture) == fitted(picture)).all()


def test_it_is_learnt_the_same_way_twice(street: Path) -> None:
    data = Dataset.open(street, instances=False)
    one, other = (fit_segmenter(data, CPU, steps=3, seed=4).network.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_evaluate_fits_one_and_finds_the_classes_again(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vid2vid.evaluation.scoring.fit_segmenter", partial(fit_segmenter, steps=60))
    fake = tmp_path / "grey"
    fake.mkdir()
    from vid2vid.video import read_picture, write_picture

    for path in sorted((street / "frames").iterdir())[5:]:
        write_picture(fake / path.name, np.full_like(read_picture(path), 128))
    same = tmp_path / "same"
    same.mkdir()
    for path in sorted((street / "frames").iterdir())[5:]:
        write_picture(same / path.name, read_picture(path))
    report = evaluate(street, [same, fake], tmp_path / "out", fit=street, fit_frames="0:5")
    real, good, bad = (one["summary"] for one in report["systems"])
    assert real["class_iou"] == good["class_iou"] > 0.6 > bad["class_iou"]
    assert real["pixel_accuracy"] == good["pixel_accuracy"] > 0.9 > bad["pixel_accuracy"]
    assert report["settings"]["segmenter"].startswith("segmenter fitted to")
    again = evaluate(street, [same, fake], tmp_path / "again", segmenter=tmp_path / "out" / "segmenter")
    assert again["systems"][1]["summary"] == report["systems"][1]["summary"]


def test_what_cannot_be_had_is_one_line(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**arguments: object) -> str:
        with pytest.raises(UserError) as caught:
            evaluate(street, [street / "frames"], tmp_path / "out", **arguments)  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "config.json").write_text('{"classes": [1]}')
    assert "not a segmenter" in refused(segmenter=tmp_path / "kept")
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'vid2vid[annotate]'" in refused(segmenter="hub:some/network")
    bare = tmp_path / "bare" / "frames"
    bare.mkdir(parents=True)
    for path in (street / "frames").iterdir():
        (bare / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="label maps"):
        evaluate(bare.parent, [street / "frames"], tmp_path / "out", fit=street)


def test_a_network_of_the_hub_speaks_through_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    class Network(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=torch.stack([1 - pixels[:, 0], pixels[:, 0]], 1))

    class Inputs(dict):
        def to(self, device: torch.device) -> Inputs:
            return self

    def processor(images: np.ndarray, return_tensors: str) -> Inputs:
        return Inputs(pixels=torch.from_numpy(images[::2, ::2]).permute(2, 0, 1)[None] / 255)

    asked: list[dict[str, object]] = []

    def door(made: object) -> SimpleNamespace:
        return SimpleNamespace(from_pretrained=lambda name, **options: asked.append(options) or made)

    config = SimpleNamespace(model_type="segformer", id2label={0: "road", 1: "car"}, _commit_hash="0123")
    fake = SimpleNamespace(
        AutoConfig=door(config),
        AutoImageProcessor=door(processor),
        AutoModelForSemanticSegmentation=door((Network(), {"missing_keys": []})),
    )
    monkeypatch.setitem(sys.modules, "transformers", fake)
    classifier = InClassesOf(open_classifier("hub:some/network", CPU), CLASSES)
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, 4:] = 255
    assert (classifier(picture)[:, [0, 7]] == [0, 2]).all()
    assert not any(options["trust_remote_code"] for options in asked)
    assert [options.get("revision") for options in asked] == [None, "0123", "0123"], "all of one commit"
    assert asked[-1]["use_safetensors"]
