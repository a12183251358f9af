"""``vid2vid train``."""

from __future__ import annotations

from io import StringIO
from pathlib import Path


def train(
    dataset: str,
    *settings: str,
    recipe: str,
    out: Path,
    frames: str | None = None,
    validate: str | None = None,
    start_from: Path | None = None,
    freeze: list[str] | None = None,
    device: str = "auto",
) -> None:
    """Train a renderer on a dataset; the same command goes on where it stopped.

    Ctrl-C and SIGTERM save and stop. The run folder gets config.yaml, checkpoints, sample videos,
    metrics.jsonl and report.html, a page with curves and samples. Several processes that torchrun starts train
    together, each on data.batch sequences a step: torchrun --nproc-per-node 4 -m vid2vid train ...

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
            foreground; coarse (all scales but the finest); styles (their encoder)
        device: auto, cpu, cuda, cuda:1 or mps

    Example:
        vid2vid train data/drive --recipe street-tiny --out runs/drive --frames 0:57 train.steps=3000
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.training import train as run
    from vid2vid.training.distributed import first_of_all

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
            device=device,
            progress=bar,
            say=bar.say,
        )
    if speaks:
        print(f"Model: {model}")
