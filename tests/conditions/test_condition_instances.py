"""Edges between instances, and objects followed through a clip."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vid2vid.conditions import LabelClass, LabelSchema, instance_edges, told_apart, track_components
from vid2vid.video import read_picture

SCHEMA = LabelSchema(
    (
        LabelClass(0, "road", (0, 0, 0)),
        LabelClass(5, "car", (0, 0, 255), foreground=True),
        LabelClass(9, "person", (255, 0, 0), foreground=True),
    )
)
Box = tuple[int, int, int, int, int]
"""Class id, left, top, right, bottom."""


def label_map(*boxes: Box, width: int = 40, height: int = 20) -> np.ndarray:
    picture = np.zeros((height, width), np.uint8)
    for kind, left, top, right, bottom in boxes:
        picture[max(top, 0) : bottom, max(left, 0) : max(right, 0)] = kind
    return picture


def ids_at(instances: np.ndarray, *points: tuple[int, int]) -> list[int]:
    return [int(instances[y, x]) for x, y in points]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2), min_size=24, max_size=24))
def test_edges_by_definition(values: list[int]) -> None:
    instances = torch.tensor(values).view(1, 4, 6)
    edges = instance_edges(instances)
    for y in range(4):
        for x in range(6):
            around = [(y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x)]
            inside = [(j, i) for j, i in around if 0 <= j < 4 and 0 <= i < 6]
            differs = any(instances[0, j, i] != instances[0, y, x] for j, i in inside)
            assert edges[0, 0, y, x] == float(differs)


def test_edges_do_not_cross_the_batch() -> None:
    assert instance_edges(torch.stack([torch.zeros(3, 3), torch.ones(3, 3)]).long()).sum() == 0


@pytest.mark.parametrize("bordered", [True, False])
def test_things_are_told_apart_by_their_borders(bordered: bool) -> None:
    """Two cars that touch, one that stands alone, one narrower than two borders; the road is one."""
    boxes = (1, 2, 2, 10, 12), (1, 10, 2, 18, 12), (1, 24, 2, 32, 12), (2, 36, 3, 37, 9)
    labels = torch.zeros(1, 20, 40, dtype=torch.int64)
    instances = torch.zeros_like(labels)
    for number, (kind, left, top, right, bottom) in enumerate(boxes, 1):
        labels[:, top:bottom, left:right] = kind
        instances[:, top:bottom, left:right] = number
    encoded = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    if bordered:
        encoded = torch.cat([encoded, instance_edges(instances)], dim=1)
    things = told_apart(encoded, 3, (1, 2))
    assert things.shape == labels.shape
    assert (things[labels == 0] == 0).all()
    numbers = [things[instances == number].unique() for number in range(1, 5)]
    assert [len(found) for found in numbers] == [1] * 4, "every thing is one"
    assert len(torch.cat([*numbers, torch.zeros(1)]).unique()) == (5 if bordered else 4)


def test_every_object_has_an_id_and_the_rest_none() -> None:
    (instances,) = track_components(
        [label_map((5, 2, 2, 8, 8), (5, 20, 2, 25, 8), (9, 30, 5, 33, 15))], SCHEMA
    )
    assert instances.dtype == np.int32
    assert sorted(np.unique(instances)) == [0, 1, 2, 3]
    assert len(set(ids_at(instances, (3, 3), (21, 3), (31, 6)))) == 3


def test_ids_stay_while_objects_move_and_others_come_and_go() -> None:
    maps = [
        label_map(
            (5, 2 + 3 * t, 2, 8 + 3 * t, 8),
            (5, 30 - 3 * t, 11, 36 - 3 * t, 17),
            *[(9, 18, 0, 20, 2)] * (t > 2),
        )
        for t in range(8)
    ]
    for t, instances in enumerate(track_components(maps, SCHEMA)):
        assert ids_at(instances, (4 + 3 * t, 4), (32 - 3 * t, 13)) == [1, 2]
        assert t <= 2 or ids_at(instances, (19, 0)) == [3]


def test_small_and_fast_things_are_followed() -> None:
    maps = [label_map((9, 2 + 4 * t, 5, 5 + 4 * t, 9)) for t in range(8)]
    assert [instances.max() for instances in track_components(maps, SCHEMA)] == [1] * 8


def test_an_object_hidden_for_a_while_gets_its_id_back() -> None:
    def maps() -> Iterator[np.ndarray]:
        for t in range(10):
            picture = label_map((5, 2 + 2 * t, 4, 10 + 2 * t, 12))
            picture[:, 14:26] = 0 if 4 <= t <= 6 else picture[:, 14:26]
            yield picture if t not in (5, 6) else np.zeros_like(picture)

    last = list(track_components(maps(), SCHEMA))[-1]
    assert np.unique(last).tolist() == [0, 1]


def test_touching_objects_keep_one_id_and_part_again() -> None:
    maps = [label_map((5, 4 * t, 4, 4 * t + 6, 12), (5, 30 - 4 * t, 6, 38 - 4 * t, 14)) for t in range(8)]
    results = list(track_components(maps, SCHEMA))
    assert len(np.unique(results[4])) == 2  # they touch: one component, one of the two ids
    assert ids_at(results[-1], (29, 5), (3, 13)) == ids_at(results[0], (1, 5), (31, 13))


def test_classes_do_not_hand_ids_over() -> None:
    first, second = track_components([label_map((5, 4, 4, 12, 12)), label_map((9, 4, 4, 12, 12))], SCHEMA)
    assert (first.max(), second.max()) == (1, 2)


def test_foreign_ids() -> None:
    with pytest.raises(ValueError, match="outside the class list: 3"):
        list(track_components([label_map((3, 0, 0, 2, 2))], SCHEMA))


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from([0, 5, 9]), min_size=30, max_size=30), min_size=1, max_size=5))
def test_ids_are_exactly_where_foreground_is_and_never_shared(frames: list[list[int]]) -> None:
    maps = [np.array(frame, np.uint8).reshape(5, 6) for frame in frames]
    class_of: dict[int, int] = {}
    for picture, instances in zip(maps, track_components(iter(maps), SCHEMA), strict=True):
        assert ((instances > 0) == (picture > 0)).all()
        for number in np.unique(instances[instances > 0]):
            (kind,) = np.unique(picture[instances == number])
            assert class_of.setdefault(int(number), int(kind)) == kind


def test_real_street(clips: Path) -> None:
    schema = LabelSchema.read(clips / "street_camvid" / "labels.yaml")
    files = sorted((clips / "street_camvid" / "labels").iterdir())[:30]
    results = list(track_components((read_picture(file, mode="labels") for file in files), schema))
    # The two cyclists in front and the car between them are in sight throughout.
    for x, y in ((215, 200), (243, 200)):
        assert results[0][y, x] > 0
        assert (results[-1] == results[0][y, x]).any()
