"""The forecaster: equation 4 of encoded conditions, the protocol of all renderers, and what noise is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tiny import LABELS, PICTURES, build, label_conditions, pictures
from vid2vid.config import ModelConfig, model_faults
from vid2vid.errors import UserError
from vid2vid.flow import carried_in_space
from vid2vid.inference import export, stream, synthesize
from vid2vid.models.forecaster import Forecaster
from vid2vid.speed import bench
from vid2vid.types import GeneratorOutput
from vid2vid.zoo import Model, info, load_model, load_renderer, save_model

NOISE = 3
STILL = torch.zeros(1, NOISE, 1, 1)


def model(**changes: Any) -> Model:
    return build(**{"network": "forecast", "noise": NOISE} | changes)


def network(**changes: Any) -> Forecaster:
    found = model(**changes).renderer
    assert isinstance(found, Forecaster)
    return found


def observed(count: int = 2, size: tuple[int, int] = (32, 32), batch: int = 1) -> Tensor:
    """(B, n, 4, H, W)."""
    return torch.stack(label_conditions(count, size, batch), dim=1)


def moving(first: Tensor, x: float = 0.0, y: float = 0.0) -> Tensor:
    """The conditions of observed frames in which all has moved by so many pixels."""
    flow = torch.tensor([-x, -y]).view(2, 1, 1).expand(*first.shape[:2], 2, *first.shape[3:])
    return torch.cat([torch.zeros(*first.shape[:2], NOISE, *first.shape[3:]), flow], dim=2)


@torch.no_grad()
def unroll(
    made_by: Forecaster, first: Tensor, count: int, noise: Tensor = STILL, x: float = 0.0, y: float = 0.0
) -> list[GeneratorOutput]:
    state, outputs = made_by.init_state(moving(first, x, y), first), []
    for _ in range(count):
        output, state = made_by.step(noise, state)
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("size", [(32, 32), (31, 17), (70, 33), (5, 40), (1, 1)])
def test_label_maps_of_any_size_are_probabilities(size: tuple[int, int]) -> None:
    width, height = size
    for output in unroll(network(), observed(2, size), 4, x=0.7):
        shapes = {
            name: tuple(getattr(output, name).shape) for name in ("frame", "raw", "flow", "mask", "warped")
        }
        channels = {"frame": 4, "raw": 4, "flow": 2, "mask": 1, "warped": 4}
        assert shapes == {name: (1, count, height, width) for name, count in channels.items()}
        for part in (output.frame, output.raw, output.warped):
            assert part is not None
            assert 0 <= part.min() <= part.max() <= 1 + 1e-5
            torch.testing.assert_close(part[:, :3].sum(1), torch.ones(1, height, width))


def test_equation_4() -> None:
    output, _ = unroll(network(), observed(), 2, x=3.0)
    assert output.mask is not None
    assert output.warped is not None
    expected = output.raw * output.mask + output.warped * (1 - output.mask)
    torch.testing.assert_close(output.frame, expected)
    assert 0 < output.mask[..., :3].min() <= output.mask[..., :3].max() < 1, "nothing came in from the left"
    assert not output.mask[..., 4:].any(), "what has arrived stays what it is"


def untrained(**changes: Any) -> Forecaster:
    torch.manual_seed(0)
    found = Model.build(model(**changes).architecture, LABELS, (32, 32), 10).renderer
    assert isinstance(found, Forecaster)
    return found


def test_untrained_it_is_inertia() -> None:
    """All moves on, and is as sharp after ten steps as after one."""
    first = observed(size=(64, 64))
    for k, output in enumerate(unroll(untrained(), first, 10, x=2.0, y=1.0), 1):
        known = first[:, -1, :3].argmax(1)[:, : 64 - k, : 64 - 2 * k]
        assert torch.equal(output.frame[:, :3].argmax(1)[:, k:, 2 * k :], known)
        assert output.flow is not None
        arrived = output.flow[:, 0, k:, 2 * k :]
        torch.testing.assert_close(arrived, torch.full_like(arrived, -2.0))
        assert output.frame[:, :3].amax(1).min() > 0.9


def test_pictures_are_forecast_as_pictures() -> None:
    twin = build(PICTURES, network="forecast", noise=NOISE).renderer
    assert isinstance(twin, Forecaster)
    outputs = unroll(twin, torch.stack(pictures(2), dim=1), 3)
    assert outputs[-1].frame.shape == (1, 3, 32, 32)
    assert -1 <= min(float(output.frame.min()) for output in outputs) < -0.1


@pytest.mark.parametrize("known", [1, 2, 5])
def test_its_past_is_what_was_observed_last_and_then_its_own(known: int) -> None:
    made_by, first = network(history=3), observed(known)
    state = made_by.init_state(moving(first, 1.0), first)
    oldest_first = [first[:, max(known - 3 + i, 0)] for i in range(3)]
    assert torch.equal(state.frames[0], torch.cat(oldest_first, dim=1))
    output, after = made_by.step(STILL, state)
    assert torch.equal(after.frames[0][:, :8], state.frames[0][:, 4:])
    assert torch.equal(after.frames[0][:, 8:], output.frame)
    anchor, motion, way = after.conditions
    assert torch.equal(anchor, first[:, -1]), "is what goes on, at every step"
    torch.testing.assert_close(
        motion[:, 5:], torch.tensor([1.0, 0]).view(1, 2, 1, 1).expand_as(motion[:, 5:])
    )
    assert way.shape == motion[:, 5:].shape
    assert (state.filled, after.filled) == (0, 1)


def test_nothing_observed_is_an_error() -> None:
    with pytest.raises(ValueError, match="observed"):
        network().init_state(STILL)


def test_streamed_with_constant_memory_it_goes_on_for_as_long_as_it_is_asked() -> None:
    found, first = model(), observed()
    streamed = list(stream(found, [moving(first)[:, 0]] * 7, first.unbind(1)))
    assert isinstance(found.renderer, Forecaster)
    expected = [*first.unbind(1), *(output.frame for output in unroll(found.renderer, first, 5))]
    assert all(torch.equal(a, b) for a, b in zip(streamed, expected, strict=True))


def test_noise_tells_futures_apart_and_zeros_tell_nothing() -> None:
    made_by, first = network(), observed(batch=2)
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randn(1, NOISE, 1, 1, generator=draw) for _ in range(2))
    still, first_future, second_future = (
        unroll(made_by, first[:1], 1, noise)[0].frame for noise in (STILL, one, other)
    )
    for a, b in ((still, first_future), (still, second_future), (first_future, second_future)):
        assert (a - b).abs().max() > 1e-3
    wide = one.expand(1, NOISE, 32, 32)
    torch.testing.assert_close(unroll(made_by, first[:1], 1, wide)[0].frame, first_future)
    both = unroll(made_by, first, 1, torch.cat([one, other]))[0].frame
    torch.testing.assert_close(both[:1], first_future)
    assert not torch.allclose(both[1:], unroll(made_by, first[1:], 1, one)[0].frame)


def car_among_trees() -> Tensor:
    """Two observed frames, (1, 2, 4, 64, 128), in which a car stands at the left."""
    labels = torch.ones(1, 64, 128, dtype=torch.int64)
    labels[:, 24:40, 20:44] = 2
    return LABELS.encode(labels=labels, instances=labels)[:, None].expand(-1, 2, -1, -1, -1)


def test_noise_moves_what_can_move_and_leaves_the_rest() -> None:
    """Far enough from the car, futures agree to the last digit of the first step."""
    made_by, first = untrained(), car_among_trees()
    draw = torch.Generator().manual_seed(1)
    still = unroll(made_by, first, 10)
    apart = torch.zeros(64, 128)
    for _ in range(4):
        other = unroll(made_by, first, 10, torch.randn(1, NOISE, 1, 1, generator=draw))
        assert torch.equal(other[0].frame[..., 60:], still[0].frame[..., 60:])
        apart += (other[-1].frame - still[-1].frame).abs().amax(1)[0]
    assert apart[20:44, 16:48].max() > 0.5, "another class"
    assert apart[:, 64:].max() < 0.05


def test_what_moves_stays_on_the_ground() -> None:
    """The car gets further or less far, and aside, not up."""
    made_by, first = untrained(), car_among_trees()
    draw = torch.Generator().manual_seed(1)
    residual = unroll(made_by, first, 10, torch.randn(1, NOISE, 1, 1, generator=draw))[-1].residual
    assert residual is not None
    level, below = residual[0, :, 32, 20:44], residual[0, :, 39, 20:44]  # 32 is the middle
    assert level[0].abs().max() > 0.5
    assert not level[1].any()
    assert below[1].any(), "what is below comes down as it comes nearer"


def test_inertia_is_computed_once_for_all_futures_that_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by, calls = network(), []

    def counted(motion: Tensor, k: int) -> tuple[Tensor, Tensor]:
        calls.append(k)
        return carried_in_space(motion, k)

    monkeypatch.setattr("vid2vid.models.forecaster.carried_in_space", counted)
    first, other = observed(), observed() + 0.1
    beginning = made_by.init_state(moving(first, 1.0), first)
    for noise in (STILL, STILL + 1, STILL):
        state = beginning.detach()
        for _ in range(3):
            _, state = made_by.step(noise, state)
    assert calls == [1, 2, 3]
    again, fresh = (unroll(network, other, 3, x=2.0)[-1].frame for network in (made_by, network()))
    assert calls == [1, 2, 3] * 3, "another motion is another matter"
    assert torch.equal(again, fresh)


def test_a_model_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    found = model(history=3)
    save_model(found, tmp_path / "model")
    again = load_model(tmp_path / "model").renderer
    assert isinstance(again, Forecaster)
    for a, b in zip(unroll(found.renderer, observed(), 3), unroll(again, observed(), 3), strict=True):  # type: ignore[arg-type]
        assert torch.equal(a.frame, b.frame)
    facts = info(str(tmp_path / "model"))
    assert facts["parameters"] == sum(weight.numel() for weight in again.parameters())


def test_what_makes_frames_refuses_it_in_a_line_that_names_predict(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(model(), folder)
    for refuses in (
        lambda: synthesize(folder, tmp_path, tmp_path / "a.mp4"),
        lambda: export(folder, tmp_path / "b"),
        lambda: bench(folder),
        lambda: bench(recipe="forecast-tiny"),
        lambda: load_renderer(model()),
    ):
        with pytest.raises(UserError, match=r"is a forecaster.*vid2vid predict") as caught:
            refuses()
        assert "\n" not in str(caught.value)
    assert load_renderer(build()).renderer.history == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"history": 1}, "history"),
        ({"scales": 2}, "1 scale"),
        ({"styles": 3}, "no styles"),
        ({"given_flow": True}, "flow is its own"),
        ({"noise": 0}, "noise"),
    ],
)
def test_settings_that_mean_nothing_are_refused(words: dict[str, Any], named: str) -> None:
    assert any(named in fault for fault in model_faults(ModelConfig(network="forecast", **words)))
    assert not list(model_faults(ModelConfig(network="forecast")))
