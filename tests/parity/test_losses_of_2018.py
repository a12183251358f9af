"""Our discriminators, losses, gradients and temporal groups against those of 2018."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from golden_case import CASES, Case

from vid2vid.config import LossWeights
from vid2vid.losses.objective import Chunk, Objective
from vid2vid.losses.temporal import FLOW_DIVISOR, Group, temporal_groups
from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.types import GeneratorOutput
from vid2vid.zoo.checkpoint_file import read_published
from vid2vid.zoo.published import fill_discriminator


def _fill(network: MultiScaleDiscriminator, path: Path) -> None:
    network.load_state_dict(fill_discriminator(network, read_published(path), path))


def test_temporal_groups() -> None:
    cases = json.loads((CASES / "temporal_groups" / "case.json").read_text())
    assert len(cases) >= 40
    for case in cases:
        new, length = case["n_frames_load"], case["n_frames_D"]
        for step, expected in enumerate(case["groups_per_step"]):
            ours = [
                temporal_groups(step * new, new, scale, length, case["sparse"])
                for scale in range(case["t_scales"])
            ]
            assert ours == [[tuple(group) for group in groups or []] for groups in expected]


class _LossCase:
    """The loss case with our objective around the published discriminators."""

    def __init__(self, name: str) -> None:
        self.case = case = Case(name)
        settings = case.settings
        scales = {"scales": settings["num_D"], "width": settings["ndf"], "layers": settings["n_layers_D"]}
        image = MultiScaleDiscriminator(9, **scales)
        _fill(image, case.file("D"))
        video = []
        for scale in range(settings["n_scales_temporal"]):
            video.append(MultiScaleDiscriminator(13, **scales))
            _fill(video[-1], case.file(f"D_T{scale}"))
        self.objective = Objective(image, video, LossWeights()).double()
        self.frame = case.tensor("fake_B").requires_grad_()
        self.raw = case.tensor("fake_B_raw").requires_grad_()
        self.flow = case.tensor("flow").requires_grad_()
        groups = [
            Group(
                case.tensor(f"T{r}_real").flatten(1, 2),
                case.tensor(f"T{r}_fake").flatten(1, 2),
                case.tensor(f"T{r}_flow").flatten(1, 2) / FLOW_DIVISOR,
            )
            for r in range(2)
        ]
        output = GeneratorOutput(self.frame, self.raw, self.flow, case.tensor("weight"), self.frame)
        self.losses = self.objective(
            Chunk(
                condition=case.tensor("real_A")[:, None],
                real=case.tensor("real_B")[:, None],
                outputs=[output],
                before_real=case.tensor("real_B_prev")[:, None],
                before_fake=case.tensor("fake_B_prev")[:, None],
                flow=case.tensor("flow_ref")[:, None],
                confidence=case.tensor("conf_ref")[:, None],
                groups=groups,
            )
        )


def test_loss_terms() -> None:
    ours = _LossCase("losses_1scale")
    expected, temporal = ours.case.settings["losses"], ours.case.settings["temporal_losses"]
    generator, discriminator = ours.losses
    pairs = {
        "gan": (generator["gan"], expected["G_GAN"]),
        "feature_matching": (generator["feature_matching"], expected["G_GAN_Feat"]),
        "flow": (generator["flow"], expected["F_Flow"]),
        "flow_warp": (generator["flow_warp"], expected["F_Warp"]),
        "temporal_warp": (generator["temporal_warp"], expected["G_Warp"]),
        # The published step halves real + fake and counts the real frame twice.
        "real": (discriminator["real"] * 2, expected["D_real"]),
        "fake": (discriminator["fake"] * 2, expected["D_fake"]),
    }
    for r, terms in enumerate(temporal):
        pairs[f"video {r} gan"] = (generator[f"video_{r}_gan"], terms["G_T_GAN"])
        pairs[f"video {r} matching"] = (generator[f"video_{r}_feature_matching"], terms["G_T_GAN_Feat"])
        pairs[f"video {r} real"] = (discriminator[f"video_{r}_real"] * 2, terms["D_T_real"])
        pairs[f"video {r} fake"] = (discriminator[f"video_{r}_fake"] * 2, terms["D_T_fake"])
    for name, (value, target) in pairs.items():
        assert float(value.detach()) == pytest.approx(target, rel=1e-5), name


def test_loss_gradients() -> None:
    ours = _LossCase("losses_1scale")
    terms = ours.losses.generator
    terms = [value for name, value in terms.items() if not name.startswith("video")]
    torch.stack(terms).sum().backward()
    for name, leaf in (("fake_B", ours.frame), ("fake_B_raw", ours.raw), ("flow", ours.flow)):
        expected = ours.case.tensor(f"grad_{name}")
        assert leaf.grad is not None
        assert float((leaf.grad - expected).norm() / expected.norm()) < 1e-4, name


def test_discriminator_features() -> None:
    ours = _LossCase("losses_1scale")
    pair = torch.cat([ours.case.tensor("real_A"), ours.case.tensor("real_B")], dim=1)
    with torch.no_grad():
        judgement = ours.objective.image_discriminator(pair)
    for i, scale in enumerate(judgement):
        for j, layer in enumerate(scale):
            expected = ours.case.tensor(f"D_scale{i}_layer{j}")
            torch.testing.assert_close(layer.mean(dim=(0, 2, 3)), expected, rtol=1e-5, atol=1e-6)
