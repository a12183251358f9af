"""Class lists: strict reading, and ids to indices to colours."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid2vid.conditions import LabelClass, LabelSchema
from vid2vid.errors import UserError

SKY = LabelClass(4, "sky", (10, 20, 30))
CAR = LabelClass(1, "car", (0, 0, 255), foreground=True)
VOID = LabelClass(255, "void", (0, 0, 0), ignore=True)
SCHEMA = LabelSchema((SKY, CAR, VOID))


@st.composite
def schemas(draw: st.DrawFn) -> LabelSchema:
    ids = draw(st.lists(st.integers(0, 65535), min_size=1, max_size=6, unique=True))
    part = st.integers(0, 255)
    return LabelSchema(
        tuple(
            LabelClass(
                number,
                f"{draw(st.characters())} {number}",
                draw(st.tuples(part, part, part)),
                draw(st.booleans()),
                draw(st.booleans()),
            )
            for number in ids
        )
    )


@settings(max_examples=25)
@given(schemas())
def test_dict_there_and_back(schema: LabelSchema) -> None:
    assert LabelSchema.from_dict(schema.to_dict()) == schema


@settings(max_examples=25)
@given(schemas(), st.data())
def test_indices_and_ids_are_inverse(schema: LabelSchema, data: st.DataObject) -> None:
    indices = np.array(data.draw(st.lists(st.integers(0, len(schema) - 1), min_size=4, max_size=4))).reshape(
        2, 2
    )
    ids = schema.ids(indices)
    assert [schema.classes[index].id for index in indices.ravel()] == ids.ravel().tolist()
    assert (schema.indices(ids) == indices).all()
    assert schema.indices(ids).dtype == np.int64


def test_file_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    SCHEMA.write(path)
    assert LabelSchema.read(path) == SCHEMA
    assert path.read_text().splitlines()[2] == "- {id: 1, name: car, color: [0, 0, 255], foreground: true}"
    assert [item.name for item in tmp_path.iterdir()] == ["labels.yaml"]


def test_real_class_list(clips: Path) -> None:
    schema = LabelSchema.read(clips / "street_camvid" / "labels.yaml")
    assert len(schema) == 12
    assert [schema.names[index] for index in schema.foreground] == ["car", "pedestrian", "bicyclist"]
    assert schema.classes[11].ignore


def test_indices_of_ids_in_any_integer_type() -> None:
    for kind in (np.uint8, np.int16, np.int32, np.uint16):
        assert SCHEMA.indices(np.array([[4, 1], [1, 4]], kind)).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("foreign", [0, 2, 254, 256, 70000, -1, -5])
def test_foreign_ids_are_named(foreign: int) -> None:
    with pytest.raises(ValueError, match=f"outside the class list: {foreign}$"):
        SCHEMA.indices(np.array([[4, foreign]], np.int32))


def test_many_foreign_ids_are_counted() -> None:
    with pytest.raises(ValueError, match="0, 2, 3, 5, 6, 7, 8, 9 and 10 more"):
        SCHEMA.indices(np.arange(20, dtype=np.uint8))


def test_labels_are_integers() -> None:
    with pytest.raises(ValueError, match="float32"):
        SCHEMA.indices(np.zeros((2, 2), np.float32))


def test_colorize() -> None:
    picture = SCHEMA.colorize(np.array([[0, 1]]))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[10, 20, 30], [0, 0, 255]]]


GOOD = "{id: 0, name: sky, color: [1, 2, 3]}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no list of classes"),
        ("classes: 3", "no list of classes"),
        ("classes: []", "no class is listed"),
        ("classes: [sky]", "class 1 is not a mapping"),
        ("classes: [", "not YAML in line"),
        (f"classes: [{GOOD}]\ncolours: 3", "unknown key 'colours'"),
        (f"classes: [{GOOD}, {{id: 0, name: road, color: [1, 2, 3]}}]", "id 0 is given to 2 classes"),
        (f"classes: [{GOOD}, {{id: 1, name: sky, color: [1, 2, 3]}}]", "name 'sky' is given to 2 classes"),
        ("classes: [{id: 0, name: sky, color: [1, 2, 256]}]", "color [1, 2, 256]"),
        ("classes: [{id: 0, name: sky, color: [1, 2]}]", "three whole numbers"),
        ("classes: [{id: 0, name: sky, color: red}]", "three whole numbers"),
        ("classes: [{id: 0, name: sky}]", "lacks 'color'"),
        ("classes: [{id: 0, name: sky, colour: [1, 2, 3]}]", "class 1 (sky) has the unknown key 'colour'"),
        ("classes: [{id: -1, name: sky, color: [1, 2, 3]}]", "id -1"),
        ("classes: [{id: true, name: sky, color: [1, 2, 3]}]", "id True"),
        ("classes: [{id: 0, name: no, color: [1, 2, 3]}]", "put it in quotes"),
        ("classes: [{id: 0, name: sky, color: [1, 2, 3], ignore: 1}]", "ignore 1; it must be true or false"),
    ],
)
def test_faults_in_a_class_list(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        LabelSchema.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_class_lists(tmp_path: Path) -> None:
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff\xfe")
    for path in (tmp_path / "absent.yaml", tmp_path, tmp_path / "picture.yaml"):
        with pytest.raises(UserError, match="cannot be read"):
            LabelSchema.read(path)
