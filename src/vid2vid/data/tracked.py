"""Instance maps made once per clip from its label maps, and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from vid2vid.conditions import LabelSchema, track_components
from vid2vid.data.pictures import Pictures, class_indices
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.video import read_picture, write_picture

TRACKER = 1
"""Raised when `track_components` changes what it gives, so that older files are not used."""


class TrackedInstances:
    """Instance ids by tracking connected components, as 16-bit pictures in the clip's cache.

    The folder is named by what the ids are made from (label files with their dates, classes, tracker), so
    a changed label map is never served stale ids.
    """

    def __init__(self, labels: Pictures, schema: LabelSchema, cache: Path) -> None:
        self.labels = labels
        self.schema = schema
        self._cache = cache

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, t: int) -> np.ndarray:
        """(H, W) ids of frame t; the whole clip is tracked at the first call."""
        self.ensure()
        return read_picture(self._folder / _name(t), mode="labels")

    def where(self, t: int) -> str:
        return str(self._folder / _name(t))

    @cached_property
    def _folder(self) -> Path:
        files = [self.labels.file(t) for t in range(len(self.labels))]
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        facts = [TRACKER, self.schema.to_dict(), stamps]
        return self._cache / f"instances-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"

    def ensure(self, progress: Progress = silent) -> None:
        """Track the clip unless that is done.

        Raises:
            UserError: a label map is unreadable or holds foreign ids; the cache cannot be written.
        """
        if self._folder.is_dir():
            return
        temporary = self._folder.with_name(f"{self._folder.name}.{os.getpid()}.tmp")
        try:
            temporary.mkdir(parents=True, exist_ok=True)
            for t, ids in enumerate(track_components(self._label_maps(), self.schema)):
                # Files hold 16 bits. In a clip with more objects ids come again.
                write_picture(temporary / _name(t), np.where(ids > 0, (ids - 1) % 65535 + 1, 0))
                progress(t + 1, len(self), "telling objects apart")
            temporary.rename(self._folder)
        except OSError as error:
            if not self._folder.is_dir():  # else another process was faster, with the same result
                raise UserError(f"{self._folder}: cannot be written ({error.strerror}); free it") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _label_maps(self) -> Iterator[np.ndarray]:
        for t in range(len(self)):
            yield self.schema.ids(class_indices(self.labels, t, self.schema))


def _name(t: int) -> str:
    return f"{t:06d}.png"
