"""Benchmarks of the field as presets: which frames, at which size, averaged how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vid2vid.errors import UserError
from vid2vid.evaluation.comparison import Comparison
from vid2vid.types import Size


@dataclass(frozen=True)
class Protocol:
    """about: what it is, for reports. size: frames are scored at it; None: as the real ones are.

    given: leading frames that were observed; scored: how many are scored after them, None: all.
    keys: the metrics it is about. horizons: running means over the first k scored frames are reported.
    clip_length: frames of each clip, where the benchmark fixes it.
    """

    name: str
    about: str
    keys: tuple[str, ...]
    size: Size | None = None
    given: int = 0
    scored: int | None = None
    horizons: tuple[int, ...] = ()
    clip_length: int | None = None

    def settle(self, size: Size | None, given: int) -> tuple[Size | None, int]:
        """Size and given frames to score with.

        Raises:
            UserError: others were asked for.
        """
        if given and given != self.given:
            raise UserError(f"--given {given}: protocol {self.name} gives {self.given} frames; leave it out")
        if size and self.size and size != self.size:
            raise UserError(
                f"--size {size[0]}x{size[1]}: protocol {self.name} scores at {self.size[0]}x{self.size[1]}; "
                f"leave it out"
            )
        return self.size or size, self.given

    def check(self, comparisons: Sequence[Comparison]) -> None:
        """Raises UserError where a clip has not the frames that the protocol wants."""
        for comparison in comparisons:
            count = len(comparison.matching)
            wanted = None if self.scored is None else self.given + self.scored
            wanted = self.clip_length or wanted
            if wanted is not None and count != wanted:
                raise UserError(
                    f"{comparison.real.path}: {count} frames are compared, but protocol {self.name} wants "
                    f"{wanted}; choose them with --frames START:STOP"
                )
            if self.size is None and comparison.size != comparison.real.size:
                (a, b), (c, d) = comparison.size, comparison.real.size
                raise UserError(
                    f"{comparison.fakes[0].path}: {a}x{b}, but protocol {self.name} scores at the real "
                    f"clip's {c}x{d}; make the frames of that size"
                )

    def report(self, comparisons: Sequence[Comparison]) -> dict[str, Any]:
        """Its figures: per system and metric the mean of all scored frames, or a running mean per horizon;
        each clip counts once."""
        names = [system.name for system in comparisons[0].systems if system.kind != "real"]
        figures: dict[str, dict[str, Any]] = {}
        for place, name in enumerate(names, start=1):
            clips = [comparison.systems[place] for comparison in comparisons]
            for key in self.keys:
                curves = [
                    [
                        value
                        for metric in clip.metrics
                        if metric.key == key
                        for value in metric.curve
                        if value is not None
                    ]
                    for clip in clips
                ]
                spans: dict[str, int | None] = {f"first {k}": k for k in self.horizons} or {"all": None}
                figures.setdefault(name, {})[key] = {
                    span: _mean([_mean(curve[:count]) for curve in curves]) for span, count in spans.items()
                }
        return {"name": self.name, "about": self.about, "keys": list(self.keys), "figures": figures}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


PROTOCOLS = (
    Protocol(
        "cityscapes-prediction",
        "Future frames of Cityscapes (Gao et al. 2019 and after): 1024x512, 4 frames observed, the next 10 "
        "predicted; MS-SSIM and LPIPS as running means over the first 1, 3, 5 and 10 predicted frames of "
        "each clip, then over clips. Published tables give MS-SSIM times 100.",
        ("ms_ssim", "lpips"),
        size=(1024, 512),
        given=4,
        scored=10,
        horizons=(1, 3, 5, 10),
    ),
    Protocol(
        "street-synthesis",
        "Label maps to street video (Wang et al. 2018): clips of 30 frames, one feature vector a clip by "
        "I3D and by ResNeXt-101 (--features script:FILE:30 for each), Frechet distance over the clips. The "
        "frames' own figures stand beside it; the paper gave none.",
        ("warping_error", "ms_ssim", "lpips"),
        clip_length=30,
    ),
    Protocol(
        "deraining",
        "Rain removed (NTURain, Chen et al. 2018): PSNR and SSIM of every frame at its own size, means over "
        "the frames of a clip, then over clips. PSNR on RGB; tables made on luma differ by about 1 to 2 dB.",
        ("psnr", "ssim"),
    ),
    Protocol(
        "sign-language",
        "People signing (Saunders et al. 2020 and after): SSIM of every frame at its own size, means over "
        "the frames of a clip, then over clips.",
        ("ssim",),
    ),
)


def open_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        UserError: there is none.
    """
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    raise UserError(f"--protocol {name}: not known; there are {', '.join(p.name for p in PROTOCOLS)}")
