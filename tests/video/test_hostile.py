"""A campaign of hostile videos: frames or one line, soon, for little memory, and no other file or address."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import mutants
import pytest
from campaign import Server

LONGEST, MOST = 10, 1 << 30
"""Seconds, and bytes above what an honest small video needs."""
TRUSTING = {"safe": "0", "protocol_whitelist": "file,crypto,data,http,tcp"}
CAMPAIGN = Path(__file__).with_name("campaign.py")


def campaign(out: Path, *arguments: object) -> list[dict[str, Any]]:
    """What became of each mutant."""
    subprocess.run([sys.executable, CAMPAIGN, out, *map(str, arguments)], check=True, timeout=3000)
    report = json.loads((out / "report.json").read_text())
    assert report["calls"] == 0
    return report["mutants"]


def harmless(mutant: dict[str, Any]) -> bool:
    """Of both ways to open it, strictly and as far as it is readable, each ends as it should."""
    for end in mutant["ends"]:
        if not end.removesuffix(" frames").isdigit():
            assert end.startswith("FILE: "), mutant
            assert ";" in end, mutant
            assert end.isprintable(), mutant
    assert mutant["seconds"] < LONGEST, mutant
    assert mutant["child"] + mutant["own"] < MOST, mutant
    assert mutant["files"] == [], mutant
    assert not mutant["decoy"], mutant
    return True


def test_a_tenth_of_the_hostile_videos(tmp_path: Path) -> None:
    report = campaign(tmp_path, 10)
    assert len(report) == mutants.COUNT // 10
    assert all(harmless(mutant) for mutant in report)
    assert {mutant["kind"] for mutant in report} >= {"points elsewhere", "lying sizes", "absurd times"}


@pytest.mark.torture
def test_all_hostile_videos(tmp_path: Path) -> None:
    report = campaign(tmp_path)
    assert len(report) == mutants.COUNT
    assert all(harmless(mutant) for mutant in report)
    ends = [mutant["ends"][1] for mutant in report]
    assert 20 < sum(end.endswith(" frames") for end in ends) < 180


@pytest.mark.torture
def test_all_hostile_videos_made_of_real_clips(clips: Path, tmp_path: Path) -> None:
    assert all(harmless(mutant) for mutant in campaign(tmp_path, 1, clips))


def test_the_bait_is_good(tmp_path: Path) -> None:
    """A reader that trusts the files does open the decoy, and does call the server."""
    server = Server()
    server.start()
    mutants.decoys(tmp_path)
    taken = set()
    for name, data in mutants.pointing(tmp_path, server.port):
        path = tmp_path / name
        path.write_bytes(data)
        with (
            suppress(av.FFmpegError, OSError, ValueError, IndexError),
            av.open(str(path), options=TRUSTING, timeout=2) as container,
        ):
            if container.streams.video[0].width == mutants.CANARY[0]:
                taken.add(name)
    assert taken >= {"concat.mp4", "concat.ffconcat", "list1.m3u8", "list3.m3u8"}
    assert server.calls > 0


def test_mutants_are_the_same_at_each_call(tmp_path: Path) -> None:
    sources = mutants.honest(tmp_path / "honest")
    first, again = (list(mutants.mutants(sources, tmp_path, 80)) for _ in range(2))
    assert first == again
    assert len({mutant.data for mutant in first}) > 190
    assert len({mutant.name for mutant in first}) == mutants.COUNT
