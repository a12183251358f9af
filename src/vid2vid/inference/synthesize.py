"""``synthesize``: a model and conditions, from a disk or a camera, to a video, pictures or the eye."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vid2vid.conditions import ConditionSchema
from vid2vid.data import Dataset
from vid2vid.data.crop import Crop, parse_crop
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.inference.accelerate import Running, accelerate, warm_up
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.inference.engine import Landing, Stages, Timing
from vid2vid.inference.first_frame import choose_first_frames
from vid2vid.inference.live_source import LiveSource
from vid2vid.inference.source import ConditionSource, Described
from vid2vid.inference.stream import stream
from vid2vid.inference.styling import Styling
from vid2vid.progress import Progress, silent
from vid2vid.types import Size
from vid2vid.video import Live, PictureWriter, StreamWriter, VideoWriter, is_stream, open_writer
from vid2vid.zoo import Model, load_renderer
from vid2vid.zoo.exported.renderer import ExportedRenderer

LARGEST = 16384
"""Pixels a side of a frame; a larger size is a slip of the finger."""

Show = Callable[[np.ndarray], bool]
"""Shows a picture to somebody; False: they want no more."""

Source = ConditionSource | AnnotatedSource | LiveSource

AHEAD = 2
"""Frames that each stage works ahead, where nobody waits for them."""

FEW = 4
"""Threads of a processor below which the stages take turns: a core taken from the networks for the others is
worth more to the networks. Not so with OpenVINO, whose threads sleep while they wait."""

_Writer = VideoWriter | PictureWriter | StreamWriter


@dataclass(frozen=True)
class Rendering:
    """What has been rendered. frames: as many as there were conditions, unless it was ended; seconds: from
    the first condition to the last frame, without what is done once (loading, warming up); running: by what.
    """

    frames: int
    seconds: float
    running: Running

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0


def synthesize(
    model: Model | Path | str | tuple[Model, Running],
    conditions: Path | str | Live,
    out: Path | str | None = None,
    *,
    format: str | None = None,
    show: Show | None = None,
    annotate: str | None = None,
    first_frames: Sequence[Path | str] = (),
    styles: Sequence[str] = (),
    relabel: Sequence[str] = (),
    retarget: Path | str | None = None,
    crop: Crop | str | None = None,
    smooth: bool = False,
    frames: str | None = None,
    size: Size | None = None,
    native: bool = False,
    audio_from: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    path: str = "auto",
    seed: int = 0,
    ahead: int | None = None,
    timing: Timing | None = None,
    progress: Progress = silent,
) -> Rendering:
    """Renders one frame for every condition, in constant memory.

    Conditions are read and described, frames made and written at the same time, each in a thread of its own;
    they are the frames that ``stream`` gives.

    Args:
        model: a model, its folder, a run, or the name of a bundled model; or what ``accelerate`` has made of
            one, on the device.
        conditions: a clip folder, a folder of condition pictures, or a video of them; or an open pipe that
            they come through (``video.open_pipe``).
        out: a video file (.mp4, .mkv, .mov, .webm), or a folder for PNGs named like their conditions; or "-"
            or an address, see ``video.StreamWriter``, which also takes ``format``; None: nothing is written.
        show: is given every picture, (H, W, 3) uint8, when it is made; where it says False, it was the last.
        annotate: the conditions are still to be drawn, by this annotator ("edges", ...); ``conditions`` then
            is the driver: a video, a folder of pictures or a clip, of which the frames are taken, or an open
            camera or pipe. From a camera the newest frame is rendered, others are dropped. What is live ends
            well at Ctrl-C.
        first_frames: where the first frames come from; see ``choose_first_frames``. None: the model's image
            generator, if it has one, else the renderer makes its own.
        styles: how objects look, for a model with styles; see ``Styling``. Several are rendered at once, side
            by side.
        relabel: semantic edits, such as ``tree=building``.
        retarget: the clip of the person to be shown, where conditions are drawn from landmarks: place, size
            and proportions become this person's; see ``annotators.retarget``.
        crop: with ``annotate``, the part of the driver's picture that is used: a box, or "face" for the
            square around its face, as ``prepare`` takes it.
        smooth: take the trembling out of landmarks.
        frames: a part of the conditions, such as ``55:71``.
        size: (width, height) of the frames; default: what the model was trained at.
        native: keep the size of the conditions instead.
        audio_from: a video whose sound is carried over; None: the driver, where it has sound.
        device: auto, cpu, cuda, cuda:1, mps.
        precision, path: how the networks are run; see ``accelerate``.
        seed: of what is random: styles that are drawn.
        ahead: frames that each stage works ahead, see ``Stages``. 0: one thing after the other, without
            threads. None: 1 from a camera, else 2, but 0 on a processor of few cores.
        timing: is told what took how long.
        progress: called after every frame.

    Raises:
        UserError: model, conditions or pictures are missing, damaged or of the wrong kind.
    """
    where = pick_device(device)
    if isinstance(model, tuple):
        renderer, running = model
    else:
        loaded = load_renderer(model, where).to(where)
        renderer, running = accelerate(loaded, where, precision, path)
    wanted = None if native else _checked(size or renderer.size)
    subject = None if retarget is None else Path(retarget)
    part = None if crop is None else parse_crop(crop)
    live = conditions if isinstance(conditions, Live) else None
    driver = live or Path(str(conditions))
    source = _open(driver, annotate, renderer, wanted, frames, relabel, subject, part, smooth, device)
    if isinstance(source, AnnotatedSource) and not is_stream(out):
        audio_from = audio_from or source.sound
    renderer, given = choose_first_frames(renderer, first_frames, source, where)
    looks: list[Styling | None] = [Styling(renderer, style, seed) for style in styles]
    if not looks:
        looks = [Styling(renderer, seed=seed) if renderer.architecture.styles else None]
    if running.warms:
        warm_up(renderer, source.size, len(looks))
    first = [frame.expand(len(looks), -1, -1, -1) for frame in given]
    clip = Path(str(conditions)) if renderer.architecture.given_flow else None
    job = _Job(renderer, source, looks, first, where, clip, live)
    rate = source.rate or renderer.rate
    begun = time.perf_counter()
    with (
        nullcontext() if out is None else _writer(out, rate, audio_from, format) as writer,
        Stages(_ahead(live, where, renderer) if ahead is None else ahead) as stages,
    ):
        done = job.run(stages, writer, show, timing, progress)
        seconds = time.perf_counter() - begun
    return Rendering(done, seconds, running)


@dataclass(frozen=True)
class _Job:
    """What a rendering needs, settled before it begins. clip: has the flow, where it is given."""

    model: Model
    source: Source
    looks: Sequence[Styling | None]
    first: Sequence[Tensor]
    device: torch.device
    clip: Path | None
    live: Live | None

    def run(
        self,
        stages: Stages,
        writer: _Writer | None,
        show: Show | None,
        timing: Timing | None,
        progress: Progress,
    ) -> int:
        """Renders all; how many frames these were."""
        live, done = self.live, 0
        if timing is not None:
            timing.stages = stages.seconds
        try:
            for condition, landing in self._frames(stages, timing):
                with stages.timed("encode"):
                    picture = _grid(landing.pictures())
                    if writer is not None:
                        _write(writer, picture, condition)
                done += 1
                if timing is not None:
                    timing.done.append(time.perf_counter())
                progress(done, self.source.total, f"{live.dropped} dropped" if live else "")
                if show is not None and not show(picture):
                    break
        except KeyboardInterrupt:  # how a camera is ended
            if live is None or not done:
                raise
        finally:
            if live is not None:
                live.stop()  # a thread that waits for its next picture waits no more
        return done

    def _frames(self, stages: Stages, timing: Timing | None) -> Iterator[tuple[Described, Landing]]:
        """Each with the name and the time of its condition."""
        waiting: deque[Described] = deque()
        described: Iterable[Described] = self.source if timing is None else timing.noting(self.source)
        if stages.ahead != 1:  # else a condition would grow old between the two
            described = stages.run("decode", described)
        encoded = _encoded(described, self.model.schema, self.looks, self.device, waiting)
        if self.clip is not None:
            encoded = _with_flow(encoded, self.clip, self.source)
        frames = stream(self.model, stages.run("condition", encoded), self.first)
        for landing in stages.run("generate", map(Landing, frames), alone=False):
            yield waiting.popleft(), landing


def _ahead(live: Live | None, device: torch.device, model: Model) -> int:
    if live is not None:
        return 1
    if device.type != "cpu" or torch.get_num_threads() >= FEW:
        return AHEAD
    exported = model.renderer.facts if isinstance(model.renderer, ExportedRenderer) else {}
    return 1 if exported.get("format") == "openvino" else 0


def _open(
    driver: Path | Live,
    annotate: str | None,
    model: Model,
    size: Size | None,
    frames: str | None,
    relabel: Sequence[str],
    retarget: Path | None,
    crop: Crop | None,
    smooth: bool,
    device: str,
) -> Source:
    if annotate is None:
        if crop is not None:
            raise UserError("--crop: is for raw frames; add --annotate, or prepare the conditions cropped")
        if isinstance(driver, Live):
            if retarget is not None or smooth:
                word = "--smooth" if retarget is None else f"--retarget {retarget}"
                raise UserError(f"{word}: {driver.name} holds no landmarks; add --annotate, or drop it")
            return LiveSource(driver, model.schema, size, frames, relabel)
        return ConditionSource(driver, model.schema, size, frames, relabel, retarget, smooth)
    if model.architecture.given_flow:
        raise UserError(
            f"--annotate {annotate}: this model is handed the flow of real frames; make a clip of the driver "
            "with vid2vid prepare --annotate, and render that"
        )
    return AnnotatedSource(
        driver,
        annotate,
        model.schema,
        size,
        frames,
        crop=crop,
        retarget=retarget,
        smooth=smooth,
        relabel=relabel,
        device=device,
    )


def _encoded(
    described: Iterable[Described],
    schema: ConditionSchema,
    looks: Sequence[Styling | None],
    device: torch.device,
    waiting: deque[Described],
) -> Iterator[Tensor]:
    """(looks, C, H, W) per frame: its condition, in every look. Names and times of those that are not frames
    yet are in ``waiting``."""
    for item in described:
        waiting.append(Described(item.name, item.time))
        condition = item.encode(schema, device)
        objects = item.objects(schema, condition)
        yield torch.cat(
            [condition if look is None else torch.cat([condition, look(objects)], 1) for look in looks]
        )


def _with_flow(encoded: Iterator[Tensor], clip: Path, source: Source) -> Iterator[Tensor]:
    """Conditions with the flow of the clip's real frames, for a model that does not predict its own."""
    if not clip.is_dir():
        raise UserError(f"{clip}: this model is handed the flow of real frames; give a clip folder with them")
    real = Dataset.open(clip, condition=source.schema.name, size=source.size, flow="auto").clips[0]
    for t, condition in zip(source.picks, encoded, strict=True):
        flow = torch.from_numpy(real.flow(t))[None].to(condition)
        yield torch.cat([condition, flow.expand(len(condition), -1, -1, -1)], dim=1)


