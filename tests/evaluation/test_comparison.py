"""Which clips and frames belong together, and benchmarks that fix it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from evaluation_clips import blurred, noisy, panned, write_folder

from vid2vid.errors import UserError
from vid2vid.evaluation import evaluate
from vid2vid.evaluation.page import worst_first
from vid2vid.evaluation.protocols import PROTOCOLS, open_protocol
from vid2vid.video import VideoWriter

SIZE = (96, 64)
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real clips; ``ours`` and ``theirs`` have them too, ``some`` has two of them, as videos."""
    root = tmp_path_factory.mktemp("many")
    for seed, name in enumerate(NAMES):
        real = panned(14, SIZE, seed=seed)
        write_folder(root / "real" / name / "frames", real)
        write_folder(root / "ours" / name, noisy(real, 2 + 4 * seed))
        write_folder(root / "theirs" / name / "frames", noisy(real, 30))
        if name != "b":
            (root / "some").mkdir(exist_ok=True)
            with VideoWriter(root / "some" / f"{name}.mp4", 25) as writer:
                for picture in blurred(real, 1):
                    writer.write(picture)
    return root


@pytest.fixture(scope="module")
def report(root: Path) -> dict:
    return evaluate(root / "real", [root / "ours", root / "theirs"], root / "out", controls=True)


def figures(report: dict, key: str) -> dict[str, float]:
    return {system["name"]: system["summary"].get(key) for system in report["systems"]}


def test_clips_of_the_same_names_are_put_together(report: dict, root: Path) -> None:
    assert [clip["name"] for clip in report["clips"]] == list(NAMES)
    assert report["real"]["frames"] == 42
    assert report["settings"]["bootstrap"]["over"] == "clips"
    for place, name in ((1, "ours"), (2, "theirs")):
        each = [clip["systems"][place]["summary"]["psnr"] for clip in report["clips"]]
        assert figures(report, "psnr")[name] == pytest.approx(np.mean(each))
        low, high = report["systems"][place]["interval"]["psnr"]
        assert min(each) <= low < np.mean(each) < high <= max(each)
    alone = evaluate(root / "real" / "b", [root / "ours" / "b"], root / "alone")
    assert (
        alone["systems"][1]["summary"]["warping_error"]
        == report["clips"][1]["systems"][1]["summary"]["warping_error"]
    )


def test_others_are_compared_with_the_first_pair_by_pair(report: dict) -> None:
    ours, theirs = report["systems"][1:3]
    assert ours["difference"] == {}
    found = theirs["difference"]["psnr"]
    assert found["value"] == pytest.approx(theirs["summary"]["psnr"] - ours["summary"]["psnr"])
    assert found["interval"][0] <= found["value"] <= found["interval"][1] < 0


def test_every_clip_is_written_and_the_worst_comes_first(report: dict, root: Path) -> None:
    assert [clip["name"] for clip in worst_first(report)] == ["c", "b", "a"]
    assert sorted(path.name for path in (root / "out" / "side_by_side").iterdir()) == [
        "a.mp4",
        "b.mp4",
        "c.mp4",
    ]
    page = (root / "out" / "index.html").read_text()
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert [clip["video"] for clip in json.loads(data[1])["clips"]] == [
        f"side_by_side/{name}.mp4" for name in "cba"
    ]
    assert re.findall(r'data-clip="\d">(\w)<', page) == ["c", "b", "a"]
    rows = list(csv.DictReader((root / "out" / "report.csv").open()))
    psnr = {(row["system"], row["clip"]): row for row in rows if row["metric"] == "psnr"}
    assert float(psnr["ours", "all"]["value"]) == figures(report, "psnr")["ours"]
    assert float(psnr["ours", "all"]["low"]) == report["systems"][1]["interval"]["psnr"][0]
    assert float(psnr["theirs", "c"]["value"]) == report["clips"][2]["systems"][2]["summary"]["psnr"]


def test_clips_may_be_left_out_by_all(root: Path, tmp_path: Path) -> None:
    report = evaluate(root / "real", [root / "some"], tmp_path / "out")
    assert [clip["name"] for clip in report["clips"]] == ["a", "c"]


