"""One sequence at a time: what is unrolled, what is learnt, what is skipped."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tiny import LABELS, PICTURES, build, label_conditions, pictures
from vid2vid.conditions import ConditionSchema
from vid2vid.config import LossWeights, Recipe, TrainConfig, load_recipe
from vid2vid.errors import Diverged
from vid2vid.inference import stream
from vid2vid.losses.objective import Chunk, Losses
from vid2vid.models.layers import put_in_order
from vid2vid.training.schedule import rate_at
from vid2vid.training.trainer import PATIENCE, Trainer
from vid2vid.types import VideoBatch

CPU = torch.device("cpu")
SETTINGS = (
    *("data.size=[32, 32]", "data.sequence=6", "model.width=4", "model.downs=2", "model.blocks=2"),
    *(
        "loss.perceptual=0",
        "discriminator.width=4",
        "discriminator.layers=2",
        "train.chunk=2",
        "train.backprop=2",
        "train.ema=0",
    ),
)


def trainer(*overrides: str, schema: ConditionSchema = LABELS, seed: int = 0) -> Trainer:
    recipe = load_recipe("street-tiny", [*SETTINGS, *overrides])
    model = build(schema, seed=seed, history=recipe.model.history, use_flow=recipe.model.use_flow)
    torch.manual_seed(seed)
    return Trainer(model, recipe, CPU)


def video(frames: int = 6, batch: int = 1, schema: ConditionSchema = LABELS, seed: int = 0) -> VideoBatch:
    """Smooth pictures that move a pixel a frame, with the flow that says so."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.rand(batch, 3, 8, 12, generator=rng) * 2 - 1
    large = torch.nn.functional.interpolate(noise, size=(32, 64), mode="bicubic").clamp(-1, 1)
    real = torch.stack([large[..., 32 - t : 64 - t] for t in range(frames)], dim=1)
    flow = torch.tensor([-1.0, 0.0]).view(1, 1, 2, 1, 1).repeat(batch, frames, 1, 32, 32)
    flow[:, 0] = 0
    labels = (real[:, :, 0] > 0).long() + (real[:, :, 1] > 0.3).long()
    if schema.labels is None:
        return VideoBatch(real, flow, image=real.flip(2))
    return VideoBatch(real, flow, labels=labels, instances=labels)


def spied(trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[Tensor], list[Any]]:
    """The conditions, frames and states of every ``step`` the trainer calls."""
    conditions: list[Tensor] = []
    frames: list[Tensor] = []
    states: list[Any] = []
    original = trained.renderer.step

    def step(condition: Tensor, state: Any) -> Any:
        output, following = original(condition, state)
        conditions.append(condition.detach().clone())
        frames.append(output.frame.detach().clone())
        states.append(state)
        return output, following

    monkeypatch.setattr(trained.renderer, "step", step)
    return conditions, frames, states


