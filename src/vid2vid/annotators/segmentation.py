"""The one door to the segmentation networks of transformers: SegFormer, Mask2Former, OneFormer and kin."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError

from vid2vid.errors import UserError

_UNIVERSAL = ("mask2former", "maskformer", "oneformer")
"""Types that tell objects apart; all others give one score per class and pixel."""

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True)
class NetworkFiles:
    """A network that was found, and what its configuration says; its weights are not read yet.

    name: a folder, or an id on the hub. revision: the commit on the hub; None for a folder.
    type: transformers' word for its architecture. classes: their names, by index.
    """

    name: str
    revision: str | None
    type: str
    classes: tuple[str, ...]

    @property
    def finds_objects(self) -> bool:
        """Whether it can tell one car from the next."""
        return self.type in _UNIVERSAL

    def fingerprint(self) -> str:
        """What its answers depend on: release, architecture, and the commit or the checksum of its files."""
        try:
            release = version("transformers")
        except PackageNotFoundError:
            release = "unknown"
        return f"{self.type}; transformers {release}, weights {(self.revision or self._checksum())[:16]}"

    def _checksum(self) -> str:
        total = hashlib.sha256()
        files = [file for kind in ("json", "safetensors") for file in Path(self.name).glob(f"*.{kind}")]
        for file in sorted(files):
            with _one_line(self.name), file.open("rb") as stream:
                total.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()} ".encode())
        return total.hexdigest()


def find_network(name: str, asked: str) -> NetworkFiles:
    """Look at the configuration of a network.

    Args:
        name: a folder that ``save_pretrained`` wrote, from which alone is read; or an id on the hub, whose
            files transformers fetches unless they are in its cache.
        asked: what the user wrote, for messages.

    Raises:
        UserError: transformers is not installed; no such folder or id; no list of classes.
    """
    if not Path(name).is_dir() and not _HUB_ID.fullmatch(name):
        raise UserError(f"{asked}: no such folder; name one that save_pretrained wrote, or a hub id")
    with _one_line(asked):
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(name, **_reading(name, None))
    named = getattr(config, "id2label", None) or {}
    try:
        classes = tuple(str(named[index]) for index in range(len(named)))
    except KeyError:
        classes = ()
    if not classes:
        raise UserError(f"{asked}: its config.json numbers no classes; name a segmentation network")
    commit = None if Path(name).is_dir() else getattr(config, "_commit_hash", None)
    return NetworkFiles(name, commit, str(config.model_type), classes)


@dataclass(frozen=True)
class Segmented:
    """What a network sees in a picture.

    classes: (H, W) int64, indices into its classes.
    objects: (H, W) int32, 0 = none, a number for each object of this picture; None where it was not asked.
    """

    classes: np.ndarray
    objects: np.ndarray | None = None


class SegmentationNetwork:
    """A network with its weights, and the processor that belongs to it. One picture at a time.

    Only safetensors are read, and no code that comes with a network is run.

    Raises:
        UserError: weights or processor are not there, damaged, of another kind, or incomplete.
    """

    def __init__(self, files: NetworkFiles, device: torch.device, asked: str) -> None:
        self._universal = files.finds_objects
        self._tasks = {"task_inputs": ["panoptic"]} if files.type == "oneformer" else {}
        self._device = device
        reading = _reading(files.name, files.revision)
        if self._tasks and reading["local_files_only"]:
            _refuse_to_fetch(Path(files.name), asked)
        with _one_line(asked):
            import transformers

            # OneFormer is told its task in words, which its processor turns into numbers.
            processor = transformers.AutoProcessor if self._tasks else transformers.AutoImageProcessor
            kind = "Universal" if self._universal else "Semantic"
            opener = getattr(transformers, f"AutoModelFor{kind}Segmentation")
            with _quiet():
                self._prepare: Any = processor.from_pretrained(files.name, use_fast=False, **reading)
                network, report = opener.from_pretrained(
                    files.name, use_safetensors=True, output_loading_info=True, **reading
                )
        # Transformers fills gaps with random numbers; a classifier's weights would give a segmenter of noise.
        wanted = {name for name, _ in network.named_parameters()}
        if missing := sorted(wanted & set(report["missing_keys"])):
            raise UserError(
                f"{asked}: its weights lack {missing[0]}; name a network that was trained to segment"
            )
        self._network: Any = network.to(device).eval()

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


def _reading(name: str, revision: str | None) -> dict[str, Any]:
    """How transformers may read: a folder never leads to the network, nor any name to code."""
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": Path(name).is_dir()}
    return options if revision is None else {**options, "revision": revision}


def _refuse_to_fetch(folder: Path, asked: str) -> None:
    """OneFormer's processor fetches its list of things unless that lies where its repo_path says."""
    with _one_line(asked):
        about = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        things = Path(about.get("repo_path") or "", about.get("class_info_file") or "")
    if not things.is_file():
        raise UserError(
            f"{asked}: its processor would fetch {things}; get that file and name its folder "
            "as repo_path in preprocessor_config.json"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of many lines: what matters of them is an error here."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _one_line(asked: str) -> Iterator[None]:
    """Whatever transformers complains about, as one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise UserError(
                f"{asked}: needs {error.name}; install it with pip install {error.name}"
            ) from error
        raise UserError(
            f"{asked}: needs transformers; install it with pip install 'vid2vid[annotate]'"
        ) from error
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{asked}: cannot be loaded ({reason}); name a folder with its config, processor "
            "and safetensors, or a hub id"
        ) from error
