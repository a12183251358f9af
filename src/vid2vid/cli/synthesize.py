"""``vid2vid synthesize``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vid2vid.errors import UserError

if TYPE_CHECKING:
    from vid2vid.inference.synthesize import Rendering
    from vid2vid.video import Live


def synthesize(
    model: Path,
    conditions: Path | None = None,
    *,
    out: str | None = None,
    format: str | None = None,
    drop: bool = False,
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
            --annotate raw frames: a video, a folder of pictures, a clip; with --webcam none. Or - (or a
            named pipe): PNGs one after the other, such as label maps; or, where pictures or raw frames are
            wanted, a video stream (MPEG-TS, Matroska, MJPEG, Y4M)
        out (X): a video (.mp4, .mkv, .mov, .webm), or a folder for PNGs named like their conditions; or - for
            standard output, or an address to send to: rtsp://, rtmp://, http://, udp://, srt://, tcp://
        format (F): of what is sent: mpegts (default), matroska, or, to standard output, raw: RGB bytes alone
        drop: of a pipe render always the newest picture, and count those that are dropped (default: whoever
            writes has to wait)
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
        simulator | vid2vid synthesize runs/drive - --out udp://127.0.0.1:5000
    """
    _check(conditions, webcam, bool(out or show))
    from vid2vid.cli.bar import Bar
    from vid2vid.cli.window import Window
    from vid2vid.inference import synthesize as run

    with ExitStack() as stack:
        live = _opened(conditions, webcam, drop, stack)
        seen = show or out is None
        window = stack.enter_context(Window(f"vid2vid: {model}")) if seen else None
        made = run(
            model,
            live or conditions or "",
            out,
            format=format,
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
    # What is piped on is frames alone.
    print(_told(made, out, live), file=sys.stderr if out == "-" else sys.stdout)
    if live is not None and live.fault is not None:
        raise UserError(f"{live.name}: {live.fault}; all frames before that are rendered")


def _check(conditions: Path | None, webcam: str | None, goes_somewhere: bool) -> None:
    if conditions is not None and webcam is not None:
        raise UserError("--webcam: the camera is the driver; drop CONDITIONS")
    if conditions is None and webcam is None:
        raise UserError("missing CONDITIONS, or --webcam; see vid2vid synthesize --help")
    if webcam is None and not goes_somewhere:
        raise UserError("missing --out, or --show; see vid2vid synthesize --help")


def _opened(conditions: Path | None, webcam: str | None, drop: bool, stack: ExitStack) -> Live | None:
    """The camera or the pipe that is to be rendered; None: something on disk."""
    from vid2vid.video import is_pipe, open_camera, open_pipe

    if webcam is not None:
        return stack.enter_context(open_camera(webcam))
    assert conditions is not None
    if is_pipe(conditions):
        return stack.enter_context(open_pipe(conditions, drop))
    if drop:
        raise UserError(f"--drop: {conditions} is no pipe; every frame of it can be rendered")
    return None


def _told(made: Rendering, out: str | None, live: Live | None) -> str:
    line = f"{made.frames} frame{'' if made.frames == 1 else 's'}"
    if live is not None:
        line += f" rendered, {live.dropped} dropped"
    where = "" if out is None else f" in {out}"
    return f"{line}{where}: {made.seconds:.1f} s, {made.rate:.3g} frames a second ({made.running})"
