"""Is the game between the networks still one? Warns of a discriminator that always wins, or never."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

SPAN = 1000
"""Steps that a running mean looks back, and before which nothing is said."""

WON, LOST = 0.01, 0.249
"""Mean squared error of a verdict on real and fake: 0 is never wrong, 1/4 as good as no opinion."""


class Verdicts:
    """Running means of how wrong each discriminator is.

    scales: resolutions each looks at; their errors come summed. means: by discriminator, (mean, steps).
    """

    def __init__(self, scales: int) -> None:
        self.scales = scales
        self.means: dict[str, tuple[float, int]] = {}
        self._told: set[str] = set()

    def update(self, metrics: Mapping[str, float]) -> None:
        """The metrics of one step, finite."""
        for name, on_real in metrics.items():
            if not (name.startswith("discriminator/") and name.endswith("real")):
                continue
            who = name.removeprefix("discriminator/").removesuffix("real")
            on_fake = metrics[f"discriminator/{who}fake"]
            count = 1 if who.startswith("video_") else 2  # both terms of a video discriminator come halved
            error = (on_real + on_fake) / count / self.scales
            mean, steps = self.means.get(who, (0.0, 0))
            steps = min(steps + 1, SPAN)
            self.means[who] = mean + (error - mean) / steps, steps

    def warnings(self) -> Iterator[str]:
        """One line for each discriminator that has won or lost wholly, and for each but once."""
        for who, (mean, steps) in self.means.items():
            if steps < SPAN or who in self._told or WON < mean < LOST:
                continue
            self._told.add(who)
            name = {"": "image", "face_": "face"}.get(who) or who.strip("_").replace("_", " discriminator ")
            name += "" if " " in name else " discriminator"
            if mean <= WON:
                yield (
                    f"the {name} is never wrong any more, and what is never believed learns nothing from it; "
                    "lower train.discriminator_lr"
                )
            else:
                yield (
                    f"the {name} cannot tell what is real, and teaches nothing; raise "
                    "train.discriminator_lr or discriminator.width"
                )
