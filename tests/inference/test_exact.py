"""Exact savings: the frames of the plain path, by fewer operations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tiny import LABELS, build, label_conditions, pictures
from vid2vid.inference.exact import SAVINGS, exactly_faster, labels, winograd
from vid2vid.inference.exact.labels import LabelMaps, TableStem
from vid2vid.inference.exact.layers import FusedBlock, Head
from vid2vid.inference.exact.sight import TableSight
from vid2vid.inference.exact.winograd import WinogradBlocks
from vid2vid.models.fast import FastRenderer, Sight
from vid2vid.models.layers import conv_block, initialise, residual_blocks, up_block
from vid2vid.models.renderer import Renderer

TOLERANCE = 5e-4
"""Root mean square of what frames in [-1, 1] may differ by: 72 dB. Random networks magnify rounding."""


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def renderer(**architecture: object) -> Renderer:
    return build(width=16, kernel=7, **architecture).renderer


def calls(network: nn.Module, kind: type[nn.Module]) -> list[Tensor]:
    """What modules of ``kind`` make from now on."""
    made: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda module, given, result: made.append(result))
    return made


def apart(plain: Renderer, faster: Renderer, conditions: list[Tensor], first: Tensor | None = None) -> float:
    """The largest root mean square that an output differs by, both fed the plain history."""
    given = conditions[0] if first is None else torch.stack(conditions[:1] * first.shape[1], 1)
    state = plain.init_state(given, first)
    worst = 0.0
    for condition in conditions:
        (one, following), (other, _) = plain.step(condition, state), faster.step(condition, state)
        for name in ("frame", "raw", "mask", "warped"):
            expected, found = getattr(one, name), getattr(other, name)
            assert (expected is None) == (found is None)
            if expected is not None:
                worst = max(worst, (expected - found).square().mean().sqrt().item())
        state = following
    return worst


@pytest.mark.parametrize("size", [(64, 48), (45, 37), (32, 17)])
@pytest.mark.parametrize(
    "architecture",
    [
        {},
        {"scales": 2},
        {"skips": True, "upsampling": "resize"},
        {"downs": 3, "history": 1},
        {"history": 0},
        {"cubic_warp": True, "foreground": False},
    ],
    ids=str,
)
def test_the_same_frames(architecture: dict[str, object], size: tuple[int, int]) -> None:
    plain = renderer(**architecture)
    faster = exactly_faster(plain)
    assert apart(plain, faster, label_conditions(3, size)) < TOLERANCE


@pytest.mark.parametrize("saving", SAVINGS)
def test_every_saving_by_itself(saving: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vid2vid.inference.exact.replace.LEAST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "LEAST_TILES", 1)
    plain = renderer()
    faster = exactly_faster(plain, [saving])
    kind = {"fused": FusedBlock, "heads": Head, "labels": TableStem, "winograd": WinogradBlocks}
    assert {name for name in SAVINGS if any(isinstance(m, kind[name]) for m in faster.modules())} == {saving}
    first = torch.stack(pictures(2, (48, 64)), 1)
    assert 0 < apart(plain, faster, label_conditions(2, (48, 64)), first) < TOLERANCE


def test_batches_and_given_frames() -> None:
    plain = renderer()
    first = torch.stack(pictures(2, (64, 64), batch=2), 1)
    assert apart(plain, exactly_faster(plain), label_conditions(2, (64, 64), batch=2), first) < TOLERANCE


def test_what_is_not_a_label_goes_through_the_convolution() -> None:
    plain = renderer()
    faster = exactly_faster(plain)
    conditions = label_conditions(2, (48, 64))
    soft = [condition * 0.75 + 0.25 / condition.shape[1] for condition in conditions]
    tables = calls(faster, FusedBlock)
    assert apart(plain, faster, soft) < TOLERANCE
    softly = len(tables)
    tables.clear()
    assert apart(plain, faster, conditions) < TOLERANCE
    assert len(tables) == softly - 4  # two frames, two stems each


def test_styles_and_pictures_go_through_the_convolution() -> None:
    plain = Renderer(7, foreground_channels=(1,), width=16, downs=2, blocks=2).eval()
    looks = torch.rand(1, 3, 32, 48) * 2 - 1
    styled = [torch.cat([condition, looks], 1) for condition in label_conditions(2, (48, 32))]
    assert apart(plain, exactly_faster(plain), styled) < TOLERANCE
    painter = Renderer(3, width=16, downs=2, blocks=2).eval()
    assert apart(painter, exactly_faster(painter), pictures(2, (48, 32))) < TOLERANCE


def test_the_renderer_is_left_as_it_was_and_its_weights_are_shared() -> None:
    plain = renderer()
    names = [name for name, _ in plain.named_modules()]
    faster = exactly_faster(plain)
    assert [name for name, _ in plain.named_modules()] == names
    assert {id(p) for p in faster.parameters()} <= {id(p) for p in plain.parameters()}


def test_other_renderers_are_what_they_were() -> None:
    other = build(network="image", history=0).renderer
    assert exactly_faster(other) is other


def test_half_precision_double_and_gradients_take_the_plain_way() -> None:
    plain = renderer()
    faster = exactly_faster(plain)
    condition = label_conditions(1, (48, 32))[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert apart(plain, faster, [condition]) == 0
    with torch.enable_grad():
        output, _ = faster.step(condition, faster.init_state(condition))
        output.frame.sum().backward()
    assert all(p.grad is not None for p in plain.coarsest.image_head.parameters())
    assert apart(plain.double(), faster.double(), [condition.double()]) == 0


def test_a_constant_input_has_features_of_zero() -> None:
    plain = renderer(history=0)
    faster = exactly_faster(plain)
    condition = LABELS.encode(*[torch.zeros(1, 32, 32, dtype=torch.int64)] * 2)
    (features,) = faster.coarsest.encode_conditions(LabelMaps.read(condition, 4, 7))
    assert not features.any()
    assert apart(plain, faster, [condition]) == 0


@settings(max_examples=40)
@given(st.integers(4, 20), st.integers(4, 20), st.integers(1, 3), st.integers(2, 6), st.integers(0, 99))
def test_tables_are_the_convolution(height: int, width: int, stacked: int, channels: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, channels, (2, stacked, -(-height // 6), -(-width // 6)), generator=rng)
    classes = coarse.repeat_interleave(6, 2).repeat_interleave(6, 3)[:, :, :height, :width]
    conditions = F.one_hot(classes, channels).permute(0, 1, 4, 2, 3).float()
    if seed % 2:  # with object borders in the last channel
        conditions[:, :, -1] = (torch.rand(2, stacked, height, width, generator=rng) < 0.1).float()
    conditions = conditions.flatten(1, 2)
    plain = conv_block(stacked * channels, 5, 7)
    maps = LabelMaps.read(conditions, channels, 7)
    assert maps is not None
    found = TableStem(plain, plain[0], stacked)(maps)
    expected = plain.double()(conditions.double())
    near = expected.var((2, 3), keepdim=True) > 0.1  # what is constant has nothing but rounding, magnified
    assert ((found - expected) * near).abs().max() < 1e-4


@settings(max_examples=60)
@given(st.integers(0, 3), st.integers(-16, 16).map(lambda n: n / 8), st.integers(0, 63))
def test_one_wrong_number_and_it_is_no_label_map(channel: int, value: float, pixel: int) -> None:
    conditions = LABELS.encode(*[torch.arange(64).view(1, 8, 8) % 3] * 2)
    was = conditions[0, channel, pixel // 8, pixel % 8].item()
    conditions[0, channel, pixel // 8, pixel % 8] = value
    told = LabelMaps.read(conditions, 4, 7) is not None
    allowed = (was, 0.0, 1.0) if channel == 3 else (was, 0.0) if was else (was,)
    assert told == (value in allowed)


def test_large_frames_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "CHUNK", 7)
    plain = renderer()
    assert apart(plain, exactly_faster(plain), label_conditions(1, (48, 40))) < TOLERANCE


@settings(max_examples=30)
@given(st.integers(2, 23), st.integers(2, 23), st.integers(1, 9), st.integers(0, 99))
def test_winograd_is_the_convolution(height: int, width: int, channels: int, seed: int) -> None:
    torch.manual_seed(seed)
    blocks = residual_blocks(channels, 1)
    faster = WinogradBlocks(blocks)
    tiles = winograd.tiling(height, width)
    x = torch.randn(height * width, channels)
    sizes = (len(tiles.windows), len(tiles.windows), 16 * tiles.count)
    made = faster._convolve(
        x[tiles.order], faster.weights[0], tiles, [x.new_empty(n, channels) for n in sizes]
    )
    convolution = blocks[0].block[0]
    expected = convolution(x.T.view(1, channels, height, width)) - convolution.bias[:, None, None]
    found = made[tiles.rank].T.view_as(expected)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize(
    "block", [(conv_block, 3, 1), (conv_block, 3, 2), (up_block, "transposed"), (up_block, "resize")]
)
def test_fused_blocks_are_the_blocks(block: tuple) -> None:
    build_block, *arguments = block
    plain = build_block(6, 10, *arguments)
    initialise(plain)
    x = torch.randn(2, 6, 14, 18)
    assert torch.allclose(FusedBlock(plain)(x), plain(x), atol=1e-4)


@pytest.mark.parametrize("width", [14, 15, 40])
@pytest.mark.parametrize("outputs", [1, 3])
def test_heads_are_the_convolution(outputs: int, width: int) -> None:
    plain = nn.Conv2d(5, outputs, 7, padding=3, padding_mode="reflect")
    x = torch.randn(2, 5, 11, width)
    assert torch.allclose(Head(plain)(x), plain(x), atol=1e-5)


@pytest.mark.parametrize("history", [1, 2, 3])
@pytest.mark.parametrize("kind", ["labels", "soft", "picture"])
def test_what_a_condition_adds_later_is_known_when_it_comes(history: int, kind: str) -> None:
    plain = Sight(LABELS.channels, history, 8, 4)
    initialise(plain, 0.3)
    assert plain.past.bias is not None
    plain.past.bias.fill_(0.5)
    made = label_conditions(history + 4, (24, 16), batch=2)
    conditions = {
        "labels": made,
        "soft": [(one + other) / 2 for one, other in zip(made, made[1:] + made[:1], strict=True)],
        "picture": [torch.randn_like(one) for one in made],
    }[kind]
    faster = TableSight(plain)
    memories = [sight.memory(conditions[:history]) for sight in (plain, faster)]
    for condition in conditions[history:]:
        features, outlines, memories[0] = plain(condition, memories[0])
        others = faster(condition, memories[1])
        memories[1] = others[2]
        torch.testing.assert_close(others[:2], (features, outlines), rtol=1e-4, atol=1e-5)
    assert features.std() > 0.1


def test_a_fast_renderer_makes_the_same_frames() -> None:
    plain = build(network="fast", width=8).renderer
    faster = exactly_faster(plain)
    assert isinstance(faster, FastRenderer)
    assert isinstance(faster.network.encode_conditions, TableSight)
    first, conditions = torch.stack(pictures(2, (37, 30)), 1), label_conditions(5, (37, 30))
    for known, frames in ((conditions[0], None), (torch.stack(conditions[:2], 1), first)):
        states = [one.init_state(known, frames) for one in (plain, faster)]
        for condition in conditions[2:]:
            (one, states[0]), (other, states[1]) = (
                renderer.step(condition, state)
                for renderer, state in zip((plain, faster), states, strict=True)
            )
            assert (one.frame - other.frame).square().mean().sqrt() < TOLERANCE
            assert one.frame.std() > 1e-4
