"""``vid2vid export``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def export(
    model: str,
    *,
    out: Path,
    format: Literal["onnx", "openvino", "torch"] = "onnx",
    size: tuple[int, int] | None = None,
    check: int = 50,
    conditions: Path | None = None,
) -> None:
    """Write a model whose step other runtimes run: onnxruntime, OpenVINO, torch.export.

    The folder is a model like others: synthesize renders with it, at the one size it was made for, in float32
    and on one look at a time. All models can be exported: several scales, foreground networks, styles, given
    flow. A generator of first frames goes along, and runs in torch. It cannot be trained further.

    The file is compared with torch before it is kept, and the model card says how far they are apart.

    Args:
        model (MODEL): a model folder, a run, or a bundled model
        out (FOLDER): the model folder to write
        format: onnx and openvino need pip install 'vid2vid[export]'
        size (WxH): of the frames, once and for all (default: what the model was trained at)
        check (FRAMES): compare so many frames with torch
        conditions (CONDITIONS): compare on these, a clip or a folder (default: moving shapes)

    Example:
        vid2vid export runs/drive --out models/drive-onnx --size 512x256
        vid2vid synthesize models/drive-onnx data/drive/clip --out drive.mp4
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.inference import export as run

    with Bar("export") as progress:
        facts = run(
            model,
            out,
            format=format,
            size=size,
            check=check,
            conditions=conditions,
            progress=progress,
        )
    parity = facts["parity"]
    print(
        f"Model: {out}; a step differs from torch by {parity['per step']:.1e} at most, "
        f"{parity['frames']} frames on their own by {parity['divergence']:.1e}"
    )
