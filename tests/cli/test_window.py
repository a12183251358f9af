"""The window, by a stand-in for tkinter: pictures reach it whole, closing it is noticed."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vid2vid.cli.window import Window
from vid2vid.errors import UserError


class Screen:
    """What ``tkinter`` is to a window."""

    class TclError(Exception):
        pass

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []
        self.bound: dict[str, Any] = {}
        self.gone = False

    def Tk(self) -> Any:
        return SimpleNamespace(
            title=lambda text: None,
            protocol=self.bound.__setitem__,
            bind=self.bound.__setitem__,
            update=lambda: None,
            destroy=lambda: setattr(self, "gone", True),
        )

    def PhotoImage(self, master: object) -> Any:
        def configure(data: bytes, format: str) -> None:
            self.shown.append(np.array(Image.open(io.BytesIO(data), formats=[format])))

        return SimpleNamespace(configure=configure)

    def Label(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(pack=lambda: None)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    found = Screen()
    monkeypatch.setitem(sys.modules, "tkinter", found)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("way", ["WM_DELETE_WINDOW", "q", "<Escape>"])
def test_pictures_are_shown_until_it_is_closed(screen: Screen, way: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    with Window("new") as window:
        assert window(picture)
        assert np.array_equal(screen.shown[0], picture)
        screen.bound[way](*([] if way.isupper() else [None]))
        assert not window(picture[:, ::-1]), "a picture may be a view"
        assert np.array_equal(screen.shown[1], picture[:, ::-1])
    assert screen.gone


def test_without_tkinter_or_display_the_mend_is_told(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise Screen.TclError("no $DISPLAY")

    monkeypatch.setattr(screen, "Tk", none)
    with pytest.raises(UserError, match=r"no window .*no \$DISPLAY.*--out FILE"), Window("new"):
        pass
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(UserError, match=r"no window .*no tkinter.*--out FILE"), Window("new"):
        pass
