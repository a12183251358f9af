"""The one door to the networks of transformers: found by folder or id, read with suspicion."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from vid2vid.errors import UserError

_UNIVERSAL = ("mask2former", "maskformer", "oneformer")
"""Types that tell objects apart; all others give one score per class and pixel."""

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")

_UNUSED = ".fusion_stage.layers.0.residual_layer1."
"""Parameters of DPT and its kin that take no part, and that published weights lack."""


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
        raise UserError(f"{asked}: its config.json numbers no classes; name another network")
    commit = None if Path(name).is_dir() else getattr(config, "_commit_hash", None)
    return NetworkFiles(name, commit, str(config.model_type), classes)


def load_network(files: NetworkFiles, task: str, device: torch.device, asked: str) -> tuple[Any, Any]:
    """A network with its weights, and the processor that belongs to it.

    Only safetensors are read, and no code that comes with a network is run.

    Args:
        task: what it is for in transformers' words: "SemanticSegmentation", "DepthEstimation", ...
        asked: what the user wrote, for messages.

    Returns:
        What prepares pictures, and the network on its device.

    Raises:
        UserError: weights or processor are not there, damaged, of another kind, or incomplete.
    """
    told = files.type == "oneformer"  # its task in words, which its processor turns into numbers
    reading = _reading(files.name, files.revision)
    if told and reading["local_files_only"]:
        _refuse_to_fetch(Path(files.name), asked)
    with _one_line(asked):
        import transformers

        processor = transformers.AutoProcessor if told else transformers.AutoImageProcessor
        opener = getattr(transformers, f"AutoModelFor{task}")
        with _quiet():
            prepare: Any = processor.from_pretrained(files.name, use_fast=False, **reading)
            network, report = opener.from_pretrained(
                files.name, use_safetensors=True, output_loading_info=True, **reading
            )
    # Transformers fills gaps with random numbers; a classifier's weights would give a segmenter of noise.
    wanted = {name for name, _ in network.named_parameters() if _UNUSED not in name}
    if missing := sorted(wanted & set(report["missing_keys"])):
        raise UserError(f"{asked}: its weights lack {missing[0]}; name a network that was trained for this")
    return prepare, network.to(device).eval()


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
