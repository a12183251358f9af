"""A forecaster and a renderer as one network: what goes through, and what it remembers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tiny import CLASSES, LABELS, build, label_conditions, pictures
from vid2vid.models.joint import Ahead, Joint, harden
from vid2vid.types import GeneratorOutput
from vid2vid.zoo import Model
from vid2vid.zoo.folder import learners_of, with_learners


def pair(seed: int = 0, **renderer: object) -> Model:
    """A forecaster with a renderer inside."""
    inside = build(seed=seed + 1, **renderer)
    forecaster = build(seed=seed, network="forecast", noise=3)
    return Model(**{**vars(forecaster), "shown_by": inside})


def joint(**renderer: object) -> Joint:
    network = learners_of(pair(**renderer))
    assert isinstance(network, Joint)
    return network


def observed(batch: int = 2) -> tuple[Tensor, Tensor]:
    """Conditions (B, n, Z + 2 + C, H, W) of three frames that move, and these."""
    flow = torch.zeros(batch, 3, 2, 32, 32)
    flow[:, :, 0] = -1.5
    described = torch.stack(label_conditions(3, batch=batch), dim=1)
    noise = torch.zeros(batch, 3, 3, 32, 32)
    return torch.cat([noise, flow, described], dim=2), torch.stack(pictures(3, batch=batch), dim=1)


@pytest.mark.parametrize("renderer", [{}, {"scales": 2}, {"given_flow": True}, {"network": "fast"}], ids=str)
def test_a_step_is_those_of_both(renderer: dict[str, object]) -> None:
    both = joint(**renderer)
    conditions, frames = observed()
    state = both.init_state(conditions, frames)
    alone = both.forecaster.init_state(conditions[:, :, :5], conditions[:, :, 5:])
    wanted = conditions[:, :, 5:]
    if "given_flow" in renderer:
        wanted = torch.cat([wanted, conditions[:, :, 3:5]], dim=2)
    history = both.renderer.init_state(wanted, frames)
    for _ in range(3):
        made, state = both.step(torch.zeros(2, 3, 1, 1), state)
        forecast, alone = both.forecaster.step(torch.zeros(2, 3, 1, 1), alone)
        ahead = Ahead.of(forecast, conditions[:, -1, 5:], CLASSES)
        seen = [harden(ahead.made, CLASSES)]
        if "given_flow" in renderer:
            assert ahead.flow is not None
            seen.append(ahead.flow)
        painted, history = both.renderer.step(torch.cat(seen, dim=1), history)
        assert torch.equal(made.raw, painted.frame)
        assert torch.equal(made.frame, ahead.shows(frames[:, -1], painted.frame))
        assert torch.equal(made.described[0], ahead.made)
    assert state.filled == 3


def test_the_frame_teaches_both_and_the_condition_the_forecaster_alone() -> None:
    both = joint()
    both.requires_grad_(True)
    for wanted, taught in ((lambda made: made.frame, {True}), (lambda made: made.described[0], {False})):
        both.zero_grad()
        state = both.init_state(*observed())
        for _ in range(2):
            made, state = both.step(torch.zeros(2, 3, 1, 1), state)
        wanted(made).square().mean().backward()
        assert any(w.grad is not None and w.grad.any() for w in both.forecaster.parameters())
        assert {any(w.grad is not None for w in both.renderer.parameters())} == taught


def test_what_is_of_the_carried_class_is_looked_up_and_else_painted() -> None:
    last, painted = torch.rand(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    here = torch.zeros(1, 4, 8, 8)
    here[:, 0] = 1
    other = torch.zeros(1, 4, 8, 8)
    other[:, 1] = 1
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 0.9
    still = torch.zeros(1, 2, 8, 8)
    ahead = Ahead.of(GeneratorOutput(other, other, still, mask, way=still), here, CLASSES)
    shown = ahead.shows(last, painted)
    assert torch.equal(shown[..., 4:], painted[..., 4:])
    assert torch.allclose(shown[..., :4], last[..., :4], atol=1e-5)
    soft = Ahead.of(GeneratorOutput(other, other, still, mask, way=still), here, None)
    assert torch.equal(soft.new, mask), "of pictures the mask decides"  # type: ignore[arg-type]
    bare = Ahead.of(GeneratorOutput(other, other), here, CLASSES)
    assert bare.shows(last, painted) is painted


def test_foreseeing_renders_nothing_and_leaves_the_rest_as_it_was() -> None:
    both = joint()
    state = both.init_state(*observed())
    noise = torch.zeros(2, 3, 1, 1)
    seen, after = both.foresee(noise, state)
    made, following = both.step(noise, state)
    assert torch.equal(seen.raw, made.described[1])
    assert torch.equal(after.frames[0], following.frames[0])
    assert torch.equal(after.frames[1], state.frames[1])
    assert not torch.equal(following.frames[1], state.frames[1])


def test_without_observed_frames_there_is_nothing_to_go_on_from() -> None:
    with pytest.raises(ValueError, match="give it first frames"):
        joint().init_state(observed()[0])


def test_a_model_is_taken_apart_and_put_together_again() -> None:
    model, other = pair(), pair(seed=5)
    again = with_learners(model, learners_of(other))
    assert again.shown_by is not None
    assert other.shown_by is not None
    assert again.renderer is other.renderer
    assert again.shown_by.renderer is other.shown_by.renderer
    assert again.shown_by.schema == LABELS
    with pytest.raises(ValueError, match="goes on from past frames"):
        learners_of(pair(network="image", history=0))
