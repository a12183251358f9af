"""Metrics that need networks, through ``evaluate``; the networks are random, so only their ends are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_clips import noisy, panned, write_folder
from torch import Tensor, nn
from torchvision.models import alexnet

from vid2vid.errors import UserError
from vid2vid.evaluation import evaluate, markdown_table

REAL = panned(9, (96, 64))


class Small(nn.Module):
    """Mean colours of nine fields of the first frame, and how they change to the last."""

    def forward(self, windows: Tensor) -> Tensor:
        first, last = (windows, windows) if windows.ndim == 4 else (windows[:, :, 0], windows[:, :, -1])
        pool = torch.nn.functional.adaptive_avg_pool2d
        return torch.cat([pool(first, 3), pool(last, 3) - pool(first, 3)], 1).flatten(1)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    root = tmp_path_factory.mktemp("learned")
    torch.manual_seed(0)
    kept = {name: value for name, value in alexnet(weights=None).state_dict().items() if "features" in name}
    torch.save(kept, root / "alex.pth")
    torch.jit.script(Small()).save(str(root / "small.pt"))
    write_folder(root / "real", REAL)
    for name, sigma in (("same", 0), ("fair", 8), ("poor", 40)):
        write_folder(root / name, noisy(REAL, sigma) if sigma else REAL)
    report = evaluate(
        root / "real",
        [root / name for name in ("same", "fair", "poor")],
        root / "out",
        lpips=f"alex:{root / 'alex.pth'}",
        features=[f"script:{root / 'small.pt'}:1", f"script:{root / 'small.pt'}:4"],
        stride=1,
        styles=True,
        window=4,
    )
    report["page"] = (root / "out" / "index.html").read_text()
    return report


def of(report: dict, key: str) -> list[float]:
    return [system["summary"][key] for system in report["systems"][1:]]


@pytest.mark.parametrize("key", ["lpips", "tlp"])
def test_the_same_is_at_no_distance_and_noise_at_more_and_more(report: dict, key: str) -> None:
    same, fair, poor = of(report, key)
    assert 0 == same < fair < poor
    assert report["clips"][0]["systems"][1]["curves"]["tlp"][0] is None


def test_distributions_stand_beside_them(report: dict) -> None:
    assert report["systems"][0]["distribution"] == [None, None]
    for place, windows in ((0, 9), (1, 6)):
        same, fair, poor = (system["distribution"][place] for system in report["systems"][1:])
        assert same["windows"] == windows == report["settings"]["features"][place]["windows"]
        assert same["frechet"] == pytest.approx(0, abs=1e-6)
        assert same["frechet"] < fair["frechet"] < poor["frechet"]
    lines = markdown_table(report).splitlines()
    assert lines[0].count("Fréchet distance") == lines[0].count("Kernel distance") == 2
    assert any("windows" in note for note in report["notes"])


def test_identity_drift_and_diversity(report: dict) -> None:
    same, fair, poor = of(report, "feature_drift")
    assert same == pytest.approx(0, abs=1e-9)
    assert np.isfinite([fair, poor]).all()
    assert [len(system["drift"]["features"]) for system in report["clips"][0]["systems"]] == [2] * 4
    found = report["diversity"]
    assert found["lpips"] == pytest.approx(np.mean([pair["lpips"] for pair in found["pairs"]]))
    assert found["pairs"][0]["lpips"] == pytest.approx(of(report, "lpips")[1])
    for words in ("LPIPS", "tLP", "Identity drift", "Identity: cosine distance"):
        assert words in report["page"]


def test_without_weights_it_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path / "real", REAL[:2])
    made = evaluate(tmp_path / "real", [f"a={tmp_path / 'real'}"], tmp_path / "out", lpips="none")
    assert "lpips" not in made["systems"][1]["summary"]
    assert any("LPIPS and tLP were not measured" in note for note in made["notes"])
    for arguments, words in (({"lpips": "vgg:no.pth"}, "no.pth"), ({"features": ["i3d"]}, "i3d")):
        with pytest.raises(UserError, match=words):
            evaluate(tmp_path / "real", [f"a={tmp_path / 'real'}"], tmp_path / "x", **arguments)  # type: ignore[arg-type]
        assert not (tmp_path / "x").exists()
