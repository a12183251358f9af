"""``train``: from a dataset and a recipe to a run folder; the same call resumes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from vid2vid.config import Recipe, load_recipe
from vid2vid.data import Augmentation, Dataset, sequences
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.training.checkpoint import load_checkpoint, save_checkpoint
from vid2vid.training.logging import RunLog, write_sample
from vid2vid.training.looks import learn_styles
from vid2vid.training.start import start_from as begin_with
from vid2vid.training.trainer import Metrics, Trainer
from vid2vid.types import VideoBatch
from vid2vid.video import whole_file
from vid2vid.zoo.files import read_json
from vid2vid.zoo.folder import Model, checkpoint_folders


def train(
    dataset: Path | str,
    recipe: str,
    out: Path | str,
    overrides: Iterable[str] = (),
    *,
    frames: str | None = None,
    start_from: Path | str | None = None,
    device: str = "auto",
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Trains a renderer. Run again with the same folder, it goes on where it stopped.

    Args:
        dataset: a dataset folder, or one clip, or shards in a folder or at an address.
        recipe: name of a recipe of the package, a YAML file, or a run.
        out: the run folder.
        overrides: ``section.key=value`` words.
        frames: the part of each clip to learn from, such as ``0:57``.
        start_from: a model to go on from: each of its networks that has the same shape here (a coarser scale,
            the discriminators) is taken. A run that has a checkpoint goes on from that.
        device: auto, cpu, cuda, cuda:1, mps.
        progress: called after every step with the latest losses.
        say: called with the few lines worth telling (what is resumed, what is missing).

    Returns:
        The newest checkpoint: a model folder.

    Raises:
        UserError: the dataset, the recipe or the run does not fit.
        Diverged: the losses stayed non-finite.
        KeyboardInterrupt: interrupted; the current clip was finished and saved before.
    """
    out = Path(out)
    settings = load_recipe(recipe, overrides)
    _check_folder(out, settings)
    data = open_dataset(dataset, settings, frames)
    run = _Run(out, settings, data, frames or "all", pick_device(device))
    if settings.loss.perceptual and run.trainer.objective.perceptual is None:
        if not (loss := settings.loss).gan + loss.charbonnier + loss.ssim:
            raise UserError(
                f"{recipe}: loss.perceptual alone needs VGG-19 weights in torch's cache; add loss.gan"
            )
        say("no VGG-19 weights in torch's cache: training without the perceptual loss")
    run.begin(start_from, say)
    with RunLog(out, run.trainer.step) as log, _interruptible(say) as interrupted:
        for metrics in run.steps(interrupted):
            log.write(run.trainer.step, run.trainer.frames, metrics)
            progress(run.trainer.step, settings.train.steps, _note(metrics))
        folder = run.save()
        if interrupted():
            raise KeyboardInterrupt(
                f"stopped at step {run.trainer.step}; the same command goes on from there"
            )
    run.sample()
    return folder


class _Run:
    """A run folder and what trains in it. sequence: the number of the next training sequence."""

    def __init__(self, out: Path, settings: Recipe, data: Dataset, frames: str, device: torch.device) -> None:
        self.out, self.settings, self.data = out, settings, data
        torch.manual_seed(settings.train.seed)
        about = {"name": settings.name, "dataset": data.name, "frames": frames}
        rate = data.clips[0].rate
        self.model = Model.build(settings.model, data.schema, settings.data.size, rate, **about)
        self.trainer = Trainer(self.model, settings, device)
        self.sequence = 0

    def begin(self, start: Path | str | None, say: Callable[[str], None]) -> None:
        """From the newest checkpoint, where there is one; else from another model, if one is named."""
        if folders := checkpoint_folders(self.out):
            about = read_json(folders[-1] / "config.json").get("about") or {}
            for key in ("dataset", "frames"):
                if about.get(key) != (mine := self.model.about[key]):
                    raise UserError(
                        f"{self.out}: was trained on {key} {about.get(key)}, not {mine}; name another --out"
                    )
            self.sequence = load_checkpoint(folders[-1], self.trainer)
            say(f"going on from {folders[-1].name}")
        elif start is not None:
            begin_with(start, self.trainer, say)
        self.batches = _batches(
            self.data, self.settings, self.sequence
        )  # complains before anything is written
        with whole_file(self.out / "config.yaml") as temporary:
            temporary.write_text(self.settings.to_yaml(), encoding="utf-8")

    def steps(self, interrupted: Callable[[], bool]) -> Iterator[Metrics]:
        """One optimiser step after the other; checkpoints and samples between sequences."""
        train, trainer = self.settings.train, self.trainer
        saved = sampled = trainer.step
        if trainer.step >= train.steps:
            return
        for batch in self.batches:
            for metrics in trainer.train_sequence(batch, trainer.given_frames(self.sequence)):
                yield metrics
                if trainer.step >= train.steps:
                    return
            self.sequence += 1
            if interrupted():
                return
            if trainer.step - saved >= train.checkpoint_every:
                self.save()
                saved = trainer.step
            if trainer.step - sampled >= train.sample_every:
                self.sample()
                sampled = trainer.step

    def save(self) -> Path:
        """The newest checkpoint's folder."""
        trainer, model = self.trainer, self.model
        about = {**model.about, "steps": trainer.step, "frames_seen": trainer.frames}
        kept = replace(model, renderer=trainer.result, about=about)
        if model.encoder is not None and model.styles is not None:
            learn_styles(model.styles, model.encoder, model.schema, self.data, augmentation(self.settings))
        return save_checkpoint(self.out, kept, trainer, self.sequence, self.settings.train.keep)

    def sample(self) -> None:
        folder = self.out / "samples"
        folder.mkdir(exist_ok=True)
        path = folder / f"step-{self.trainer.step:07d}.mp4"
        write_sample(path, self.trainer.result, self.model, self.data.clips[0])


def _check_folder(out: Path, settings: Recipe) -> None:
    """A folder that holds something else, or another experiment, is not written to."""
    if (out / "config.yaml").is_file():
        if load_recipe(str(out)) != settings:
            raise UserError(f"{out}: holds a run with other settings (config.yaml); name another --out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not a run; name another --out")


def open_dataset(dataset: Path | str, settings: Recipe, frames: str | None) -> Dataset:
    """What a training with these settings reads."""
    data = settings.data
    return Dataset.open(
        dataset,
        condition=data.condition,
        target=data.target,
        size=data.size,
        frames=frames,
        instances=data.instances,
        flow=data.flow,
    )


def _batches(data: Dataset, settings: Recipe, first: int) -> Iterator[VideoBatch]:
    config = settings.data
    return sequences(
        data,
        length=config.sequence,
        batch=config.batch,
        seed=settings.train.seed,
        first_step=first,
        augment=augmentation(settings),
        workers=config.workers,
    )


def augmentation(settings: Recipe) -> Augmentation:
    """How it is varied."""
    config = settings.data
    return Augmentation(
        config.flip, config.scale, config.crop, config.jitter, config.recolour, config.drop, config.wobble
    )


def _note(metrics: Metrics) -> str:
    """The sums a watcher wants, from the terms of a step."""
    generator = sum(value for name, value in metrics.items() if name.startswith("generator/"))
    discriminator = sum(value for name, value in metrics.items() if name.startswith("discriminator/"))
    return f"generator {generator:.2f} discriminator {discriminator:.2f}"


@contextmanager
def _interruptible(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Ctrl-C once asks the loop to stop at the end of the clip; twice stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        say("stopping after this clip (Ctrl-C again stops at once, back to the last checkpoint)")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
