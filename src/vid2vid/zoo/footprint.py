"""How much memory something will take, found out without taking it: it runs on tensors that have none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vid2vid.config import Recipe
from vid2vid.losses.objective import Chunk, Objective
from vid2vid.losses.temporal import Group
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.models.renderer import Renderer

ADAM = 4
"""A weight that learns is kept four times: itself, its gradient, and Adam's two moments."""


_EXACT = 1.01
"""The peak may be this much higher: to look for what has gone at every step would take long."""


class LiveMemory(TorchDispatchMode):
    """Bytes of all tensors made inside that are alive, at their peak. Ask for ``peak`` afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._held = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                self._held += storage.nbytes() - self._live.get(reference.cdata, (None, 0))[1]
                self._live[reference.cdata] = (reference, storage.nbytes())
        if self._held > self.peak * _EXACT:
            self._live = {key: item for key, item in self._live.items() if not item[0].expired()}
            self._held = sum(size for _, size in self._live.values())
            self.peak = max(self.peak, self._held)
        return result


def weight_bytes(module: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())


def training_bytes(
    renderer: Renderer | ImageRenderer, objective: Objective, recipe: Recipe, condition: Tensor
) -> int:
    """What a step of training needs: weights four times over, and all that the backward pass goes back to.

    Args:
        renderer, objective, condition: on the device "meta"; the condition of one frame, (1, C, H, W).
    """
    count, batch = recipe.train.chunk, recipe.data.batch
    condition = condition.expand(batch, -1, -1, -1)
    height, width = condition.shape[-2:]
    frames = condition.new_zeros(batch, count, 3, height, width)
    flow = condition.new_zeros(batch, count, 2, height, width)
    length = recipe.discriminator.frames
    # A group per chunk and temporal scale, and one more for every ``length`` new frames beyond.
    rows = batch * -(-count // length)
    seen_flows = condition.new_zeros(rows, 2 * (length - 1), height, width)
    earlier = condition.new_zeros(rows, 3 * (length - 1), height, width)
    given = max(recipe.model.history, 1)
    state = renderer.init_state(
        condition[:, None].expand(-1, given, -1, -1, -1), frames[:, :1].expand(-1, given, -1, -1, -1)
    )
    weights = ADAM * (weight_bytes(renderer) + weight_bytes(objective))
    objective.face_discriminator = None  # it looks at what is in the picture, and here is nothing
    with LiveMemory() as memory:
        outputs = []
        for _ in range(count):
            output, state = renderer.step(condition, state)
            outputs.append(output)
        made = torch.stack([output.frame for output in outputs], dim=1)
        more = recipe.model.styles + 2 * recipe.model.given_flow
        seen = condition[:, None, : condition.shape[1] - more].expand(-1, count, -1, -1, -1)
        fake = torch.cat([earlier, made[:, -1].repeat(rows // batch, 1, 1, 1)], dim=1)
        groups = [Group(torch.zeros_like(fake), fake, seen_flows) for _ in objective.video_discriminators]
        losses = objective(Chunk(seen, frames, outputs, frames, frames, flow, flow[:, :, :1], groups))
    assert losses.generator
    return memory.peak + weights
