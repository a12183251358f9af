"""`evaluate`, from clips to report: an outside measuring stick agrees, and the page holds the numbers."""

import base64
import json
import re
from html import escape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_clips import blurred, noisy, panned, write_folder

from vid2vid.errors import UserError
from vid2vid.evaluation import evaluate, markdown_table
from vid2vid.video import VideoWriter, open_frames

SIZE = (96, 64)
REAL = panned(7, SIZE)
SCORE = Path(__file__).resolve().parents[3] / "shared" / "tools" / "score.py"


@pytest.fixture(scope="module")
def clips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    write_folder(root / "real" / "frames", REAL)
    write_folder(root / "soft", blurred(REAL[2:], 1.0), first=2)
    write_folder(root / "noisy", noisy(REAL[2:], 12), first=2)
    return root


@pytest.fixture(scope="module")
def report(clips_folder: Path) -> dict:
    fakes = [clips_folder / "soft", f"rough={clips_folder / 'noisy'}"]
    return evaluate(clips_folder / "real", fakes, clips_folder / "out", controls=True, window=2)


def system(report: dict, name: str) -> dict:
    return next(one for one in report["systems"] if one["name"] == name)


def stick(real: Path, fake: Path, size: tuple[int, int] | None = None) -> dict:
    if not SCORE.is_file():
        pytest.skip("the outside measuring stick (../shared/tools/score.py) is not here")
    spec = spec_from_file_location("score", SCORE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.score(str(real), str(fake), size)


def assert_agrees(report: dict, name: str, expected: dict) -> None:
    summary = system(report, name)["summary"]
    for key in ("psnr", "ms_ssim", "warping_error", "flicker", "sharpness"):
        # The stick rounds halved pictures to whole levels on its way down the scales.
        near = 3e-3 if key == "ms_ssim" else 1e-3
        assert summary[key] == pytest.approx(expected[key.removesuffix("ing_error")], abs=near), key
    real = system(report, "real clip")["summary"]["warping_error"]
    assert real == pytest.approx(expected["warp_real"], abs=1e-3)
    assert report["real"]["frames"] == expected["n"]


def test_agrees_with_the_outside_measuring_stick(report: dict, clips_folder: Path) -> None:
    for name, folder in (("soft", "soft"), ("rough", "noisy")):
        assert_agrees(report, name, stick(clips_folder / "real" / "frames", clips_folder / folder))


def test_agrees_on_real_footage_at_another_size(clips: Path, tmp_path: Path) -> None:
    frames = sorted((clips / "street_camvid" / "frames").iterdir())[57:61]
    (tmp_path / "fake").mkdir()
    for frame in frames:
        picture = cv2.resize(cv2.imread(str(frame)), (256, 192), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(tmp_path / "fake" / f"{frame.stem}.png"), cv2.GaussianBlur(picture, (0, 0), 0.8))
    report = evaluate(clips / "street_camvid", [tmp_path / "fake"], tmp_path / "out")
    assert_agrees(report, "fake", stick(clips / "street_camvid" / "frames", tmp_path / "fake"))


def test_curves_cover_all_frames_and_carry_the_summaries(report: dict) -> None:
    (clip,) = report["clips"]
    for one in clip["systems"]:
        for key, curve in one["curves"].items():
            assert len(curve) == clip["frames"]["count"] == 5
            if key not in ("gradient_energy", "sharpness"):
                assert one["summary"][key] == pytest.approx(np.mean([v for v in curve if v is not None]))
            assert system(report, one["name"])["summary"][key] == pytest.approx(one["summary"][key])
    assert system(clip, "soft")["curves"]["warping_error"][0] is None


def test_controls(report: dict) -> None:
    copied, soft = system(report, "first frame copied"), system(report, "soft")
    assert system(report["clips"][0], "first frame copied")["curves"]["psnr"][0] is None
    assert copied["summary"]["psnr"] < soft["summary"]["psnr"]
    rough, smoothed = system(report, "rough"), system(report, "rough blurred (sigma 2)")
    assert smoothed["summary"]["warping_error"] < rough["summary"]["warping_error"]
    assert smoothed["summary"]["gradient_energy"] < rough["summary"]["gradient_energy"]


def test_report_is_on_disk_as_returned(report: dict, clips_folder: Path) -> None:
    assert json.loads((clips_folder / "out" / "report.json").read_text()) == report
    assert sorted(path.name for path in (clips_folder / "out").iterdir()) == [
        "index.html",
        "report.csv",
        "report.json",
        "side_by_side.mp4",
    ]
    assert len(open_frames(clips_folder / "out" / "side_by_side.mp4")) == 5


def test_page_holds_the_numbers_and_needs_nothing_from_elsewhere(report: dict, clips_folder: Path) -> None:
    page = (clips_folder / "out" / "index.html").read_text()
    for one in report["systems"]:
        assert one["name"] in page
        for metric in report["metrics"]:
            value = one["summary"].get(metric["key"])
            if value is not None:
                assert f">{value:.{metric['decimals']}f}<" in page
    assert all(escape(metric["note"]) in page for metric in report["metrics"])
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith("data:image/") for source in sources)
    video = re.search(r'<script type="text/plain" id="video-0">(.*?)</script>', page, re.DOTALL)
    assert video is not None
    assert base64.b64decode(video[1]) == (clips_folder / "out" / "side_by_side.mp4").read_bytes()
    assert "http" not in re.sub(r"data:image/[^\"]*", "", page.replace(video[1], ""))
    embedded = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert embedded is not None
    (clip,) = json.loads(embedded[1])["clips"]
    assert clip["count"] == 5
    assert len(clip["tiles"]) == page.count("<canvas") == len(report["systems"])
    assert page.count('<svg class="chart"') == len(report["metrics"]) + 4


