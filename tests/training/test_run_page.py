"""The page of a run: whole, small and harmless, whatever lies in the folder."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny import full_disk, hidden_or_partial
from vid2vid.errors import UserError
from vid2vid.training.run_page import PAGE, POINTS, VIDEOS, command_line, write_run_page


class Reader(HTMLParser):
    """Tags that are open, and everything that a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.wanted: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.wanted += [value or "" for name, value in attributes if name in ("src", "href", "data")]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def write(run: Path, lines: list[object], last: int | None = None) -> Reader:
    run.mkdir(parents=True, exist_ok=True)
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text, encoding="utf-8")
    write_run_page(run, "tiny", {"step": "3 of 4"}, "vid2vid train", last or len(lines))
    return read(run)


def read(run: Path) -> Reader:
    reader = Reader()
    reader.feed((run / PAGE).read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    assert "script" not in reader.tags
    assert all(word.startswith("samples/") for word in reader.wanted)
    return reader


def line(step: int) -> dict[str, float]:
    terms = {"generator/gan": 3 / step, "generator/flow": 1.0, "discriminator/real": 0.5}
    more = {"discriminator/video_0_real": 0.2, "discriminator/video_0_fake": 0.1, "gradient/generator": 9.0}
    scores = {"validation/psnr": 20.0 + step} if step % 2 == 0 else {}
    return {"step": step, "frames": 2 * step, "rate": 1.0, "skipped": 0, **terms, **more, **scores}


def test_the_page_has_curves_of_all_that_was_measured(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for step in range(1, 7):
        (tmp_path / "samples" / f"step-{step:07d}.mp4").touch()
    (tmp_path / "config.yaml").write_text("name: tiny\n")
    page = write(tmp_path, [line(step) for step in range(1, 9)])
    captions = {
        *("gan", "flow", "judging frames", "judging video 0", "psnr", "length of the gradients"),
        *("generator, all terms", "discriminators, all terms", "steps skipped so far"),
    }
    assert captions <= set(page.text)
    assert page.wanted == [f"samples/step-{step:07d}.mp4" for step in range(6, 6 - VIDEOS, -1)]
    assert "name: tiny\n" in page.text
    assert {"vid2vid train", "step: 3 of 4"} <= set(page.text)
    text = (tmp_path / PAGE).read_text()
    (psnr,) = re.findall(r'aria-label="psnr".*?</svg>', text)
    assert len(re.findall("<circle", psnr)) == 4


def test_without_anything_measured_there_is_a_page_all_the_same(tmp_path: Path) -> None:
    write_run_page(tmp_path, "tiny", {}, "", 0)
    page = read(tmp_path)
    assert "None yet." in page.text
    assert "svg" not in page.tags


def test_a_long_log_makes_a_small_page_of_means(tmp_path: Path) -> None:
    steps = 30_000
    page = write(tmp_path, [line(step) | {"generator/flow": float(step % 2)} for step in range(1, steps + 1)])
    text = (tmp_path / PAGE).read_text()
    curves = re.findall(r'<polyline points="([^"]*)"', text)
    assert curves
    assert all(POINTS / 2 <= len(curve.split()) <= POINTS for curve in curves)
    assert len(text) < 200_000
    (flow,) = re.findall(r'aria-label="flow".*?</svg>', text)
    (heights,) = {tuple(p.split(",")[1] for p in c.split()) for c in re.findall(r'points="([^"]*)"', flow)}
    assert len(set(heights)) == 1, "as many ones as zeros in every stretch"
    assert "polyline" in page.tags


def test_hostile_names_are_text(tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step-\"><img src=x onerror='a'>.mp4").touch()
    (tmp_path / "config.yaml").write_text(f"name: {evil}")
    sides = ("generator", "discriminator", "validation")
    lines = [{"step": step} | {f"{side}/{evil}": 1.0 for side in sides} for step in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write_run_page(tmp_path, evil, {evil: evil}, evil, 2)
    page = read(tmp_path)
    assert "img" not in page.tags
    assert evil in page.text
    assert len(page.wanted) == 1


NUMBERS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "1", "x"])
LINES = st.lists(
    st.dictionaries(st.sampled_from(["step", "generator/a", "validation/b", "rate", "x"]), NUMBERS)
    | st.integers()
    | st.sampled_from(['{"step": 3, "ra', "\n", "null\n", '{"step": 1, "rate": 1' + "0" * 400 + "}\n"]),
    max_size=8,
)


@given(LINES)
def test_no_log_is_too_damaged(tmp_path_factory: pytest.TempPathFactory, lines: list[object]) -> None:
    write(tmp_path_factory.getbasetemp() / "damaged", lines, 5)


def test_lines_of_steps_that_are_yet_to_come_are_not_drawn(tmp_path: Path) -> None:
    page = write(tmp_path, [line(1), {"step": 9, "generator/later": 1.0}], last=8)
    assert "later" not in page.text


def test_a_full_disk_leaves_the_page_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, [line(1)])
    before = (tmp_path / PAGE).read_bytes()
    with full_disk(512), pytest.raises(UserError, match="the disk is full"):
        write_run_page(tmp_path, "other", {}, "", 1)
    assert (tmp_path / PAGE).read_bytes() == before
    assert not hidden_or_partial(tmp_path)


def test_the_command_can_be_given_to_a_shell_again() -> None:
    options = {"recipe": "mine", "out": Path("runs/a b"), "frames": None, "freeze": ("flow", "coarse")}
    words = shlex.split(command_line("data/it's", ["train.steps=3", "data.size=[32, 32]"], options))
    assert words == [
        *("vid2vid", "train", "data/it's", "train.steps=3", "data.size=[32, 32]"),
        *("--recipe", "mine", "--out", "runs/a b", "--freeze", "flow", "coarse"),
    ]
