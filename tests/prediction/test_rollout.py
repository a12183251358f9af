"""Futures by networks: forecast, hardened, rendered, without end."""

from __future__ import annotations

import gc
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from stand_in import FRAMES, SCHEMA, forecaster
from test_baselines import seen
from torch import Tensor

from tiny import CLASSES, LABELS, SIZE, build
from vid2vid.conditions import LabelClass, LabelSchema, check_classes
from vid2vid.data.dataset import ClipFrames
from vid2vid.errors import UserError
from vid2vid.flow import open_estimator
from vid2vid.models.joint import harden
from vid2vid.prediction.past import pictures
from vid2vid.prediction.rollout import Adapter, Forecast, draw_noise, enlarged, render

CPU = torch.device("cpu")
OBJECTS = ClipFrames(seen().frames, seen().labels, (seen().labels == 2).astype(np.int64))  # type: ignore[union-attr]


def forecast(renderer: bool = True, samples: int = 1, seed: int = 0, **architecture: object) -> Forecast:
    return Forecast(
        forecaster(), build(**architecture) if renderer else None, SIZE, CPU, open_estimator("dis")
    )


def test_label_maps_are_forecast_each_from_the_last() -> None:
    futures = forecast(renderer=False)(seen(), torch.zeros(1, 2, 1, 1))
    last = torch.from_numpy(seen().labels[-1])  # type: ignore[index]
    for k, future in enumerate(islice(futures, 5), 1):
        assert future.frame is None
        assert future.condition is not None
        assert torch.equal(future.condition[0].argmax(0), last.roll(k, 1))


def test_frames_are_those_that_the_renderer_makes_of_the_forecast_maps() -> None:
    both = forecast()
    assert both.renderer is not None
    futures = list(islice(both(OBJECTS, torch.zeros(1, 2, 1, 1)), 4))
    maps = [(future.condition, None) for future in futures]
    alone = list(render(both.renderer, OBJECTS, SIZE, CPU, maps))  # type: ignore[arg-type]
    assert all(torch.equal(a.frame, b) for a, b in zip(futures, alone, strict=True))  # type: ignore[arg-type]
    assert not torch.equal(alone[0], alone[3])


