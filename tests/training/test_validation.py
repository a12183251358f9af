"""What is kept out of training, how it is scored, and that scoring changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from tiny import CLASSES, build, write_clip, write_street
from vid2vid.config.settings import BestBy
from vid2vid.data import Dataset
from vid2vid.errors import UserError
from vid2vid.evaluation.metrics import METRICS
from vid2vid.training import train
from vid2vid.training.validation import MOST_FRAMES, better_by, render, validate
from vid2vid.zoo.folder import checkpoint_folders

SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=4", "data.workers=0", "model.width=4", "model.downs=1"),
    *("model.blocks=1", "model.foreground=false", "discriminator.width=4", "discriminator.layers=1"),
    *("discriminator.scales=1", "loss.perceptual=0", "train.chunk=2", "train.backprop=1", "train.steps=4"),
    *("train.checkpoint_every=1", "train.sample_every=100", "train.keep=1", "train.self_made_first=0"),
)


def run(dataset: Path, out: Path, *overrides: str, **options: Any) -> Path:
    return train(dataset, "street-tiny", out, [*SETTINGS, *overrides], device="cpu", **options)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street"), 9, 12)


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def refused(dataset: Path, out: Path, part: str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(dataset, out, validate_on=part, **options)
    assert not out.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_checkpoint_is_scored_and_the_best_kept(dataset: Path, tmp_path: Path) -> None:
    said: list[str] = []
    options: dict[str, Any] = {"frames": "0:6", "validate_on": "6:9", "say": said.append}
    run(dataset, tmp_path / "run", "train.best=psnr", **options)
    scores = [line["validation/psnr"] for line in lines(tmp_path / "run")]
    assert len(scores) == 4
    assert all(5 < score < 50 for score in scores)
    best = f"step-{scores.index(max(scores)) + 1}"
    assert {folder.name for folder in checkpoint_folders(tmp_path / "run")} == {best, "step-4"}
    assert said[-1] == f"the best by psnr: {best}"
    kept = json.loads((tmp_path / "run" / "checkpoints" / best / "training.json").read_text())
    assert kept["scores"].keys() == {metric.key for metric in METRICS}
    assert kept["scores"]["psnr"] == pytest.approx(max(scores), rel=1e-5)
    with pytest.raises(UserError, match="validated_on 6:9, not None"):
        run(dataset, tmp_path / "run", "train.best=psnr", frames="0:6")


def test_scoring_changes_nothing(dataset: Path, tmp_path: Path) -> None:
    plain = run(dataset, tmp_path / "plain", frames="0:6")
    scored = run(dataset, tmp_path / "scored", frames="0:6", validate_on="6:9")
    for part in ("generator", "discriminators", "optimiser", "random"):
        name = f"{part}.safetensors"
        assert (plain / name).read_bytes() == (scored / name).read_bytes(), part


def test_a_clip_is_kept_out(dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path / "kept", validate_on="two", frames="0:6")
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / dataset.name
    write_street(alone, 9)
    run(alone, tmp_path / "other", frames="0:6")
    kept, other = lines(tmp_path / "kept"), lines(tmp_path / "other")
    assert "validation/ms_ssim" in kept[0]
    assert [{k: v for k, v in line.items() if k in other[0]} for line in kept] == other


def test_what_cannot_be_kept_out_is_one_line(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "frame 6 of one is trained on too" in refused(dataset, out, "6:9")
    assert "frame 5 of one is trained on too" in refused(dataset, out, "5:9", frames="0:6")
    assert "no clip of several has this name" in refused(dataset, out, "three")
    assert "no clip of several has this name" in refused(dataset / "one", out, "one")
    assert "of 2 frames of one 2 are given" in refused(dataset, out, "7:9", frames="0:6")
    assert "has no frames 90:99" in refused(dataset, out, "90:99", frames="0:6")
    assert "not a part of a clip" in refused(dataset, out, "a:b", frames="0:6")


def test_only_so_many_frames_are_scored(tmp_path: Path) -> None:
    write_clip(tmp_path / "long", 24)
    CLASSES.write(tmp_path / "long" / "labels.yaml")
    clip = Dataset.open(tmp_path / "long").clips[0]
    model = build()
    read: list[int] = []
    original, state = clip.read, torch.get_rng_state()

    def counted(start: int, *rest: Any) -> Any:
        read.append(start)
        return original(start, *rest)

    clip.read = counted  # type: ignore[method-assign]
    model.renderer.train()
    scores = validate(model.renderer, model, clip)
    assert read == list(range(2 + MOST_FRAMES))
    assert model.renderer.training, "left as it was"
    assert torch.equal(torch.get_rng_state(), state)
    assert all(score is not None for score in scores.values())


def test_given_frames_are_the_real_ones(dataset: Path) -> None:
    clip = Dataset.open(dataset).clips[0]
    model = build()
    shown = list(render(model.renderer, model, clip, 4))
    same = [(frame.made == frame.real).all() for frame in shown]
    assert same == [True, True, False, False]


def test_the_metrics_to_choose_by_are_those_there_are() -> None:
    assert get_args(BestBy) == tuple(metric.key for metric in METRICS)
    assert better_by("psnr")(30) > better_by("psnr")(20)
    assert better_by("flicker")(1) > better_by("flicker")(2)
    assert better_by("sharpness")(1.1) > better_by("sharpness")(0.8) > better_by("sharpness")(1.3)
