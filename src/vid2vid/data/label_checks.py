"""What can be wrong with label maps that can be read: colours, smeared or swapped ids, nothing in them."""

from __future__ import annotations

import numpy as np

from vid2vid.conditions import LabelSchema
from vid2vid.data.findings import ClassShare, Finding
from vid2vid.errors import UserError
from vid2vid.video import read_picture

TRAIN_IDS = frozenset(range(19))
"""The ids that Cityscapes trains with: road 0 ... bicycle 18; 255 is ignored."""
LABEL_IDS = frozenset(range(34))
"""The ids that Cityscapes annotates with: unlabelled 0 ... road 7 ... sky 23 ... car 26 ... bicycle 33."""


class LabelCheck:
    """Checks label maps one by one and remembers what their clip is made of.

    Args:
        schema: the class list; None where it is missing or broken: then ids are only collected.
    """

    def __init__(self, schema: LabelSchema | None) -> None:
        self.schema = schema
        self.pixels = np.zeros(0 if schema is None else len(schema), dtype=np.int64)
        self.ids: set[int] = set()

    def unreadable(self, file: str, error: UserError) -> Finding:
        """The finding for a map that could not be read, with a closer look where it is in colour."""
        finding = Finding.of(error, file)
        if self.schema is None or "colour" not in finding.what:
            return finding
        try:
            picture = read_picture(file).reshape(-1, 3).astype(np.int32)
        except UserError:
            return finding
        codes = np.unique(picture @ np.array([65536, 256, 1]), return_counts=True)
        known = np.isin(codes[0], self.schema.palette.astype(np.int32) @ np.array([65536, 256, 1]))
        if codes[1][known].sum() < 0.99 * len(picture):
            return finding
        mend = "its colours are those of labels.yaml: write every pixel's class id in place of its colour"
        return Finding(file, "label map saved as colour", mend)

    def look(self, file: str, label_map: np.ndarray) -> list[Finding]:
        """What is wrong with one map."""
        ids, counts = np.unique(label_map, return_counts=True)
        self.ids.update(int(value) for value in ids)
        if self.schema is None:
            return []
        found = []
        foreign = self.schema.foreign_ids(ids)
        if foreign:
            outside = np.isin(ids, foreign)
            found.append(self._foreign(file, ids, foreign, float(counts[outside].sum() / counts.sum())))
            ids, counts = ids[~outside], counts[~outside]
        self.pixels += np.bincount(self.schema.indices(ids), counts, len(self.schema)).astype(np.int64)
        if len(ids) == 1 and not foreign:
            item = self.schema.classes[int(self.schema.indices(ids)[0])]
            what = f"constant: every pixel is {item.name} ({item.id})"
            found.append(Finding(file, what, "annotate it, or leave the frame out", "warning"))
        return found

    def _foreign(self, file: str, ids: np.ndarray, foreign: list[int], share: float) -> Finding:
        """The finding for ids outside the class list, with what they look like."""
        assert self.schema is not None
        shown = ", ".join(map(str, foreign[:8])) + (" ..." if len(foreign) > 8 else "")
        what = f"ids outside the class list: {shown} ({share:.1%} of the pixels)"
        present = {int(value) for value in ids}
        if foreign == [255]:
            mend = "255 often means 'ignored': add {id: 255, name: ignored, color: [0, 0, 0], ignore: true}"
        elif numbering(self.schema) == "trainIds" and present <= LABEL_IDS | {255}:
            mend = "it looks like Cityscapes labelIds, but labels.yaml lists trainIds: convert one of them"
        elif len(foreign) > len(self.schema) and share < 0.5:
            mend = "such mixtures of ids come from lossy saving or smooth resizing: make the map anew"
        else:
            mend = "add them to labels.yaml, or mend the map"
        return Finding(file, what, mend)

    def swapped(self, folder: str) -> list[Finding]:
        """After all maps of a clip: ids that are all allowed and yet of another numbering."""
        if self.schema is None or numbering(self.schema) != "labelIds" or not self.ids:
            return []
        if self.ids <= TRAIN_IDS | {255} and self.ids & {0, 1, 2}:
            what = "only ids 0 to 18, as if these were Cityscapes trainIds, but labels.yaml lists labelIds"
            return [Finding(folder, what, "take the *_labelIds.png maps, or a class list of trainIds")]
        return []


def numbering(schema: LabelSchema) -> str | None:
    """Which of the two numberings of Cityscapes a class list uses, if any: "trainIds" or "labelIds"."""
    ids = {item.id for item in schema.classes} - {255}
    id_of = {item.name.lower(): item.id for item in schema.classes}
    if ids == TRAIN_IDS or (id_of.get("road"), id_of.get("car")) == (0, 13):
        return "trainIds"
    if ids == LABEL_IDS or (id_of.get("road"), id_of.get("car")) == (7, 26):
        return "labelIds"
    return None


def class_shares(schema: LabelSchema, pixels: np.ndarray) -> tuple[ClassShare, ...]:
    """The histogram, from pixel counts by class index."""
    total = max(1, int(pixels.sum()))
    return tuple(
        ClassShare(item.id, item.name, item.color, int(count) / total)
        for item, count in zip(schema.classes, pixels, strict=True)
    )
