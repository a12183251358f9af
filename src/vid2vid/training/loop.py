"""``train``: from a dataset and a recipe to a run folder; the same call resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from vid2vid.config import Recipe, load_recipe
from vid2vid.data import Clip, Dataset
from vid2vid.device import pick_device
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.training.checkpoint import (
    Scores,
    best_checkpoint,
    load_checkpoint,
    prune,
    save_checkpoint,
    set_aside,
    sweep,
    whole_checkpoint,
)
from vid2vid.training.compiling import compile_networks
from vid2vid.training.footage import augmentation, batches, keep_out, open_dataset
from vid2vid.training.logging import RunLog, write_sample
from vid2vid.training.looks import learn_styles
from vid2vid.training.start import start_from as begin_with
from vid2vid.training.stopping import Asked, stoppable
from vid2vid.training.trainer import Metrics, Trainer
from vid2vid.training.validation import better_by, validate
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
    validate_on: str | None = None,
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
        validate_on: a clip, by its name, or a part of the first one, such as ``57:71``: kept out of training,
            rendered and scored at every checkpoint; the best one by ``train.best`` is kept.
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
        KeyboardInterrupt: interrupted; the current step was finished and saved before. ``Terminated``, where
            it was by SIGTERM.
    """
    out = Path(out)
    settings = load_recipe(recipe, overrides)
    check_folder(out, settings)
    data, held_out = open_dataset(dataset, settings, frames), None
    about = {"dataset": data.name, "frames": frames or "all"}
    if validate_on is not None:
        data, held_out = keep_out(validate_on, dataset, settings, data)
        held_out.prepare()
        about["validated_on"] = validate_on
    run = _Run(out, settings, data, held_out, about, pick_device(device))
    if settings.loss.perceptual and run.trainer.objective.perceptual is None:
        if not (loss := settings.loss).gan + loss.charbonnier + loss.ssim:
            raise UserError(
                f"{recipe}: loss.perceptual alone needs VGG-19 weights in torch's cache; add loss.gan"
            )
        say("no VGG-19 weights in torch's cache: training without the perceptual loss")
    if settings.train.compile and (fault := compile_networks(run.trainer)):
        say(fault)
    run.begin(start_from, say)
    with RunLog(out, run.trainer.step) as log, stoppable(say) as asked:
        for metrics in run.steps(asked):
            log.write(run.trainer.step, run.trainer.frames, metrics)
            progress(run.trainer.step, settings.train.steps, _note(metrics))
            for line in run.trainer.verdicts.warnings():
                say(line)
        if (error := asked()) is not None:
            raise error(f"stopped at step {run.trainer.step}; the same command goes on from there")
        run.sample()
    if best := best_checkpoint(out, settings.train.best, better_by(settings.train.best)):
        say(f"the best by {settings.train.best}: {best.name}")
    return checkpoint_folders(out)[-1]


class _Run:
    """A run folder and what trains in it. held_out: what it is scored on; about: facts for the model card."""

    def __init__(
        self,
        out: Path,
        settings: Recipe,
        data: Dataset,
        held_out: Clip | None,
        about: dict[str, str],
        device: torch.device,
    ) -> None:
        self.out, self.settings, self.data, self.held_out = out, settings, data, held_out
        torch.manual_seed(settings.train.seed)
        schema, rate = data.schema, data.clips[0].rate
        self.model = Model.build(
            settings.model, schema, settings.data.size, rate, name=settings.name, **about
        )
        self.trainer = Trainer(self.model, settings, device)

    def begin(self, start: Path | str | None, say: Callable[[str], None]) -> None:
        """From the newest whole checkpoint, where there is any; else from another model, if one is named."""
        newest, damaged = whole_checkpoint(self.out)
        if newest is not None:
            about = read_json(newest / "config.json").get("about") or {}
            for key in ("dataset", "frames", "validated_on"):
                if about.get(key) != (mine := self.model.about.get(key)):
                    raise UserError(
                        f"{self.out}: was trained with {key} {about.get(key)}, not {mine}; name another --out"
                    )
            load_checkpoint(newest, self.trainer)
        elif start is not None:
            begin_with(start, self.trainer, say)
        # Complains before anything is written.
        self.batches = batches(self.data, self.settings, self.trainer.sequence)
        sweep(self.out)
        for line in set_aside(damaged):
            say(line)
        self._prune()  # a killed training may not have come to it
        if newest is not None:
            say(f"going on from {newest.name}")
        with whole_file(self.out / "config.yaml") as temporary:
            temporary.write_text(self.settings.to_yaml(), encoding="utf-8")

    def steps(self, asked: Asked) -> Iterator[Metrics]:
        """One optimiser step after the other; checkpoints and samples between them.

        What happens after a step depends on its number alone, whenever the training was interrupted.
        """
        train, trainer = self.settings.train, self.trainer
        if trainer.step >= train.steps:
            return
        for batch in self.batches:
            given, rolled = trainer.given_frames(trainer.sequence), trainer.rolled_frames(trainer.sequence)
            for metrics in trainer.train_sequence(batch, given, rolled):
                last = trainer.step == train.steps
                due = last or trainer.step % train.checkpoint_every == 0
                scores = {}
                if due and self.held_out is not None:
                    scores = dict(validate(trainer.result, self.model, self.held_out))
                yield metrics | {f"validation/{key}": x for key, x in scores.items() if x is not None}
                stop = last or asked() is not None
                if due or stop:
                    self.save(scores)
                if trainer.step % train.sample_every == 0 and not last:
                    self.sample()
                if stop:
                    return

    def save(self, scores: Scores) -> None:
        trainer, model = self.trainer, self.model
        about = {**model.about, "steps": trainer.step, "frames_seen": trainer.frames}
        kept = replace(model, renderer=trainer.result, about=about)
        if model.encoder is not None and model.styles is not None:
            learn_styles(model.styles, model.encoder, model.schema, self.data, augmentation(self.settings))
        save_checkpoint(self.out, kept, trainer, scores)
        self._prune()

    def _prune(self) -> None:
        train = self.settings.train
        prune(self.out, train.keep, train.best, better_by(train.best))

    def sample(self) -> None:
        folder = self.out / "samples"
        folder.mkdir(exist_ok=True)
        path = folder / f"step-{self.trainer.step:07d}.mp4"
        write_sample(path, self.trainer.result, self.model, self.data.clips[0])


def check_folder(out: Path, settings: Recipe) -> None:
    """A folder that holds something else, or another experiment, is not written to.

    Raises:
        UserError: it does.
    """
    if (out / "config.yaml").is_file():
        if load_recipe(str(out)) != settings:
            raise UserError(f"{out}: holds a run with other settings (config.yaml); name another --out")
    elif out.exists() and (not out.is_dir() or any(not _left_behind(path) for path in out.iterdir())):
        raise UserError(f"{out}: exists and is not a run; name another --out")


def _left_behind(path: Path) -> bool:
    """By a training that was killed before it had written its first file."""
    return path.name.startswith(".config.yaml.") and path.suffix == ".part"


def _note(metrics: Metrics) -> str:
    """The sums a watcher wants, from the terms of a step."""
    generator = sum(value for name, value in metrics.items() if name.startswith("generator/"))
    discriminator = sum(value for name, value in metrics.items() if name.startswith("discriminator/"))
    return f"generator {generator:.2f} discriminator {discriminator:.2f}"