@pytest.mark.parametrize("given", [0, 1, 2])
@pytest.mark.parametrize("schema", [LABELS, PICTURES], ids=["labels", "pictures"])
@pytest.mark.parametrize("history", [0, 2])
def test_training_steps_and_streaming_give_equal_frames(
    given: int, schema: ConditionSchema, history: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = trainer(f"model.history={history}", schema=schema)
    trained.renderer.eval()
    monkeypatch.setattr(trained.optimiser, "step", lambda: None)  # the same weights throughout
    conditions, frames, _ = spied(trained, monkeypatch)
    batch = video(7, batch=2, schema=schema)
    assert len(list(trained.train_sequence(batch, given))) == -(-(7 - given) // 2)
    assert len(frames) == 7 - given

    model = build(schema, history=history)
    model.renderer.load_state_dict(trained.renderer.state_dict())
    put_in_order(model.renderer)  # as in training: another order rounds otherwise
    encoded = schema.encode(
        **{
            name: value.flatten(0, 1)
            for name in ("labels", "instances", "image")
            if (value := getattr(batch, name)) is not None
        }
    ).unflatten(0, (2, 7))
    assert all(torch.equal(encoded[:, given + i], condition) for i, condition in enumerate(conditions))
    first = [batch.frames[:, t] for t in range(given)]
    streamed = list(stream(model, [encoded[:, t] for t in range(7)], first))
    assert len(streamed) == 7
    assert all(torch.equal(streamed[t], batch.frames[:, t]) for t in range(given))
    for made, same in zip(frames, streamed[given:], strict=True):
        torch.testing.assert_close(made, same, rtol=0, atol=1e-5)
    assert (frames[0] - frames[-1]).abs().max() > 1e-3, "the test needs frames that differ"


def test_the_last_frames_carry_over_detached(monkeypatch: pytest.MonkeyPatch) -> None:
    for chunk, backprop in ((1, 1), (2, 2), (4, 2)):
        trained = trainer(f"train.chunk={chunk}", f"train.backprop={backprop}", "data.sequence=8")
        _, frames, states = spied(trained, monkeypatch)
        steps = list(trained.train_sequence(video(8), 0))
        assert len(steps) == 8 // chunk == trained.step
        assert trained.frames == 8
        reach = [state.frames[0].requires_grad for state in states]
        assert reach == [t % chunk % backprop != 0 for t in range(8)]
        for t in range(1, 8):
            carried = states[t].frames[0][:, -3:].detach()
            assert torch.equal(carried, frames[t - 1]), "its own output, not the truth"


def test_given_frames_are_history_and_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer()
    _, frames, states = spied(trained, monkeypatch)
    batch = video(6)
    list(trained.train_sequence(batch, 2))
    assert len(frames) == 4
    assert torch.equal(states[0].frames[0], batch.frames[:, :2].flatten(1, 2))
    list(trained.train_sequence(video(2), 2))
    assert len(frames) == 5, "at least one frame is made, however many are given"


def chunks(trained: Trainer, batch: VideoBatch, given: int, monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    seen: list[Chunk] = []
    original = trained.objective.forward
    monkeypatch.setattr(trained.objective, "forward", lambda chunk: seen.append(chunk) or original(chunk))
    list(trained.train_sequence(batch, given))
    return seen


@pytest.mark.parametrize("given", [0, 2])
def test_each_frame_meets_its_own_truth(given: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = video(6)
    seen = chunks(trainer(), batch, given, monkeypatch)
    assert torch.equal(torch.cat([c.real for c in seen], 1), batch.frames[:, given:])
    assert torch.equal(torch.cat([c.flow for c in seen], 1), batch.flow[:, given:])
    before = torch.cat([c.before_real for c in seen], 1)
    expected = torch.cat([batch.frames[:, :1], batch.frames[:, :-1]], 1)[:, given:]
    assert torch.equal(before, expected)
    made = torch.cat([torch.stack([o.frame for o in c.outputs], 1) for c in seen], 1).detach()
    last = batch.frames[:, given - 1 : given] if given else torch.zeros_like(made[:, :1])
    assert torch.equal(torch.cat([c.before_fake for c in seen], 1), torch.cat([last, made[:, :-1]], 1))
    assert not any(c.before_fake.requires_grad for c in seen)
    confidence = torch.cat([c.confidence for c in seen], 1)
    if not given:
        assert not confidence[:, 0].any(), "nothing came before the first frame"
        confidence = confidence[:, 1:]
    assert confidence[..., 1:].all(), "the flow is right everywhere but where the picture came in"
    assert set(confidence.unique().tolist()) <= {0.0, 1.0}


def test_groups_of_given_frames_show_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = video(6)
    first = chunks(trainer(), batch, 2, monkeypatch)[0].groups[0]
    assert first is not None
    made = first.fake.shape[0] - 1
    assert torch.equal(first.real[made], batch.frames[0, 1:4].flatten(0, 1))
    assert torch.equal(first.fake[made][:3], batch.frames[0, 1])
    assert not torch.equal(first.fake[made][3:], first.real[made][3:])


def test_a_short_training_lowers_the_loss_of_a_fixed_batch() -> None:
    torch.manual_seed(0)
    trained = trainer("train.lr=2e-3", "loss.gan=0", "loss.video_gan=0")
    batch = video(6)
    totals = []
    for _ in range(8):
        steps = list(trained.train_sequence(batch, 0))
        totals.append(sum(sum(v for k, v in step.items() if k.startswith("generator/")) for step in steps))
    assert totals[-1] < 0.8 * totals[0]
    assert trained.judge_optimiser is None
    assert not trained.judges


def test_both_sides_learn_and_the_average_follows() -> None:
    trained = trainer("train.ema=0.5", "discriminator.spectral=true")
    generator = {k: v.clone() for k, v in trained.renderer.state_dict().items()}
    judges = {k: v.clone() for k, v in trained.objective.state_dict().items()}
    steps = list(trained.train_sequence(video(6), 0))
    assert trained.step == 3
    names = {name for step in steps for name in step}
    assert {"rate", "generator/gan", "generator/flow", "discriminator/fake"} <= names
    assert any(name.startswith("generator/video_0") for name in names)
    json.dumps(steps)
    assert any(not torch.equal(v, generator[k]) for k, v in trained.renderer.state_dict().items())
    assert any(not torch.equal(v, judges[k]) for k, v in trained.objective.state_dict().items())
    assert trained.result is not trained.renderer
    now = trained.renderer.state_dict()
    between = [
        (now[k] - v).abs().sum() > 0 and (v - generator[k]).abs().sum() > 0
        for k, v in trained.result.state_dict().items()
    ]
    assert any(between)


def test_without_an_average_the_result_is_the_renderer() -> None:
    trained = trainer()
    assert trained.average is None
    assert trained.result is trained.renderer


def test_how_many_first_frames_are_given_is_a_function_of_the_sequence() -> None:
    trained = trainer("train.self_made_first=0.25")
    drawn = [trained.given_frames(number) for number in range(400)]
    assert drawn == [trained.given_frames(number) for number in range(400)]
    assert set(drawn) == {0, 2}
    assert 60 < drawn.count(0) < 140
    other = trainer("train.self_made_first=0.25", "train.seed=1")
    assert drawn != [other.given_frames(number) for number in range(400)]
    for share, expected in ((1, 0), (0, 2)):
        always = trainer(f"train.self_made_first={share}")
        assert {always.given_frames(number) for number in range(50)} == {expected}


def fail_at(bad: set[int], trained: Trainer, monkeypatch: pytest.MonkeyPatch, how: str = "loss") -> None:
    """Makes the objective return something that is not finite at the given calls."""
    calls = count(1)
    original = trained.objective.forward

    def forward(chunk: Chunk) -> Losses:
        losses = original(chunk)
        if next(calls) in bad:
            frame = chunk.outputs[-1].frame
            # The root of zero is finite, its slope is not.
            broken = frame.sum() * float("nan") if how == "loss" else (frame * 0).sum().sqrt()
            losses.generator["flow"] = losses.generator["gan"] * 0 + broken
        return losses

    monkeypatch.setattr(trained.objective, "forward", forward)


def endlessly(trained: Trainer) -> None:
    batch = video(6)
    for _ in range(10):
        list(trained.train_sequence(batch, 0))


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_skipped(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer("train.ema=0.9")
    fail_at({1}, trained, monkeypatch, how)
    before = {k: v.clone() for k, v in trained.renderer.state_dict().items()}
    judges = {k: v.clone() for k, v in trained.objective.state_dict().items()}
    steps = trained.train_sequence(video(4), 0)
    next(steps)
    assert trained.step == 1
    assert all(torch.equal(v, before[k]) for k, v in trained.renderer.state_dict().items())
    assert all(torch.equal(v, judges[k]) for k, v in trained.objective.state_dict().items())
    assert not list(steps), "what spoilt it may be looked at again"
    assert trained.skipped == 1
    next(trained.train_sequence(video(4), 0))
    assert (trained.skipped, trained.skipped_in_all) == (0, 1)
    assert any(not torch.equal(v, before[k]) for k, v in trained.renderer.state_dict().items())
    for part in (trained.renderer, trained.result, trained.objective):
        assert all(torch.isfinite(value).all() for value in part.state_dict().values())


@pytest.mark.parametrize(("how", "named"), [("loss", "first flow"), ("gradient", "first a gradient")])
def test_ten_such_steps_in_a_row_are_the_end(how: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer("train.chunk=1", "train.backprop=1")
    fail_at(set(range(3, 100)), trained, monkeypatch, how)
    with pytest.raises(Diverged, match=named) as caught:
        endlessly(trained)
    assert trained.step == 2 + PATIENCE
    assert "\n" not in str(caught.value)
    assert f"step {trained.step}" in str(caught.value)


def test_a_good_step_between_starts_the_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer("train.chunk=1", "train.backprop=1")
    monkeypatch.setattr("vid2vid.training.trainer.PATIENCE", 3)
    fail_at(set(range(1, 100)) - {3, 6}, trained, monkeypatch)
    with pytest.raises(Diverged):
        endlessly(trained)
    assert trained.step == 9


TRAININGS = st.builds(TrainConfig, steps=st.integers(1, 10**6), decay_from=st.floats(0, 1))


@given(train=TRAININGS, share=st.floats(0, 1))
def test_the_rate_is_constant_then_falls_to_zero(train: TrainConfig, share: float) -> None:
    step = int(share * train.steps)
    rate = rate_at(step, train)
    assert 0 <= rate <= 1
    assert rate_at(step + 1, train) <= rate
    if step < train.decay_from * train.steps:
        assert rate == 1
    elif train.decay_from < 1:
        expected = (train.steps - step) / (train.steps - train.decay_from * train.steps)
        assert rate == pytest.approx(expected, abs=1e-9)
        assert rate_at(train.steps, train) == 0
    assert rate_at(step, train) == rate_at(step, train)


def test_the_rate_reaches_both_optimisers() -> None:
    trained = trainer("train.steps=4", "train.decay_from=0.5", "train.lr=1e-3", "train.discriminator_lr=2e-3")
    trained.step = 3
    (metrics,) = trained.train_sequence(video(2), 0)
    assert metrics["rate"] == 0.5
    assert trained.judge_optimiser is not None
    assert trained.optimiser.param_groups[0]["lr"] == pytest.approx(5e-4)
    assert trained.judge_optimiser.param_groups[0]["lr"] == pytest.approx(1e-3)


def test_defaults_are_the_publication() -> None:
    recipe = Recipe()
    assert recipe.train.betas == (0.5, 0.999)
    assert recipe.train.lr == recipe.train.discriminator_lr == 2e-4
    weights = LossWeights()
    assert (weights.gan, weights.feature_matching, weights.flow, weights.temporal_warp) == (1, 10, 10, 10)


def test_a_batch_of_any_size_can_be_streamed() -> None:
    """A wrong frame size in training would show here: sizes that need padding."""
    model = build()
    conditions = label_conditions(4, (30, 21), batch=2)
    frames = list(stream(model, conditions, pictures(1, (30, 21), batch=2)))
    assert [tuple(frame.shape) for frame in frames] == [(2, 3, 21, 30)] * 4
