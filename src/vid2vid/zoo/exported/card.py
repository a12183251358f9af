"""What the model card says of a step file."""

from __future__ import annotations

from vid2vid.zoo.exported.ports import NEXT, Port
from vid2vid.zoo.exported.renderer import ExportedRenderer


def step_card(renderer: ExportedRenderer) -> list[str]:
    """Lines of Markdown: how another program runs the file, and what was measured when it was written."""
    facts, ports = renderer.facts, renderer.ports
    parity, tools = (
        facts["parity"],
        ", ".join(f"{name} {version}" for name, version in facts["tools"].items()),
    )
    width, height = ports.size
    lines = [
        f"## The step, as {facts['format']}",
        "",
        f"`{facts['file']}` makes one frame of {width}x{height} in float32, batch 1 ({tools}).",
        "",
        "| input | shape |",
        "| --- | --- |",
        *(_row(port) for port in ports.inputs),
        "",
        "| output | shape |",
        "| --- | --- |",
        *(_row(port) for port in ports.outputs),
    ]
    if ports.feedback:
        lines += [
            "",
            f"Every output `{NEXT}X` is the input `X` of the next step. Before the first one `filled` is 0, "
            "all frames are zero, and every past condition is the first one (padded by reflection and pooled "
            "to the shapes above, where these are others).",
        ]
    lines += [
        "",
        f"Measured against torch when it was written, over {parity['frames']} frames "
        f"({parity['conditions']}); a frame's range is 2:",
        "",
        f"- parity: no value of a step (frame and state) differs by more than {parity['per step']:.1e} where "
        "both are given the same state;",
        f"- divergence, each on its own state: at most {parity['divergence']:.1e}, in the last frame "
        f"{parity['divergence of the last frame']:.1e} on average; PSNR of the worst frame "
        f"{parity['PSNR of the worst frame']:.1f} dB.",
    ]
    return lines


def _row(port: Port) -> str:
    kind = "" if port.dtype.is_floating_point else " int64"
    return f"| `{port.name}` | {'x'.join(map(str, port.shape)) or 'one number'}{kind} |"
