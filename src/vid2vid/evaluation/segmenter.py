"""A small segmentation network, for scenes that no public one knows: it learns from real frames and their
label maps, and then says what the fakes show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vid2vid.annotators.networks import find_network
from vid2vid.annotators.segmentation import SegmentationNetwork as PublicNetwork
from vid2vid.conditions import LabelSchema
from vid2vid.data import Augmentation, Dataset, sequences
from vid2vid.errors import UserError
from vid2vid.evaluation.obedience import PixelClassifier
from vid2vid.models.layers import Decoder, Encoder, pad_to_multiple
from vid2vid.progress import Progress, silent
from vid2vid.types import to_tensor
from vid2vid.zoo.files import read_json, read_tensors, whole_folder, write_json, write_tensors

STEPS, BATCH, RATE = 600, 4, 2e-3
VARIED = Augmentation(flip=0.5, scale=(1.0, 1.2), jitter=0.2, recolour=0.5)
"""It is to go by shape and texture and not by colours, which styles and weak renderers change."""


class SegmentationNetwork(nn.Module):
    """Frames (B, 3, H, W) in [-1, 1] to class scores (B, classes, H, W): an encoder and a decoder with
    skips."""

    WIDTH, DOWNS = 16, 3

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(3, self.WIDTH, self.DOWNS, 1, kernel=3, skips=True)
        self.decoder = Decoder(self.WIDTH, self.DOWNS, 1, "resize", skips=True)
        self.head = nn.Conv2d(self.WIDTH, classes, 1)

    def forward(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        padded = pad_to_multiple(frames, 2**self.DOWNS, 2 ** (self.DOWNS + 1))
        scores: Tensor = self.head(self.decoder(self.encoder(padded)))
        return scores[..., :height, :width]


class Segmenter:
    """A ``PixelClassifier`` made by ``fit_segmenter``."""

    def __init__(self, network: SegmentationNetwork, classes: tuple[str, ...], name: str) -> None:
        self.network = network.eval()
        self.classes = classes
        self.name = name

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray) -> np.ndarray:
        frame = to_tensor(picture)[None].to(next(self.network.parameters()).device)
        indices: np.ndarray = self.network(frame)[0].argmax(0).cpu().numpy()
        return indices

    def save(self, folder: Path) -> None:
        """Writes ``config.json`` and ``network.safetensors``, whole or not at all."""
        with whole_folder(folder) as temporary:
            write_json(temporary / "config.json", {"classes": list(self.classes), "name": self.name})
            write_tensors(temporary / "network.safetensors", self.network.state_dict())


def fit_segmenter(
    data: Dataset, device: torch.device, *, steps: int = STEPS, seed: int = 0, progress: Progress = silent
) -> Segmenter:
    """Trains one on the frames and label maps of a dataset.

    Raises:
        UserError: the dataset has no label maps.
    """
    labels = data.schema.labels
    if labels is None:
        raise UserError(
            f"{data.name}: has no label maps to learn a segmenter from; name a dataset with labels/"
        )
    torch.manual_seed(seed)
    network = SegmentationNetwork(len(labels)).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    batches = sequences(data, 1, BATCH, seed, augment=VARIED)
    ignored = torch.from_numpy(ignored_classes(labels)).to(device)
    for step, batch in zip(range(1, steps + 1), batches, strict=False):
        assert batch.labels is not None
        truth = batch.labels[:, 0].to(device)
        truth = torch.where(ignored[truth], -1, truth)
        loss = F.cross_entropy(network(batch.frames[:, 0].to(device)), truth, ignore_index=-1)
        optimiser.zero_grad()
        if torch.isfinite(loss):  # not so where nothing in the batch has a label
            loss.backward()
            optimiser.step()
        schedule.step()
        progress(step, steps, f"segmenter, loss {float(loss.detach()):.2f}")
    return Segmenter(network, labels.names, f"segmenter fitted to {data.name}, {steps} steps")


def open_classifier(spec: str, device: torch.device) -> PixelClassifier:
    """A folder that ``Segmenter.save`` wrote, or ``hub:NAME`` for a segmentation model of transformers (a hub
    id, or a folder).

    Raises:
        UserError: nothing there, another kind of file, or transformers is not installed.
    """
    kind, _, name = spec.partition(":")
    if kind == "hub" and name:
        return _HubClassifier(name, device)
    folder = Path(spec)
    about = read_json(folder / "config.json")
    names = about.get("classes")
    if (
        not isinstance(names, list)
        or not 0 < len(names) <= 4096
        or not all(isinstance(n, str) for n in names)
    ):
        raise UserError(f"{folder}: not a segmenter; make one with --fit-segmenter DATASET")
    network = SegmentationNetwork(len(names))
    network.load_state_dict(read_tensors(folder / "network.safetensors", network.state_dict()))
    return Segmenter(network.to(device), tuple(names), str(about.get("name", folder)))


class _HubClassifier:
    """SegFormer and its like; its classes are those of its own training set."""

    def __init__(self, name: str, device: torch.device) -> None:
        found = find_network(name, f"hub:{name}")
        self._network = PublicNetwork(found, device, f"hub:{name}")
        self.classes = found.classes
        self.name = name

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return self._network(picture).classes


class InClassesOf:
    """A classifier that speaks of the classes of a dataset: those of the same name. What it calls otherwise
    is none of them, and wrong wherever there is a label.

    Raises:
        UserError: not one class has the same name.
    """

    def __init__(self, classifier: PixelClassifier, labels: LabelSchema) -> None:
        self.classes = labels.names
        self.name = classifier.name
        self._classifier = classifier
        places = {name.lower(): index for index, name in enumerate(labels.names)}
        table = [places.get(name.lower(), len(labels.names)) for name in classifier.classes]
        if min(table) == len(labels.names):
            raise UserError(
                f"{classifier.name}: none of its classes ({', '.join(classifier.classes[:5])} ...) is named "
                "as one of the label maps; rename them in labels.yaml"
            )
        self._table = np.array(table)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        indices: np.ndarray = self._table[self._classifier(picture)]
        return indices


def ignored_classes(labels: LabelSchema) -> np.ndarray:
    """(classes,) bool: those that are left out of judgements."""
    return np.array([item.ignore for item in labels.classes])