def _grid(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of one size in rows, as near to a square of them as can be."""
    columns = math.ceil(math.sqrt(len(pictures)))
    blank = np.zeros_like(pictures[0])
    cells = pictures + [blank] * (-len(pictures) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=0)


def _checked(size: Size) -> Size:
    if not 1 <= min(size) <= max(size) <= LARGEST:
        raise UserError(f"size {size[0]}x{size[1]}: frames have 1 to {LARGEST} pixels a side; choose another")
    return size


def _writer(out: Path | str, rate: Fraction, audio_from: Path | str | None, format: str | None) -> _Writer:
    if is_stream(out):
        if audio_from is not None:
            raise UserError(f"--audio-from {audio_from}: {out} is sent without sound; drop it")
        return StreamWriter(str(out), rate, format=format)
    if format is not None:
        raise UserError(f"--format {format}: is for streams; the suffix of {out} says what a file is")
    return open_writer(out, rate, audio_from=audio_from)


def _write(writer: _Writer, picture: np.ndarray, condition: Described) -> None:
    if isinstance(writer, PictureWriter):
        # The suffix is given too, or a condition "a.jpg.png" would become a lossy a.jpg.
        writer.write(picture, name=condition.name and f"{condition.name}{writer.suffix}")
    else:
        writer.write(picture, condition.time)
