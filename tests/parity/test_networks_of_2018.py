"""Our networks against those of 2018: single steps of each, and whole sequences through ``import``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden_case import Case
from torch import Tensor

from vid2vid.config import ModelConfig
from vid2vid.models.feature_encoder import FeatureEncoder
from vid2vid.models.generator import Features, Generator
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.zoo import import_checkpoints, load_model
from vid2vid.zoo.checkpoint_file import read_published
from vid2vid.zoo.published import (
    Filling,
    fill_encoder,
    fill_generator,
)

# The cases of image generators and encoder hold float32 results: there float64 meets their rounding.
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
FLOAT32 = 2e-5
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 2e-6), (torch.float32, 2e-5)], ids=["float64", "float32"]
)


def close(ours: Tensor | None, case: Case, name: str, tolerance: float) -> None:
    assert ours is not None
    torch.testing.assert_close(ours, case.tensor(name, ours.dtype), rtol=0, atol=tolerance)


@PRECISIONS
@pytest.mark.parametrize(
    "name", ["composite_fg", "composite_plain", "composite_no_flow", "composite_local_s1"]
)
@torch.no_grad()
def test_one_step_of_a_generator(name: str, dtype: torch.dtype, tolerance: float) -> None:
    case = Case(name)
    settings = case.settings
    scale, conditions = settings.get("scale", 0), case.tensor("input", dtype)
    width, downs = settings["ngf"], settings["n_downsample"]
    config = ModelConfig(
        width=width,
        downs=downs,
        blocks=settings.get("n_blocks", 0),
        enhancer_blocks=settings.get("n_blocks_local", 0),
    )
    slim = width // 2 if downs > 2 else width
    generator = Generator(
        conditions.shape[1] // 3,
        width=width,
        downs=1 if scale else downs,
        blocks=config.enhancer_blocks if scale else config.blocks,
        scale=scale,
        use_flow=not settings["no_flow"],
        foreground=slim if settings["fg"] else 0,
    )
    where = case.file(f"G{scale}")
    generator.load_state_dict(fill_generator(generator, config, scale, Filling(read_published(where), where)))
    generator.to(dtype)
    foreground = case.tensor("mask", dtype) if settings["fg"] else None
    coarser = None
    if scale:
        coarser = Features(*(case.tensor(f"coarse_{part}_feat", dtype) for part in ("img", "flow", "fg")))
    output, features = generator(conditions, case.tensor("prev", dtype), foreground, False, coarser)

    expected = {"final": output.frame, "raw": output.raw, "img_feat": features.image}
    if not settings["no_flow"]:
        expected |= {"flow": output.flow, "weight": output.mask, "flow_feat": features.flow}
    if settings["fg"]:
        expected |= {"fg_feat": features.foreground}
    for key, ours in expected.items():
        close(ours, case, key, tolerance)


@DTYPES
@pytest.mark.parametrize(
    "name", ["image_global", "image_global_with_features", "image_local", "image_local_with_features"]
)
@torch.no_grad()
def test_an_image_generator(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    case = Case(name)
    model = load_model(import_checkpoints(case.folder, tmp_path / "model"))
    assert isinstance(model.renderer, ImageRenderer)
    condition = case.tensor("input", dtype)
    assert model.schema.channels == condition.shape[1]
    assert model.architecture.styles == case.settings.get("feat_num", 0)
    if model.architecture.styles:
        condition = torch.cat([condition, case.tensor("features", dtype)], dim=1)
    renderer = model.renderer.to(dtype)
    output, _ = renderer.step(condition, renderer.init_state(condition))
    close(output.frame, case, "output", FLOAT32)


@DTYPES
@torch.no_grad()
def test_the_feature_encoder(dtype: torch.dtype) -> None:
    case = Case("feature_encoder")
    width, downs = case.settings["nef"], case.settings["n_downsample"]
    encoder = FeatureEncoder(case.settings["feat_num"], width=width, downs=downs)
    where = case.file("E")
    encoder.load_state_dict(fill_encoder(encoder, downs, read_published(where), where))
    objects = case.tensor("instance", torch.int64)[:, 0]
    close(encoder.to(dtype)(case.tensor("image", dtype), objects), case, "output", FLOAT32)


def _tolerances(case: Case, dtype: torch.dtype) -> list[float]:
    """In float32 a sequence may amplify rounding as much as the original's own float32 run did."""
    if dtype == torch.float64:
        return [2e-6] * len(case.settings["float32_error"])
    return [2e-5 + 5 * error for error in case.settings["float32_error"]]


@DTYPES
@torch.no_grad()
def test_a_sequence_of_three_scales(tmp_path: Path, dtype: torch.dtype) -> None:
    case = Case("sequence_labels_3scales")
    model = load_model(import_checkpoints(case.folder, tmp_path / "model", foreground=[26]))
    labels, instances = (case.tensor(name, torch.int64) for name in ("labels", "instances"))
    conditions = model.schema.encode(labels=labels, instances=instances, dtype=dtype)
    renderer = model.renderer.to(dtype)
    state = renderer.init_state(conditions[None, :2], case.tensor("real", dtype)[None])
    expected = case.tensor("output", dtype)
    for k, tolerance in enumerate(_tolerances(case, dtype)):
        output, state = renderer.step(conditions[None, k + 2], state)
        torch.testing.assert_close(output.frame[0], expected[k], rtol=0, atol=tolerance)


@DTYPES
@torch.no_grad()
def test_a_sequence_that_makes_its_first_frame(tmp_path: Path, dtype: torch.dtype) -> None:
    case = Case("sequence_pose_no_first")
    model = load_model(import_checkpoints(case.folder, tmp_path / "model"))
    conditions, expected = case.tensor("condition", dtype), case.tensor("output", dtype)
    renderer = model.renderer.to(dtype)
    state = renderer.init_state(conditions[None, :2], case.tensor("history", dtype)[None])
    state = replace(state, filled=0)  # the history is seen, and not warped: the case's own first frame
    for k, tolerance in enumerate(_tolerances(case, dtype)):
        output, state = renderer.step(conditions[None, k + 2], state)
        torch.testing.assert_close(output.frame[0], expected[k], rtol=0, atol=tolerance)
