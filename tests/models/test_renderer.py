"""The recurrence and the generator inside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tiny import LABELS, PICTURES, build, label_conditions, pictures
from vid2vid.flow import warp
from vid2vid.models.generator import Generator
from vid2vid.models.layers import Decoder, Encoder, pool
from vid2vid.models.renderer import Renderer
from vid2vid.types import GeneratorOutput

Steps = list[GeneratorOutput]


@torch.no_grad()
def unroll(renderer: Renderer, conditions: list[Tensor], first: list[Tensor] | None = None) -> Steps:
    given = len(first or ())
    if first:
        state = renderer.init_state(torch.stack(conditions[:given], 1), torch.stack(first, 1))
    else:
        state = renderer.init_state(conditions[0])
    outputs = []
    for condition in conditions[given:]:
        output, state = renderer.step(condition, state)
        outputs.append(output)
    return outputs


def renderer(**changes: Any) -> Renderer:
    return build(**changes).renderer


@pytest.mark.parametrize("size", [(32, 32), (31, 17), (33, 29), (5, 40), (3, 2), (1, 1)])
def test_any_size_is_padded_and_cropped_back(size: tuple[int, int]) -> None:
    width, height = size
    network = renderer()
    conditions = label_conditions(4, size)
    for outputs in (unroll(network, conditions), unroll(network, conditions, pictures(2, size))):
        for output in outputs[-2:]:
            assert output.frame.shape == output.raw.shape == (1, 3, height, width)
            assert output.flow is not None
            assert output.mask is not None
            assert output.warped is not None
            assert output.flow.shape == (1, 2, height, width)
            assert output.mask.shape == (1, 1, height, width)
            assert output.warped.shape == (1, 3, height, width)
            assert output.frame.abs().max() <= 1
            assert (output.mask > 0).all()
            assert (output.mask < 1).all()


@pytest.mark.parametrize("kernel", [3, 7, 15])
@pytest.mark.parametrize("downs", [1, 3])
def test_tiny_frames_suffice_for_any_kernel(kernel: int, downs: int) -> None:
    outputs = unroll(renderer(kernel=kernel, downs=downs), label_conditions(3, (4, 4)))
    assert outputs[-1].frame.shape == (1, 3, 4, 4)


def test_padding_leaves_sizes_that_fit_alone() -> None:
    network = renderer()
    state = network.init_state(label_conditions(1, (32, 24))[0])
    assert state.frames[0].shape == (1, 6, 24, 32)
    assert network.init_state(label_conditions(1, (30, 21))[0]).frames[0].shape == (1, 6, 24, 32)


def test_equation_4_and_the_blend() -> None:
    output = unroll(renderer(foreground=False), label_conditions(3))[-1]
    assert output.mask is not None
    assert output.warped is not None
    expected = output.mask * output.raw + (1 - output.mask) * output.warped
    torch.testing.assert_close(output.frame, expected)
    assert (output.mask - output.mask.mean()).abs().max() > 1e-4, "the test needs a mask that says something"


@pytest.mark.parametrize("skips", [False, True])
def test_the_history_of_nothing_counts_as_nothing(skips: bool) -> None:
    torch.manual_seed(0)
    settings = {"history": 2, "width": 4, "downs": 2, "blocks": 2}
    generator = Generator(4, **settings, skips=skips).double()  # type: ignore[arg-type]
    conditions, zeros = torch.rand(1, 12, 32, 32).double(), torch.zeros(1, 6, 32, 32).double()
    with torch.no_grad():
        first, features = generator(conditions, zeros, None, first=True)
        later, same_features = generator(conditions, zeros, None, first=False)
    torch.testing.assert_close(features.image, same_features.image, rtol=0, atol=1e-6)
    torch.testing.assert_close(first.frame, first.raw, rtol=0, atol=0)
    torch.testing.assert_close(first.raw, later.raw, rtol=0, atol=1e-6)
    assert (first.flow, first.mask, first.warped, features.flow) == (None, None, None, None)


def test_a_self_made_first_frame_warps_nothing() -> None:
    network = renderer()
    condition = label_conditions(1)[0]
    state = network.init_state(condition)
    with torch.no_grad():
        output, after = network.step(condition, state)
    assert torch.equal(output.frame, output.raw)
    assert output.flow is None
    assert (state.filled, after.filled) == (0, 1)


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("value", [0.0, -1.0, 0.3])
def test_a_constant_picture_has_features_of_exactly_zero(value: float, skips: bool) -> None:
    """Normalisation would make them of rounding errors, times 316 with every layer."""
    torch.manual_seed(0)
    encoder = Encoder(6, 4, 3, 2, skips=skips)
    for _, bias in [item for item in encoder.named_parameters() if item[0].endswith("bias")]:
        torch.nn.init.normal_(bias)
    pictures_ = torch.stack([torch.full((6, 40, 40), value), torch.rand(6, 40, 40)])
    with torch.no_grad():
        for feature in encoder(pictures_):
            assert not feature[0].any()
            assert feature[1].any()


@pytest.mark.parametrize("size", [(64, 64), (61, 37), (5, 40), (1, 1)])
def test_coarse_to_fine_takes_any_size(size: tuple[int, int]) -> None:
    network = renderer(scales=3, width=8)
    for outputs in (
        unroll(network, label_conditions(3, size)),
        unroll(network, label_conditions(4, size), pictures(2, size)),
    ):
        assert all(output.frame.shape == (1, 3, *size[::-1]) for output in outputs)


def test_each_scale_has_its_own_history() -> None:
    """Given frames are pooled; made ones are what each scale made itself."""
    network = renderer(scales=3, width=8)
    conditions, frames = label_conditions(3), pictures(2)
    state = network.init_state(torch.stack(conditions[:2], 1), torch.stack(frames, 1))
    assert [tuple(x.shape[-2:]) for x in state.frames] == [(8, 8), (16, 16), (32, 32)]
    assert torch.equal(state.frames[2], torch.cat(frames, 1))
    assert torch.equal(state.frames[1], torch.cat([pool(frame) for frame in frames], 1))
    assert torch.equal(state.frames[0][:, 3:], pool(pool(frames[1])))
    assert torch.equal(state.conditions[1][:, -network.condition_channels :], pool(conditions[1]))
    with torch.no_grad():
        output, after = network.step(conditions[2], state)
    assert torch.equal(after.frames[2], torch.cat([frames[1], output.frame], 1))
    assert not torch.allclose(after.frames[1][:, 3:], pool(output.frame), atol=1e-3)


def test_the_scale_below_is_heard() -> None:
    """Every branch of an enhancer adds its own features of the coarser one."""
    network = renderer(scales=2, width=8)
    conditions = label_conditions(3)
    plain = unroll(network, conditions)[-1]
    for branch in ("decode_image", "decode_flow", "decode_foreground"):
        with torch.no_grad():
            for weight in getattr(network.coarsest, branch).parameters():
                weight.add_(0.1)
        changed = unroll(network, conditions)[-1]
        assert not torch.equal(changed.frame, plain.frame), branch
        plain = changed


def test_flow_grows_with_the_scale() -> None:
    network = renderer(scales=3, width=8)
    assert [one.flow_scale for one in network.networks] == [20, 40, 80]


def test_no_frame_depends_on_its_batch_mates() -> None:
    network = renderer().double()
    conditions = [condition.double() for condition in label_conditions(4, batch=3)]
    first = [frame.double() for frame in pictures(2, batch=3)]
    together = unroll(network, conditions, first)
    for i in range(3):
        alone = unroll(network, [c[i : i + 1] for c in conditions], [f[i : i + 1] for f in first])
        for mine, ours in zip(alone, together, strict=True):
            torch.testing.assert_close(mine.frame, ours.frame[i : i + 1], rtol=0, atol=1e-12)


def test_the_foreground_is_drawn_over_the_whole_result() -> None:
    network = renderer()
    conditions = label_conditions(3)
    outputs = unroll(network, conditions)
    car = conditions[2][:, 2:3] > 0
    assert car.any()
    assert not car.all()
    drawn = {}

    def remember(module: torch.nn.Module, inputs: object, output: Tensor) -> None:
        drawn["car"] = torch.tanh(output)

    network.coarsest.foreground_head.register_forward_hook(remember)
    again = unroll(network, conditions)[2]
    pasted = drawn["car"].masked_select(car)
    assert torch.equal(again.frame, outputs[2].frame)
    assert torch.equal(again.frame.masked_select(car), pasted)
    assert torch.equal(again.raw.masked_select(car), pasted)
    assert not torch.equal(again.frame.masked_select(~car), drawn["car"].masked_select(~car))


def test_the_foreground_network_sees_only_conditions() -> None:
    network = renderer()
    conditions = label_conditions(3)
    car = conditions[2][:, 2:3] > 0
    one = unroll(network, conditions, pictures(2, seed=1))[0]
    other = unroll(network, conditions, pictures(2, seed=2))[0]
    assert torch.equal(one.frame.masked_select(car), other.frame.masked_select(car))
    assert not torch.equal(one.frame.masked_select(~car), other.frame.masked_select(~car))


def test_without_foreground_classes_there_is_no_foreground_network() -> None:
    assert not build(PICTURES).renderer.coarsest.has_foreground
    assert not renderer(foreground=False).coarsest.has_foreground
    network = renderer()
    assert network.coarsest.has_foreground
    with pytest.raises(ValueError, match="foreground mask"):
        network.coarsest(torch.rand(1, 12, 16, 16), torch.rand(1, 6, 16, 16), None, first=False)


def test_without_history_it_is_an_image_model() -> None:
    network = renderer(history=0)
    conditions = label_conditions(3)
    forwards = unroll(network, conditions)
    backwards = unroll(network, conditions[::-1])
    given = unroll(network, conditions, pictures(1))
    for a, b in zip(forwards, backwards[::-1], strict=True):
        assert torch.equal(a.frame, b.frame)
        assert torch.equal(a.frame, a.raw)
        assert a.flow is None
    assert torch.equal(given[-1].frame, forwards[-1].frame)
    assert not any("encode_frames" in name or "flow" in name for name, _ in network.named_parameters())


def test_without_flow_the_past_is_still_seen() -> None:
    network = renderer(use_flow=False)
    conditions = label_conditions(3)
    one = unroll(network, conditions, pictures(2, seed=1))[0]
    other = unroll(network, conditions, pictures(2, seed=2))[0]
    assert one.flow is None
    assert not torch.equal(one.frame, other.frame)


@pytest.mark.parametrize("scales", [1, 2])
def test_a_given_flow_is_what_the_last_frame_is_warped_by(scales: int) -> None:
    network = renderer(given_flow=True, foreground=False, scales=scales, history=1)
    plain, frame = label_conditions(2), pictures(1)[0]
    flow = torch.full((1, 2, 32, 32), 4.0)
    first, now = (torch.cat([condition, flow], 1) for condition in plain)
    state = network.init_state(first[:, None], frame[:, None])
    with torch.no_grad():
        output, after = network.step(now, state)
    assert torch.equal(output.flow, flow)
    assert torch.allclose(output.warped, warp(frame, flow), atol=1e-6)
    assert torch.allclose(output.frame, output.raw * output.mask + output.warped * (1 - output.mask))
    assert after.conditions[-1].shape[1] == plain[0].shape[1]
    # A frame that nothing came before has nothing to warp, whatever flow is given.
    with torch.no_grad():
        output, _ = network.step(first, network.init_state(first))
    assert output.flow is None


def test_the_state_holds_the_last_conditions_and_frames() -> None:
    network = renderer()
    conditions, frames = label_conditions(6), pictures(4)
    state = network.init_state(torch.stack(conditions[:4], 1), torch.stack(frames, 1))
    assert torch.equal(state.conditions[0], torch.cat(conditions[2:4], 1))
    assert torch.equal(state.frames[0], torch.cat(frames[2:], 1))
    with torch.no_grad():
        output, after = network.step(conditions[4], state)
    assert torch.equal(after.conditions[0], torch.cat(conditions[3:5], 1))
    assert torch.equal(after.frames[0], torch.cat([frames[3], output.frame], 1))
    assert after.filled == 2


def test_where_little_is_known_the_oldest_stands_in() -> None:
    network = renderer(history=3)
    condition, frame = label_conditions(1)[0], pictures(1)[0]
    state = network.init_state(condition[:, None], frame[:, None])
    assert torch.equal(state.conditions[0], torch.cat([condition] * 3, 1))
    assert torch.equal(state.frames[0], torch.cat([frame] * 3, 1))
    nothing = network.init_state(condition)
    assert torch.equal(nothing.conditions[0], torch.cat([condition] * 3, 1))
    assert not nothing.frames[0].any()
    with pytest.raises(ValueError, match="needs its condition"):
        network.init_state(torch.stack(label_conditions(2), 1), frame[:, None])


@pytest.mark.parametrize("size", [(32, 32), (30, 21)])
@pytest.mark.parametrize(
    "changes",
    [{}, {"history": 0}, {"history": 1}, {"upsampling": "resize"}, {"skips": True}, {"cubic_warp": True}],
)
def test_neither_state_nor_inputs_are_changed(size: tuple[int, int], changes: dict[str, Any]) -> None:
    network = renderer(**changes)
    conditions, first = label_conditions(3, size), pictures(2, size)
    state = network.init_state(torch.stack(conditions[:2], 1), torch.stack(first, 1))
    before = (
        state.map(torch.clone),
        conditions[2].clone(),
        {k: v.clone() for k, v in network.state_dict().items()},
    )
    with torch.no_grad():
        one, _ = network.step(conditions[2], state)
        other, _ = network.step(conditions[2], state)
    assert torch.equal(one.frame, other.frame)
    assert torch.equal(before[0].frames[0], state.frames[0])
    assert torch.equal(before[0].conditions[0], state.conditions[0])
    assert torch.equal(before[1], conditions[2])
    assert all(torch.equal(value, before[2][name]) for name, value in network.state_dict().items())


def test_training_and_evaluation_mode_are_the_same_network() -> None:
    network = renderer()
    conditions = label_conditions(3)
    quiet = unroll(network, conditions)[-1].frame
    assert torch.equal(unroll(network.train(), conditions)[-1].frame, quiet)


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("scales", [1, 2])
def test_gradients_reach_every_weight(upsampling: str, skips: bool, scales: int) -> None:
    network = renderer(upsampling=upsampling, skips=skips, scales=scales, width=8)
    conditions = label_conditions(3)
    output, state = network.step(conditions[0], network.init_state(conditions[0]))
    for condition in conditions[1:]:
        output, state = network.step(condition, state)
    output.frame.square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        if name.endswith("weight"):
            assert weight.grad.abs().sum() > 0, name


@torch.no_grad()
def test_upsampling_by_resizing_has_no_checkerboard() -> None:
    """A constant input stays constant inside: every output pixel sees the same weights."""
    for upsampling, constant in (("resize", True), ("transposed", False)):
        torch.manual_seed(0)
        generator = Generator(1, history=0, width=4, downs=1, blocks=0, upsampling=upsampling)
        up = generator.decode_image.doublings[0][:-2]  # without normalisation and ReLU
        inside = up(torch.ones(1, 8, 8, 8))[..., 4:-4, 4:-4]
        spread = float((inside.amax(dim=(2, 3)) - inside.amin(dim=(2, 3))).max())
        assert (spread < 1e-5) == constant, upsampling


def test_encoders_halve_and_double_and_decoders_go_back() -> None:
    shapes = [(2, 4, 32, 48), (2, 8, 16, 24), (2, 16, 8, 12), (2, 32, 4, 6)]
    for skips in (False, True):
        features = Encoder(5, 4, 3, 1, skips=skips)(torch.rand(2, 5, 32, 48))
        assert [tuple(feature.shape) for feature in features] == (shapes if skips else shapes[-1:])
        assert Decoder(4, 3, 1, "resize", skips)(features).shape == (2, 4, 32, 48)


@torch.no_grad()
def test_skips_let_fine_detail_past_the_narrowest_place() -> None:
    """Two inputs that differ in one pixel only: with skips the decoder's features differ most there."""
    one = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    other = one.clone()
    other[..., 9, 17] += 1
    for skips in (False, True):
        torch.manual_seed(0)
        encoder, decoder = Encoder(3, 4, 3, 1, skips=skips), Decoder(4, 3, 1, "resize", skips)
        difference = (decoder(encoder(one)) - decoder(encoder(other))).abs().sum(1)[0]
        place = divmod(int(difference.argmax()), 32)
        assert (max(abs(place[0] - 9), abs(place[1] - 17)) <= 3) == skips, skips


def test_weights_begin_as_published() -> None:
    torch.manual_seed(0)
    network = Renderer(LABELS.channels, foreground_channels=(2,), width=16, downs=2, blocks=4)
    weights = torch.cat([p.flatten() for name, p in network.named_parameters() if name.endswith("weight")])
    assert abs(weights.std().item() - 0.02) < 5e-4
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))
