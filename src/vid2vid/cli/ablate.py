"""``vid2vid ablate``."""

from __future__ import annotations

from pathlib import Path


def ablate(
    dataset: Path,
    *settings: str,
    recipe: str,
    out: Path,
    vary: list[str] | None = None,
    paper: bool = False,
    seeds: list[int] | None = None,
    frames: str | None = None,
    test: Path | None = None,
    test_frames: str | None = None,
    given: int | None = None,
    controls: bool = False,
    dry_run: bool = False,
    device: str = "auto",
) -> None:
    """Train and score variants of a recipe with equal budgets: one table.

    Every row sees the same data and as many frames, with the same seeds. The same command goes on where it
    stopped; with more variants or seeds, the grid grows.

    Args:
        dataset: a dataset folder, or one clip; see vid2vid check
        *settings (key=value): change a key of the recipe, for all rows
        recipe (NAME): a recipe of the package, or a YAML file: the row "full"
        out (FOLDER): folder of the experiment: table.md, results.csv, results.json, runs, reports
        vary (VARIANT): a row each: "NAME: key=value key=value", or "NAME: @RECIPE" for another recipe, which
            gets the same budget
        paper: add the paper's ablations: no foreground prior, no video discriminator, no flow warping
        seeds (N): training seeds; every row is trained with each (default: the recipe's)
        frames (START:STOP): train on this part of each clip (default: all)
        test (CLIP): a clip or dataset to test on (default: the dataset)
        test_frames (START:STOP): render this part of each test clip (default: all)
        given (N): the first N of these are real and not scored (default: the recipe's model.history)
        controls: score the last given frame copied, and each clip blurred
        dry_run: print the plan, and train nothing
        device: auto, cpu, cuda, cuda:1 or mps

    Example:
        vid2vid ablate data/drive --recipe street-tiny --out out/grid --paper --frames 0:57
            --test-frames 55:71 --vary "wide: model.width=32" "frame-wise: @street-tiny-framewise"
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.experiments import carry_out, plan

    grid = plan(
        *(dataset, recipe, out, vary or (), settings),
        paper=paper,
        seeds=seeds or (),
        frames=frames,
        test=test,
        test_frames=test_frames,
        given=given,
    )
    if dry_run:
        print(grid.describe())
        return
    with Bar("ablate", "steps") as bar:
        carry_out(grid, controls=controls, device=device, progress=bar, say=bar.say)
    print((out / "table.md").read_text(encoding="utf-8"))
    print(f"Figures: {out / 'results.csv'} and {out / 'results.json'}")
