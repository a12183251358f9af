"""The verbs from end to end, through ``main``, on a few small frames of the synthetic city."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from vid2vid.cli import main
from vid2vid.conditions import ConditionSchema
from vid2vid.config import ModelConfig
from vid2vid.data.city import city_schema
from vid2vid.video import open_frames, read_picture, write_picture
from vid2vid.zoo import Model, save_model

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip made by ``prepare``."""
    folder = tmp_path_factory.mktemp("cli") / "data"
    assert main(["prepare", "city:3", "--out", str(folder), "--size", "96x64", "--frames", "6"]) == 0
    return folder / "city-3"


@pytest.fixture
def spoilt(city: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(city, tmp_path / "spoilt"))


def one_line(capture: Capture, verb: str) -> str:
    """The complaint: nothing on stdout, one line on stderr (after the last line of a progress)."""
    out, err = capture.readouterr()
    assert out == ""
    (line,) = (line for line in err.splitlines() if line.startswith(f"vid2vid {verb}: "))
    assert "Traceback" not in err
    return line


def test_prepare_makes_a_clip_and_repeats_quietly(city: Path, capsys: Capture) -> None:
    assert len(list((city / "frames").iterdir())) == 6
    assert main(["prepare", "city:3", "--out", str(city.parent), "--size", "96x64", "--frames", "6"]) == 0
    assert main(["prepare", "city:3", "--out", str(city.parent), "--size", "48x32", "--frames", "6"]) == 2
    assert "choose another --out" in capsys.readouterr().err.splitlines()[-1]


