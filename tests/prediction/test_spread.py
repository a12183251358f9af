"""Where futures lie apart."""

from __future__ import annotations

import pytest
import torch
from stand_in import SCHEMA

from tiny import CLASSES
from vid2vid.prediction.spread import Spread


def test_the_share_of_futures_that_have_another_class_is_told_by_class() -> None:
    maps = torch.zeros(3, 2, 4, dtype=torch.int64)  # road
    maps[:, :, 2:] = 2  # half of it a car
    maps[1, 0, 2:] = 0  # of which a half is missing in one of two other futures
    spread = Spread(CLASSES)
    spread.see(SCHEMA.encode(maps))
    assert spread.shares() == {"road": 0.0, "car": pytest.approx(0.25)}
    spread.see(SCHEMA.encode(maps[:1].expand(3, -1, -1)))
    assert spread.shares() == {"road": 0.0, "car": pytest.approx(0.125)}
