"""Segmentation networks of transformers: SegFormer, Mask2Former, OneFormer and kin."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from vid2vid.annotators.networks import NetworkFiles, load_network


@dataclass(frozen=True)
class Segmented:
    """What a network sees in a picture.

    classes: (H, W) int64, indices into its classes.
    objects: (H, W) int32, 0 = none, a number for each object of this picture; None where it was not asked.
    """

    classes: np.ndarray
    objects: np.ndarray | None = None


class SegmentationNetwork:
    """A network that says what is where. One picture at a time.

    Raises:
        UserError: see `load_network`.
    """

    def __init__(self, files: NetworkFiles, device: torch.device, asked: str) -> None:
        self._universal = files.finds_objects
        self._tasks = {"task_inputs": ["panoptic"]} if files.type == "oneformer" else {}
        self._device = device
        kind = "Universal" if self._universal else "Semantic"
        self._prepare, self._network = load_network(files, f"{kind}Segmentation", device, asked)

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray, countable: Collection[int] = ()) -> Segmented:
        """Segment a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            countable: indices of the classes whose objects are to be told apart; it must find objects.
        """
        size = picture.shape[:2]
        inputs = self._prepare(images=picture, return_tensors="pt", **self._tasks).to(self._device)
        outputs = self._network(**inputs)
        if not self._universal:
            scores = F.interpolate(outputs.logits, size, mode="bilinear")
            return Segmented(scores[0].argmax(0).cpu().numpy())
        (found,) = self._prepare.post_process_semantic_segmentation(outputs, target_sizes=[size])
        classes = found.cpu().numpy().astype(np.int64)
        if not countable:
            return Segmented(classes)
        fused = set(range(outputs.class_queries_logits.shape[-1] - 1)) - set(countable)
        (found,) = self._prepare.post_process_panoptic_segmentation(
            outputs, label_ids_to_fuse=fused, target_sizes=[size]
        )
        segments = found["segmentation"].cpu().numpy().astype(np.int32)
        objects = np.zeros(size, np.int32)
        for segment in found["segments_info"]:
            mask = segments == segment["id"]
            # The class of an object is that of all its pixels; elsewhere the semantic answer has no holes.
            classes[mask] = segment["label_id"]
            if segment["label_id"] in countable:
                objects[mask] = segment["id"]
        return Segmented(classes, objects)
