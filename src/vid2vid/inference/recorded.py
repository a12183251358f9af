"""A step recorded once as a CUDA graph, and then played back: nothing is launched one by one any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vid2vid.types import GeneratorOutput, RecurrentState

Work = Callable[[], GeneratorOutput]
Recorder = Callable[[Work], tuple[GeneratorOutput, Callable[[], None]]]
"""Records work, which runs on the same tensors every time: its result, and what makes that anew."""


def cuda_graph(work: Work) -> tuple[GeneratorOutput, Callable[[], None]]:
    """A ``Recorder``: on the current CUDA device."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):  # what libraries choose and compile, they do before they are recorded
            work()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = work()
    return output, graph.replay


class Recorded:
    """A renderer whose ``step`` is recorded for the first size it meets, and anew for another one.

    The state lies in buffers that every step reads and overwrites; what ``step`` returns as a state stands
    for them. So a stream goes on from its last step or begins anew; it cannot go back, nor can two share one.

    Args:
        renderer: any; left as it is. The first frame of all, for which it takes another way, is not recorded.
        record: see ``Recorder``.

    Raises (``step``):
        ValueError: the state has been overwritten by a later step.
    """

    def __init__(self, renderer: Any, record: Recorder = cuda_graph) -> None:
        self.renderer = renderer
        self.history: int = renderer.history
        self.condition_channels: int = renderer.condition_channels
        self.init_state, self.parameters = renderer.init_state, renderer.parameters
        self._record = record
        self._condition: Tensor | None = None
        self._kept: RecurrentState | None = None
        self._newest: RecurrentState | None = None

    def step(self, condition: Tensor, state: RecurrentState) -> tuple[GeneratorOutput, RecurrentState]:
        """As ``Renderer.step``."""
        if not state.filled:
            following: tuple[GeneratorOutput, RecurrentState] = self.renderer.step(condition, state)
            return following
        if self._kept is not None and state is not self._newest and _shares(state, self._kept):
            raise ValueError("this state has been overwritten by a later step; start from init_state")
        if self._condition is None or self._condition.shape != condition.shape:
            self._begin(condition, state)
        assert self._condition is not None
        assert self._kept is not None
        self._condition.copy_(condition, non_blocking=True)
        if state is not self._newest:
            _fill(self._kept, state)
        self._replay()
        filled = min(state.filled + 1, self.history)
        self._newest = RecurrentState(self._kept.conditions, self._kept.frames, filled)
        return self._output.map(torch.clone), self._newest

    def _begin(self, condition: Tensor, state: RecurrentState) -> None:
        now, buffers = condition.clone(), state.map(torch.clone)
        self._condition, self._kept, self._newest = now, buffers, None

        def work() -> GeneratorOutput:
            output, following = self.renderer.step(now, buffers)
            _fill(buffers, following)
            return output

        self._output, self._replay = self._record(work)


def _fill(buffers: RecurrentState, state: RecurrentState) -> None:
    for kind in ("conditions", "frames"):
        for buffer, new in zip(getattr(buffers, kind), getattr(state, kind), strict=True):
            buffer.copy_(new)


def _shares(state: RecurrentState, buffers: RecurrentState) -> bool:
    return any(one is other for one, other in zip(state.frames, buffers.frames, strict=True))
