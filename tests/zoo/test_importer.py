"""``import``: published checkpoints become model folders; what does not fit is refused in one line."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import hostile_files as hostile
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tiny import hidden_or_partial
from vid2vid.cli import main
from vid2vid.conditions import ConditionSchema, LabelClass, LabelSchema
from vid2vid.config import ModelConfig
from vid2vid.errors import UserError
from vid2vid.models.discriminators import MultiScaleDiscriminator
from vid2vid.models.feature_encoder import FeatureEncoder
from vid2vid.models.image_generator import ImageRenderer
from vid2vid.models.renderer import Renderer
from vid2vid.zoo import import_checkpoints, info, load_model
from vid2vid.zoo.checkpoint_file import read_published
from vid2vid.zoo.published import (
    Filling,
    Part,
    fill_encoder,
    fill_image_renderer,
    fill_renderer,
    image_parts,
)
from vid2vid.zoo.renderers import build_renderer

CASES = Path(__file__).parents[1] / "parity" / "cases"
Capture = pytest.CaptureFixture[str]


def gather(folder: Path, *files: str, epoch: str = "latest") -> Path:
    """Checkpoints of the golden cases, each named ``case/role``, in one folder."""
    folder.mkdir(exist_ok=True)
    for case, role in (file.split("/") for file in files):
        shutil.copy(CASES / case / f"latest_net_{role}.pth", folder / f"{epoch}_net_{role}.pth")
    return folder


class Inventing(Filling):
    """Gives whatever is asked for."""

    def __init__(self) -> None:
        super().__init__({}, Path())
        self.made: dict[str, Tensor] = {}

    def take(self, name: str, like: Tensor) -> Tensor:
        return self.made.setdefault(name, torch.randn(like.shape) / 10)


def invent(folder: Path, role: str, network: nn.Module, parts: Iterable[Part]) -> None:
    """A checkpoint of random numbers."""
    torch.manual_seed(0)
    filling = Inventing()
    filling.parts(network, parts)
    torch.save(filling.made, folder / f"latest_net_{role}.pth")


def invent_painter(folder: Path, channels: int) -> None:
    config = ModelConfig(network="image", history=0, width=4, downs=2, blocks=1)
    network = ImageRenderer(channels, width=4, downs=2, blocks=1)
    invent(folder, "G", network, image_parts(config))


ENCODER = [Part("network head", "model", ("stem", "down", "down", "up", "up", "head"))]


def change(file: Path, changed: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = dict(torch.load(file, weights_only=True))
    changed(tensors)
    torch.save(tensors, file)


@torch.no_grad()
def frames(renderer: Renderer | ImageRenderer) -> list[Tensor]:
    conditions = torch.rand(
        3, 1, renderer.condition_channels, 32, 32, generator=torch.Generator().manual_seed(1)
    )
    state, made = renderer.init_state(conditions[0]), []
    for condition in conditions:
        output, state = renderer.step(condition, state)
        made.append(output.frame)
    return made


IMAGE = {"network": "image", "history": 0, "width": 4, "downs": 3, "blocks": 2}
ARCHITECTURES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "composite_plain": ({}, {"width": 4, "downs": 2, "blocks": 3, "foreground": False}, 4),
    "composite_no_flow": (
        {},
        {"width": 4, "downs": 2, "blocks": 3, "foreground": False, "use_flow": False},
        2,
    ),
    "composite_fg": ({"foreground": [2]}, {"width": 4, "downs": 3, "blocks": 3}, 4),
    "sequence_labels_3scales": (
        {"foreground": [26]},
        {"width": 8, "downs": 2, "blocks": 2, "scales": 3, "enhancer_blocks": 2},
        36,
    ),
    "sequence_pose_no_first": (
        {},
        {"width": 8, "downs": 2, "blocks": 2, "scales": 2, "enhancer_blocks": 2, "foreground": False},
        6,
    ),
    "image_global": ({}, IMAGE, 5),
    "image_global_with_features": ({}, {**IMAGE, "styles": 3}, 5),
    "image_local": ({}, {**IMAGE, "width": 8, "scales": 2, "enhancer_blocks": 2}, 5),
    "image_local_with_features": (
        {},
        {**IMAGE, "width": 8, "scales": 2, "enhancer_blocks": 2, "styles": 3},
        5,
    ),
}


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_tensors_tell_the_network_and_come_back_from_the_model(case: str, tmp_path: Path) -> None:
    words, settings, channels = ARCHITECTURES[case]
    model = load_model(import_checkpoints(CASES / case, tmp_path / "model", **words))
    assert model.architecture == ModelConfig(**settings)
    assert model.schema.channels == channels
    assert model.about["name"] == case

    direct = build_renderer(model.architecture, channels, model.schema.foreground_channels)
    files = sorted((CASES / case).glob("*.pth"))
    if isinstance(direct, ImageRenderer):
        filled = fill_image_renderer(direct, model.architecture, read_published(files[0]), files[0])
    else:
        filled = fill_renderer(direct, model.architecture, [(file, read_published(file)) for file in files])
    direct.load_state_dict(filled)
    for ours, theirs in zip(frames(direct), frames(model.renderer), strict=True):
        assert torch.equal(ours, theirs)


def test_a_street_network_knows_cityscapes(tmp_path: Path) -> None:
    model = load_model(import_checkpoints(CASES / "sequence_labels_3scales", tmp_path / "model"))
    labels = model.schema.labels
    assert labels is not None
    assert (len(labels), labels.names[26], labels.foreground) == (35, "car", (26,))
    assert (model.schema.name, model.schema.instances) == ("labels", True)
    assert (model.size, model.rate) == ((2048, 1024), 25)


def test_classes_are_those_of_a_file_or_have_numbers(tmp_path: Path) -> None:
    classes = LabelSchema(tuple(LabelClass(9 - i, f"kind {i}", (i, i, i), i == 1) for i in range(4)))
    classes.write(tmp_path / "labels.yaml")
    folder, out = CASES / "composite_fg", tmp_path / "model"
    named = load_model(import_checkpoints(folder, out, labels=tmp_path / "labels.yaml"))
    assert named.schema == ConditionSchema("labels", "labels", classes)
    chosen = load_model(import_checkpoints(folder, out, labels=tmp_path / "labels.yaml", foreground=[9, 6]))
    assert chosen.schema.foreground_channels == (0, 3)
    counted = load_model(import_checkpoints(folder, out, foreground=[1], instances=True)).schema
    assert counted.labels is not None
    assert (counted.labels.names, counted.instances) == (("class 0", "class 1", "class 2"), True)


def test_an_image_generator_makes_the_first_frames(tmp_path: Path) -> None:
    folder = gather(tmp_path / "in", "composite_plain/G0")
    invent_painter(folder, 4)
    painter = load_model(import_checkpoints(folder, tmp_path / "model")).first_frame
    alone = gather(tmp_path / "alone")
    shutil.copy(folder / "latest_net_G.pth", alone)
    expected = load_model(import_checkpoints(alone, tmp_path / "painter"))
    assert painter is not None
    assert isinstance(painter.renderer, ImageRenderer)
    assert painter.architecture == expected.architecture
    assert torch.equal(frames(painter.renderer)[0], frames(expected.renderer)[0])


@pytest.mark.parametrize(("channels", "name"), [(15, "face"), (6, "dance"), (3, "condition")])
def test_published_drawings_are_known_by_their_channels(channels: int, name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    invent_painter(tmp_path / "in", channels)
    schema = load_model(import_checkpoints(tmp_path / "in", tmp_path / "model")).schema
    assert (schema.name, schema.channels, schema.labels) == (name, channels, None)


def test_an_encoder_of_as_many_features_comes_along(tmp_path: Path) -> None:
    folder = gather(tmp_path / "in", "image_global_with_features/G")
    network = FeatureEncoder(3, width=4, downs=2)
    invent(folder, "E", network, ENCODER)
    model = load_model(import_checkpoints(folder, tmp_path / "model"))
    assert (model.architecture.style_width, model.architecture.style_downs) == (4, 2)
    where = folder / "latest_net_E.pth"
    network.load_state_dict(fill_encoder(network, 2, read_published(where), where))
    picture, objects = torch.rand(1, 3, 32, 32), torch.randint(0, 3, (1, 32, 32))
    assert model.encoder is not None
    assert torch.equal(model.encoder(picture, objects), network(picture, objects))


def test_discriminators_come_along_for_fine_tuning(tmp_path: Path) -> None:
    folder = gather(
        tmp_path / "in", "composite_plain/G0", *(f"losses_1scale/{d}" for d in ("D", "D_T0", "D_T1"))
    )
    shutil.copy(folder / "latest_net_D.pth", folder / "latest_net_D_f.pth")
    model = load_model(import_checkpoints(folder, tmp_path / "model"))
    expected = {"scales": 2, "width": 4, "layers": 3, "temporal_scales": 2, "frames": 3}
    assert model.about["discriminators"] == expected
    tensors = load_file(tmp_path / "model" / "discriminators.safetensors")
    kinds = {"image_discriminator": 9, "face_discriminator": 9}
    kinds |= {"video_discriminators.0": 13, "video_discriminators.1": 13}
    for kind, channels in kinds.items():
        own = {name: tensors.pop(name) for name in list(tensors) if name.startswith(f"{kind}.")}
        network = MultiScaleDiscriminator(channels, scales=2, width=4, layers=3)
        network.load_state_dict({name.removeprefix(f"{kind}."): value for name, value in own.items()})
    assert not tensors


def test_the_newest_epoch_is_taken_and_files_are_left_as_they_are(tmp_path: Path) -> None:
    def without_flow(*epochs: str) -> bool:
        """Whether the first of several epochs was taken."""
        folder = gather(tmp_path / "-".join(epochs), "composite_no_flow/G0", epoch=epochs[0])
        for epoch in epochs[1:]:
            gather(folder, "composite_plain/G0", epoch=epoch)
        before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
        model = load_model(import_checkpoints(folder, tmp_path / "model"))
        assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()} == before
        return not model.architecture.use_flow

    assert without_flow("latest", "10", "200")
    assert without_flow("20", "10", "9")
    assert without_flow("1", "first")


def test_the_command_takes_every_setting_and_tells(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "model"
    words = ["--size", "256x128", "--fps", "30000/1001", "--condition", "maps", "--foreground", "24", "26"]
    assert main(["import", str(CASES / "sequence_labels_3scales"), "--out", str(out), *words]) == 0
    told = capsys.readouterr().out
    assert told.startswith("read latest_net_G0.pth, latest_net_G1.pth, latest_net_G2.pth\n")
    assert "3 scales, width 8, 2 halvings, 2 residual blocks, 2 in each finer scale" in told
    assert "35 classes and instance edges from maps/; foreground: person, car" in told
    assert told.endswith(f"Model: {out}\n")
    model = load_model(out)
    assert (model.size, model.rate, model.schema.name) == ((256, 128), Fraction(30000, 1001), "maps")
    assert model.schema.foreground_channels == (24, 26)
    assert "256x128" in (out / "README.md").read_text(encoding="utf-8")


def test_info_knows_an_imported_model(tmp_path: Path) -> None:
    out = import_checkpoints(CASES / "composite_plain", tmp_path / "model", size=(64, 32))
    facts = info(str(out))
    weights = load_file(out / "generator.safetensors").values()
    assert facts["parameters"] == sum(weight.numel() for weight in weights)
    assert (facts["source"], facts["trained at"]) == ("published checkpoints of 2018", "64x32")


def test_only_a_model_is_replaced(tmp_path: Path) -> None:
    out = import_checkpoints(CASES / "composite_plain", tmp_path / "model")
    import_checkpoints(CASES / "composite_no_flow", out)
    assert not load_model(out).architecture.use_flow
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(UserError):
        import_checkpoints(tmp_path, out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "page.txt").write_text("dear me")
    with pytest.raises(UserError, match="is not a model"):
        import_checkpoints(CASES / "composite_plain", tmp_path / "diary")
    assert [file.name for file in (tmp_path / "diary").iterdir()] == ["page.txt"]
    assert not hidden_or_partial(tmp_path)


def test_parameters_and_files_of_python_2_are_read(tmp_path: Path) -> None:
    expected = read_published(hostile.GOOD)
    file = tmp_path / "latest_net_G0.pth"
    torch.save({name: nn.Parameter(value) for name, value in expected.items()}, file)
    assert all(torch.equal(value, expected[name]) for name, value in read_published(file).items())
    row = hostile.Row(length=2)
    described = hostile.Call(
        dict, [["x", hostile.tensor(row, shape=(2, 1), stride=(1, 1))], ["y", hostile.tensor(row, offset=1)]]
    )
    body = hostile.pickled(described, None).replace(b"c__builtin__\ndict\n", b"ccollections\nOrderedDict\n")
    file.write_bytes(hostile.old(body, ["0"], struct.pack("<qff", 2, 3.0, 4.0)))
    assert {name: value.tolist() for name, value in read_published(file).items()} == {
        "x": [[3.0], [4.0]],
        "y": [4.0],
    }


def fit_badly(folder: Path) -> None:
    gather(folder, "image_global_with_features/G", "feature_encoder/E")


def spoil(name: str, value: Tensor | None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        file = gather(folder, "composite_plain/G0") / "latest_net_G0.pth"
        change(file, lambda tensors: tensors.pop(name) if value is None else tensors.update({name: value}))

    return make


def one_channel(folder: Path) -> None:
    """A foreground network whose only channel cannot be that of edges alone."""
    file = gather(folder, "composite_fg/G0") / "latest_net_G0.pth"
    firsts = [f"{part}.1.weight" for part in ("model_down_seg", "indv_down")]
    change(file, lambda tensors: tensors.update({name: tensors[name][:, :3].contiguous() for name in firsts}))


def of(*files: str) -> Callable[[Path], object]:
    return lambda folder: gather(folder, *files)


STREET, PLAIN = "sequence_labels_3scales", of("composite_plain/G0")
REFUSED: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "no folder": (lambda folder: None, [], "no checkpoints here"),
    "a file": (lambda folder: folder.write_text("x"), [], "no checkpoints here"),
    "an empty folder": (of(), [], "no checkpoints here"),
    "a finer scale alone": (of("composite_local_s1/G1"), [], "add the generator"),
    "a scale left out": (of(f"{STREET}/G0", f"{STREET}/G2"), [], "scale 1 (net_G1.pth) is missing"),
    "scales in each other's place": (
        of(f"{STREET}/G0", "composite_local_s1/G1"),
        [],
        "latest_net_G1.pth: tensor",
    ),
    "a missing tensor": (spoil("model_up_img.0.weight", None), [], "tensor model_up_img.0.weight is missing"),
    "a surplus tensor": (spoil("more.weight", torch.ones(3)), [], "more.weight belongs to no part"),
    "a wrong shape": (
        spoil("model_final_img.1.bias", torch.ones(4)),
        [],
        "model_final_img.1.bias is (4,), not (3,)",
    ),
    "not a number": (spoil("model_final_img.1.bias", torch.full((3,), torch.nan)), [], "not finite"),
    "infinity": (spoil("model_final_img.1.bias", torch.full((3,), torch.inf)), [], "not finite"),
    "a foreground network and no ids": (of("composite_fg/G0"), [], "name the ids that it draws"),
    "one channel of edges": (one_channel, ["--instances"], "name the ids that it draws"),
    "an id that no class has": (of("composite_fg/G0"), ["--foreground", "4"], "--foreground 4: no class has"),
    "two classes of four": (of("composite_fg/G0"), ["--labels", "labels.yaml"], "2 classes are named"),
    "no class list": (PLAIN, ["--labels", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    "an encoder of other features": (fit_badly, [], "gives 4 features, but latest_net_G.pth takes 3"),
    "a painter of other conditions": (
        of("composite_plain/G0", "image_global/G"),
        [],
        "latest_net_G.pth: tensor",
    ),
    "a judge that is none": (
        lambda folder: shutil.copy(PLAIN(folder) / "latest_net_G0.pth", folder / "latest_net_D.pth"),
        [],
        "not a discriminator",
    ),
    "a condition elsewhere": (PLAIN, ["--condition", "../maps"], "--condition ../maps"),
    "an absurd size": (PLAIN, ["--size", "100000x100000"], "--size 100000x100000"),
    "no frames a second": (PLAIN, ["--fps", "0"], "--fps 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    make, words, expected = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    LabelSchema(tuple(LabelClass(i, f"kind {i}", (0, 0, 0)) for i in range(2))).write(
        tmp_path / "labels.yaml"
    )
    folder, out = tmp_path / "in", tmp_path / "model"
    make(folder)
    command = ["import", str(folder), "--out", str(out), *words]
    with pytest.raises(UserError) as caught:
        main([*command, "--debug"])
    message = str(caught.value)
    assert message.isprintable()
    assert expected in message
    assert main(command) == 2
    assert capsys.readouterr() == ("", f"vid2vid import: {message}\n")
    assert not out.exists()
    assert not hidden_or_partial(tmp_path)
