"""The dataset doctor finds each kind of fault, and all of them at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_clips import CLASSES, make_clip, scene

from vid2vid.conditions import LabelClass, LabelSchema
from vid2vid.data import Finding, check_dataset
from vid2vid.errors import UserError
from vid2vid.video import write_picture

Fault = tuple[Callable[[Path], object], str, str, str]
"""What spoils a clip, then of the finding: its file, a part of what it says, its severity."""


def _labels(name: str, value: np.ndarray | int) -> Callable[[Path], None]:
    array = np.broadcast_to(np.asarray(value, np.uint8), (24, 32))
    return lambda clip: write_picture(clip / "labels" / f"{name}.png", np.ascontiguousarray(array))


def _frame(name: str, width: int, height: int) -> Callable[[Path], None]:
    return lambda clip: write_picture(clip / "frames" / f"{name}.png", scene(3, width, height)[0])


def _colour_labels(clip: Path) -> None:
    picture = CLASSES.colorize(CLASSES.indices(scene(2)[1]))
    write_picture(clip / "labels" / "0002.png", picture)


def _jpeg_labels(clip: Path) -> None:
    (clip / "labels" / "0002.png").unlink()
    Image.fromarray(scene(2)[1]).save(clip / "labels" / "0002.jpg")


def _smeared_labels(clip: Path) -> None:
    smooth = np.clip(scene(2)[1].astype(int) + np.arange(32) % 7 * (np.arange(32) > 20), 0, 255)
    write_picture(clip / "labels" / "0002.png", smooth.astype(np.uint8))


def _cut_short(clip: Path) -> None:
    path = clip / "frames" / "0004.png"
    path.write_bytes(path.read_bytes()[:100])


def _exact_flow(clip: Path) -> None:
    (clip / "flow").mkdir()
    for t in (1, 2, 3, 4):
        size = (24, 32) if t != 3 else (12, 16)
        np.savez(
            clip / "flow" / f"{t:04d}.npz",
            flow=np.zeros((2, *size), np.float32),
            occlusion=np.zeros(size, bool),
        )
    (clip / "flow" / "0004.npz").write_bytes(b"nonsense")


FAULTS: dict[str, Fault] = {
    "missing label map": (
        lambda clip: (clip / "labels" / "0002.png").unlink(),
        "labels",
        "no picture for frame 0002.png",
        "error",
    ),
    "surplus label map": (
        _labels("9999", scene(0)[1]),
        "labels/9999.png",
        "no frame of this name",
        "warning",
    ),
    "other names": (
        lambda clip: (
            [path.rename(path.with_name(f"x{path.name}")) for path in (clip / "labels").iterdir()][:0]
            or (clip / "labels" / "x0000.png").unlink()
        ),
        "labels",
        "5 pictures for the 6 frames",
        "error",
    ),
    "label map twice": (
        lambda clip: Image.fromarray(scene(3)[1]).save(clip / "labels" / "0003.bmp"),
        "labels",
        "2 files named 0003",
        "error",
    ),
    "gap in the frames": (
        lambda clip: [(clip / kind / "0002.png").unlink() for kind in ("frames", "labels", "densepose")],
        "frames/0003.png",
        "a gap before it in the numbering: 1 to 3",
        "warning",
    ),
    "name twice": (
        lambda clip: Image.fromarray(scene(3)[0]).save(clip / "frames" / "0003.jpg"),
        "frames",
        "2 files named 0003",
        "error",
    ),
    "frame of another size": (_frame("0003", 30, 24), "frames/0003.png", "30x24, but", "error"),
    "label map of another size": (
        lambda clip: write_picture(clip / "labels" / "0003.png", scene(3, 16, 12)[1]),
        "labels/0003.png",
        "16x12, but the clip's frames are 32x24",
        "error",
    ),
    "foreign id": (
        _labels("0001", [[9] * 32] * 12 + [[0] * 32] * 12),
        "labels/0001.png",
        ": 9 (50.0%",
        "error",
    ),
    "ignored pixels": (_labels("0001", 255), "labels/0001.png", "outside the class list: 255", "error"),
    "colour": (_colour_labels, "labels/0002.png", "label map saved as colour", "error"),
    "other colours": (
        lambda clip: write_picture(clip / "labels" / "0002.png", scene(2)[0]),
        "labels/0002.png",
        "colour picture where class ids are expected",
        "error",
    ),
    "jpeg": (_jpeg_labels, "labels/0002.jpg", "JPEG changes class ids", "error"),
    "smeared": (_smeared_labels, "labels/0002.png", "outside the class list", "error"),
    "constant map": (_labels("0002", 3), "labels/0002.png", "every pixel is tree (3)", "warning"),
    "empty map": (_labels("0002", 0), "labels/0002.png", "every pixel is road (0)", "warning"),
    "empty condition": (
        lambda clip: write_picture(clip / "densepose" / "0002.png", np.zeros((24, 32, 3), np.uint8)),
        "densepose/0002.png",
        "every pixel has the same colour",
        "warning",
    ),
    "empty frame": (
        lambda clip: write_picture(clip / "frames" / "0002.png", np.zeros((24, 32, 3), np.uint8)),
        "frames/0002.png",
        "every pixel has the same colour",
        "warning",
    ),
    "text as picture": (
        lambda clip: (clip / "frames" / "0005.png").write_text("hello"),
        "frames/0005.png",
        "not a picture that can be read",
        "error",
    ),
    "cut short": (_cut_short, "frames/0004.png", "damaged or cut short", "error"),
    "no class list": (lambda clip: (clip / "labels.yaml").unlink(), "labels.yaml", "missing", "error"),
    "bad class list": (
        lambda clip: (clip / "labels.yaml").write_text("classes: [{id: 0}]"),
        "labels.yaml",
        "lacks 'name'",
        "error",
    ),
    "too short": (
        lambda clip: [
            (clip / kind / f"{t:04d}.png").unlink()
            for t in (4, 5)
            for kind in ("frames", "labels", "densepose")
        ],
        "",
        "has 4 frames here, but 5 are needed",
        "error",
    ),
    "nothing in it": (
        lambda clip: [path.unlink() for path in (clip / "densepose").iterdir()],
        "densepose",
        "no pictures in it",
        "error",
    ),
    "flow missing": (_exact_flow, "flow/0005.npz", "missing", "warning"),
    "flow of another size": (_exact_flow, "flow/0003.npz", "16x12, but", "error"),
    "flow unreadable": (_exact_flow, "flow/0004.npz", "damaged or not an .npz", "error"),
    "video of labels": (
        lambda clip: (shutil.rmtree(clip / "labels"), (clip / "labels.mp4").touch()),
        "labels.mp4",
        "mixes labels up",
        "error",
    ),
    "unreadable video": (
        lambda clip: (shutil.rmtree(clip / "frames"), (clip / "frames.mp4").write_text("no video")),
        "frames.mp4",
        "",
        "error",
    ),
}


def has(findings: tuple[Finding, ...], clip: Path, fault: Fault) -> bool:
    _, file, what, severity = fault
    path = str(clip / file) if file else str(clip)
    return any(
        finding.file == path and what in finding.what and finding.severity == severity and finding.mend
        for finding in findings
    )


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "clip")
    FAULTS[name][0](clip)
    report = check_dataset(clip, min_length=5)
    assert has(report.findings, clip, FAULTS[name]), report.findings
    assert all("\n" not in str(finding) for finding in report.findings)
    assert (report.errors > 0) or FAULTS[name][3] == "warning"


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    together = [
        *("missing label map", "frame of another size", "foreign id", "empty frame"),
        *("surplus label map", "flow missing", "flow unreadable", "empty condition"),
    ]
    clip = make_clip(tmp_path / "bad")
    make_clip(tmp_path / "good")
    for name in together:
        if "flow" not in name:
            FAULTS[name][0](clip)
    _exact_flow(clip)
    report = check_dataset(tmp_path)
    assert [name for name in together if not has(report.findings, clip, FAULTS[name])] == []
    assert not any("good" in finding.file for finding in report.findings)
    assert (report.clips, report.frames, report.sizes) == (2, 12, {(32, 24): 2})


def test_a_clean_dataset_and_its_summary(tmp_path: Path) -> None:
    clip = make_clip(tmp_path)
    seen: list[tuple[int, int | None]] = []
    report = check_dataset(
        clip, min_length=6, progress=lambda done, total=None, note="": seen.append((done, total))
    )
    assert report.findings == ()
    assert (report.clips, report.frames, report.sizes) == (1, 6, {(32, 24): 1})
    assert [share.name for share in report.classes] == ["road", "tree", "car"]
    assert [share.color for share in report.classes] == [item.color for item in CLASSES.classes]
    assert sum(share.share for share in report.classes) == pytest.approx(1)
    assert report.classes[1].share == pytest.approx(6 / 32)
    assert report.classes[2].share == pytest.approx(64 / (24 * 32))
    assert seen == [(k, 18) for k in range(1, 19)]
    assert report.to_dict()["sizes"] == {"32x24": 1}


def test_part_and_condition_narrow_the_look(tmp_path: Path) -> None:
    clip = make_clip(tmp_path)
    (clip / "frames" / "0005.png").write_text("hello")
    (clip / "densepose" / "0000.png").unlink()
    assert check_dataset(clip, condition="labels", frames=":5").findings == ()
    assert check_dataset(clip, condition="labels").errors == 1
    assert check_dataset(clip, frames=":5").errors == 0  # nobody said that densepose is wanted
    assert check_dataset(clip, condition="densepose", frames=":5").errors == 1


def test_a_condition_that_a_clip_lacks(tmp_path: Path) -> None:
    make_clip(tmp_path / "a")
    clip = make_clip(tmp_path / "b")
    shutil.rmtree(clip / "densepose")
    shutil.rmtree(clip / "labels")
    assert {(finding.what, finding.severity) for finding in check_dataset(tmp_path).findings} == {
        ("b has no densepose, which other clips have", "warning"),
        ("b has no labels, which other clips have", "error"),
    }
    (finding,) = check_dataset(clip, condition="edges").findings
    assert (finding.file, finding.what) == (str(clip), "b has no edges, which is asked for")


CITYSCAPES = {
    "trainIds": {"road": 0, "sidewalk": 1, "building": 2, "sky": 10, "car": 13},
    "labelIds": {
        "unlabelled": 0,
        "ego": 1,
        "border": 2,
        "sign": 10,
        "terrain": 13,
        "road": 7,
        "sky": 23,
        "car": 26,
    },
}


@pytest.mark.parametrize(("listed", "given"), [("trainIds", (7, 23, 26)), ("labelIds", (0, 1, 2, 10, 13))])
def test_mixed_up_ids(tmp_path: Path, listed: str, given: tuple[int, ...]) -> None:
    clip = make_clip(tmp_path)
    schema = LabelSchema(
        tuple(LabelClass(number, name, (0, 0, 0)) for name, number in CITYSCAPES[listed].items())
    )
    schema.write(clip / "labels.yaml")
    for t in range(6):
        write_picture(clip / "labels" / f"{t:04d}.png", np.resize(np.array(given, np.uint8), (24, 32)))
    told = [str(finding) for finding in check_dataset(clip).findings]
    other = "labelIds" if listed == "trainIds" else "trainIds"
    assert told
    assert all(f"Cityscapes {other}" in line and f"labels.yaml lists {listed}" in line for line in told)


def test_clips_that_nothing_would_read(tmp_path: Path) -> None:
    make_clip(tmp_path / "a")
    shutil.rmtree(make_clip(tmp_path / "b") / "frames")
    make_clip(tmp_path / "c", width=64)
    (finding, sizes) = check_dataset(tmp_path).findings
    assert (finding.file, finding.severity) == (str(tmp_path / "b"), "error")
    assert "clips of different sizes: 32x24 (1), 64x24 (1)" in sizes.what


def test_differing_class_lists(tmp_path: Path) -> None:
    make_clip(tmp_path / "a")
    path = make_clip(tmp_path / "b") / "labels.yaml"
    path.write_text(path.read_text().replace("tree", "bush"))
    (finding,) = check_dataset(tmp_path).findings
    assert (finding.file, "other classes than" in finding.what) == (str(path), True)


def test_the_layout_of_2018(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "new")
    for letter, source in (("A", "labels"), ("B", "frames")):
        shutil.copytree(clip / source, tmp_path / "old" / f"train_{letter}" / "one")
    shutil.copytree(clip / "labels", tmp_path / "old" / "train_A" / "two")
    shutil.copy(clip / "labels.yaml", tmp_path / "old")
    (tmp_path / "old" / "train_A" / "one" / "0003.png").unlink()
    told = {(finding.file, finding.what) for finding in check_dataset(tmp_path / "old").findings}
    assert told == {
        (str(tmp_path / "old"), "two has no frames"),
        (str(tmp_path / "old" / "train_A" / "one"), "no picture for frame 0003.png"),
    }


def test_nothing_to_check(tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError):
            check_dataset(root)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("street_camvid", {}),
        ("dance_densepose", {"condition": "densepose", "frames": "0:60"}),
        ("rain_ntu", {"condition": "rainy", "target": "clean", "frames": "0:40"}),
    ],
)
def test_real_clips_are_healthy(clips: Path, name: str, options: dict[str, str]) -> None:
    report = check_dataset(clips / name, min_length=6, **options)  # type: ignore[arg-type]
    assert report.findings == ()
    assert bool(report.classes) == (name == "street_camvid")
