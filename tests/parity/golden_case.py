"""Golden cases of the 2018 networks: random weights, inputs and outputs; see ``cases/README.md``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CASES = Path(__file__).parent / "cases"


class Case:
    """One golden case: settings, inputs and outputs, weights."""

    def __init__(self, name: str) -> None:
        self.folder = CASES / name
        self.settings = json.loads((self.folder / "case.json").read_text())
        self._arrays = np.load(self.folder / "io.npz")

    def tensor(self, name: str, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.from_numpy(self._arrays[name]).to(dtype)

    def file(self, role: str) -> Path:
        return self.folder / f"latest_net_{role}.pth"