def test_prepare_keeps_going_and_names_what_it_leaves_out(
    city: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    words = [str(tmp_path / "text.mp4"), "--out", str(tmp_path / "out"), "--keep-going"]
    assert main(["prepare", str(city), *words]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'out' / 'city-3'}\n"
    assert [line for line in err.splitlines() if line.startswith(f"vid2vid prepare: {words[0]}: not a video")]
    assert main(["prepare", *words]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("vid2vid prepare: none of the sources gave a clip;")
    )


def test_check_praises_and_summarises(city: Path, capsys: Capture) -> None:
    assert main(["check", str(city)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 clip, 6 frames, 96x64\n")
    assert "road" in out
    assert out.endswith("0 errors, 0 warnings\n")


def test_prepare_packs_shards_that_check_reads(city: Path, tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "shards")
    assert main(["prepare", str(city.parent), "--out", out, "--shards", "--shard-size", "1"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert main(["check", out]) == 0
    assert capsys.readouterr().out.startswith("1 clip, 6 frames, 96x64\n")
    (tmp_path / "shards" / "shard-000000.tar").write_bytes(b"")
    assert main(["check", out]) == 2
    assert "shard-000000.tar: 0 bytes" in one_line(capsys, "check")
    assert main(["prepare", str(city.parent), "--shards"]) == 2
    assert "say with --out" in one_line(capsys, "prepare")


def test_check_names_each_fault_and_fails(spoilt: Path, capsys: Capture) -> None:
    first, second, *_ = sorted((spoilt / "labels").iterdir())
    labels = read_picture(first, mode="labels")
    write_picture(first, np.full_like(labels, 250))
    second.unlink()
    assert main(["check", str(spoilt)]) == 1
    out = capsys.readouterr().out
    assert first.name in out
    assert second.stem in out
    assert "error: " in out


def test_check_for_a_recipe_wants_its_length(city: Path, capsys: Capture) -> None:
    assert main(["check", str(city), "--frames", "0:2", "--recipe", "street-tiny"]) == 1
    assert "2 frames" in capsys.readouterr().out
    assert main(["check", str(city), "--recipe", "street-tine"]) == 2
    assert "street-tine: no such recipe" in one_line(capsys, "check")


def test_evaluate_writes_a_report_and_a_table(city: Path, tmp_path: Path, capsys: Capture) -> None:
    frames, out = str(city / "frames"), tmp_path / "report"
    assert main(["evaluate", frames, f"same={frames}", "--out", str(out)]) == 0
    assert "same" in capsys.readouterr().out
    assert json.loads((out / "report.json").read_text())["real"]["frames"] > 0
    assert (out / "index.html").is_file()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained model of the city."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    schema = ConditionSchema("labels", "labels", city_schema(), instances=True)
    architecture = ModelConfig(width=4, downs=2, blocks=2)
    save_model(Model.build(architecture, schema, (96, 64), 15), folder)
    return folder


def test_synthesize_renders_one_frame_for_each_condition(
    city: Path, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    first = str(city / "frames" / "000001.png")
    words = [
        "synthesize",
        str(model),
        str(city),
        "--frames",
        "1:5",
        "--first-frame",
        first,
        "--device",
        "cpu",
    ]
    assert main([*words, "--out", str(tmp_path / "made")]) == 0
    made = sorted((tmp_path / "made").glob("*.png"))
    assert [path.name for path in made] == [f"{number:06d}.png" for number in range(1, 5)]
    assert np.array_equal(read_picture(made[0]), read_picture(first))
    assert main([*words, "--out", str(tmp_path / "made.mp4")]) == 0
    assert len(open_frames(tmp_path / "made.mp4")) == 4
    assert f"4 frames in {tmp_path / 'made.mp4'}: " in capsys.readouterr().out


def test_demo_shows_labels_and_rendering_side_by_side(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "demo.mp4"
    words = ["--model", str(model), "--frames", "3", "--size", "96x64", "--device", "cpu", "--out", str(out)]
    assert main(["demo", *words]) == 0
    video = open_frames(out)
    assert (len(video), video.info.size) == (3, (192, 64))


def test_demo_wants_a_model_of_the_city(tmp_path: Path, capsys: Capture) -> None:
    schema = ConditionSchema("image", "edges")
    folder = tmp_path / "edges"
    save_model(Model.build(ModelConfig(width=4, downs=2, blocks=2), schema, (64, 64), 15), folder)
    assert main(["demo", "--model", str(folder), "--device", "cpu", "--out", str(tmp_path / "x.mp4")]) == 2
    assert "is no model of the synthetic city" in one_line(capsys, "demo")


def test_info_of_a_model_and_a_recipe_and_all(model: Path, capsys: Capture) -> None:
    assert main(["info", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] > 0
    assert main(["info", "street-tiny", "model.width=8"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["settings"]["model"]["width"] == 8
    assert main(["info"]) == 0
    assert "street-tiny" in yaml.safe_load(capsys.readouterr().out)["recipes"]


def test_a_full_disk_is_one_line_and_leaves_nothing(
    city: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.chdir(tmp_path)
    for words in (
        ["prepare", str(city / "frames"), "--out", "data"],
        ["synthesize", str(model), str(city), "--device", "cpu", "--out", "made.mp4"],
        ["synthesize", str(model), str(city), "--device", "cpu", "--out", "made"],
        [
            "demo",
            "--model",
            str(model),
            "--frames",
            "2",
            "--size",
            "64x32",
            "--device",
            "cpu",
            "--out",
            "x.mp4",
        ],
    ):
        assert main(words) == 2
        assert "space" in one_line(capsys, words[0])
        assert list(tmp_path.iterdir()) == [], "something was left behind"


@pytest.mark.parametrize(
    "words",
    [
        ["check", "nowhere"],
        ["prepare", "nowhere.mp4", "--out", "x"],
        ["prepare", "text.mp4", "--out", "x"],
        ["prepare", "city", "--out", "x", "--size", "wide"],
        ["prepare", "city", "--out", "x", "--crop", "1,2,3"],
        ["synthesize", "nowhere", "nowhere", "--out", "x.mp4"],
        ["demo", "--model", "nowhere", "--out", "x.mp4"],
        ["info", "nowhere"],
        ["evaluate", "nowhere", "nowhere", "--out", "x"],
        ["train", "nowhere", "--recipe", "street-tiny", "--out", "x"],
        ["train", "nowhere", "--recipe", "street-tiny", "--out", "x", "train.stepps=3"],
        ["train", "nowhere", "--recipe", "none", "--out", "x"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video")
    assert main(words) == 2
    assert ": " in one_line(capsys, words[0])
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"], "something was left behind"
