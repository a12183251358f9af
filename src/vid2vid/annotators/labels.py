"""Label maps by a segmentation network of transformers, in the classes of a list of ours."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np

from vid2vid.annotators.networks import NetworkFiles, find_network
from vid2vid.annotators.protocol import Drawn, picture_problem
from vid2vid.annotators.segmentation import SegmentationNetwork
from vid2vid.conditions import LabelSchema, ObjectTracker
from vid2vid.device import pick_device
from vid2vid.errors import UserError


@dataclass(frozen=True)
class Labels:
    """A class for every pixel; from networks that find objects also an id for each in the foreground, kept
    through the clip.

    classes: what the maps are written in. table: for each class of the network the index of the one of the
    same name, or of one that is ignored. made: what the maps depend on. device: as ``pick_device`` takes it.
    """

    network: NetworkFiles
    classes: LabelSchema
    table: tuple[int, ...]
    made: str
    device: str = "auto"

    name = "labels"
    result = "labels"

    @classmethod
    def of(cls, argument: str, classes: LabelSchema | None = None, device: str = "auto") -> Labels:
        """With the network in a folder, or on the hub.

        Args:
            argument: the folder or the id.
            classes: None: those of Cityscapes.

        Raises:
            UserError: no network is named, or none found; transformers is not installed; no class fits.
        """
        if not argument:
            raise UserError("annotate labels: which network? write labels:FOLDER, or labels:NAME of the hub")
        asked = f"annotate labels:{argument}"
        network = find_network(argument, asked)
        classes = classes or cityscapes()
        return cls(network, classes, _table(network, classes, asked), network.fingerprint(), device)

    @property
    def instances(self) -> bool:
        """Whether it gives instances: it finds objects, and knows a class of the foreground."""
        return self.network.finds_objects and bool(self.countable)

    @property
    def countable(self) -> frozenset[int]:
        """The network's classes that are foreground."""
        foreground = set(self.classes.foreground)
        return frozenset(place for place, index in enumerate(self.table) if index in foreground)

    @property
    def memory(self) -> int | None:
        return None if self.instances else 0

    @property
    def fingerprint(self) -> str:
        return f"{self.made}; classes {', '.join(self.classes.names[index] for index in self.table)}; v1"

    def begin(self) -> LabelsPass:
        """See :class:`Annotator`."""
        return LabelsPass(self)


class LabelsPass:
    """One clip's label maps: holds the network, and where its objects were last."""

    def __init__(self, of: Labels) -> None:
        self._of = of
        self._table = np.array(of.table)
        self._network = SegmentationNetwork(
            of.network, pick_device(of.device), f"annotate labels:{of.network.name}"
        )
        self._track = ObjectTracker()

    def see(self, picture: np.ndarray, time: float) -> None:
        """See :class:`Pass`."""
        if self._of.instances:
            self.draw(picture, time)

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """See :class:`Pass`. Raises ValueError for what is no picture."""
        if problem := picture_problem(picture):
            raise ValueError(problem)
        found = self._network(picture, self._of.countable if self._of.instances else ())
        indices = self._table[found.classes]
        instances = None if found.objects is None else self._track(indices, found.objects)
        return Drawn(self._of.classes.ids(indices), instances=instances)

    def close(self) -> None:
        """Lets go of the network."""
        del self._network


def cityscapes() -> LabelSchema:
    """The classes of Cityscapes by their label ids."""
    return LabelSchema.read(str(resources.files("vid2vid") / "zoo" / "cityscapes.yaml"))


def _table(network: NetworkFiles, classes: LabelSchema, asked: str) -> tuple[int, ...]:
    """For each class of the network its index in a list. Raises UserError."""
    places = {name.lower(): index for index, name in enumerate(classes.names)}
    found = [places.get(name.lower()) for name in network.classes]
    if not any(index is not None and not classes.classes[index].ignore for index in found):
        shown = ", ".join(network.classes[:5])
        raise UserError(
            f"{asked}: none of its classes ({shown} ...) is named as one of the list's; "
            "choose another network, or name a list with --classes"
        )
    ignored = next((index for index, item in enumerate(classes.classes) if item.ignore), None)
    if ignored is None and None in found:
        stranger = network.classes[found.index(None)]
        raise UserError(
            f"{asked}: its class {stranger!r} is not in the list, which ignores none; "
            "add a class with ignore: true"
        )
    return tuple(index if index is not None else ignored or 0 for index in found)
