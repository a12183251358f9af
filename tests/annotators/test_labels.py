"""Label maps by a network: mapped by name, objects followed, in clips and on the way; by a stand-in, and by
tiny random networks through the real transformers where that is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tiny import CLASSES, LABELS, build, hidden_or_partial
from vid2vid.annotators import Labeller, gives_instances, labels, open_annotator
from vid2vid.annotators.edges import Edges
from vid2vid.annotators.labels import Labels, cityscapes
from vid2vid.annotators.networks import NetworkFiles
from vid2vid.annotators.segmentation import SegmentationNetwork, Segmented
from vid2vid.cli import main
from vid2vid.conditions import LabelClass, LabelSchema, ObjectTracker
from vid2vid.data import Dataset
from vid2vid.data.annotate import annotate
from vid2vid.errors import UserError
from vid2vid.evaluation.segmenter import open_classifier
from vid2vid.inference import synthesize
from vid2vid.inference.annotated import AnnotatedSource
from vid2vid.video import open_frames, read_picture, write_picture

FRAMES = 6
BOTH = "labels:mask2former"


def street(t: int) -> np.ndarray:
    """Two touching red cars that move right, on a grey road; a blue ship on the left."""
    frame = np.full((32, 32, 3), 70, np.uint8)
    frame[8:16, 4 + t : 10 + t] = (200, 0, 0)
    frame[8:16, 10 + t : 18 + t] = (250, 0, 0)
    frame[20:28, 0:6] = (0, 0, 250)
    return frame


class StandIn:
    """Goes by colours; numbers the objects of every other picture the other way round."""

    loaded = 0

    def __init__(self, files: NetworkFiles, device: torch.device, asked: str) -> None:
        type(self).loaded += 1
        self.pictures = 0

    def __call__(self, picture: np.ndarray, countable: frozenset[int] = frozenset()) -> Segmented:
        self.pictures += 1
        red, blue = picture[..., 0] > 150, picture[..., 2] > 150
        numbers = (1, 2) if self.pictures % 2 else (2, 1)
        objects = np.where(picture[..., 0] > 225, numbers[0], numbers[1]) * red
        return Segmented(
            np.where(red, 1, np.where(blue, 2, 0)), objects.astype(np.int32) if countable else None
        )


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str, asked: str) -> NetworkFiles:
        classes = ("left", "right") if name == "strange" else ("Road", "CAR", "ship")
        return NetworkFiles(name, "0123", name, classes)

    monkeypatch.setattr(labels, "find_network", find)
    monkeypatch.setattr(labels, "SegmentationNetwork", StandIn)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    for t in range(FRAMES):
        write_picture(tmp_path / "walk" / "frames" / f"a{t}.png", street(t))
    return tmp_path / "walk"


def maps(folder: Path) -> list[np.ndarray]:
    return [read_picture(path, mode="labels") for path in sorted(folder.glob("*.png"))]


def kept(ids: list[np.ndarray]) -> None:
    """Both cars have their ids in every frame."""
    left, right = int(ids[0][10, 5]), int(ids[0][10, 12])
    assert {left, right} == {1, 2}
    for t, map_ in enumerate(ids):
        assert (map_[8:16, 4 + t : 10 + t] == left).all()
        assert (map_[8:16, 10 + t : 18 + t] == right).all()
        assert np.count_nonzero(map_) == 8 * 14


def test_objects_that_touch_are_followed_whatever_their_numbers() -> None:
    tracker, network = ObjectTracker(), StandIn(NetworkFiles("", None, "", ()), torch.device("cpu"), "")
    found = [network(street(t), frozenset({1})) for t in range(FRAMES)]
    kept([tracker(item.classes, item.objects) for item in found if item.objects is not None])
    assert not tracker(np.zeros((4, 4), int), np.zeros((4, 4), int)).any()


def test_a_clip_gets_labels_their_list_and_instances(
    stand_in: None, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", str(clip), "--out", str(tmp_path / "data"), "--annotate", BOTH]
    assert main(words) == 0
    made = tmp_path / "data" / "walk"
    found = maps(made / "labels")
    assert len(found) == FRAMES
    for t, ids in enumerate(found):
        assert ids[10, 5 + t] == 26, "a car of Cityscapes"
        assert (ids[0, 0], ids[24, 2]) == (7, 0), "the road; a ship is unlabeled"
    kept(maps(made / "instances"))
    assert LabelSchema.read(made / "labels.yaml") == cityscapes()
    assert main(["check", str(made), "--overlay", str(tmp_path / "look")]) == 0
    assert [path.name for path in (tmp_path / "look").iterdir()] == ["walk-labels.mp4"]
    data = Dataset.open(made)
    assert data.schema.instances
    kept(list(data.clips[0].read(0, FRAMES).instances))  # type: ignore[arg-type]
    assert hidden_or_partial(tmp_path) == []
    before = StandIn.loaded
    assert main(words) == 0
    assert StandIn.loaded == before, "a repeated call touches nothing"


def test_a_run_killed_between_two_names_goes_on(stand_in: None, clip: Path) -> None:
    annotate([clip], [BOTH])
    expected = [path.read_bytes() for path in sorted((clip / "instances").iterdir())]
    (clip / "labels").rename(clip / ".labels.part")
    before = StandIn.loaded
    annotate([clip], [BOTH])
    assert StandIn.loaded == before
    assert [path.read_bytes() for path in sorted((clip / "instances").iterdir())] == expected
    assert hidden_or_partial(clip) == []


def test_without_objects_no_instances_are_written(stand_in: None, clip: Path) -> None:
    annotate([clip], ["labels:segformer"])
    assert sorted(path.name for path in clip.iterdir()) == ["frames", "labels", "labels.yaml"]
    assert Dataset.open(clip).clips[0].read(0, 2).instances is not None, "tracked when they are read"


def test_another_list_of_classes(stand_in: None, clip: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict.yaml"
    CLASSES.write(strict)
    words = ["prepare", str(clip), "--annotate", BOTH, "--classes"]
    assert main([*words, str(strict)]) == 2, "what would a ship be?"
    mine = LabelSchema((*CLASSES.classes, LabelClass(300, "nothing", (0, 0, 0), ignore=True)))
    mine.write(tmp_path / "mine.yaml")
    assert main([*words, str(tmp_path / "mine.yaml")]) == 0
    assert set(np.unique(maps(clip / "labels")[0])) == {0, 7, 300}
    assert LabelSchema.read(clip / "labels.yaml") == mine


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--annotate", "labels"], "which network?"),
        (["--annotate", "labels:strange"], "none of its classes (left, right ...)"),
        (["--annotate", "edges", "--classes", "LIST"], "nothing is annotated that has classes"),
        (["--annotate", "labels:segformer,labels:mask2former"], "both write labels;"),
    ],
)
def test_mistakes_are_one_line(
    stand_in: None,
    words: list[str],
    told: str,
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    CLASSES.write(tmp_path / "list.yaml")
    words = [word.replace("LIST", str(tmp_path / "list.yaml")) for word in words]
    assert main(["prepare", str(clip), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert [path.name for path in clip.iterdir()] == ["frames"]


def test_what_is_there_already_is_not_mixed(stand_in: None, clip: Path) -> None:
    CLASSES.write(clip / "labels.yaml")
    with pytest.raises(UserError, match="lists other classes than the annotator writes"):
        annotate([clip], [BOTH])
    (clip / "labels.yaml").unlink()
    (clip / "instances").mkdir()
    with pytest.raises(UserError, match="instances: is there already"):
        annotate([clip], [BOTH])


@pytest.mark.parametrize("network", ["mask2former", "segformer"])
def test_a_driver_gives_what_its_prepared_clip_gives(
    stand_in: None, clip: Path, tmp_path: Path, network: str
) -> None:
    classes = LabelSchema((*CLASSES.classes, LabelClass(9, "nothing", (0, 0, 0), ignore=True)))
    schema = type(LABELS)("labels", "labels", classes, instances=True)
    model = build(schema)
    annotate([clip], [Labels.of(network, classes)])
    word = f"labels:{network}"
    synthesize(model, clip, tmp_path / "prepared", native=True, device="cpu")
    synthesize(model, clip, tmp_path / "driven", annotate=word, native=True, device="cpu")
    made, expected = ([f.image for f in open_frames(tmp_path / name)] for name in ("driven", "prepared"))
    assert all(np.array_equal(*pair) for pair in zip(made, expected, strict=True))
    whole = list(AnnotatedSource(clip, word, schema, device="cpu"))
    part = list(AnnotatedSource(clip, word, schema, frames="3:", relabel=["car=tree"], device="cpu"))
    assert (part[0].labels == 1).any()
    assert not (part[0].labels == 2).any()
    if network == "mask2former":
        assert np.array_equal(part[0].instances, whole[3].instances), "earlier frames were seen"  # type: ignore[arg-type]


def test_who_writes_label_maps_says_so(stand_in: None) -> None:
    both, one = open_annotator(BOTH), open_annotator("labels:segformer")
    assert isinstance(both, Labeller)
    assert not isinstance(Edges(), Labeller)
    assert (gives_instances(both), gives_instances(one), gives_instances(Edges())) == (True, False, False)
    assert (both.memory, one.memory) == (None, 0)
    assert both.fingerprint != one.fingerprint


def test_without_transformers_the_mend_is_told(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"install it with pip install 'vid2vid\[annotate\]'"):
        open_annotator("labels:some/network")
    with pytest.raises(UserError, match=r"\./none: no such folder"):
        open_annotator("labels:./none")


def test_a_folder_never_leads_to_the_hub(tmp_path: Path) -> None:
    about = {"repo_path": "some/lists", "class_info_file": "things.json"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(about))
    files = NetworkFiles(str(tmp_path), None, "oneformer", ("road",))
    with pytest.raises(UserError, match=r"would fetch some/lists/things\.json"):
        SegmentationNetwork(files, torch.device("cpu"), "mine")


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    found: ModuleType = pytest.importorskip("transformers", reason="transformers is not installed")
    return found


NAMED = {0: "road", 1: "Car", 2: "sky", 3: "ship"}


def segformer(transformers: ModuleType, folder: Path, head: bool = True) -> Path:
    """Random weights; ``head``: that segments, else one that classifies pictures."""
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8,
        id2label=NAMED, label2id={name: index for index, name in NAMED.items()},
    )  # fmt: skip
    kind = "SemanticSegmentation" if head else "ImageClassification"
    getattr(transformers, f"SegformerFor{kind}")(config).save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def mask2former(transformers: ModuleType, folder: Path) -> Path:
    """Random weights, but sure of finding cars, and of where they are."""
    torch.manual_seed(5)
    backbone = transformers.SwinConfig(
        image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, num_queries=3,
        encoder_feedforward_dim=16, dim_feedforward=16, encoder_layers=1, decoder_layers=2,
        num_attention_heads=2, id2label=NAMED, label2id={name: index for index, name in NAMED.items()},
    )  # fmt: skip
    network = transformers.Mask2FormerForUniversalSegmentation(config)
    with torch.no_grad():
        network.class_predictor.bias.copy_(torch.tensor([0.0, 9, 0, 0, 0]))
        inner = network.model.transformer_module
        inner.queries_features.weight.mul_(20)
        inner.queries_embedder.weight.mul_(20)
        head = inner.decoder.mask_predictor.mask_embedder
        [layer for layer in head.modules() if isinstance(layer, torch.nn.Linear)][-1].weight.mul_(1000)
    network.save_pretrained(folder)
    transformers.Mask2FormerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def test_a_real_segformer_labels_a_clip_and_judges(
    transformers: ModuleType, clip: Path, tmp_path: Path
) -> None:
    folder = segformer(transformers, tmp_path / "network")
    annotate([clip], [f"labels:{folder}"])
    assert not (clip / "instances").exists()
    classifier = open_classifier(f"hub:{folder}", torch.device("cpu"))
    assert classifier.classes == tuple(NAMED.values())
    table = np.array([7, 26, 23, 0])  # a ship is unlabeled
    for t, found in enumerate(maps(clip / "labels")):
        assert np.array_equal(table[classifier(street(t))], found), "one door for both"


def test_a_real_mask2former_tells_objects_apart(transformers: ModuleType, clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="scipy, which Mask2Former wants, is not installed")
    folder = mask2former(transformers, tmp_path / "network")
    annotate([clip], [f"labels:{folder}"])
    instances = maps(clip / "instances")
    for found, ids in zip(maps(clip / "labels"), instances, strict=True):
        assert set(found[ids > 0].tolist()) <= {26}
    assert max(len(np.unique(ids[ids > 0])) for ids in instances) > 1, "several in one picture"
    shared = set.intersection(*(set(np.unique(ids[ids > 0]).tolist()) for ids in instances[:2]))
    assert shared, "followed into the next"
    assert Dataset.open(clip).schema.instances
    assert open_annotator(f"labels:{folder}").memory is None


def test_networks_that_will_not_do_are_refused(transformers: ModuleType, tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        with pytest.raises(UserError) as caught:
            open_annotator(f"labels:{folder}").begin()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "its weights lack decode_head" in refused(segformer(transformers, tmp_path / "cat", head=False))
    folder = segformer(transformers, tmp_path / "network")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert "cannot be loaded" in refused(folder)
    weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle is never read")
    assert "safetensors" in refused(folder)
    (folder / "config.json").write_text("{")
    assert "cannot be loaded" in refused(folder)
