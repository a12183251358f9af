"""What makes a step cheaper or steadier, and leaves what it learns as it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trainer import CPU, SETTINGS, spied, trainer, video
from torch import Tensor

from tiny import LABELS, build
from vid2vid.config import Recipe, TrainConfig, load_recipe
from vid2vid.losses.objective import Losses
from vid2vid.training.budget import frames_after, given_frames, rolled_frames
from vid2vid.training.compiling import compile_networks
from vid2vid.training.trainer import Trainer
from vid2vid.training.verdicts import SPAN, Verdicts
from vid2vid.types import VideoBatch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def exact(*overrides: str) -> tuple[Trainer, VideoBatch]:
    """A trainer in float64 and frames of its precision."""
    trained = trainer(*overrides)
    for part in (trained.renderer, trained.objective):
        part.double()
    encoded = trained._encoded
    trained._encoded = lambda batch: encoded(batch).double()  # type: ignore[method-assign]
    batch = video(6)
    return trained, VideoBatch(
        batch.frames.double(), batch.flow.double(), labels=batch.labels, instances=batch.instances
    )


def weights(trained: Trainer) -> list[Tensor]:
    return [weight.detach().clone() for weight in (*trained.learners, *trained.judges)]


def terms(step: dict[str, float]) -> dict[str, float]:
    return {name: x for name, x in step.items() if name.startswith(("generator/", "discriminator/"))}


@pytest.mark.parametrize("given", [0, 2])
def test_losses_and_gradients_are_those_of_the_plain_procedure(
    given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two forwards of every fake, each kind of picture and each term on its own (benchmarks/step_time.py)."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from step_time import plain_losses

    trained, batch = exact("loss.charbonnier=0", "loss.contrast=0", "loss.ssim=0")
    compared: list[set[str]] = []
    original = trained.objective.forward

    def gradients(losses: Losses) -> list[Tensor | None]:
        found: list[Tensor | None] = []
        for side, learns in zip(losses, (trained.learners, trained.judges), strict=True):
            total = torch.stack(list(side.values())).sum()
            found += torch.autograd.grad(total, learns, retain_graph=True, allow_unused=True)
        return found

    def forward(chunk: Any) -> Losses:
        ours, plain = original(chunk), plain_losses(trained.objective, chunk)
        for mine, other in zip(ours, plain, strict=True):
            compared.append(set(mine))
            assert mine.keys() == other.keys()
            for name, value in mine.items():
                torch.testing.assert_close(value, other[name], rtol=1e-9, atol=1e-12)
        for mine, other in zip(gradients(ours), gradients(plain), strict=True):
            assert (mine is None) == (other is None)
            if mine is not None:
                torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)
        return ours

    monkeypatch.setattr(trained.objective, "forward", forward)
    list(trained.train_sequence(batch, given))
    assert {"gan", "video_0_gan", "feature_matching", "flow", "temporal_warp", "fake"} <= set.union(*compared)
    sys.modules.pop("step_time")


def test_frames_computed_again_give_the_same_step_to_the_bit() -> None:
    results = []
    for word in ("false", "true"):
        trained, batch = exact(f"train.checkpointing={word}", "train.history_noise=0.1", "train.chunk=3")
        calls: list[bool] = []
        hook = trained.renderer.networks[0].register_forward_pre_hook(
            lambda *_, calls=calls: calls.append(torch.is_grad_enabled())
        )
        steps = list(trained.train_sequence(batch, 0))
        hook.remove()
        results.append((steps, weights(trained), len(calls)))
    (plain, before, once), (again, after, twice) = results
    assert plain == again
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert (once, twice) == (6, 12)


@pytest.mark.parametrize(("spectral", "near"), [("true", 0.15), ("false", 0.05)])
def test_losses_in_bfloat16_are_near_those_in_float32(spectral: str, near: float) -> None:
    full, half = (
        trainer(f"train.precision={p}", f"discriminator.spectral={spectral}", "train.chunk=6")
        for p in ("float32", "bfloat16")
    )
    (one,), (other,) = (list(t.train_sequence(video(6), 0)) for t in (full, half))
    assert one.keys() == other.keys()
    for name, value in terms(one).items():
        assert other[name] == pytest.approx(value, rel=near, abs=0.02), name
    assert any(other[name] != value for name, value in terms(one).items()), "the precision is lower"
    assert {weight.dtype for weight in weights(half)} == {torch.float32}


def test_what_is_remembered_is_float32_in_any_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer("train.precision=bfloat16")
    _, _, states = spied(trained, monkeypatch)
    list(trained.train_sequence(video(6), 0))
    assert {x.dtype for state in states for x in (*state.frames, *state.conditions)} == {torch.float32}


@pytest.mark.torture  # a minute of compiling
def test_compiled_networks_give_the_same_losses() -> None:
    plain, compiled = trainer("loss.video_gan=0"), trainer("loss.video_gan=0", "train.compile=true")
    if fault := compile_networks(compiled):
        pytest.skip(fault)
    one, other = (next(iter(t.train_sequence(video(6), 2))) for t in (plain, compiled))
    for name, value in terms(one).items():
        assert other[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    assert plain.renderer.state_dict().keys() == compiled.renderer.state_dict().keys()


def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: Any) -> Any:
        raise RuntimeError("InvalidCxxCompiler: no working C++ compiler found\nin any of the places")

    monkeypatch.setattr(torch, "compile", broken)
    trained = trainer("train.compile=true")
    fault = compile_networks(trained)
    assert fault is not None
    assert fault.startswith("train.compile: no compiler that works here (InvalidCxxCompiler")
    assert "\n" not in fault
    assert len(list(trained.train_sequence(video(4), 0))) == 2


def test_a_gradient_is_shortened_to_the_length_asked_for() -> None:
    free = trainer("train.lr=1e-3")
    first = next(iter(free.train_sequence(video(4), 0)))
    length = min(first["gradient/generator"], first["gradient/discriminator"]) / 4
    clipped = trainer("train.lr=1e-3", f"train.clip={length}")
    same = next(iter(clipped.train_sequence(video(4), 0)))
    assert same["gradient/generator"] == pytest.approx(first["gradient/generator"], rel=1e-5)
    for side in (clipped.learners, clipped.judges):
        total = torch.stack([w.grad.norm() for w in side if w.grad is not None]).norm()
        assert float(total) == pytest.approx(length, rel=1e-3)
    long = trainer("train.lr=1e-3", "train.clip=1e9")
    next(iter(long.train_sequence(video(4), 0)))
    assert all(torch.equal(a, b) for a, b in zip(weights(free), weights(long), strict=True))


def test_a_sequence_runs_on_by_itself_before_it_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = trainer("train.rollout=5", "data.sequence=4")
    seen: list[tuple[Any, bool]] = []
    original = trained.renderer.step

    def step(condition: Tensor, state: Any) -> Any:
        seen.append((state, torch.is_grad_enabled()))
        return original(condition, state)

    monkeypatch.setattr(trained.renderer, "step", step)
    batch = video(9)
    chunks: list[Any] = []
    judge = trained.objective.forward
    monkeypatch.setattr(trained.objective, "forward", lambda chunk: chunks.append(chunk) or judge(chunk))
    assert len(list(trained.train_sequence(batch, 0, 3))) == 2
    assert [learns for _, learns in seen] == [False] * 3 + [True] * 4
    assert trained.frames == 4
    assert torch.equal(torch.cat([chunk.real for chunk in chunks], 1), batch.frames[:, 3:7])
    assert torch.equal(chunks[0].before_fake[:, 0], seen[3][0].frames[-1][:, -3:]), "its own, not the truth"
    assert any(group is not None for group in chunks[0].groups), "groups reach back into what was rolled"
    seen.clear()
    list(trained.train_sequence(batch, 2, 5))
    assert [learns for _, learns in seen] == [False] * 5 + [True] * 2
    seen.clear()
    list(trained.train_sequence(video(5), 0, 3))
    assert [learns for _, learns in seen] == [False] + [True] * 4, "as far as the clip goes"


def test_noise_meets_what_is_remembered_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def states(*overrides: str) -> tuple[list[Any], list[Tensor], list[Any]]:
        trained = trainer("train.chunk=6", "train.backprop=1", *overrides)
        chunks: list[Any] = []
        judge = trained.objective.forward
        monkeypatch.setattr(trained.objective, "forward", lambda chunk: chunks.append(chunk) or judge(chunk))
        _, frames, found = spied(trained, monkeypatch)
        list(trained.train_sequence(video(6), 2))
        return found, frames, chunks

    found, frames, (chunk,) = states("train.history_noise=0.3")
    again, _, _ = states("train.history_noise=0.3")
    assert all(torch.equal(a.frames[0], b.frames[0]) for a, b in zip(found, again, strict=True))
    assert torch.equal(chunk.before_fake[:, 1], frames[0])
    errors = torch.stack([s.frames[0][:, -3:] - f for s, f in zip(found[1:], frames, strict=False)])
    assert 0.3 < float(errors.std()) < 0.6, "grain and shift"
    assert errors.mean((-1, -2)).abs().max() > 0.1, "colours shift as a whole"
    older = found[2].frames[0][:, :3] - found[1].frames[0][:, -3:]
    assert not older.any(), "each frame meets it once"
    clean, frames, _ = states("train.history_noise=0")
    assert all(torch.equal(s.frames[0][:, -3:], f) for s, f in zip(clean[1:], frames, strict=False))


ROLLED = st.builds(TrainConfig, rollout=st.integers(0, 40), seed=st.integers(0, 2**31))


@given(train=ROLLED, sequence=st.integers(0, 10**6))
def test_rolled_frames_are_a_function_of_the_sequence(train: TrainConfig, sequence: int) -> None:
    recipe = Recipe(train=train)
    assert 0 <= rolled_frames(recipe, sequence) <= train.rollout
    assert rolled_frames(recipe, sequence) == rolled_frames(recipe, sequence)


def test_half_of_the_sequences_begin_at_once() -> None:
    recipe = Recipe(train=TrainConfig(rollout=5, self_made_first=0.5))
    drawn = [rolled_frames(recipe, number) for number in range(2000)]
    assert 900 < drawn.count(0) < 1100
    assert all(150 < drawn.count(count) < 250 for count in range(1, 6))
    self_made = [number for number in range(2000) if given_frames(recipe, number) == 0]
    assert 0.4 < sum(drawn[number] == 0 for number in self_made) / len(self_made) < 0.6, "two draws, not one"


@settings(max_examples=8)
@given(rollout=st.integers(0, 4), frames=st.integers(6, 9))
def test_frames_learnt_are_those_foretold(rollout: int, frames: int) -> None:
    recipe = load_recipe("street-tiny", [*SETTINGS, f"train.rollout={rollout}", "model.width=2"])
    trained = Trainer(build(LABELS, width=2), recipe, CPU)
    trained._optimise = lambda chunk: {}  # type: ignore[method-assign]
    foretold = frames_after(recipe)
    for number in range(2):
        given_, rolled = trained.given_frames(number), trained.rolled_frames(number)
        for _ in trained.train_sequence(video(min(frames, 6 + rollout)), given_, rolled):
            assert trained.frames == next(foretold)


def verdicts(real: float, fake: float, steps: int, who: str = "") -> tuple[Verdicts, list[str]]:
    watch, said = Verdicts(2), []
    for _ in range(steps):
        watch.update({f"discriminator/{who}real": real, f"discriminator/{who}fake": fake, "rate": 1.0})
        said += watch.warnings()
    return watch, said


@pytest.mark.parametrize(
    ("real", "fake", "who", "told"),
    [
        (0.001, 0.002, "", "the image discriminator is never wrong"),
        (0.5, 0.5, "", "the image discriminator cannot tell"),
        (1.9, 0.01, "face_", "the face discriminator cannot tell"),
        (0.001, 0.001, "video_1_", "the video discriminator 1 is never wrong"),
        (0.25, 0.25, "video_0_", "the video discriminator 0 cannot tell"),
    ],
)
def test_a_game_that_is_over_is_told_once(real: float, fake: float, who: str, told: str) -> None:
    watch, said = verdicts(real, fake, 2 * SPAN, who)
    assert len(said) == 1
    assert said[0].startswith(told)
    assert "train.discriminator_lr" in said[0]
    assert not verdicts(real, fake, SPAN - 1, who)[1], "not before it has lasted"
    assert watch.means[who][0] == pytest.approx((real + fake) / (4 if "video" not in who else 2))


def test_a_game_that_goes_on_is_not_told() -> None:
    assert not verdicts(0.46, 0.46, 2 * SPAN)[1]
    assert not verdicts(0.19, 0.2, 2 * SPAN, "video_0_")[1]
    watch, _ = verdicts(0.46, 0.46, SPAN)
    for _ in range(SPAN // 20):  # a hundred good steps do not end a game
        watch.update({"discriminator/real": 0.0, "discriminator/fake": 0.0})
    assert not list(watch.warnings())
