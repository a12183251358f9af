"""``vid2vid train``."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vid2vid.config import Recipe
    from vid2vid.training.outlook import Cost, Plan


def train(
    dataset: str,
    *settings: str,
    recipe: str,
    out: Path,
    frames: str | None = None,
    validate: str | None = None,
    start_from: Path | None = None,
    freeze: list[str] | None = None,
    teacher: Path | None = None,
    renderer: Path | None = None,
    dry_run: bool = False,
    device: str = "auto",
) -> None:
    """Train a renderer on a dataset; the same command goes on where it stopped.

    Ctrl-C and SIGTERM save and stop. The run folder gets config.yaml, checkpoints, sample videos,
    metrics.jsonl and report.html, a page with curves and samples. Several processes that torchrun starts
    train together, each on data.batch sequences a step: torchrun --nproc-per-node 4 -m vid2vid train ...

    Args:
        dataset: a dataset folder, or one clip, or shards in a folder or at an address (https://, s3://, gs://);
            see vid2vid check and vid2vid prepare --shards
        *settings (key=value): change a key of the recipe, such as train.steps=2000; vid2vid info lists them
        recipe (NAME): a recipe of the package, or a YAML file; vid2vid info lists the names
        out (RUN): the run folder
        frames (START:STOP): learn from this part of each clip (default: all)
        validate (CLIP|START:STOP): a clip, or a part of the first one, that is not trained on: it is scored
            at every checkpoint, and the best checkpoint by train.best is kept
        start_from (MODEL): go on from a model: a coarser one, an imported one, or one of other footage; what
            has the same shape is taken, and what it knows of classes of the same name
        freeze (PART): parts of the generator that do not learn, at all scales: encoder, image, flow,
            foreground; coarse (all scales but the finest); styles (their encoder); of what learns
            together, forecaster or renderer
        teacher (MODEL): learn this model's video of the same conditions, not the real one: how a small, fast
            renderer learns from a large one
        renderer (MODEL): with a recipe such as forecast-tiny-joint, the renderer that learns together with
            the forecaster of --start-from; the run holds both (default: the one that model holds)
        dry_run: print the stages, with the memory and the time they will take, and write nothing
        device: auto, cpu, cuda, cuda:1 or mps

    Example:
        vid2vid train data/drive --recipe street-tiny --out runs/drive --frames 0:57 train.steps=3000
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.training import plan
    from vid2vid.training import train as run
    from vid2vid.training.distributed import first_of_all

    if dry_run:
        options: dict[str, Any] = {"frames": frames, "validate_on": validate, "device": device}
        options |= {"renderer": renderer, "start_from": start_from}
        _show(plan(dataset, recipe, out, settings, **options))
        return

    speaks = first_of_all()
    with Bar("train", "steps", None if speaks else StringIO()) as bar:
        model = run(
            dataset,
            recipe,
            out,
            settings,
            frames=frames,
            validate_on=validate,
            start_from=start_from,
            freeze=freeze or (),
            teacher=teacher,
            renderer=renderer,
            device=device,
            progress=bar,
            say=bar.say,
        )
    if speaks:
        print(f"Model: {model}")


def _show(plan: Plan) -> None:
    """The stages as a table, and what the figures are made of."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    name, shortest = min(plan.clips, key=lambda clip: clip[1])
    print(
        f"Clips: {len(plan.clips)}; the shortest, {name}, has {shortest} frames, and the longest sequence "
        f"{plan.settings.data.sequence}."
    )
    first = ("steps", "sequence", "backprop", "scales learnt", "temporal scales")
    table = Table(*first, "learning rate", "frames", "memory", "time", box=box.SIMPLE, pad_edge=False)
    for cost in plan.costs:
        table.add_row(*_row(cost, plan.settings))
    console = Console(highlight=False)
    # Where nobody looks, a line may be as long as it is.
    (console if console.is_terminal else Console(highlight=False, width=160)).print(table)
    print("Memory is that of float32, counted; what libraries need beside the tensors is not in it.")
    if plan.rehearsed is None:
        print(f"No time: the device {plan.device} has less memory than that.")
        return
    full = plan.settings.data.crop or plan.settings.data.size
    size, wanted = (f"{width}x{height}" for width, height in (plan.rehearsed, full))
    foretold = "" if size == wanted else f", carried on to {wanted}"
    total = sum(cost.seconds or 0.0 for cost in plan.costs)
    print(
        f"Time, in all {_duration(total)}, is an estimate: one step measured on {plan.device} at "
        f"{size}{foretold}; reading, optimisers, validation and samples come on top."
    )


def _row(cost: Cost, settings: Recipe) -> tuple[str, ...]:
    stretch, stage, scales = cost.stretch, cost.stretch.stage, settings.model.scales
    width, height = settings.data.crop or settings.data.size
    sizes = [f"{width >> halvings}x{height >> halvings}" for halvings in range(scales)]
    rates = dict.fromkeys(f"{settings.train.lr * rate:.3g}" for rate in stretch.rates)
    return (
        f"{stretch.first + 1}-{stretch.stop}",
        str(stage.length),
        str(stage.backprop),
        f"{sizes[0]} alone" if stage.finest_alone and scales > 1 else ", ".join(reversed(sizes)),
        f"{stage.temporal_scales} of {settings.discriminator.temporal_scales}",
        " to ".join(rates),
        str(stretch.frames),
        f"{cost.memory / 2**30:.2f} GiB",
        "?" if cost.seconds is None else _duration(cost.seconds),
    )


def _duration(seconds: float) -> str:
    """About two digits of it: ``40 s``, ``12 min``, ``3.4 h``, ``2.1 days``."""
    for unit, length, limit in (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 172800)):
        if seconds < limit:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds / 86400:.1f} days"
