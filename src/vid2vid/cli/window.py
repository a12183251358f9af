"""A window that shows pictures as they are made."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np

from vid2vid.errors import UserError


class Window:
    """Opened by its ``with`` block; called with a picture (H, W, 3) uint8, it tells whether it is still open.

    It is closed by its frame, by q or by Escape.

    Raises:
        UserError: Python came without tkinter, or there is no display.
    """

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Self:
        try:
            import tkinter
        except ImportError as error:
            raise _without(f"this Python has no tkinter: {error}") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise _without(str(error)) from error
        self._open = True
        self._root.title(self._title)
        self._image = tkinter.PhotoImage(master=self._root)
        tkinter.Label(self._root, image=self._image, borderwidth=0).pack()
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in ("q", "<Escape>"):
            self._root.bind(key, lambda _: self._close())
        return self

    def __call__(self, picture: np.ndarray) -> bool:
        height, width = picture.shape[:2]
        self._image.configure(data=b"P6 %d %d 255\n" % (width, height) + picture.tobytes(), format="ppm")
        self._root.update()
        return self._open

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._root.destroy()

    def _close(self) -> None:
        self._open = False


def _without(reason: str) -> UserError:
    return UserError(f"no window can be opened ({reason}); write the frames with --out FILE instead")
