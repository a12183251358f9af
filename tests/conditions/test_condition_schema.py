"""Conditions as tensors and as pictures."""

from typing import Any

import pytest
import torch

from vid2vid.conditions import ConditionSchema, LabelClass, LabelSchema
from vid2vid.errors import UserError

LABELS = LabelSchema(
    (
        LabelClass(7, "road", (128, 64, 128)),
        LabelClass(26, "car", (0, 0, 142), foreground=True),
        LabelClass(0, "void", (0, 0, 0), ignore=True),
    )
)
PLAIN = ConditionSchema("labels", "labels", LABELS)
WITH_INSTANCES = ConditionSchema("labels", "labels", LABELS, instances=True)
IMAGE = ConditionSchema("image", "densepose")


def test_channels() -> None:
    assert (PLAIN.channels, WITH_INSTANCES.channels, IMAGE.channels) == (3, 4, 3)
    assert PLAIN.foreground_channels == (1,)
    assert IMAGE.foreground_channels == ()


def test_one_hot_then_edges() -> None:
    labels = torch.tensor([[[0, 0, 1], [2, 2, 1]]])
    instances = torch.tensor([[[0, 0, 5], [0, 0, 5]]])
    encoded = WITH_INSTANCES.encode(labels, instances, dtype=torch.float64)
    assert encoded.shape == (1, 4, 2, 3)
    assert encoded.dtype == torch.float64
    assert (encoded[:, :3].sum(dim=1) == 1).all()
    assert (encoded[:, :3].argmax(dim=1) == labels).all()
    assert encoded[0, 3].tolist() == [[0, 1, 1], [0, 1, 1]]
    assert torch.equal(PLAIN.encode(labels, instances), encoded[:, :3].float())


def test_image_passes_through() -> None:
    image = torch.rand(2, 3, 4, 5) * 2 - 1
    assert torch.equal(IMAGE.encode(image=image), image)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="'labels' is a label map"):
        PLAIN.encode(image=torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match="has instances"):
        WITH_INSTANCES.encode(torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="'densepose' is an image"):
        IMAGE.encode(torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="3 channels, not 1"):
        IMAGE.encode(image=torch.zeros(1, 1, 2, 2))


def test_tint() -> None:
    labels = torch.tensor([[[0, 0, 1], [2, 2, 1]]])
    assert (PLAIN.tint(PLAIN.encode(labels)[0]) == LABELS.colorize(labels[0].numpy())).all()
    bordered = WITH_INSTANCES.tint(WITH_INSTANCES.encode(labels, labels == 1)[0])
    assert bordered[:, 1:].min() == 255
    assert bordered[0, 0].tolist() == [128, 64, 128]
    levels = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1)
    assert IMAGE.tint(levels).ravel().tolist() == [0, 128, 255]
    assert ConditionSchema("image", "edges", image_channels=1).tint(levels[2:]).tolist() == [[[255] * 3]]


@pytest.mark.parametrize("schema", [PLAIN, WITH_INSTANCES, IMAGE])
def test_dict_there_and_back(schema: ConditionSchema) -> None:
    assert ConditionSchema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "unknown key 'extra'"),
        ({"kind": None}, "kind is None"),
        ({"kind": "pose"}, "unknown kind of condition 'pose'"),
        ({"kind": "image"}, "and only that, has a list of classes"),
        ({"labels": None}, "and only that, has a list of classes"),
        ({"labels": {"classes": [1]}}, "config.json: labels: class 1 is not a mapping"),
        ({"instances": 1}, "instances is 1; it must be of type bool"),
        ({"image_channels": True}, "image_channels is True"),
        ({"image_channels": 0}, "at least 1"),
    ],
)
def test_faults_in_a_schema(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        ConditionSchema.from_dict({**PLAIN.to_dict(), **change}, source="config.json")
    assert str(caught.value).startswith("config.json: ")
    assert message in str(caught.value)


def test_no_schema_at_all() -> None:
    with pytest.raises(UserError, match="not a mapping"):
        ConditionSchema.from_dict([1])
    with pytest.raises(UserError, match="lacks 'name'"):
        ConditionSchema.from_dict({"kind": "image"})
    with pytest.raises(ValueError, match="can have instances"):
        ConditionSchema("image", "edges", instances=True)
