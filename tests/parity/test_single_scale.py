"""Our networks and losses against the 2018 ones, one spatial scale."""

import json
from pathlib import Path

import pytest
import torch
from published import Case, load_discriminator, load_generator

from vid2vid.config import LossWeights
from vid2vid.losses.objective import Chunk, Objective
from vid2vid.losses.temporal import FLOW_DIVISOR, Group, temporal_groups
from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.models.generator import Generator
from vid2vid.types import GeneratorOutput


@pytest.mark.parametrize("name", ["composite_fg", "composite_plain", "composite_no_flow"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 2e-6), (torch.float32, 2e-5)])
def test_one_step_of_the_coarsest_generator(
    golden: Path, name: str, dtype: torch.dtype, tolerance: float
) -> None:
    case = Case(golden / name)
    settings = case.settings
    conditions = case.tensor("input", dtype)
    generator = Generator(
        conditions.shape[1] // 3,
        width=settings["ngf"],
        downs=settings["n_downsample"],
        blocks=settings["n_blocks"],
        use_flow=not settings["no_flow"],
        foreground=settings["fg"],
    )
    load_generator(generator, case.weights("G0"))
    generator.to(dtype)
    foreground = case.tensor("mask", dtype) if settings["fg"] else None
    with torch.no_grad():
        output, features = generator(conditions, case.tensor("prev", dtype), foreground, first=False)

    expected = {"final": output.frame, "raw": output.raw, "img_feat": features.image}
    if not settings["no_flow"]:
        expected |= {"flow": output.flow, "weight": output.mask, "flow_feat": features.flow}
    if settings["fg"]:
        expected |= {"fg_feat": features.foreground}
    for key, ours in expected.items():
        torch.testing.assert_close(ours, case.tensor(key, dtype), rtol=0, atol=tolerance)


def test_temporal_groups(golden: Path) -> None:
    cases = json.loads((golden / "temporal_groups" / "case.json").read_text())
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

    def __init__(self, folder: Path) -> None:
        self.case = case = Case(folder)
        settings = case.settings
        scales = {"scales": settings["num_D"], "width": settings["ndf"], "layers": settings["n_layers_D"]}
        image = MultiScaleDiscriminator(9, **scales)
        load_discriminator(image, case.weights("D"))
        video = []
        for scale in range(settings["n_scales_temporal"]):
            video.append(MultiScaleDiscriminator(13, **scales))
            load_discriminator(video[-1], case.weights(f"D_T{scale}"))
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


def test_loss_terms(golden: Path) -> None:
    ours = _LossCase(golden / "losses_1scale")
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


def test_loss_gradients(golden: Path) -> None:
    ours = _LossCase(golden / "losses_1scale")
    terms = ours.losses.generator
    terms = [value for name, value in terms.items() if not name.startswith("video")]
    torch.stack(terms).sum().backward()
    for name, leaf in (("fake_B", ours.frame), ("fake_B_raw", ours.raw), ("flow", ours.flow)):
        expected = ours.case.tensor(f"grad_{name}")
        assert leaf.grad is not None
        assert float((leaf.grad - expected).norm() / expected.norm()) < 1e-4, name


def test_discriminator_features(golden: Path) -> None:
    ours = _LossCase(golden / "losses_1scale")
    pair = torch.cat([ours.case.tensor("real_A"), ours.case.tensor("real_B")], dim=1)
    with torch.no_grad():
        judgement = ours.objective.image_discriminator(pair)
    for i, scale in enumerate(judgement):
        for j, layer in enumerate(scale):
            expected = ours.case.tensor(f"D_scale{i}_layer{j}")
            torch.testing.assert_close(layer.mean(dim=(0, 2, 3)), expected, rtol=1e-5, atol=1e-6)
