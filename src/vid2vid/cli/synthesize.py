"""``vid2vid synthesize``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vid2vid.errors import UserError

if TYPE_CHECKING:
    from vid2vid.inference.synthesize import Rendering
    from vid2vid.video import Camera


def synthesize(
    model: Path,
    conditions: Path | None = None,
    *,
    out: Path | None = None,
    webcam: str | None = None,
    show: bool = False,
    annotate: str | None = None,
    first_frame: list[Path] | None = None,
    style: list[str] | None = None,
    relabel: list[str] | None = None,
    retarget: Path | None = None,
    crop: str | None = None,
    smooth: bool = False,
    frames: str | None = None,
    size: tuple[int, int] | None = None,
    native: bool = False,
    audio_from: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    path: str = "auto",
    seed: int = 0,
) -> None:
    """Render conditions with a trained model: one frame for each of them.

    Args:
        model: a model folder, a run (its newest checkpoint), or a bundled model by name
        conditions: a clip folder, a folder of label maps or pictures, or a video of pictures; with
            --annotate raw frames: a video, a folder of pictures, a clip; with --webcam none
        out (X): a video (.mp4, .mkv, .mov, .webm), or a folder for PNGs named like their conditions
        webcam ([DEVICE]): with --annotate, render what a camera sees, by its number (default: 0) or its name,
            until Ctrl-C, or the window is closed; always its newest frame: those that come while one is
            rendered are dropped and counted. In the video frames stand when they were seen
        show: show the frames in a window, which q closes (default: only with --webcam and without --out)
        annotate (NAME): draw the conditions from raw frames on the way, as prepare --annotate did for the
            training set: edges, sketch, face, pose, labels:NETWORK (a folder or hub id; in the model's
            classes), depth:NETWORK or mask:NETWORK
        first_frame (SOURCE): the first frames: pictures, which come out as they are; or a clip or video,
            whose frames are taken; or an image model, which paints them; or self, for self-made ones
            (default: the model's own image generator, else self-made)
        style (STYLE): how things look, for a model with styles: a number (0 is most common), random (each
            object draws its own), or by class, such as 0,car=random,tree=2; several make a grid
        relabel (OLD=NEW): semantic edits, such as tree=building
        retarget (CLIP): give a driver's landmarks (pose, openpose, face, face_sketch) the place, size and
            proportions of the person of this clip, best the one the model was trained on; a camera is
            first looked through for two seconds, once it sees somebody
        crop (X,Y,W,H|face): use this box of a driver's picture, or the square around its face; a camera is
            first looked through for that, too
        smooth: take the trembling out of a driver's landmarks
        frames (START:STOP): render this part of the conditions, of a camera the first :N (default: all)
        size (WxH): size of the frames (default: what the model was trained at)
        native: keep the size of the conditions instead
        audio_from (VIDEO): carry the sound of this video over (default: none; with --annotate the driver's)
        device: auto, cpu, cuda, cuda:1 or mps
        precision (P): of the convolutions: float32, bf16, fp16; auto is bf16 on GPUs that compute in it
        path (P): how the networks are run: plain, exact (without the work that label maps make needless),
            compiled (slow to start; on a GPU recorded as a CUDA graph, too); auto is compiled on a GPU, else
            exact where there is something to save. What ran is told at the end
        seed: of styles drawn at random

    Example:
        vid2vid synthesize runs/drive data/drive/clip --frames 57: --out drive.mp4
        vid2vid synthesize runs/me driver.mp4 --annotate face --retarget data/me/clip --out new.mp4
        vid2vid synthesize runs/me --webcam --annotate edges
    """
    if (conditions is None) == (webcam is None):
        both = (
            "the camera is the driver; drop CONDITIONS" if conditions else "missing CONDITIONS, or --webcam"
        )
        raise UserError(f"--webcam: {both}" if conditions else f"{both}; see vid2vid synthesize --help")
    if out is None and webcam is None and not show:
        raise UserError("missing --out, or --show; see vid2vid synthesize --help")
    from vid2vid.cli.bar import Bar
    from vid2vid.cli.window import Window
    from vid2vid.inference import synthesize as run
    from vid2vid.video import open_camera

    with ExitStack() as stack:
        seen = show or out is None
        window = stack.enter_context(Window(f"vid2vid: {model}")) if seen else None
        camera = None if webcam is None else stack.enter_context(open_camera(webcam))
        made = run(
            model,
            camera or conditions or "",
            out,
            show=window,
            annotate=annotate,
            first_frames=first_frame or (),
            styles=style or (),
            relabel=relabel or (),
            retarget=retarget,
            crop=crop,
            smooth=smooth,
            frames=frames,
            size=size,
            native=native,
            audio_from=audio_from,
            device=device,
            precision=precision,
            path=path,
            seed=seed,
            progress=stack.enter_context(Bar("synthesize")),
        )
    print(_told(made, out, camera))
    if camera is not None and camera.fault is not None:
        raise UserError(f"{camera.name}: {camera.fault}; all frames before that are rendered")


def _told(made: Rendering, out: Path | None, camera: Camera | None) -> str:
    line = f"{made.frames} frame{'' if made.frames == 1 else 's'}"
    if camera is not None:
        line += f" rendered, {camera.dropped} dropped"
    where = "" if out is None else f" in {out}"
    return f"{line}{where}: {made.seconds:.1f} s, {made.rate:.3g} frames a second ({made.running})"
