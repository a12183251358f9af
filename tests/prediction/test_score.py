"""Predictions held against what came."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stand_in import FRAMES, clip, forecaster

from tiny import CLASSES, LABELS, PICTURES, build, scene
from vid2vid.cli import main
from vid2vid.conditions import LabelClass, LabelSchema
from vid2vid.errors import UserError
from vid2vid.prediction import prediction_table, score
from vid2vid.video import read_picture, write_picture
from vid2vid.zoo import save_model


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips in which everything but the tree moves by a pixel a frame; the second is shorter."""
    root = tmp_path_factory.mktemp("score") / "data"
    for name, frames in (("a", 12), ("b", 8)):
        home = clip(root / name, frames)
        for t in range(frames):
            rolled = np.roll(scene(0)[0], t, axis=1)
            write_picture(home / "frames" / f"{t:04d}.png", rolled)
            write_picture(home / "labels" / f"{t:04d}.png", np.roll(scene(0)[1], t, axis=1))
    return root


def figures(report: dict, name: str, key: str, k: int) -> dict[str, float]:
    (system,) = (one for one in report["systems"] if one["name"] == name)
    found: dict[str, float] = system["figures"][key][str(k)]
    return found


def test_a_forecaster_that_knows_beats_what_does_not(street: Path, tmp_path: Path) -> None:
    """The stand-in moves everything by a pixel a frame, and so did the clips."""
    report = score(forecaster(), build(), street, tmp_path / "out", observed=3, frames=5)
    assert report["horizons"] == [1, 3, 5]
    assert report["starts"] == {"1": 9 + 5, "3": 7 + 3, "5": 5 + 1}
    names = [one["name"] for one in report["systems"]]
    assert names == ["forecast", "copy", "flow", "inertia", "true labels"]
    for k in (1, 3, 5):
        assert figures(report, "forecast", "label_iou", k) == {"frame": 1.0, "running": 1.0}
        assert figures(report, "copy", "label_iou", k)["frame"] < 0.9
    copied = [figures(report, "copy", "label_iou", k) for k in (1, 3, 5)]
    assert copied[0]["frame"] == copied[0]["running"]
    assert copied[0]["frame"] > copied[1]["running"] > copied[1]["frame"] > copied[2]["frame"]
    for key in ("ms_ssim", "gradient_error"):  # true labels forecast, true labels rendered
        known, told = (figures(report, name, key, 3) for name in ("forecast", "true labels"))
        assert known["frame"] == pytest.approx(told["frame"], rel=0.05)
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert read_picture(tmp_path / "out" / "labels.png").shape[0] == 5 * (32 + 22)
    assert read_picture(tmp_path / "out" / "frames.png").shape[:2] == (6 * (32 + 22), 3 * (32 + 2))
    table = prediction_table(report)
    assert "| Label IoU ↑ | t+1, 14 starts | t+3, 10 starts | t+5, 6 starts |" in table
    assert "| forecast | 1.000 (1.000) |" in table


def test_targets_are_limited_and_what_is_observed_is_not(street: Path, tmp_path: Path) -> None:
    report = score(None, None, street / "a", tmp_path, observed=3, frames=10, targets="8:", every=2)
    assert report["starts"] == {"1": 2, "3": 1}
    assert [one["name"] for one in report["systems"]] == ["copy", "flow", "inertia"]


def test_without_label_maps_frames_alone_are_compared(street: Path, tmp_path: Path) -> None:
    shutil.copytree(street, tmp_path / "bare", ignore=shutil.ignore_patterns("labels*"))
    report = score(None, None, tmp_path / "bare", tmp_path / "out", frames=3)
    assert all("label_iou" not in system["figures"] for system in report["systems"])
    assert not (tmp_path / "out" / "labels.png").exists()
    twin = score(forecaster(FRAMES), None, tmp_path / "bare", tmp_path / "twin", frames=3)
    assert figures(twin, "forecast", "ms_ssim", 3)["frame"] > figures(twin, "copy", "ms_ssim", 3)["frame"]
    with pytest.raises(UserError, match="not every clip has label maps; make them: vid2vid prepare"):
        score(forecaster(), build(), tmp_path / "bare", tmp_path / "out")


