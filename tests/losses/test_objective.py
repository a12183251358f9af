"""GAN losses and how the terms of both sides come together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from vid2vid.config import LossWeights
from vid2vid.flow import warp
from vid2vid.losses.gan import feature_matching, least_squares
from vid2vid.losses.objective import Chunk, Objective
from vid2vid.losses.temporal import Group
from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.types import GeneratorOutput

HEIGHT, WIDTH, FRAMES = 16, 24, 3
ALL = LossWeights(charbonnier=1, contrast=1, ssim=1)


def test_least_squares() -> None:
    judgement = [
        [torch.zeros(1), torch.full((2, 1, 2, 2), 0.5)],
        [torch.zeros(1), torch.full((2, 1, 1, 1), 2.0)],
    ]
    assert float(least_squares(judgement, 1.0)) == pytest.approx(0.25 + 1)
    assert float(least_squares(judgement, 0.0)) == pytest.approx(0.25 + 4)


def test_feature_matching_leaves_the_verdict_out_and_the_real_side_alone() -> None:
    def judgement(value: float) -> list[list[Tensor]]:
        return [[torch.full((1, 2), value).requires_grad_() for _ in range(3)] for _ in range(2)]

    real, fake = judgement(1.0), judgement(0.5)
    total = feature_matching(real, fake)
    # Two layers count, 4 / 2 each, mean over two scales.
    assert float(total.detach()) == pytest.approx(0.5 * 2 * 2 * (4 / 2) / 2)
    total.backward()
    assert all(layer.grad is None for scale in real for layer in scale)
    assert all((layer.grad is None) == (i == 2) for scale in fake for i, layer in enumerate(scale))


class Case:
    """Random outputs (leaves) and a chunk around them; the first frame has no flow if it is self-made."""

    def __init__(self, *, flow: bool = True, self_made: bool = False, confidence: float = 1.0) -> None:
        torch.manual_seed(0)
        self.leaves: dict[str, list[Tensor]] = {"frame": [], "raw": [], "flow": [], "mask": []}
        outputs = [self._output(flow and not (self_made and i == 0)) for i in range(FRAMES)]
        sure = torch.full((1, FRAMES, 1, HEIGHT, WIDTH), confidence)
        if self_made:
            sure[:, 0] = 0
        self.video = torch.rand(2, 9, HEIGHT, WIDTH, requires_grad=True)
        self.chunk = Chunk(
            condition=torch.rand(1, FRAMES, 2, HEIGHT, WIDTH),
            real=torch.rand(1, FRAMES, 3, HEIGHT, WIDTH) * 2 - 1,
            outputs=outputs,
            before_real=torch.rand(1, FRAMES, 3, HEIGHT, WIDTH) * 2 - 1,
            before_fake=torch.rand(1, FRAMES, 3, HEIGHT, WIDTH) * 2 - 1,
            flow=torch.randn(1, FRAMES, 2, HEIGHT, WIDTH),
            confidence=sure,
            groups=[
                Group(torch.rand(2, 9, HEIGHT, WIDTH), self.video, torch.rand(2, 4, HEIGHT, WIDTH)),
                None,
            ],
        )

    def _output(self, flow: bool) -> GeneratorOutput:
        def leaf(name: str, channels: int, low: float = -1.0) -> Tensor:
            tensor = (torch.rand(1, channels, HEIGHT, WIDTH) * (1 - low) + low).requires_grad_()
            self.leaves[name].append(tensor)
            return tensor

        frame = leaf("frame", 3)
        if not flow:
            return GeneratorOutput(frame, frame)
        return GeneratorOutput(
            frame, leaf("raw", 3), leaf("flow", 2), leaf("mask", 1, 0.0), torch.rand(1, 3, 8, 8)
        )


def _distance(made: Tensor, real: Tensor) -> Tensor:
    return (made.unflatten(0, (-1, len(real))) - real).square().mean()


def objective(weights: LossWeights = ALL, **changes: Any) -> Objective:
    torch.manual_seed(1)
    settings: dict[str, Any] = {"perceptual": _distance, "self_made_first": True}
    image = MultiScaleDiscriminator(5, width=4, layers=2)
    video = [MultiScaleDiscriminator(13, width=4, layers=2) for _ in range(2)]
    return Objective(changes.pop("image", image), changes.pop("video", video), weights, **settings | changes)


GENERATOR = {
    *("gan", "feature_matching", "video_0_gan", "video_0_feature_matching", "perceptual", "charbonnier"),
    *("contrast", "ssim", "flow", "flow_warp", "mask", "temporal_warp"),
}


def test_every_term_is_there_by_name() -> None:
    losses = objective()(Case().chunk)
    assert set(losses.generator) == GENERATOR
    assert set(losses.discriminator) == {"real", "fake", "video_0_real", "video_0_fake"}
    assert all(value.ndim == 0 and torch.isfinite(value) for side in losses for value in side.values())


@pytest.mark.parametrize(
    ("off", "gone"),
    [
        ({"gan": 0}, {"gan", "feature_matching", "real", "fake"}),
        ({"video_gan": 0}, {f"video_0_{n}" for n in ("gan", "feature_matching", "real", "fake")}),
        ({"perceptual": 0}, {"perceptual"}),
        ({"charbonnier": 0, "contrast": 0, "ssim": 0}, {"charbonnier", "contrast", "ssim"}),
        ({"temporal_warp": 0}, {"temporal_warp"}),
        ({"mask": 0}, {"mask"}),
    ],
)
def test_what_weighs_nothing_is_not_computed(off: dict[str, float], gone: set[str]) -> None:
    weights = {"charbonnier": 1, "contrast": 1, "ssim": 1} | off
    losses = objective(LossWeights(**weights))(Case().chunk)
    here = set(losses.generator) | set(losses.discriminator)
    everything = GENERATOR | {"real", "fake", "video_0_real", "video_0_fake"}
    assert here == everything - gone


def test_terms_scale_with_their_weights() -> None:
    names = ("gan", "flow", "ssim", "mask", "temporal_warp", "perceptual")
    with torch.no_grad():
        one = objective(LossWeights(**dict.fromkeys(names, 1.0)))(Case().chunk)
        two = objective(LossWeights(**dict.fromkeys(names, 3.0)))(Case().chunk)
    for name in (*names, "flow_warp"):
        torch.testing.assert_close(two.generator[name], 3 * one.generator[name])
    assert torch.equal(one.discriminator["fake"], two.discriminator["fake"]), "weights are the generator's"


@torch.no_grad()
def test_flow_terms_by_hand() -> None:
    case = Case(confidence=0.5)
    chunk, terms = case.chunk, objective()(case.chunk).generator
    flow = torch.stack(case.leaves["flow"], 1)
    assert float(terms["flow"]) == pytest.approx(10 * 0.5 * float((flow - chunk.flow).abs().mean()), rel=1e-5)
    warped = warp(chunk.before_real.flatten(0, 1), flow.flatten(0, 1))
    expected = 10 * 0.5 * (warped - chunk.real.flatten(0, 1)).abs().mean()
    assert float(terms["flow_warp"]) == pytest.approx(float(expected), rel=1e-5)
    before = warp(chunk.before_fake.flatten(0, 1), chunk.flow.flatten(0, 1))
    expected = 10 * 0.5 * (torch.stack(case.leaves["frame"], 1).flatten(0, 1) - before).abs().mean()
    assert float(terms["temporal_warp"]) == pytest.approx(float(expected), rel=1e-5)
    expected = 0.5 * torch.stack(case.leaves["mask"], 1).mean()
    assert float(terms["mask"]) == pytest.approx(float(expected), rel=1e-5)


def test_the_flow_of_larger_frames_counts_by_its_share() -> None:
    """Flow is in pixels of the finest scale, so its distance doubles with each; warped pictures do not."""
    case = Case()
    one, three = (objective(scales=scales)(case.chunk).generator for scales in (1, 3))
    torch.testing.assert_close(three["flow"] * 4, one["flow"])
    torch.testing.assert_close(three["flow_warp"], one["flow_warp"])


def test_faces_are_judged_where_a_head_is_seen() -> None:
    case = Case()
    face = MultiScaleDiscriminator(6, scales=1, width=4, layers=1)
    image = MultiScaleDiscriminator(6, scales=1, width=4, layers=2)
    pictures = torch.full((1, FRAMES, 3, HEIGHT, WIDTH), -1.0)
    judge = objective(image=image, face_discriminator=face, head_from="parts")
    none = judge(replace(case.chunk, condition=pictures))
    assert not any("face" in name for name in none.generator | none.discriminator)
    pictures[0, 1, 2, 4:8, 10:14] = 1.0
    one = judge(replace(case.chunk, condition=pictures))
    assert {"face_gan", "face_feature_matching"} <= one.generator.keys()
    assert {"face_real", "face_fake"} <= one.discriminator.keys()
    one.generator["face_gan"].backward()
    (before, frame, after) = (leaf.grad for leaf in case.leaves["frame"])
    assert frame is not None
    assert frame[..., 4:8, 10:14].abs().sum() > 0
    assert all(other is None or not other.any() for other in (before, after))
    assert not frame[..., 12:, :].any(), "nothing but the face"


def test_faces_count_as_in_the_batch_of_all_processes() -> None:
    """Two frames with a face in one process, none in the other, which judges all the same: 0 times."""
    case = Case()
    face = MultiScaleDiscriminator(6, scales=1, width=4, layers=1, spectral=True).eval()
    judge = objective(image=MultiScaleDiscriminator(6, width=4), face_discriminator=face, head_from="parts")
    nobody = torch.full((1, FRAMES, 3, HEIGHT, WIDTH), -1.0)
    heads = nobody.clone()
    heads[0, :2, 2, 4:8, 10:14] = 1.0
    alone = judge(replace(case.chunk, condition=heads))
    judge.mean = lambda count: 1.0
    mine, other = (judge(replace(case.chunk, condition=condition)) for condition in (heads, nobody))
    for whole, one, none in zip(alone, mine, other, strict=True):
        names = [name for name in whole if name.startswith("face_")]
        assert names
        for name in names:
            torch.testing.assert_close((one[name] + none[name]) / 2, whole[name])
            assert not none[name]
    sum(other.discriminator.values()).backward()
    assert all(weight.grad is not None for weight in face.parameters())


def test_the_mask_is_pulled_only_where_first_frames_are_self_made() -> None:
    assert "mask" not in objective(self_made_first=False)(Case().chunk).generator


def test_a_self_made_first_frame_has_no_flow_to_be_judged() -> None:
    case = Case(self_made=True)
    terms = objective()(case.chunk).generator
    (terms["flow"] + terms["flow_warp"] + terms["temporal_warp"] + terms["mask"]).backward()
    first, *others = case.leaves["frame"]
    assert not first.grad.any()
    assert all(frame.grad.any() for frame in others)


def test_without_flow_the_result_counts_for_the_hallucination_too() -> None:
    """An image model, or the ablation without flow: as if raw were the same picture."""
    case = Case(flow=False)
    terms = objective()(case.chunk)
    assert not {"flow", "flow_warp", "mask"} & set(terms.generator)
    doubled = [
        GeneratorOutput(o.frame, o.frame, torch.zeros(1, 2, HEIGHT, WIDTH), torch.zeros(1, 1, HEIGHT, WIDTH))
        for o in case.chunk.outputs
    ]
    same = objective()(Chunk(**{**vars(case.chunk), "outputs": doubled}))
    for name in ("gan", "feature_matching", "perceptual", "charbonnier", "ssim"):
        torch.testing.assert_close(terms.generator[name], same.generator[name])
    for name in ("real", "fake"):
        torch.testing.assert_close(terms.discriminator[name], same.discriminator[name])


def test_both_sides_share_a_graph_and_keep_to_their_own() -> None:
    """The discriminators' terms reach no frame when asked for the judges; the generator's move no judge."""
    case, judged = Case(), objective()
    judges = list(judged.parameters())
    losses = judged(case.chunk)
    torch.stack(list(losses.discriminator.values())).sum().backward(inputs=judges, retain_graph=True)
    of_judges = [p.grad.clone() if p.grad is not None else None for p in judges]
    fakes = [case.video, *(leaf for leaves in case.leaves.values() for leaf in leaves)]
    assert all(leaf.grad is None for leaf in fakes)
    seen = [name for name, p in judged.named_parameters() if p.grad is not None and p.grad.any()]
    assert {name.split(".")[0] for name in seen} == {"image_discriminator", "video_discriminators"}
    assert not any(name.startswith("video_discriminators.1") for name in seen), "it had no group to judge"

    torch.stack(list(losses.generator.values())).sum().backward(inputs=fakes)
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in fakes)
    for parameter, before in zip(judges, of_judges, strict=True):
        assert (parameter.grad is None) == (before is None)
        assert before is None or torch.equal(parameter.grad, before)


def test_no_gradient_reaches_the_real_side() -> None:
    case = Case()
    chunk = case.chunk
    for tensor in (chunk.real, chunk.before_real, chunk.before_fake, chunk.groups[0].real):
        tensor.requires_grad_()
    judged = objective()
    losses = judged(chunk)
    matching = losses.generator["feature_matching"] + losses.generator["video_0_feature_matching"]
    (matching + losses.generator["temporal_warp"]).backward()
    assert chunk.real.grad is None
    assert chunk.before_fake.grad is None
    assert chunk.groups[0].real.grad is None


def test_a_discriminator_learns_to_tell() -> None:
    case, judged = Case(), objective()
    weights, values = list(judged.parameters()), []
    for _ in range(25):
        loss = torch.stack(list(judged(case.chunk).discriminator.values())).sum()
        values.append(loss.item())
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)  # one judge has nothing to judge
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    weight -= 2e-3 * gradient.sign()
    assert values[-1] < 0.6 * values[0]
