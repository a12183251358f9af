"""The fast renderer: equation 4 from small features, and the protocol of all renderers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tiny import LABELS, build, label_conditions, pictures
from vid2vid.config import ModelConfig, model_faults
from vid2vid.inference import stream
from vid2vid.models.fast import FastRenderer, four_times
from vid2vid.types import GeneratorOutput, RecurrentState
from vid2vid.zoo import Model, load_model, save_model


def fast(**changes: Any) -> FastRenderer:
    renderer = build(network="fast", **changes).renderer
    assert isinstance(renderer, FastRenderer)
    return renderer


@torch.no_grad()
def unroll(
    renderer: FastRenderer, conditions: list[Tensor], state: RecurrentState
) -> tuple[list[GeneratorOutput], RecurrentState]:
    outputs = []
    for condition in conditions:
        output, state = renderer.step(condition, state)
        outputs.append(output)
    return outputs, state


@pytest.mark.parametrize("size", [(32, 32), (31, 17), (70, 33), (5, 40), (1, 1)])
def test_any_size_is_padded_and_cropped_back(size: tuple[int, int]) -> None:
    width, height = size
    renderer, conditions = fast(), label_conditions(3, size)
    for state in (
        renderer.init_state(conditions[0]),
        renderer.init_state(torch.stack(conditions[:2], 1), torch.stack(pictures(2, size), 1)),
    ):
        output = unroll(renderer, conditions, state)[0][-1]
        shapes = {
            name: tuple(getattr(output, name).shape) for name in ("frame", "raw", "flow", "mask", "warped")
        }
        channels = {"frame": 3, "raw": 3, "flow": 2, "mask": 1, "warped": 3}
        assert shapes == {name: (1, count, height, width) for name, count in channels.items()}
        assert output.frame.abs().max() <= 1


def test_equation_4_and_a_first_frame_that_warps_nothing() -> None:
    renderer, conditions = fast(), label_conditions(2)
    (first, second), after = unroll(renderer, conditions, renderer.init_state(conditions[0]))
    assert torch.equal(first.frame, first.raw)
    assert (first.flow, first.mask, first.warped) == (None, None, None)
    assert second.mask is not None
    assert second.warped is not None
    expected = second.mask * second.raw + (1 - second.mask) * second.warped
    torch.testing.assert_close(second.frame, expected)
    assert (second.mask - second.mask.mean()).abs().max() > 1e-4, "the test needs a mask that says something"
    assert after.filled == 2


def test_foreground_classes_are_painted_anew() -> None:
    conditions = label_conditions(2)
    car = conditions[1][:, 2:3] > 0
    assert 0 < car.float().mean() < 1
    for foreground in (True, False):
        renderer = fast(foreground=foreground)
        output = unroll(renderer, conditions, renderer.init_state(conditions[0]))[0][1]
        assert output.mask is not None
        assert bool((output.mask[car] == 1).all()) == foreground
        assert (output.mask[~car] < 1).all()
        same = torch.equal(output.frame[car.expand_as(output.frame)], output.raw[car.expand_as(output.raw)])
        assert same == foreground


@pytest.mark.parametrize("history", [1, 2, 3])
def test_what_was_made_is_remembered_as_if_it_had_been_given(history: int) -> None:
    renderer, conditions = fast(history=history), label_conditions(6)
    outputs, state = unroll(renderer, conditions[:5], renderer.init_state(conditions[0]))
    made = torch.stack([output.frame for output in outputs], dim=1)
    told = renderer.init_state(torch.stack(conditions[:5], dim=1), made)
    for kept, known in zip(state.conditions + state.frames, told.conditions + told.frames, strict=True):
        torch.testing.assert_close(kept, known, rtol=0, atol=0)
    assert state.conditions[0].shape == (1, history * LABELS.channels, 16, 16)


def test_too_few_given_frames_are_stood_in_for_by_the_oldest() -> None:
    renderer, condition, (picture,) = fast(), label_conditions(1)[0], pictures(1)
    state = renderer.init_state(condition[:, None], picture[:, None])
    torch.testing.assert_close(state.frames[0], picture.repeat(1, 2, 1, 1), rtol=0, atol=0)
    with pytest.raises(ValueError, match="every given frame needs its condition"):
        renderer.init_state(torch.stack([condition] * 2, 1), picture[:, None])


@pytest.mark.parametrize("size", [(2, 2), (5, 3)])
def test_a_head_begins_as_if_its_picture_was_doubled_and_has_weights_for_each_of_the_four(
    size: tuple[int, int],
) -> None:
    head = fast().network.image_head
    x = torch.randn(2, head.in_channels, *size)
    one = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), head.weight[::4], head.bias[::4])
    torch.testing.assert_close(head(x), F.interpolate(one, scale_factor=2.0))
    head.weight.data[3::4], head.bias.data[3::4] = 0, 0  # the lower right one of each four
    made = head(x)
    assert (made[..., 1::2, 1::2] == 0).all()
    assert (made[..., ::2, ::2] != 0).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_a_convolution_makes_flow_four_times_as_large(size: tuple[int, int]) -> None:
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=4.0, mode="bilinear")
    torch.testing.assert_close(four_times(x), expected)


@pytest.mark.parametrize("use_flow", [True, False])
def test_gradients_reach_every_weight(use_flow: bool) -> None:
    renderer = fast(use_flow=use_flow)
    conditions = label_conditions(3, (64, 64))
    state = renderer.init_state(conditions[0])
    for condition in conditions:
        output, state = renderer.step(condition, state)
    seen = [part for part in (output.frame, output.raw, output.flow) if part is not None]
    torch.stack([part.square().mean() for part in seen]).sum().backward()
    for name, weight in renderer.named_parameters():
        if name.endswith("weight"):
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name


def test_it_costs_a_fraction_of_the_paper_s_network() -> None:
    def cost(**settings: Any) -> int:
        with torch.device("meta"):
            model = Model.build(ModelConfig(**settings), LABELS, (512, 256), 15)
            condition = torch.zeros(1, LABELS.channels, 256, 512)
            state = model.renderer.init_state(condition)
            with FlopCounterMode(display=False) as counter:
                model.renderer.step(condition, state)
        return int(counter.get_total_flops())

    assert 20 * cost(network="fast", width=16, downs=3, blocks=4) < cost(width=32)


def test_settings_that_make_no_sense_are_named() -> None:
    for settings, fault in (
        ({"history": 0}, "a fast network sees 1 past frame or more"),
        ({"scales": 2}, "a fast network has 1"),
        ({"given_flow": True}, "a fast network predicts its own"),
    ):
        (found,) = model_faults(ModelConfig(network="fast", **settings))  # type: ignore[arg-type]
        assert fault in found


@torch.no_grad()
def test_it_comes_back_from_a_folder(tmp_path: Path) -> None:
    model, conditions = build(network="fast"), label_conditions(3)
    save_model(model, tmp_path / "model")
    back = load_model(tmp_path / "model")
    for one, other in zip(stream(model, conditions), stream(back, conditions), strict=True):
        assert torch.equal(one, other)