def test_names_cannot_break_the_page(clips_folder: Path, tmp_path: Path) -> None:
    name = "</script><b>&"
    evaluate(clips_folder / "real", [f"{name}={clips_folder / 'soft'}"], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert name not in page
    assert page.count("</script>") == 3


def test_markdown_table_marks_the_best_fake(report: dict) -> None:
    lines = markdown_table(report).splitlines()
    assert "PSNR (dB) ↑" in lines[0]
    assert "Warping error ↓" in lines[0]
    assert "Colour drift (ΔE) ↓" in lines[0]
    assert len(lines) == 2 + len(report["systems"])
    soft, rough = (system(report, name)["summary"] for name in ("soft", "rough"))
    winner = lines[3] if soft["warping_error"] < rough["warping_error"] else lines[4]
    assert f"**{min(soft['warping_error'], rough['warping_error']):.2f}**" in winner
    assert "**" not in "".join(line for line in lines if line.startswith("| *"))


def test_videos_size_given_and_progress(tmp_path: Path) -> None:
    for name, pictures in (("real", REAL), ("fake", noisy(REAL, 5))):
        with VideoWriter(tmp_path / f"{name}.mp4", 25) as writer:
            for picture in pictures:
                writer.write(picture)
    calls: list[tuple[int, int | None]] = []
    report = evaluate(
        tmp_path / "real.mp4",
        [tmp_path / "fake.mp4"],
        tmp_path / "out",
        size=(49, 33),
        frames="1:6",
        given=2,
        progress=lambda done, total=None, note="": calls.append((done, total)),
    )
    assert calls == [(done, 5) for done in range(1, 6)]
    assert report["clips"][0]["frames"]["names"] == ["1", "2", "3", "4", "5"]
    assert system(report["clips"][0], "fake")["curves"]["psnr"][:2] == [None, None]
    notes = " ".join(report["notes"])
    assert "resized from 96x64 to 49x33" in notes
    assert "MS-SSIM uses 2 scales" in notes
    assert "not scored: 2" in notes


def test_bad_input_is_one_line_and_leaves_nothing(clips_folder: Path, tmp_path: Path) -> None:
    real, soft, out = clips_folder / "real", clips_folder / "soft", tmp_path / "deep" / "out"
    write_folder(tmp_path / "small", [picture[:6, :9] for picture in REAL])
    write_folder(tmp_path / "other", panned(7, (48, 32)))
    (tmp_path / "file").write_text("x")
    cases: list[tuple[str, dict]] = [
        ("nothing to compare", {"fakes": []}),
        ("is taken", {"fakes": [soft, soft]}),
        ("is taken", {"fakes": [f"real clip={soft}"]}),
        ("missing", {"fakes": [tmp_path / "missing"]}),
        ("too small", {"fakes": [tmp_path / "small"]}),
        ("choose one with --size", {"fakes": [tmp_path / "other", f"b={real}"]}),
        ("leaves none", {"given": 5}),
        ("--given -1", {"given": -1}),
        ("unknown estimator", {"flow": "nonsense"}),
        ("write START:STOP", {"frames": "x"}),
        ("file", {"out": tmp_path / "file"}),
    ]
    for words, changed in cases:
        arguments = {"fakes": [soft], "out": out, **changed}
        with pytest.raises(UserError, match=re.escape(words)) as caught:
            evaluate(real, arguments.pop("fakes"), arguments.pop("out"), **arguments)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "deep").exists()


def test_an_interrupted_evaluation_leaves_nothing(clips_folder: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None = None, note: str = "") -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(clips_folder / "real", [clips_folder / "soft"], tmp_path / "out", progress=interrupt)
    assert not (tmp_path / "out").exists()
