"""vid2vid: turn label maps, sketches, poses or degraded frames into coherent video, frame by frame."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vid2vid.data.doctor import check_dataset as check
    from vid2vid.data.prepare import prepare
    from vid2vid.evaluation import evaluate
    from vid2vid.experiments import ablate
    from vid2vid.inference import export, stream, synthesize
    from vid2vid.prediction import predict
    from vid2vid.preference.conduct import study
    from vid2vid.speed import bench
    from vid2vid.training import train
    from vid2vid.zoo import import_checkpoints, info
    from vid2vid.zoo import load_model as load

__version__ = "0.1.0"

_HOMES = {
    "ablate": ("vid2vid.experiments", "ablate"),
    "bench": ("vid2vid.speed", "bench"),
    "check": ("vid2vid.data.doctor", "check_dataset"),
    "evaluate": ("vid2vid.evaluation", "evaluate"),
    "export": ("vid2vid.inference", "export"),
    "import_checkpoints": ("vid2vid.zoo", "import_checkpoints"),
    "info": ("vid2vid.zoo", "info"),
    "load": ("vid2vid.zoo", "load_model"),
    "predict": ("vid2vid.prediction", "predict"),
    "prepare": ("vid2vid.data.prepare", "prepare"),
    "stream": ("vid2vid.inference", "stream"),
    "study": ("vid2vid.preference.conduct", "study"),
    "synthesize": ("vid2vid.inference", "synthesize"),
    "train": ("vid2vid.training", "train"),
}
"""Every verb of the command line as a call, and the two it is built on; imported when first asked for, so
that ``import vid2vid`` stays quick."""

__all__ = [
    "__version__",
    "ablate",
    "bench",
    "check",
    "evaluate",
    "export",
    "import_checkpoints",
    "info",
    "load",
    "predict",
    "prepare",
    "stream",
    "study",
    "synthesize",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vid2vid' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
