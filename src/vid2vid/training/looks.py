"""After the encoder has learnt: which looks the objects of the training set have."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema
from vid2vid.data import Augmentation, Dataset
from vid2vid.models.feature_encoder import FeatureEncoder
from vid2vid.models.styles import Styles
from vid2vid.types import to_tensor

MOST_FRAMES = 64
SMALLEST = 16
"""Pixels of an object worth looking at."""


@torch.no_grad()
def learn_styles(
    styles: Styles, encoder: FeatureEncoder, schema: ConditionSchema, data: Dataset, augment: Augmentation
) -> None:
    """Fits each class's mixture to the style vectors of its objects, in frames spread over all clips.

    Frames are recoloured as in training (see ``Augmentation``): those looks were learnt as well.
    """
    places = [(clip, t) for clip in data.clips for t in range(len(clip))]
    step = max(len(places) // MOST_FRAMES, 1)
    found: dict[int, list[Tensor]] = {}
    classes = len(schema.labels) if schema.labels is not None else 1
    device = next(encoder.parameters()).device
    for clip, t in places[::step]:
        read = clip.read(t, t + 1)
        colours = augment.draw(np.random.default_rng(t), clip.size)
        frame = to_tensor(colours.recoloured(read.frames, read.labels)).to(device)
        labels, instances = (
            None if kind is None else torch.from_numpy(kind).to(device)
            for kind in (read.labels, read.instances)
        )
        objects = schema.objects(labels, instances, like=frame)
        vectors = encoder(frame, objects)[0].flatten(1)
        numbers, place, counts = objects.flatten().unique(return_inverse=True, return_counts=True)
        # The map is the same all over an object: any of its pixels will do.
        pixel = torch.zeros_like(numbers).scatter_(0, place, torch.arange(len(place), device=device))
        for number, where, count in zip(numbers.tolist(), pixel.tolist(), counts.tolist(), strict=True):
            if count >= SMALLEST:
                found.setdefault(number % classes, []).append(vectors[:, where].cpu())
    for kind, seen in found.items():
        styles.fit(kind, torch.stack(seen))
