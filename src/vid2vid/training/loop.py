"""``train``: from a dataset and a recipe to a run folder; the same call resumes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import torch

from vid2vid.config import Recipe, load_recipe
from vid2vid.data import Augmentation, Dataset, sequences
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.training.checkpoint import load_checkpoint, save_checkpoint
from vid2vid.training.logging import RunLog, write_sample
from vid2vid.training.trainer import Metrics, Trainer
from vid2vid.zoo.folder import Model, checkpoint_folders


def train(
    dataset: Path | str,
    recipe: str,
    out: Path | str,
    overrides: Iterable[str] = (),
    *,
    frames: str | None = None,
    device: str = "auto",
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Trains a renderer. Run again with the same folder, it goes on where it stopped.

    Args:
        dataset: a dataset folder, or one clip.
        recipe: name of a recipe of the package, a YAML file, or a run.
        out: the run folder.
        overrides: ``section.key=value`` words.
        frames: the part of each clip to learn from, such as ``0:57``.
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
    _claim(out, settings)
    data = _open(dataset, settings, frames)
    rate = getattr(data.clips[0], "rate", Fraction(25))
    torch.manual_seed(settings.train.seed)
    model = Model.build(
        settings.model, data.schema, settings.data.size, rate, name=settings.name, dataset=data.name
    )
    trainer = Trainer(model.renderer, data.schema, settings, pick_device(device))
    if settings.loss.perceptual and trainer.objective.perceptual is None:
        say("no VGG-19 weights in torch's cache: training without the perceptual loss")
    sequence = _resume(out, trainer, say)
    (out / "config.yaml").write_text(settings.to_yaml())

    def save() -> Path:
        about = {**model.about, "recipe": settings.name, "steps": trainer.step, "frames_seen": trainer.frames}
        kept = Model(trainer.result, model.architecture, model.schema, model.size, model.rate, about)
        return save_checkpoint(out, kept, trainer, sequence, settings.train.keep)

    total = settings.train.steps
    saved = trainer.step
    sampled = trainer.step
    with RunLog(out, trainer.step) as log, _interruptible(say) as interrupted:
        for batch in _batches(data, settings, sequence):
            if trainer.step >= total or interrupted():
                break
            for metrics in trainer.train_sequence(batch, trainer.given_frames(sequence)):
                log.write(trainer.step, trainer.frames, metrics)
                progress(min(trainer.step, total), total, _note(metrics))
            sequence += 1
            if trainer.step - saved >= settings.train.checkpoint_every:
                save()
                saved = trainer.step
            if trainer.step - sampled >= settings.train.sample_every:
                _sample(out, trainer, data)
                sampled = trainer.step
        folder = save() if trainer.step > 0 else out
        if interrupted():
            raise KeyboardInterrupt
    _sample(out, trainer, data)
    return folder


def _claim(out: Path, settings: Recipe) -> None:
    """A folder that holds something else, or another experiment, is not written to."""
    if (out / "config.yaml").is_file():
        if load_recipe(str(out)) != settings:
            raise UserError(f"{out}: holds a run with other settings (config.yaml); name another --out")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists and is not a run; name another --out")
    out.mkdir(parents=True, exist_ok=True)


def _open(dataset: Path | str, settings: Recipe, frames: str | None) -> Dataset:
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


def _resume(out: Path, trainer: Trainer, say: Callable[[str], None]) -> int:
    folders = checkpoint_folders(out)
    if not folders:
        return 0
    sequence = load_checkpoint(folders[-1], trainer)
    say(f"going on from {folders[-1].name}")
    return sequence


def _batches(data: Dataset, settings: Recipe, first: int) -> Iterator:
    config = settings.data
    augment = Augmentation(flip=config.flip, scale=config.scale, crop=config.crop, jitter=config.jitter)
    return sequences(
        data,
        length=config.sequence,
        batch=config.batch,
        seed=settings.train.seed,
        first_step=first,
        augment=augment,
        workers=config.workers,
    )


def _sample(out: Path, trainer: Trainer, data: Dataset) -> None:
    folder = out / "samples"
    folder.mkdir(exist_ok=True)
    clip = data.clips[0]
    rate = float(getattr(clip, "rate", 25))
    write_sample(folder / f"step-{trainer.step:07d}.mp4", trainer.result, data.schema, clip, rate)


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
