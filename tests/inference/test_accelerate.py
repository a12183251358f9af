"""What runs a model, and that its frames are the plain path's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny import build, label_conditions, pictures, write_clip
from vid2vid.errors import UserError
from vid2vid.inference import accelerate as room
from vid2vid.inference import stream, synthesize
from vid2vid.inference.accelerate import accelerate, warm_up
from vid2vid.inference.recorded import Recorded, Work
from vid2vid.types import GeneratorOutput

CPU = torch.device("cpu")


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(10 * torch.log10(4 / (one - other).square().mean().clamp(min=1e-12)))


def test_plain_is_the_model_itself_and_changes_no_bit() -> None:
    model, conditions = build(), label_conditions(5)
    same, running = accelerate(model, CPU, "float32", "plain")
    assert same.renderer is model.renderer
    assert (running.precision, running.path, running.warms) == ("float32", "plain", False)
    assert str(running).startswith("cpu (")
    frames = zip(stream(same, conditions), stream(model, conditions), strict=True)
    assert all(torch.equal(*pair) for pair in frames)


@pytest.mark.parametrize("architecture", [{}, {"scales": 2}, {"network": "image", "history": 0}])
def test_bf16_is_close_and_leaves_the_model_as_it_is(architecture: dict[str, Any]) -> None:
    model, conditions = build(**architecture), label_conditions(4)
    plain = list(stream(model, conditions))
    narrow, running = accelerate(model, CPU, "bf16", "plain")
    assert running.precision == "bf16"
    assert len(list(stream(narrow, conditions))) == 4
    state = model.renderer.init_state(conditions[0])
    for condition in conditions:  # both from the plain history: these networks are untrained, and amplify
        with torch.inference_mode():
            made, following = narrow.renderer.step(condition, state)
            output, state = model.renderer.step(condition, state)
        assert made.frame.dtype == torch.float32
        assert [one.dtype for one in following.frames] == [one.dtype for one in state.frames]
        assert 20 < psnr(made.frame, output.frame) < 110, "close, and not the same"
    assert all(torch.equal(*pair) for pair in zip(stream(model, conditions), plain, strict=True))


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = build()
    cases: list[tuple[dict[str, str], str]] = [
        ({"precision": "fp8"}, "--precision fp8: there are auto, float32, bf16, fp16"),
        ({"precision": "fp16"}, "--precision fp16: processors do not compute in it"),
        ({"path": "magic"}, "--path magic: there are auto, plain, exact, compiled"),
    ]
    for options, told in cases:
        with pytest.raises(UserError, match=told):
            accelerate(model, CPU, **options)
        with pytest.raises(UserError, match=told):
            synthesize(model, write_clip(tmp_path / "clip", 2), tmp_path / "x.mp4", device="cpu", **options)
    with pytest.raises(UserError, match="--path exact: there is nothing to save but in"):
        accelerate(build(network="image", history=0), CPU, path="exact")
    monkeypatch.setattr(room, "compiler_fault", lambda device: "no C++ compiler")
    with pytest.raises(UserError, match=r"--path compiled: .*no C\+\+ compiler"):
        accelerate(model, CPU, path="compiled")


def test_exact_savings_are_taken_on_a_processor_and_change_nothing_but_rounding() -> None:
    model, conditions = build(), label_conditions(4)
    fast, running = accelerate(model, CPU)
    assert (running.precision, running.path) == ("float32", "exact savings")
    state = model.renderer.init_state(conditions[0])
    for condition in conditions:
        with torch.inference_mode():
            made, _ = fast.renderer.step(condition, state)
            output, state = model.renderer.step(condition, state)
        assert torch.allclose(made.frame, output.frame, atol=1e-4)
    assert accelerate(model, CPU, "bf16")[1].path == "plain"


def played_back(work: Work) -> tuple[GeneratorOutput, Callable[[], None]]:
    """What a CUDA graph does, on any device: the same tensors, filled anew."""
    work()  # to warm up, as a graph does
    output = work()

    def again() -> None:
        fresh = work()
        for name in ("frame", "raw", "flow", "mask", "warped"):
            if (there := getattr(output, name)) is not None:
                there.copy_(getattr(fresh, name))

    return output, again


@pytest.mark.parametrize("given", [0, 1, 3])
@pytest.mark.parametrize("scales", [1, 2])
def test_a_recorded_step_gives_the_same_frames_and_a_stream_may_begin_anew(given: int, scales: int) -> None:
    model = build(scales=scales)
    recorded = replace(model, renderer=Recorded(model.renderer, played_back))  # type: ignore[arg-type]
    for seed, size in ((0, (32, 32)), (1, (32, 32)), (2, (48, 40))):
        conditions, first = label_conditions(6, size, seed=seed), pictures(given, size)
        made, plain = list(stream(recorded, conditions, first)), list(stream(model, conditions, first))
        assert all(torch.equal(*pair) for pair in zip(made, plain, strict=True))


def test_a_recorded_state_that_was_overwritten_is_not_taken_for_a_good_one() -> None:
    model = build()
    recorded = Recorded(model.renderer, played_back)
    now, later = label_conditions(2)
    with torch.inference_mode():
        _, first = recorded.step(now, recorded.init_state(now))
        output, second = recorded.step(later, first)
        kept = output.frame.clone()
        recorded.step(later, second)
        assert torch.equal(output.frame, kept), "what was given out is the caller's"
        with pytest.raises(ValueError, match="overwritten"):
            recorded.step(later, second)


def test_warming_up_leaves_no_trace() -> None:
    model, conditions = build(given_flow=True, history=1), label_conditions(3)
    conditions = [torch.cat([one, torch.zeros(1, 2, 32, 32)], 1) for one in conditions]
    before = list(stream(model, conditions))
    warm_up(model, (32, 32), batch=2)
    assert all(torch.equal(*pair) for pair in zip(before, stream(model, conditions), strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("path", ["plain", "compiled"])
def test_a_gpu_gives_the_same_frames(precision: str, path: str) -> None:
    device = torch.device("cuda")
    model = build().to(device)
    conditions = [condition.to(device) for condition in label_conditions(6)]
    fast, running = accelerate(model, device, precision, path)
    warm_up(fast, (32, 32))
    assert ("CUDA graph" in running.path) == (path == "compiled")
    for frame, expected in zip(stream(fast, conditions), stream(model, conditions), strict=True):
        assert psnr(frame, expected) > (60 if precision == "float32" else 15)
