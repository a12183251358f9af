"""Where this user's computed files go when they cannot lie beside their data."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """``~/.cache/vid2vid``, or as XDG_CACHE_HOME says; need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vid2vid"
