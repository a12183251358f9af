"""Which device does the work."""

from __future__ import annotations

import pytest
import torch

from vid2vid.device import for_long_integers, pick_device
from vid2vid.errors import UserError


def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")


@pytest.mark.parametrize("name", ["nonsense", "", "cuda:99", "cpu:x", "meta"])
def test_what_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=f"device {name}: not to be had here") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


def test_long_integers_stay_where_they_can_be_compared() -> None:
    cuda = torch.device("cuda", 1)
    assert for_long_integers(cuda) == cuda
    assert for_long_integers(torch.device("mps")).type == "cpu"
