"""The classes of the city: the ids of the CamVid clip where it has the same class."""

from __future__ import annotations

from vid2vid.conditions import LabelClass, LabelSchema

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, MARKING, WINDOW = range(12)

CLASSES: tuple[tuple[int, str, tuple[int, int, int], bool], ...] = (
    (SKY, "sky", (128, 128, 128), False),
    (BUILDING, "building", (128, 0, 0), False),
    (POLE, "pole", (192, 192, 128), False),
    (ROAD, "road", (128, 64, 128), False),
    (PAVEMENT, "pavement", (0, 0, 192), False),
    (TREE, "tree", (128, 128, 0), False),
    (SIGN, "sign", (192, 128, 128), False),
    (FENCE, "fence", (64, 64, 128), False),
    (CAR, "car", (64, 0, 128), True),
    (PEDESTRIAN, "pedestrian", (64, 64, 0), True),
    (MARKING, "marking", (224, 224, 224), False),
    (WINDOW, "window", (0, 128, 192), False),
)
"""(id, name, colour, foreground) of every class."""


def city_schema() -> LabelSchema:
    """The classes as label maps of the city hold them."""
    return LabelSchema(tuple(LabelClass(*entry) for entry in CLASSES))