def test_the_observed_frames_are_the_renderers_history() -> None:
    dark = ClipFrames(OBJECTS.frames // 2, OBJECTS.labels, OBJECTS.instances)
    one, other = (next(forecast()(past, torch.zeros(1, 2, 1, 1))).frame for past in (OBJECTS, dark))
    assert one is not None
    assert other is not None
    assert not torch.allclose(one, other, atol=1e-3)


def test_several_futures_run_side_by_side_and_the_first_is_the_most_likely() -> None:
    model = forecaster()
    noise = draw_noise(model, 3, 5, CPU)
    assert noise.shape == (3, 2, 1, 1)
    assert not noise[0].any()
    assert torch.equal(noise, draw_noise(model, 5, 5, CPU)[:3])
    assert not torch.equal(noise, draw_noise(model, 3, 6, CPU))
    noise[1:] = torch.tensor([1.0, 4.0]).view(2, 1, 1, 1)
    together = list(islice(forecast()(OBJECTS, noise), 3))
    alone = list(islice(forecast()(OBJECTS, noise[:1]), 3))
    for whole, first in zip(together, alone, strict=True):
        assert whole.condition is not None
        assert torch.equal(whole.condition[:1], first.condition)  # type: ignore[arg-type]
        assert not torch.equal(whole.condition[1], whole.condition[2])
    assert (together[0].frame[:1] - alone[0].frame).abs().max() < 1e-3  # type: ignore[index,operator]


@pytest.mark.parametrize("given_flow", [True, False])
@pytest.mark.parametrize("styles", [0, 2])
def test_a_renderer_is_given_what_it_wants(given_flow: bool, styles: int) -> None:
    """The flow that was forecast, and looks."""
    both = forecast(given_flow=given_flow, styles=styles)
    for future in islice(both(OBJECTS, torch.zeros(2, 2, 1, 1)), 3):
        assert future.frame is not None
        assert future.frame.shape == (2, 3, 32, 32)


class Slides:
    """An estimator that knows: everything has moved right by two pixels."""

    name = fingerprint = "slides"

    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        flow = np.zeros((2, *current.shape[:2]), np.float32)
        flow[0] = -2
        return flow


@pytest.mark.parametrize("trained_at", [SIZE, (16, 16)])
def test_what_is_still_seen_is_looked_up_in_the_last_observed_frame(trained_at: tuple[int, int]) -> None:
    """At the size of the result, whatever the forecaster's own is; what comes in the renderer paints."""
    moved_on = replace(build(network="forecast", noise=2), size=trained_at)
    with torch.no_grad():
        for name, bias in (("mask_head", 9.0), ("image_head", torch.tensor([0.0, 0, 9, 0]))):
            head = moved_on.renderer.get_submodule(f"network.{name}")
            head.weight.zero_()  # type: ignore[operator, union-attr]
            head.bias.copy_(torch.as_tensor(bias))  # type: ignore[operator, union-attr]
    both = Forecast(moved_on, build(), SIZE, CPU, Slides())
    last = pictures(OBJECTS, SIZE, CPU)[-1:]
    classes = torch.from_numpy(OBJECTS.labels[-1])  # type: ignore[index]
    for k, future in enumerate(islice(both(OBJECTS, torch.zeros(2, 2, 1, 1)), 3), 1):
        assert future.frame is not None
        assert future.condition is not None
        apart = future.frame[:, :, :, 2 * k + 2 :] - last[..., 2 : -2 * k]
        assert apart.abs().max() < 1e-4
        found = future.condition[:, :3].argmax(1)
        assert (found[:, :, 2 * k + 2 :] == classes[:, 2 : -2 * k]).all()
        assert (found[:, :, : 2 * k - 1] == 2).all()
        border = last[..., :1].expand(-1, -1, -1, 2 * k - 1)
        assert (future.frame[:, :, :, : 2 * k - 1] - border).abs().max() > 0.1


def test_a_forecaster_of_frames_needs_no_renderer_and_no_labels() -> None:
    twin = Forecast(forecaster(FRAMES), None, (16, 16), CPU, open_estimator("dis"))
    future = next(twin(ClipFrames(seen().frames), torch.zeros(1, 2, 1, 1)))
    assert future.condition is None
    assert future.frame is not None
    assert future.frame.shape == (1, 3, 16, 16)


def test_hard_label_maps_are_of_one_class_each_at_any_size() -> None:
    soft = torch.rand(2, 4, 16, 16).softmax(1)
    hard = harden(enlarged(soft, CLASSES, (48, 32)), CLASSES)
    assert hard.shape == (2, 4, 32, 48)
    assert (hard[:, :3].sum(1) == 1).all()
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(harden(soft, CLASSES)[:, :3].argmax(1), soft[:, :3].argmax(1))


@pytest.mark.parametrize("larger", [1, 2, 3])
def test_a_border_is_as_wide_at_any_size(larger: int) -> None:
    soft = torch.zeros(1, 4, 12, 12)
    soft[:, 0], soft[:, 3, :, 5:7] = 1, 1
    assert (harden(enlarged(soft, CLASSES, (12 * larger, 12 * larger)), CLASSES)[0, 3].sum(1) == 2).all()


@pytest.mark.parametrize("larger", [1, 3])
def test_an_object_ends_where_its_class_does(larger: int) -> None:
    soft = torch.zeros(1, 4, 12, 12)
    soft[:, 0], soft[:, 1, 6:], soft[:, 2, :, 6:] = 0.5, 0.8, 0.9  # road, trees below, a car on the right
    hard = harden(enlarged(soft, CLASSES, (12 * larger, 12 * larger)), CLASSES)
    assert (hard[0, 3].sum(1) == 2).all()
    assert hard[0, 2, :, 7 * larger :].all()


def test_borders_are_made_where_only_the_renderer_knows_them_and_dropped_where_it_does_not() -> None:
    hard = SCHEMA.encode(torch.from_numpy(seen().labels[-1:]))  # type: ignore[index]
    made = Adapter(SCHEMA, LABELS, 1)(hard)
    assert made.shape == (1, 4, 32, 32)
    assert torch.equal(made[0, 3, 12, 8:12], torch.tensor([0.0, 1, 1, 0]))
    assert torch.equal(Adapter(LABELS, SCHEMA, 1)(made), hard)
    assert Adapter(SCHEMA, SCHEMA, 1)(hard) is hard


def test_classes_that_differ_are_one_line() -> None:
    bus = LabelClass(7, "bus", (0, 0, 0))
    check_classes(CLASSES, LabelSchema((*CLASSES.classes[:2], LabelClass(7, "car", (9, 9, 9)))), "it")
    for others, said in (
        ((*CLASSES.classes[:2], bus), "bus 7 where that has car 7"),
        ((*CLASSES.classes, LabelClass(9, "bus", (0, 0, 0))), "bus 9 where that has none"),
        (CLASSES.classes[:2], "none"),
    ):
        with pytest.raises(UserError, match=said):
            check_classes(CLASSES, LabelSchema(others), "runs/x")


def test_memory_does_not_grow_with_the_length_of_a_future() -> None:
    futures = forecast(width=2, blocks=0)(OBJECTS, torch.zeros(1, 2, 1, 1))
    counts = []
    for number, _ in enumerate(futures):
        if number in (10, 40, 120):
            gc.collect()
            counts.append(sum(issubclass(type(item), Tensor) for item in gc.get_objects()))
        if number == 120:
            break
    futures.close()  # type: ignore[attr-defined]
    assert len(set(counts)) == 1
