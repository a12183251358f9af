"""Where people are, by a segmentation network of transformers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vid2vid.annotators.networks import NetworkFiles, find_network
from vid2vid.annotators.protocol import Drawn, picture_problem
from vid2vid.annotators.segmentation import SegmentationNetwork
from vid2vid.device import pick_device
from vid2vid.errors import UserError

_PEOPLE = frozenset({"person", "people", "human", "pedestrian", "rider", "bicyclist", "motorcyclist"})
"""With one of these words in its name a class is people's."""


@dataclass(frozen=True)
class Mask:
    """People white on black, each picture for itself.

    people: the network's classes that are people. made: what the masks depend on.
    """

    network: NetworkFiles
    people: tuple[int, ...]
    made: str
    device: str = "auto"

    name = "mask"
    result = "mask"
    memory = 0

    @classmethod
    def of(cls, argument: str, device: str = "auto") -> Mask:
        """With the network in a folder or on the hub. Raises UserError: none is named or found, it knows no
        people."""
        if not argument:
            raise UserError("annotate mask: which network? write mask:FOLDER, or mask:NAME of the hub")
        network = find_network(argument, f"annotate mask:{argument}")
        words = [set(re.findall(r"[a-z]+", name.lower())) for name in network.classes]
        people = tuple(index for index, found in enumerate(words) if found & _PEOPLE)
        if not people:
            shown = ", ".join(network.classes[:5])
            raise UserError(
                f"annotate mask:{argument}: none of its classes ({shown} ...) is people; name another network"
            )
        return cls(network, people, network.fingerprint(), device)

    @property
    def fingerprint(self) -> str:
        return f"{self.made}; classes {', '.join(self.network.classes[index] for index in self.people)}; v1"

    def begin(self) -> MaskPass:
        """See :class:`Annotator`."""
        return MaskPass(self)


class MaskPass:
    """One clip's masks: holds the network."""

    def __init__(self, of: Mask) -> None:
        self._people = of.people
        self._network = SegmentationNetwork(
            of.network, pick_device(of.device), f"annotate mask:{of.network.name}"
        )

    def see(self, picture: np.ndarray, time: float) -> None:
        """Nothing to remember."""

    def draw(self, picture: np.ndarray, time: float) -> Drawn:
        """See :class:`Pass`. Raises ValueError for what is no picture."""
        if problem := picture_problem(picture):
            raise ValueError(problem)
        white = 255 * np.isin(self._network(picture).classes, self._people).astype(np.uint8)
        return Drawn(np.repeat(white[..., None], 3, axis=2))

    def close(self) -> None:
        """Lets go of the network."""
        del self._network
