"""How near everything is, by a depth network of transformers: DPT, Depth Anything and kin."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vid2vid.annotators.networks import NetworkFiles, find_network, load_network
from vid2vid.annotators.protocol import Drawn, picture_problem
from vid2vid.device import pick_device
from vid2vid.errors import UserError

WINDOW = 12
"""Pictures whose bounds are averaged: what passes close by does not darken all the rest at once."""

_ENDS = (2.0, 98.0)
"""Percentiles of a picture that are its bounds, black and white."""

_METRES = ("zoedepth", "depth_pro", "glpn")
"""Types that give distances. All others, but where their settings say so, give how near things are, in units
of their own that differ from picture to picture."""

_NEAREST = 0.1
"""Metres: nothing is taken to be nearer."""


class DepthNetwork:
    """A network and its processor. One picture at a time.

    Raises:
        UserError: see `load_network`; its processor is not one for depth.
    """

    def __init__(self, files: NetworkFiles, device: torch.device, asked: str) -> None:
        self._prepare, self._network = load_network(files, "DepthEstimation", device, asked)
        if not hasattr(self._prepare, "post_process_depth_estimation"):
            raise UserError(
                f"{asked}: its processor is not one for depth; name a network that estimates depth"
            )
        kind = getattr(self._network.config, "depth_estimation_type", "relative")
        self._metres = files.type in _METRES or kind == "metric"
        self._padded = files.type == "zoedepth"
        self._device = device

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB to (H, W) float32: the larger the nearer, as the inverse of distance is."""
        size = picture.shape[:2]
        outputs = self._network(**self._prepare(images=picture, return_tensors="pt").to(self._device))
        more: dict[str, Any] = {"source_sizes": [size]} if self._padded else {}
        (found,) = self._prepare.post_process_depth_estimation(outputs, target_sizes=[size], **more)
        depth = found["predicted_depth"].float().reshape(size)
        return (1 / depth.clamp(min=_NEAREST) if self._metres else depth).cpu().numpy()


@dataclass(frozen=True)
class Depth:
    """Grey pictures, near is bright. Their bounds are those of the last ones together, so that they flicker
    less.

    made: what the pictures depend on. window: pictures, the current one and those before it.
    """

    network: NetworkFiles
    made: str
    device: str = "auto"
    window: int = WINDOW

    name = "depth"
    result = "depth"

    @classmethod
    def of(cls, argument: str, device: str = "auto") -> Depth:
        """With the network in a folder or on the hub. Raises UserError: none is named or found."""
        if not argument:
            raise UserError("annotate depth: which network? write depth:FOLDER, or depth:NAME of the hub")
        network = find_network(argument, f"annotate depth:{argument}")
        return cls(network, network.fingerprint(), device)

    @property
    def memory(self) -> int:
        return self.window - 1

    @property
    def fingerprint(self) -> str:
        return f"{self.made}; near is bright, window {self.window} v1"

    def begin(self) -> DepthPass:
        """See :class:`Annotator`."""
        return DepthPass(self)


class DepthPass:
    """One clip's depth: holds the network, and the bounds of the last pictures."""

    def __init__(self, of: Depth) -> None:
        self._network = DepthNetwork(of.network, pick_device(of.device), f"annotate depth:{of.network.name}")
        self._bounds: deque[np.ndarray] = deque(maxlen=of.window)

    def see(self, picture: np.ndarray, time: float) -> None:
        """See :class:`Pass`."""
        self._nearness(picture)

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """See :class:`Pass`. Raises ValueError for what is no picture."""
        near = self._nearness(picture)
        black, white = np.mean(self._bounds, axis=0)
        share = (near - black) / max(white - black, 1e-6 * abs(white), 1e-12)  # flat is black, not noise
        grey = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
        return Drawn(np.repeat(grey[..., None], 3, axis=2))

    def close(self) -> None:
        """Lets go of the network."""
        del self._network

    def _nearness(self, picture: np.ndarray) -> np.ndarray:
        if problem := picture_problem(picture):
            raise ValueError(problem)
        near = self._network(picture)
        self._bounds.append(np.percentile(near, _ENDS))
        return near
