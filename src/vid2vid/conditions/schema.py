"""What describes a frame, and how it becomes the channels a network sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vid2vid.conditions.instances import instance_edges
from vid2vid.conditions.labels import LabelSchema, check_classes
from vid2vid.errors import UserError


@dataclass(frozen=True)
class ConditionSchema:
    """The kind of condition a dataset has or a model was trained with.

    kind: "labels" (class indices, one-hot) or "image" (any picture: DensePose, edges, a degraded frame).
    name: the folder it is read from ("labels", "densepose", ...).
    labels: the classes, for kind "labels" only.
    instances: an instance-edge channel follows the one-hot channels.
    image_channels: channels of an image-valued condition.

    Raises:
        ValueError: parts that do not go together.
    """

    kind: Literal["labels", "image"]
    name: str
    labels: LabelSchema | None = None
    instances: bool = False
    image_channels: int = 3

    def __post_init__(self) -> None:
        if self.kind not in ("labels", "image"):
            raise ValueError(f"unknown kind of condition {self.kind!r}; 'labels' and 'image' are known")
        if (self.kind == "labels") != (self.labels is not None):
            raise ValueError("a condition of kind 'labels', and only that, has a list of classes")
        if self.kind == "image" and self.instances:
            raise ValueError("only a condition of kind 'labels' can have instances")
        if self.image_channels < 1:
            raise ValueError(f"image_channels is {self.image_channels}; it must be at least 1")

    @property
    def channels(self) -> int:
        """Channels of an encoded condition."""
        if self.labels is None:
            return self.image_channels
        return len(self.labels) + int(self.instances)

    @property
    def foreground_channels(self) -> tuple[int, ...]:
        """The one-hot channels of the foreground classes; empty for an image."""
        return self.labels.foreground if self.labels is not None else ()

    def encode(
        self,
        labels: Tensor | None = None,
        instances: Tensor | None = None,
        image: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """What the network sees of one frame, on the device of its input.

        Args:
            labels: (B, H, W) int64 class indices.
            instances: (B, H, W) integers; not looked at where the schema has no instances.
            image: (B, C, H, W) in [-1, 1]: passes through.

        Returns:
            (B, channels, H, W): one-hot labels, then the instance edges; or the image.

        Raises:
            ValueError: what the schema needs is not given, or has the wrong number of channels.
        """
        if self.labels is None:
            if image is None:
                raise ValueError(f"the condition {self.name!r} is an image, and none is given")
            if image.shape[1] != self.image_channels:
                raise ValueError(f"{self.name!r} has {self.image_channels} channels, not {image.shape[1]}")
            return image.to(dtype)
        if labels is None:
            raise ValueError(f"the condition {self.name!r} is a label map, and none is given")
        batch, height, width = labels.shape
        encoded = torch.zeros(batch, self.channels, height, width, dtype=dtype, device=labels.device)
        encoded.scatter_(1, labels[:, None], 1.0)
        if self.instances:
            if instances is None:
                raise ValueError(f"the condition {self.name!r} has instances, and none are given")
            encoded[:, -1:] = instance_edges(instances).to(dtype)
        return encoded

    def objects(self, labels: Tensor | None, instances: Tensor | None, like: Tensor) -> Tensor:
        """Numbers that tell apart what can have a style of its own: each instance of a foreground class, all
        of any other class. The class is the number modulo the count of classes; an image is one object.

        Args:
            labels, instances: (B, H, W), as for ``encode``.
            like: (B, C, H, W), for the shape where there are no labels.

        Returns:
            (B, H, W) int64.
        """
        if self.labels is None or labels is None:
            return torch.zeros(len(like), *like.shape[-2:], dtype=torch.int64, device=like.device)
        if instances is None:
            return labels
        moving = torch.zeros(len(self.labels), dtype=torch.bool, device=labels.device)
        moving[list(self.labels.foreground)] = True
        return labels + len(self.labels) * torch.where(moving[labels], instances, 0)

    def tint(self, condition: Tensor) -> np.ndarray:
        """A picture for people, (H, W, 3) uint8 RGB, of one encoded condition (channels, H, W).

        Labels get their classes' colours, objects a white border; of an image the first three channels are
        shown (the first, in grey, where there are fewer).
        """
        condition = condition.detach().float().cpu()
        if self.labels is None:
            shown = condition[:3] if len(condition) >= 3 else condition[:1].expand(3, -1, -1)
            return ((shown.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        picture = self.labels.colorize(condition[: len(self.labels)].argmax(dim=0).numpy())
        if self.instances:
            picture[condition[-1].numpy() > 0.5] = 255
        return picture

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "labels": self.labels.to_dict() if self.labels is not None else None,
            "instances": self.instances,
            "image_channels": self.image_channels,
        }

    @classmethod
    def from_dict(cls, data: object, source: str = "condition") -> ConditionSchema:
        """The inverse of `to_dict`, strict. `source` names the file in messages.

        Raises:
            UserError: unknown or missing keys, values of the wrong type, parts that do not go together.
        """
        if not isinstance(data, Mapping):
            raise UserError(
                f"{source}: the condition is not a mapping; give kind, name and what belongs to them"
            )
        known = [field.name for field in fields(cls)]
        if unknown := [key for key in data if key not in known]:
            raise UserError(
                f"{source}: unknown key {unknown[0]!r} of a condition; known are {', '.join(known)}"
            )
        for key, kind in {"kind": str, "name": str, "instances": bool, "image_channels": int}.items():
            if key not in data and key in ("kind", "name"):
                raise UserError(f"{source}: the condition lacks {key!r}; add it")
            if key in data and type(data[key]) is not kind:
                raise UserError(f"{source}: {key} is {data[key]!r}; it must be of type {kind.__name__}")
        values = dict(data)
        if values.get("labels") is not None:
            values["labels"] = LabelSchema.from_dict(values["labels"], source=f"{source}: labels")
        try:
            return cls(**values)
        except ValueError as error:
            raise UserError(f"{source}: {error}") from None


def check_alike(forecast: ConditionSchema, rendered: ConditionSchema, who: str) -> None:
    """Raises UserError where what is forecast is not what ``who`` renders; borders between objects may be
    known to one of the two alone."""
    if forecast.labels is not None and rendered.labels is not None:
        check_classes(forecast.labels, rendered.labels, who)
    elif (forecast.name, forecast.channels) != (rendered.name, rendered.channels):
        raise UserError(
            f"{who}: renders {rendered.name!r}, and {forecast.name!r} is forecast; give a renderer of that"
        )
