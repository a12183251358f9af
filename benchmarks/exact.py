"""Seconds a frame of the published street network, plain and with the exact savings, in one run.

    OMP_NUM_THREADS=2 python benchmarks/exact.py --threads 2 --out benchmarks/results/exact.json

The network of recipe ``paper`` at width 64 with 35 labels and object borders renders the synthetic city at
512x256, from two given frames on. Plain float32, all savings and each saving by itself take turns, frame by
frame, each fed the history of the plain path, so that whatever else the machine does hits all; where others
use it too, the processor's seconds (of all threads) say more than the clock's. ``--openvino`` has the plain
network run by OpenVINO beside them. ``least psnr`` is the worst frame's. Then a trained model renders
``--drift`` frames on its own history, plain and faster: of the city, or of a clip, played there and back.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from machine import describe, tell
from torch import Tensor

import vid2vid
from vid2vid.conditions.instances import instance_edges
from vid2vid.config import load_recipe
from vid2vid.data.city.drive import City
from vid2vid.inference import ConditionSource
from vid2vid.inference.exact import SAVINGS, exactly_faster
from vid2vid.inference.exact.labels import LabelMaps
from vid2vid.inference.export import trace
from vid2vid.models.renderer import Renderer
from vid2vid.types import to_tensor
from vid2vid.zoo import Model
from vid2vid.zoo.exported import openvino_file
from vid2vid.zoo.exported.ports import step_ports
from vid2vid.zoo.exported.renderer import ExportedRenderer
from vid2vid.zoo.folder import build_renderer

CLASSES, CAR = 35, 8


def street(size: tuple[int, int], frames: int, channels: int = CLASSES + 1) -> tuple[list[Tensor], Tensor]:
    """Encoded conditions (1, C, H, W), and the pictures (1, T, 3, H, W) that belong to them."""
    conditions, pictures = [], []
    for frame in islice(City(0, size), frames):
        labels = torch.from_numpy(frame.labels).long()
        condition = torch.zeros(1, channels, *labels.shape)
        condition.scatter_(1, labels[None, None], 1.0)
        condition[:, -1:] = instance_edges(torch.from_numpy(frame.instances).long()[None]).float()
        conditions.append(condition)
        pictures.append(to_tensor(frame.image))
    return conditions, torch.stack(pictures)[None]


def psnr(one: Tensor, other: Tensor) -> float:
    """Of frames in [-1, 1]; 120 at most."""
    return -10 * torch.log10(((one - other) / 2).square().mean().clamp_min(1e-12)).item()


def by_openvino(renderer: Renderer, size: tuple[int, int]) -> ExportedRenderer:
    """The same network, its step a file that OpenVINO runs."""
    ports = step_ports(copy.deepcopy(renderer).to("meta"), size)
    with TemporaryDirectory() as folder:
        path = Path(folder) / openvino_file.FILE
        openvino_file.write(trace(renderer, ports), ports, path)
        run = openvino_file.open_file(path, ports, torch.device("cpu"))
    return ExportedRenderer(renderer, run, ports, "openvino", {})


def timed(renderer: Renderer, condition: Tensor, state):  # type: ignore[no-untyped-def]
    begun, before = time.perf_counter(), time.process_time()
    output, following = renderer.step(condition, state)
    return time.perf_counter() - begun, time.process_time() - before, output.frame, following


def rows(args: argparse.Namespace) -> Iterator[dict]:
    torch.manual_seed(0)
    plain = build_renderer(load_recipe("paper", ("model.width=64",)).model, CLASSES + 1, (CAR,)).eval()
    conditions, pictures = street(tuple(args.size), args.frames + 3)
    renderers = {"plain": plain, "all": exactly_faster(plain)}
    if not args.briefly:
        renderers |= {saving: exactly_faster(plain, [saving]) for saving in SAVINGS}
    if args.openvino:
        renderers["openvino"] = by_openvino(plain, tuple(args.size))
    times, errors = defaultdict(list), defaultdict(list)
    state = plain.init_state(torch.stack(conditions[:2], 1), pictures[:, :2])
    maps = LabelMaps.read(torch.cat(conditions[:3], 1), CLASSES + 1, 7)
    borders = len(maps.borders) / pictures[0, 0, 0].numel() if maps else None
    for number, condition in enumerate(conditions[2:]):
        done = {name: timed(renderer, condition, state) for name, renderer in renderers.items()}
        state = done["plain"][3]
        for name, (clock, processor, frame, _) in done.items():
            errors[name].append(psnr(frame, done["plain"][2]))
            if number:  # the first frame warms up
                times[name].append((clock, processor))
        print(
            {name: tuple(round(x, 2) for x in each[-1]) for name, each in times.items() if each}, flush=True
        )
    medians = {name: [statistics.median(x) for x in zip(*each, strict=True)] for name, each in times.items()}
    for name, each in times.items():
        yield {
            "savings": name,
            "frames": len(each),
            "seconds a frame": round(medians[name][0], 3),
            "least": round(min(clock for clock, _ in each), 3),
            "processor seconds a frame": round(medians[name][1], 3),
            "least of the processor": round(min(processor for _, processor in each), 3),
            "times the plain speed": round(medians["plain"][0] / medians[name][0], 2),
            "times the plain speed, by the processor": round(medians["plain"][1] / medians[name][1], 2),
            "least psnr": round(min(errors[name]), 1),
            "pixels near borders": borders and round(borders, 3),
        }


def there_and_back(clip: Path, model: Model, frames: int) -> list[Tensor]:
    """Encoded conditions of a clip, (1, C, H, W), which turns round at its ends."""
    shown = [
        x.encode(model.schema, torch.device("cpu")) for x in ConditionSource(clip, model.schema, model.size)
    ]
    return list(islice(cycle(shown + shown[-2:0:-1]), frames))


def drift(name: str, frames: int, clip: Path | None) -> dict:
    """A trained model on its own history: how far plain and faster are apart after so many frames."""
    model = vid2vid.load(name)
    schema, size = model.schema, model.size
    if clip is None:
        conditions, _ = street(size, frames, schema.channels)
    else:
        conditions = there_and_back(clip, model, frames)
    ways = {"plain": model.renderer.eval(), "faster": exactly_faster(model.renderer)}
    states = {way: renderer.init_state(conditions[0]) for way, renderer in ways.items()}
    apart = []
    for condition in conditions:
        made = {}
        for way, renderer in ways.items():
            output, states[way] = renderer.step(condition, states[way])
            made[way] = output.frame
        apart.append(psnr(made["plain"], made["faster"]))
    shown = [n for n in (1, 10, 50, 100) if n <= frames]
    return {
        "model": name,
        "clip": clip.name if clip else "the city",
        "size": list(size),
        "least psnr": round(min(apart), 1),
        "psnr after frames": {n: round(apart[n - 1], 1) for n in shown},
    }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--size", type=int, nargs=2, default=(512, 256))
    words.add_argument("--frames", type=int, default=5, help="that are timed; 0: none")
    words.add_argument("--briefly", action="store_true", help="plain and all savings only")
    words.add_argument("--openvino", action="store_true", help="too: the plain network run by it")
    words.add_argument("--threads", type=int, default=torch.get_num_threads())
    words.add_argument("--model", default="city", help="trained; of the synthetic city's labels, or --clip's")
    words.add_argument("--clip", type=Path)
    words.add_argument("--drift", type=int, default=100, help="frames; 0: none")
    words.add_argument("--out", type=Path)
    args = words.parse_args()
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        results = {
            "machine": describe(),
            "size": list(args.size),
            "rows": list(rows(args)) if args.frames else [],
            "own history": drift(args.model, args.drift, args.clip) if args.drift else None,
        }
    tell(results, args.out)


if __name__ == "__main__":
    main()
