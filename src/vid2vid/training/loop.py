"""``train``: from a dataset and a recipe to a run folder; the same call resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vid2vid.config import Recipe, load_recipe
from vid2vid.data import Clip, Dataset
from vid2vid.errors import UserError
from vid2vid.progress import Progress, silent
from vid2vid.training.checkpoint import (
    Scores,
    best_checkpoint,
    digest,
    load_checkpoint,
    prune,
    save_checkpoint,
    set_aside,
    shared,
    sweep,
    whole_checkpoint,
)
from vid2vid.training.compiling import compile_networks
from vid2vid.training.distributed import Team, together
from vid2vid.training.footage import augmentation, batches, keep_out, open_dataset
from vid2vid.training.freezing import freeze as freeze_parts
from vid2vid.training.logging import RunLog, write_sample
from vid2vid.training.looks import learn_styles
from vid2vid.training.partner import partner, with_partner
from vid2vid.training.run_page import command_line, write_run_page
from vid2vid.training.start import start_from as begin_with
from vid2vid.training.stopping import ECHO, Asked, stoppable
from vid2vid.training.teaching import Teacher
from vid2vid.training.trainer import Metrics, Trainer
from vid2vid.training.validation import better_by, validate
from vid2vid.video import whole_file
from vid2vid.zoo.files import read_json
from vid2vid.zoo.folder import Model, checkpoint_folders, with_learners


def train(
    dataset: Path | str,
    recipe: str,
    out: Path | str,
    overrides: Iterable[str] = (),
    *,
    frames: str | None = None,
    validate_on: str | None = None,
    start_from: Path | str | None = None,
    freeze: Sequence[str] = (),
    teacher: Path | str | None = None,
    renderer: Path | str | None = None,
    device: str = "auto",
    progress: Progress = silent,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Trains a renderer. Run again with the same folder, it goes on where it stopped. Several processes that
    torchrun has started train together (see ``training.distributed``); the first writes and says.

    Args:
        dataset: a dataset folder, or one clip, or shards in a folder or at an address.
        recipe: name of a recipe of the package, a YAML file, or a run.
        out: the run folder.
        overrides: ``section.key=value`` words.
        frames: the part of each clip to learn from, such as ``0:57``.
        validate_on: a clip, by its name, or a part of the first one, such as ``57:71``: kept out of training,
            rendered and scored at every checkpoint; the best one by ``train.best`` is kept.
        start_from: a model to go on from: each of its networks that has the same shape here (a coarser scale,
            the discriminators) is taken, and what it knows of classes of the same name. A run that has a
            checkpoint goes on from that.
        freeze: parts of the generator that do not learn (see ``training.freezing.parts``).
        teacher: a model whose video of the same conditions is learnt, not the real one.
        renderer: where ``train.joint`` is set, the renderer that learns together with the forecaster; the
            checkpoints hold both. Default: the one that ``start_from`` holds.
        device: auto, cpu, cuda, cuda:1, mps; of several processes on a machine each takes a GPU of its own.
        progress: called after every step with the latest losses.
        say: called with the few lines worth telling (what is resumed, what is missing).

    Returns:
        The newest checkpoint: a model folder.

    Raises:
        UserError: the dataset, the recipe or the run does not fit.
        Diverged: the losses stayed non-finite.
        Disbanded: another process of the training is gone.
        KeyboardInterrupt: interrupted; the current step was finished and saved before. ``Terminated``, where
            it was by SIGTERM.
    """
    out = Path(out)
    overrides = list(overrides)
    settings = load_recipe(recipe, overrides)
    words: dict[str, object] = {
        "recipe": recipe,
        "out": out,
        "frames": frames,
        "validate": validate_on,
        "start-from": start_from,
    }
    words |= {"freeze": freeze, "teacher": teacher, "renderer": renderer, "device": device}
    command = command_line(dataset, overrides, words)
    shown_by = partner(settings, recipe, renderer, start_from)
    order = _Order(dataset, recipe, out, settings, frames, validate_on, freeze, teacher, shown_by, command)
    with together(device) as (team, chosen):
        if not team.leads:
            progress, say = silent, lambda line: None
        run = _opened(order, chosen, team, say)
        run.begin(start_from, say)
        stopped = _go(run, progress, say)
        team.wait()
    if stopped is not None:
        raise stopped(f"stopped at step {run.trainer.step}; the same command goes on from there")
    if best := best_checkpoint(out, settings.train.best, better_by(settings.train.best)):
        say(f"the best by {settings.train.best}: {best.name}")
    return checkpoint_folders(out)[-1]


@dataclass(frozen=True)
class _Order:
    """What ``train`` was asked for; command: in the words of the command line."""

    dataset: Path | str
    recipe: str
    out: Path
    settings: Recipe
    frames: str | None
    validate_on: str | None
    freeze: Sequence[str]
    teacher: Path | str | None
    renderer: Path | str | None
    command: str


def _opened(order: _Order, device: torch.device, team: Team, say: Callable[[str], None]) -> _Run:
    settings = order.settings
    check_folder(order.out, settings)
    data, held_out, teacher = open_dataset(order.dataset, settings, order.frames), None, None
    about = {"dataset": data.name, "frames": order.frames or "all"}
    if order.validate_on is not None:
        data, held_out = keep_out(order.validate_on, order.dataset, settings, data)
        held_out.prepare()
        about["validated_on"] = order.validate_on
    if order.freeze:
        about["frozen"] = ", ".join(sorted(set(order.freeze)))
    if order.teacher is not None:
        if settings.model.network == "forecast":
            raise UserError("--teacher: shows frames, and a forecaster learns conditions; leave it out")
        teacher = Teacher.open(order.teacher, data.schema, device)
        about["teacher"] = teacher.name
    if order.renderer is not None:
        about["renderer"] = str(order.renderer)
    run = _Run(order, data, held_out, about, device, team, teacher)
    if settings.loss.perceptual and run.trainer.objective.perceptual is None:
        if not (loss := settings.loss).gan + loss.charbonnier + loss.ssim:
            raise UserError(
                f"{order.recipe}: loss.perceptual alone needs VGG-19 weights in torch's cache; add loss.gan"
            )
        say("no VGG-19 weights in torch's cache: training without the perceptual loss")
    if settings.train.compile and (fault := compile_networks(run.trainer)):
        say(fault)
    return run


