"""Flow estimators behind one protocol: OpenCV's DIS, torchvision's RAFT."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.errors import UserError
from vid2vid.weights import read_weights, weights_place


class FlowEstimator(Protocol):
    """Estimates where each pixel of a picture was in another one."""

    @property
    def name(self) -> str:
        """Short name for tables and folders: "dis", "raft-large"."""

    @property
    def fingerprint(self) -> str:
        """Everything the result depends on beside the pictures (settings, weights); the key of caches."""

    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Flow from ``current`` back to ``previous``, both (H, W, 3) uint8 RGB of one size, any size.

        Returns (2, H, W) float32, pixels, (x, y). Raises ValueError for pictures of another kind.
        """


def open_estimator(spec: str, *, device: torch.device | str | None = None) -> FlowEstimator:
    """The estimator a user named.

    "dis": OpenCV DIS, preset medium. "dis-fine": the same down to full resolution, more exact and four times
    slower. "raft": torchvision's RAFT with the weights in torchvision's cache, the large one first.
    "raft:PATH": RAFT with the weights in a file (.pth or .safetensors). "auto": RAFT when its weights are at
    hand, else DIS.

    Nothing is ever downloaded. ``device`` is where RAFT computes, torch's default device unless given. Raises
    UserError for an unknown name and for weights that are not at hand, damaged or foreign.
    """
    kind, _, path = spec.partition(":")
    if kind == "raft" and path:
        return RaftFlow(Path(path), device=device)
    if spec == "raft" or (spec == "auto" and find_raft_weights()):
        return RaftFlow(device=device)
    if spec in ("dis", "auto"):
        return DisFlow()
    if spec == "dis-fine":
        return DisFlow(fine=True)
    raise UserError(f"flow {spec!r}: unknown estimator; use dis, dis-fine, raft, raft:PATH or auto")


@dataclass(frozen=True)
class DisFlow:
    """Dense inverse search (Kroeger et al., ECCV 2016) on grey pictures, OpenCV's preset medium.

    ``fine`` refines down to full resolution instead of half. Has no state: workers and threads may share one.
    """

    fine: bool = False

    MIN_SIDE = 16
    """OpenCV refuses pictures below 12 pixels; smaller ones are padded."""

    @property
    def name(self) -> str:
        """The spec that opens it."""
        return "dis-fine" if self.fine else "dis"

    @property
    def fingerprint(self) -> str:
        """Name, preset and the version of OpenCV."""
        return f"{self.name} medium grey opencv {cv2.__version__}"

    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """See :class:`FlowEstimator`."""
        height, width = _common_size(current, previous)
        pad = (0, max(0, self.MIN_SIDE - height), 0, max(0, self.MIN_SIDE - width))
        grey = [
            cv2.copyMakeBorder(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), *pad, cv2.BORDER_REPLICATE)
            for picture in (current, previous)
        ]
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        if self.fine:
            search.setFinestScale(0)
        # None, which OpenCV's stubs forget: zeros would be taken for a first guess and change the result.
        flow = search.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
        return np.ascontiguousarray(flow[:height, :width].transpose(2, 0, 1))


class RaftFlow:
    """RAFT (Teed and Deng, ECCV 2020) as torchvision has it, large or small as the weights tell."""

    UPDATES = 12
    """Refinement steps, the number the networks were trained with."""

    MIN_SIDE = 128
    """Below this the coarsest level of the correlation pyramid would be empty."""

    def __init__(self, weights: Path | None = None, *, device: torch.device | str | None = None) -> None:
        """Read ``weights``, or those in torchvision's cache. Raises UserError when that cannot be done."""
        path = weights or find_raft_weights()
        if path is None:
            raise UserError(_where_to_get_raft())
        state = read_weights(path, "torchvision RAFT weights")
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        if weights is None and not checksum.startswith(path.stem.rpartition("-")[2]):
            raise UserError(
                f"{path}: damaged (its checksum differs from its name); delete it and fetch it again"
            )
        size, self._network = _build_raft(path, state)
        self._device = torch.get_default_device() if device is None else torch.device(device)
        self._network.to(self._device)
        self.name = f"raft-{size}"
        self.fingerprint = f"{self.name} {self.UPDATES} updates sha256 {checksum}"

    @torch.inference_mode()
    def estimate(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """See :class:`FlowEstimator`."""
        height, width = _common_size(current, previous)
        left, right = _padding(width, self.MIN_SIDE)
        top, bottom = _padding(height, self.MIN_SIDE)
        pictures = [
            F.pad(self._to_tensor(picture), (left, right, top, bottom), mode="replicate")
            for picture in (current, previous)
        ]
        flow = self._network(*pictures, num_flow_updates=self.UPDATES)[-1][0]
        return flow[:, top : top + height, left : left + width].float().cpu().numpy().copy()

    def _to_tensor(self, picture: np.ndarray) -> Tensor:
        """(1, 3, H, W) float32 in [-1, 1]."""
        tensor = torch.tensor(picture, device=self._device).permute(2, 0, 1)[None]
        return tensor.float() / 127.5 - 1


def find_raft_weights() -> Path | None:
    """RAFT weights in torchvision's cache, the large network's before the small one's, or None."""
    return next((path for path in _raft_places() if path.is_file()), None)


def _raft_places() -> list[Path]:
    return [weights_place(network) for network in ("raft_large", "raft_small")]


def _where_to_get_raft() -> str:
    large, small = _raft_places()
    return (
        f"{large.parent}: holds no RAFT weights ({large.name} or {small.name}); fetch them once with "
        "python -c 'from torchvision.models.optical_flow import *; raft_large(weights=\"DEFAULT\")', "
        "name a file with raft:PATH, or use dis"
    )


def _build_raft(path: Path, state: Mapping[str, Tensor]) -> tuple[str, nn.Module]:
    """("large" or "small", the network in evaluation mode): only the large one has a mask predictor."""
    from torchvision.models.optical_flow import raft_large, raft_small

    size = "large" if any(key.startswith("mask_predictor.") for key in state) else "small"
    network = raft_large() if size == "large" else raft_small()
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"{path}: not weights of torchvision's RAFT (keys or shapes differ); name another"
        ) from error
    return size, network.eval().requires_grad_(False)


def _padding(length: int, minimum: int) -> tuple[int, int]:
    """What to add on both sides so that the length is a multiple of 8 and at least the minimum."""
    missing = max(minimum, -(-length // 8) * 8) - length
    return missing // 2, missing - missing // 2


def _common_size(current: np.ndarray, previous: np.ndarray) -> tuple[int, int]:
    """(height, width) of two RGB pictures of one size."""
    for picture in (current, previous):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
            raise ValueError(f"expected an RGB picture (H, W, 3) uint8, not {picture.shape} {picture.dtype}")
    if current.shape != previous.shape:
        raise ValueError(f"pictures of two sizes have no flow: {current.shape} and {previous.shape}")
    return current.shape[0], current.shape[1]
