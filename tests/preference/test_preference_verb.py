"""``vid2vid study`` from end to end, and what it complains of."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from study_clips import moving, several, systems

import vid2vid
from vid2vid.cli import main
from vid2vid.errors import UserError
from vid2vid.preference.material import degraded, open_material
from vid2vid.preference.results import markdown_table
from vid2vid.video import VideoWriter

Capture = pytest.CaptureFixture[str]


def video(path: Path, rate: int, frames: int = 4, size: tuple[int, int] = (48, 32)) -> Path:
    with VideoWriter(path, rate) as writer:
        for number in range(frames):
            writer.write(np.full((size[1], size[0], 3), 20 * number, np.uint8))
    return path


def test_serves_until_ctrl_c_and_sums_up(tmp_path: Path, capsys: Capture) -> None:
    words = ["study", *systems(tmp_path), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "vid2vid", *words, "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/", first)
        assert url is not None
        assert b"more realistic" in urllib.request.urlopen(url[0], timeout=10).read()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(10) == 0
    assert rest.rstrip().endswith(f"Answers: {tmp_path / 'out' / 'study.sqlite'} (0 so far)")
    assert main(["study", "--out", str(tmp_path / "out"), "--results"]) == 0
    out = capsys.readouterr().out
    assert "Nobody has answered yet." in out
    assert json.loads((tmp_path / "out" / "results.json").read_text())["systems"] == ["ours", "twin"]
    assert (tmp_path / "out" / "results.html").is_file()
    assert (tmp_path / "out" / "answers.csv").read_text().startswith("rater,kind,")
    assert vid2vid.study((), tmp_path / "out", serve=False)["answers"] == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["a"], "two systems or more"),
        (["a", "nowhere"], "nowhere"),
        (["x=a", "x=b"], "two systems are named x"),
        (["a", "short"], "short: covers other frames than a (3 and 4)"),
        (["a", "small"], "small: is 24x16, but a is 48x32"),
        (["a", "folder"], "folder: is a folder of several clips, but a is one"),
        (["folder", "a"], "a: holds no clip"),
        (["folder", "other"], "holds no clip 'b'"),
        (["slow.mp4", "quick.mp4"], "give one rate for all with --fps"),
        (["a", "b", "--catch", "0.9"], "--catch 0.9"),
        (["a", "b", "--piece", "9"], "--piece 9"),
        (["a", "b", "--frames", "7:9"], "--frames 7:9"),
        (["a", "b", "--results"], "no study is kept here"),
        ([], "no study is kept here"),
        (["--seed", "3"], "name them"),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    moving(Path("a"), 60)
    moving(Path("b"), 160)
    moving(Path("short"), 60, frames=3)
    moving(Path("small"), 60, size=(24, 16))
    several(Path("folder"), 60)
    several(Path("other"), 60, "ac")
    video(Path("slow.mp4"), 10)
    video(Path("quick.mp4"), 20)
    assert main(["study", *words, "--out", "out"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err.splitlines()[-1]
    assert not Path("out").exists()


def test_a_bad_option_of_the_server_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    words = ["study", *systems(tmp_path, "a"), "--out", str(tmp_path / "out")]
    assert main([*words, "--host", "no such host"]) == 2
    assert "--host no such host" in capsys.readouterr().err


def test_clips_are_found_cut_and_timed(tmp_path: Path) -> None:
    specs = [str(moving(tmp_path / "o", 60, 9)), str(video(tmp_path / "t.mp4", 12, 9))]
    material = open_material(specs, None, piece=4)
    assert material.systems == ["o", "t"]
    assert material.clips == ["0:4", "4:8"]
    assert list(material.parts[1].frames["t"]) == [4, 5, 6, 7]
    assert material.parts[0].rate == 12, "a folder that records no rate takes that of the video"
    real = moving(tmp_path / "r", 90, 9, size=(96, 64))
    (part,) = open_material(specs, real, frames="2:9").parts
    assert (part.count, part.size) == (7, (48, 32))
    with pytest.raises(UserError, match="no share"):
        vid2vid.study(specs, tmp_path / "out", catch=0.7)


def test_a_spoilt_clip_is_far_from_the_clip_and_repeatable() -> None:
    ramp = [np.full((32, 48, 3), 6 * number, np.uint8) for number in range(40)]
    spoilt = list(degraded(ramp))
    assert len(spoilt) == 40
    order = [int(picture[0, 0, 0]) // 6 for picture in spoilt]
    assert sorted(order) == list(range(40))
    assert np.abs(np.diff(order)).mean() > 5
    assert all(np.array_equal(one, two) for one, two in zip(spoilt, degraded(ramp), strict=True))


def test_markdown_of_people_and_scripts_apart() -> None:
    share = {"hits": 6, "answers": 8, "share": 0.75, "low": 0.41, "high": 0.93}
    clear = {"hits": 8, "answers": 8, "share": 1.0, "low": 0.68, "high": 1.0}
    beats = {"score": 0.6, "low": 0.5, "high": 0.7}
    group = {
        "raters": 2,
        "answers": 8,
        "excluded": 1,
        "pairs": [
            {"first": "ours", "second": "twin", **share, "agreement": 0.5, "alpha": -0.001},
            {"first": "ours", "second": "third", **clear, "agreement": None, "alpha": None},
        ],
        "strengths": [{"system": "ours", "beats": beats}],
    }
    summary = {
        "question": "Which?",
        "answers": 20,
        "simulated_answers": 9,
        "groups": [{"who": "people", **group}, {"who": "simulated raters", **group}],
    }
    text = markdown_table(summary)
    assert "9 of the 20 answers were given by simulated raters" in text
    assert "People: 2 raters, 8 answers; 1 rater left out" in text
    assert "| ours / twin | 75 % | 41 to 93 % | 8 | 50 % | 0.00 |" in text
    assert "| ours / third | **100 %** | 68 to 100 % | 8 | — | — |" in text
    assert text.index("People") < text.index("Simulated raters")
