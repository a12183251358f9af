"""A recipe against two baselines on one clip (frame-wise, and blended by the real clip's flow): all trained,
rendered and scored in one go.

    python benchmarks/coherence.py ../shared/clips/street_camvid --train 0:57 --test 57:71 --out out/street

All take the same number of steps (``vid2vid ablate`` makes the frames they see equal to the last one), and
are given the last two training frames as history; the test frames are all made. Writes the runs, the frames,
a report, and ``coherence.json`` with the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from machine import describe

import vid2vid
from vid2vid.evaluation import markdown_table
from vid2vid.video import list_pictures


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("clip", type=Path)
    words.add_argument("--train", default="0:57")
    words.add_argument("--test", default="57:71")
    words.add_argument("--recipe", default="street-tiny")
    words.add_argument("--twin", default="street-tiny-framewise")
    words.add_argument("--blended", default="street-tiny-blended")
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--target", default="frames")
    words.add_argument("--stick", type=Path, default=Path("../shared/tools/score.py"))
    words.add_argument("overrides", nargs="*", help="key=value words for all recipes")
    args = words.parse_intermixed_args()

    first, last = (int(end) for end in args.test.split(":"))
    frames = list_pictures(args.clip / args.target)
    given = frames[first - 2 : first]
    fakes, facts = [], {}
    rows = (("ours", args.recipe), ("frame-wise twin", args.twin), ("flow-blended", args.blended))
    for name, recipe in rows:
        run = args.out / name.replace(" ", "-")
        begun, busy = time.time(), time.process_time()
        vid2vid.train(
            args.clip, recipe, run, args.overrides, frames=args.train, progress=_progress(name), say=print
        )
        facts[name] = {
            "frames seen": vid2vid.load(run).about["frames_seen"],
            # Near zero where the run was finished before: then only its test is made anew.
            "minutes of this call": round((time.time() - begun) / 60, 1),
            "processor minutes of this call": round((time.process_time() - busy) / 60, 1),
        }
        made = run / "test"
        vid2vid.synthesize(run, args.clip, made, frames=f"{first - 2}:{last}", first_frames=given)
        fakes.append(f"{name}={made}")
    report = vid2vid.evaluate(args.clip / args.target, fakes, args.out / "report", controls=True, given=2)
    table = markdown_table(report, intervals=True)
    stick = {fake.partition("=")[0]: _stick(args, Path(fake.partition("=")[2])) for fake in fakes}
    results = {"machine": describe(), "training": facts, "stick": stick, "table": table.splitlines()}
    (args.out / "coherence.json").write_text(json.dumps(results, indent=1) + "\n")
    print(table)
    print(json.dumps({"training": facts, "stick": stick}, indent=1))


def _progress(name: str):  # type: ignore[no-untyped-def]
    told = [0.0]

    def progress(done: int, total: int | None = None, note: str = "") -> None:
        if time.time() - told[0] > 30:
            told[0] = time.time()
            print(f"{name}: {done} of {total}, {note}", flush=True)

    return progress


def _stick(args: argparse.Namespace, made: Path) -> str | None:
    """What the outside measuring stick says of the made frames alone."""
    if not args.stick.is_file():
        return None
    only = made.parent / "test-made"
    only.mkdir(exist_ok=True)
    for path in list_pictures(made)[2:]:
        (only / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, str(args.stick), str(args.clip / args.target), str(only)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