def test_frames_of_forecast_pictures_are_compared(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vid2vid.prediction.pair.load_model", lambda path, device: forecaster(FRAMES))
    options = {"frames": 2, "every": 4}
    report = score(forecaster(PICTURES), build(PICTURES), street, tmp_path, beside=["rgb=rgb"], **options)
    names = [one["name"] for one in report["systems"]]
    assert names == ["forecast", "rgb", "copy", "flow", "inertia", "true densepose"]
    assert all(set(one["figures"]) >= {"ms_ssim", "gradient_error"} for one in report["systems"])
    assert all("label_iou" not in one["figures"] for one in report["systems"])
    with pytest.raises(UserError, match="renders 'labels', and 'densepose' is forecast"):
        score(forecaster(PICTURES), build(), street, tmp_path, **options)


def test_one_beside_that_holds_a_renderer_brings_it(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = replace(forecaster(), shown_by=build(seed=3))
    monkeypatch.setattr("vid2vid.prediction.pair.load_model", lambda path, device: joint)
    report = score(forecaster(), build(), street, tmp_path / "a", frames=2, every=4, beside=["joint=x"])
    alone = score(joint, None, street, tmp_path / "b", frames=2, every=4)
    ours, theirs, others = (
        figures(found, name, "ms_ssim", 1)["frame"]
        for found, name in ((report, "joint"), (alone, "forecast"), (report, "forecast"))
    )
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours != pytest.approx(others, abs=1e-6)


def test_further_forecasters_stand_beside(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"twin": forecaster(FRAMES), "slow": forecaster(LABELS)}
    monkeypatch.setattr("vid2vid.prediction.pair.load_model", lambda path, device: known[str(path)])
    report = score(
        forecaster(), build(), street, tmp_path, frames=2, every=4, beside=["twin=twin", "other=slow"]
    )
    assert [one["name"] for one in report["systems"]][:3] == ["forecast", "twin", "other"]
    assert figures(report, "other", "label_iou", 1)["frame"] == 1
    for word in ("twin", "=twin", "copy=twin", "twin=", "true labels=twin"):
        with pytest.raises(UserError, match="write NAME=FOLDER"):
            score(forecaster(), build(), street, tmp_path, beside=[word])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"observed": 12}, "leaves nothing to predict; the longest clip has 12 frames"),
        ({"targets": "30:"}, "leaves nothing to predict among --targets 30:"),
        ({"targets": "x"}, "not a part of a clip"),
        ({"size": (8, 8)}, "too small to score"),
        ({"flow": "wind"}, "wind"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    options: dict[str, object], said: str, street: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        score(None, None, street, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_clips_of_other_classes_are_one_line(street: Path, tmp_path: Path) -> None:
    shutil.copytree(street, tmp_path / "data")
    for home in ("a", "b"):
        LabelSchema((*CLASSES.classes[:2], LabelClass(7, "boat", (0, 0, 0)))).write(
            tmp_path / "data" / home / "labels.yaml"
        )
    with pytest.raises(UserError, match="boat 7 where that has car 7"):
        score(forecaster(), None, tmp_path / "data", tmp_path / "out")


def test_the_command_line(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    words = ["predict", str(street), "--score", "--frames", "3", "--every", "3", "--out", out]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "| flow |" in told
    assert "report.json" in told
    save_model(build(), tmp_path / "model")
    model = str(tmp_path / "model")
    for wrong, said in (
        ([str(street)], "missing FORECASTER; baselines alone, without one, are for --score"),
        ([model, str(street / "a")], f"{model}: is no forecaster"),
        (["a", "b", "c", "d"], "one word too many"),
        ([model, str(street), "--score", "--samples", "2"], "--samples: means nothing to --score"),
        ([model, str(street), "--every", "2"], "--every: means nothing to one prediction"),
    ):
        assert main(["predict", *wrong, "--out", out]) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