def _go(run: _Run, progress: Progress, say: Callable[[str], None]) -> type[KeyboardInterrupt] | None:
    """To the end, or until somebody asks to stop: the error to leave with."""
    trainer, team = run.trainer, run.trainer.team
    log = RunLog(run.out, trainer.step) if team.leads else nullcontext()
    with log as run.log, stoppable(say, ECHO if team.size > 1 else 0) as asked_here:
        asked = team.agreed(asked_here)
        for metrics in run.steps(asked):
            if run.log is not None:
                run.log.write(trainer.step, trainer.frames, metrics)
            progress(trainer.step, run.settings.train.steps, _note(metrics))
            for line in trainer.verdicts.warnings():
                say(line)
        if (stopped := asked()) is None:
            run.sample()
    return stopped


class _Run:
    """A run folder and what trains in it. held_out: what it is scored on; about: facts for the model card;
    log: where what is to be watched is told."""

    def __init__(
        self,
        order: _Order,
        data: Dataset,
        held_out: Clip | None,
        about: dict[str, str],
        device: torch.device,
        team: Team,
        teacher: Teacher | None,
    ) -> None:
        self.log: RunLog | None = None
        self.command, self.out, self.settings = order.command, order.out, order.settings
        self.data, self.held_out, settings = data, held_out, order.settings
        torch.manual_seed(settings.train.seed)
        schema, rate = data.schema, data.clips[0].rate
        self.model = Model.build(
            settings.model, schema, settings.data.size, rate, name=settings.name, **about
        )
        if order.renderer is not None:
            self.model = with_partner(self.model, order.renderer)
        freeze_parts(self.model, order.freeze)
        self.trainer = Trainer(self.model, settings, device, team, teacher)

    def begin(self, start: Path | str | None, say: Callable[[str], None]) -> None:
        """From the newest whole checkpoint, where there is any; else from another model, if one is named."""
        newest, damaged = whole_checkpoint(self.out)
        team = self.trainer.team
        if newest is not None:
            about = read_json(newest / "config.json").get("about") or {}
            for key in ("dataset", "frames", "validated_on", "frozen", "teacher", "renderer"):
                if about.get(key) != (mine := self.model.about.get(key)):
                    raise UserError(
                        f"{self.out}: was trained with {key} {about.get(key)}, not {mine}; name another --out"
                    )
            load_checkpoint(newest, self.trainer)
        elif start is not None:
            begin_with(start, self.trainer, say)
        # Complains before anything is written.
        self.batches = batches(self.data, self.settings, self.trainer.sequence, team)
        if team.size > 1:
            self._find_alike(self.trainer.step.to_bytes(7, "big"))
            if newest is None:
                team.copy_first(shared(self.trainer))
            self._find_alike(digest(self.trainer))
        if not team.leads:
            return
        sweep(self.out)
        for line in set_aside(damaged):
            say(line)
        self._prune()  # a killed training may not have come to it
        if newest is not None:
            say(f"going on from {newest.name}")
        with whole_file(self.out / "config.yaml") as temporary:
            temporary.write_text(self.settings.to_yaml(), encoding="utf-8")

    def _find_alike(self, found: bytes) -> None:
        team = self.trainer.team
        if unlike := team.unlike_first(found):
            raise UserError(
                f"{self.out}: process {unlike[0]} of {team.size} does not find there what the first does; "
                "name a folder that all machines share"
            )

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
                if due and self.held_out is not None and trainer.team.leads:
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
        kept = replace(with_learners(model, trainer.result), about=about)
        if model.encoder is not None and model.styles is not None and trainer.team.leads:
            learn_styles(model.styles, model.encoder, model.schema, self.data, augmentation(self.settings))
        save_checkpoint(self.out, kept, trainer, scores)
        if trainer.team.leads:
            self._prune()
            self._write_page()
        trainer.team.wait()  # torchrun ends all when one leaves

    def _prune(self) -> None:
        train = self.settings.train
        prune(self.out, train.keep, train.best, better_by(train.best))

    def sample(self) -> None:
        if not self.trainer.team.leads:
            return
        folder = self.out / "samples"
        folder.mkdir(exist_ok=True)
        path = folder / f"step-{self.trainer.step:07d}.mp4"
        pictures = write_sample(path, self.trainer.result, self.model, self.data.clips[0])
        if self.log is not None:
            self.log.show(self.trainer.step, pictures, float(self.model.rate))
        self._write_page()

    def _write_page(self) -> None:
        trainer = self.trainer
        facts = {"step": f"{trainer.step} of {self.settings.train.steps}", "frames seen": str(trainer.frames)}
        facts |= {key: str(value) for key, value in self.model.about.items() if key != "name"}
        write_run_page(self.out, self.settings.name, facts, self.command, trainer.step)


def check_folder(out: Path, settings: Recipe) -> None:
    """A folder that holds something else, or another experiment, is not written to.

    Raises:
        UserError: it does.
    """
    if (out / "config.yaml").is_file():
        kept = load_recipe(str(out))
        batch = settings.data.batch  # other processes may share the same batch; its checkpoint knows
        if replace(kept, data=replace(kept.data, batch=batch)) != settings:
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
