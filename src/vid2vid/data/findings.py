"""What the dataset doctor found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from vid2vid.errors import UserError
from vid2vid.types import Size


@dataclass(frozen=True)
class Finding:
    """One problem: the file or folder, what is wrong with it, the mend.

    severity: "error" stops a training or spoils it; "warning" may be meant.
    """

    file: str
    what: str
    mend: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; {self.mend}"

    @classmethod
    def of(cls, error: UserError, file: str) -> Finding:
        """An error met while reading `file`; its message is "FILE: what; mend"."""
        what, _, mend = str(error).removeprefix(f"{file}: ").partition("; ")
        return cls(file, what, mend or "make it anew")


@dataclass(frozen=True)
class ClassShare:
    """How much of all label maps one class covers: `share` of the pixels, 0 ... 1."""

    id: int
    name: str
    color: tuple[int, int, int]
    share: float


@dataclass(frozen=True)
class Report:
    """The result of a check-up.

    frames: of all clips together (of the part asked for).
    sizes: (width, height) to the number of clips that have it.
    classes: in the order of the class list; empty without label maps.
    """

    findings: tuple[Finding, ...]
    clips: int
    frames: int
    sizes: dict[Size, int]
    classes: tuple[ClassShare, ...] = ()

    @property
    def errors(self) -> int:
        """Findings that are not mere warnings."""
        return sum(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "clips": self.clips,
            "frames": self.frames,
            "sizes": {f"{width}x{height}": count for (width, height), count in self.sizes.items()},
            "classes": [{**asdict(share), "color": list(share.color)} for share in self.classes],
            "findings": [asdict(finding) for finding in self.findings],
        }