def test_what_does_not_go_together_is_one_line(root: Path, tmp_path: Path) -> None:
    def refused(real: Path, *fakes: Path, **arguments: object) -> str:
        with pytest.raises(UserError) as caught:
            evaluate(real, list(fakes), tmp_path / "out", **arguments)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
        return str(caught.value)

    assert "only one of them has clip b" in refused(root / "real", root / "ours", root / "some")
    assert "is one clip" in refused(root / "real", root / "ours" / "a")
    write_folder(tmp_path / "strange" / "d", panned(14, SIZE))
    assert "no clip named d" in refused(root / "real", tmp_path / "strange")
    write_folder(tmp_path / "short" / "a", panned(14, SIZE)[:9])
    with VideoWriter(tmp_path / "short.mp4", 25) as writer:
        for picture in panned(9, SIZE):
            writer.write(picture)
    assert "has 9 frames" in refused(root / "real" / "a", tmp_path / "short.mp4")
    write_folder(tmp_path / "tall", [picture[:, :64] for picture in panned(14, SIZE)])
    assert "another shape" in refused(root / "real" / "a", tmp_path / "tall")
    for rate in (25, 30):
        with VideoWriter(tmp_path / f"{rate}.mp4", rate) as writer:
            for picture in panned(14, SIZE):
                writer.write(picture)
    assert "30 frames a second" in refused(tmp_path / "25.mp4", tmp_path / "30.mp4")


def test_how_far_styles_lie_apart(root: Path, tmp_path: Path) -> None:
    for name, level in (("dark", 40), ("grey", 100), ("light", 220)):
        write_folder(tmp_path / name, [np.full((64, 96, 3), level, np.uint8)] * 14)
    fakes = [tmp_path / name for name in ("dark", "grey", "light")]
    found = evaluate(root / "real" / "a", fakes, tmp_path / "out", styles=True, given=2)["diversity"]
    assert {(pair["one"], pair["other"]): pair["pixels"] for pair in found["pairs"]} == {
        ("dark", "grey"): 60,
        ("dark", "light"): 180,
        ("grey", "light"): 120,
    }
    assert found["pixels"] == 120
    assert found["lpips"] is None
    assert "How far the styles lie apart" in (tmp_path / "out" / "index.html").read_text()


def test_the_prediction_protocol_averages_as_the_field_does(tmp_path: Path) -> None:
    real = panned(14, (1024, 512))
    write_folder(tmp_path / "real", real)
    write_folder(tmp_path / "fake", [*real[:4], *(noisy([x], 4 * t)[0] for t, x in enumerate(real[4:], 1))])
    report = evaluate(
        tmp_path / "real", [tmp_path / "fake"], tmp_path / "out", protocol="cityscapes-prediction", flow="dis"
    )
    curve = report["clips"][0]["systems"][1]["curves"]["ms_ssim"]
    assert curve[:4] == [None] * 4
    found = report["protocol"]["figures"]["fake"]["ms_ssim"]
    assert found == {f"first {k}": pytest.approx(np.mean(curve[4 : 4 + k])) for k in (1, 3, 5, 10)}
    assert found["first 1"] > found["first 10"]
    assert "cityscapes-prediction" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_protocol_refuses_what_it_does_not_mean(protocol, root: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def refused(**arguments: object) -> str:
        with pytest.raises(UserError) as caught:
            evaluate(
                root / "real" / "a",
                [root / "ours" / "a"],
                tmp_path / "out",
                protocol=protocol.name,
                **arguments,
            )  # type: ignore[arg-type]
        assert protocol.name in str(caught.value)
        return str(caught.value)

    assert "leave it out" in refused(given=3)
    if protocol.scored or protocol.clip_length:
        assert "--frames START:STOP" in refused(frames="0:9")
    if protocol.size is None:
        assert protocol.clip_length or "of that size" in refused(size=(48, 32))


def test_unknown_protocols_are_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="street-synthesis"):
        open_protocol("street")
