"""The server over real HTTP: a rater's whole way, and everybody who is kept out."""

from __future__ import annotations

import csv
import http.client
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from study_clips import moving, several, systems

from vid2vid.errors import UserError
from vid2vid.preference.answers import Answers
from vid2vid.preference.conduct import open_study
from vid2vid.preference.handler import BODY_LIMIT
from vid2vid.preference.server import StudyServer
from vid2vid.video import open_frames

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two systems and two clips."""
    place = tmp_path_factory.mktemp("study")
    open_study(systems(place), place / "out", real=several(place / "r", 110)).close()
    return place / "out"


@pytest.fixture
def server(folder: Path) -> Iterator[StudyServer]:
    answers = Answers(folder / "study.sqlite")
    with StudyServer(answers, folder, port=0) as running:
        yield running
    answers.close()


Reply = tuple[int, dict[str, str], bytes]


def ask(server: StudyServer, path: str, method: str = "GET", body: Any = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, raw, {key.replace("_", "-"): value for key, value in headers.items()})
    reply = connection.getresponse()
    found = reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read()
    connection.close()
    return found


def send(server: StudyServer, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    status, _, raw = ask(server, path, "POST", body, **{"Content-Type": "application/json", **headers})
    return status, json.loads(raw)


def join(server: StudyServer, simulated: str = "", **headers: str) -> str:
    status, reply = send(server, f"/api/join{simulated}", {}, **headers)
    assert status == 200
    return reply["rater"]


def rest(server: StudyServer, rater: str) -> Any:
    return json.loads(ask(server, f"/api/next?rater={rater}")[2])


def test_a_rater_answers_to_the_end(server: StudyServer) -> None:
    rater = join(server)
    seen = []
    while (found := rest(server, rater))["trial"]:
        trial = found["trial"]
        assert set(trial) == {"place", "left", "right"}, "a person is not told which system it is"
        assert found["done"] == len(seen)
        seen.append(trial["place"])
        body = {"rater": rater, "place": trial["place"], "side": "left", "milliseconds": 700}
        assert send(server, "/api/answer", body) == (200, {"side": "left"})
        assert send(server, "/api/answer", {**body, "side": "right"}) == (200, {"side": "left"})
    assert seen == [0, 1, 2]
    assert rest(server, rater) == {"done": 3, "total": 3, "trial": None}


def test_a_simulated_rater_is_told_the_systems_and_marked(server: StudyServer) -> None:
    rater = join(server, "?simulated=always%20ours")
    while trial := rest(server, rater)["trial"]:
        good = "(real)" if trial["expected"] else "ours"
        side = "left" if trial["left_shows"] == good else "right"
        assert trial["expected"] in (None, side)
        send(
            server, "/api/answer", {"rater": rater, "place": trial["place"], "side": side, "milliseconds": 1}
        )
    page = ask(server, "/results")[2].decode()
    assert "simulated: always ours" in page
    assert "say nothing about people" in page
    summary = json.loads(ask(server, "/export.json")[2])
    (group,) = [one for one in summary["groups"] if one["who"] == "simulated raters"]
    assert (group["pairs"][0]["first"], group["pairs"][0]["share"]) == ("ours", 1.0)
    assert group["strengths"][0]["system"] == "ours"
    rows = list(csv.DictReader(io.StringIO(ask(server, "/export.csv")[2].decode())))
    assert {row["chosen"] for row in rows if row["kind"].startswith("simulated")} == {"ours", "(real)"}
    assert rater not in str(rows), "who has the id can answer in the rater's place"


def test_who_fails_catch_trials_does_not_count(server: StudyServer) -> None:
    rater = join(server, "?simulated=wrong")
    while trial := rest(server, rater)["trial"]:
        wrong = {"left": "right", "right": "left"}.get(trial["expected"], "left")
        send(
            server, "/api/answer", {"rater": rater, "place": trial["place"], "side": wrong, "milliseconds": 1}
        )
    summary = json.loads(ask(server, "/export.json")[2])
    last = summary["raters"][-1]
    assert (last["kind"], last["excluded"], last["catches_failed"]) == ("simulated: wrong", True, 1)
    (group,) = [one for one in summary["groups"] if one["who"] == "simulated raters"]
    assert group["excluded"] == 1
    assert group["answers"] == sum(
        r["answered"] - r["catches"] for r in summary["raters"] if r["kind"] != "person" and not r["excluded"]
    )
    assert "failed catch trials" in ask(server, "/results")[2].decode()


def test_videos_play_and_seek(server: StudyServer, tmp_path: Path) -> None:
    path = rest(server, join(server))["trial"]["left"]
    status, headers, whole = ask(server, path)
    assert (status, headers["content-type"], headers["accept-ranges"]) == (200, "video/mp4", "bytes")
    (tmp_path / "x.mp4").write_bytes(whole)
    assert len(open_frames(tmp_path / "x.mp4")) == 4
    size = len(whole)
    for asked, first, last in (
        ("0-9", 0, 9),
        ("5-", 5, size - 1),
        ("-7", size - 7, size - 1),
        ("3-999999", 3, size - 1),
    ):
        status, headers, part = ask(server, path, Range=f"bytes={asked}")
        assert (status, headers["content-range"]) == (206, f"bytes {first}-{last}/{size}")
        assert part == whole[first : last + 1]
    status, headers, _ = ask(server, path, Range=f"bytes={size}-")
    assert (status, headers["content-range"]) == (416, f"bytes */{size}")
    assert ask(server, path, Range="bytes=x")[0] == 200
    status, headers, nothing = ask(server, path, "HEAD")
    assert (status, headers["content-length"], nothing) == (200, str(size), b"")


@pytest.mark.parametrize(
    "path",
    [
        "/video/../study.sqlite",
        "/video/..%2fstudy.sqlite",
        "/video/%2e%2e/study.sqlite",
        "/../../etc/passwd",
        "//etc/passwd",
        "/video/0123456789abcdef.mp4",
        "/videos/",
        "/study.sqlite",
        "/api/answer",
    ],
)
def test_nothing_else_is_given(server: StudyServer, path: str) -> None:
    status, _, body = ask(server, path)
    assert status == 404
    assert b"SQLite" not in body


def test_other_names_and_other_sites_are_refused(server: StudyServer) -> None:
    assert ask(server, "/", Host=f"localhost:{server.port}")[0] == 200
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", ""):
        assert ask(server, "/", Host=host)[0] == 403
    assert send(server, "/api/join", {}, Origin="http://evil.example")[0] == 403
    assert send(server, "/api/join", {}, Origin=f"http://127.0.0.1:{server.port}")[0] == 200


def test_bad_requests_are_refused_and_the_server_goes_on(server: StudyServer) -> None:
    rater = join(server)
    good = {"rater": rater, "place": 0, "side": "left", "milliseconds": 5}
    assert send(server, "/api/answer", b"x" * (BODY_LIMIT + 1))[0] == 413
    assert ask(server, "/api/answer", "POST", b"{}", Content_Type="text/plain")[0] == 415
    for body in (
        b"{",
        b"[]",
        b"\xff",
        b"[" * 4000,
        {**good, "side": "up"},
        {**good, "place": True},
        {**good, "place": "0"},
    ):
        assert send(server, "/api/answer", body)[0] == 400
    for body in (
        {**good, "place": 99},
        {**good, "place": -1},
        {**good, "rater": "x"},
        {**good, "rater": None},
    ):
        assert send(server, "/api/answer", body)[0] == 404
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"POST /api/join HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port)
        assert raw.recv(100).startswith(b"HTTP/1.1 411")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(
            b"POST /api/join HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 99999999999\r\n\r\n"
            % server.port
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")
    assert rest(server, rater)["done"] == 0


def test_pages_are_shut_to_other_sites(server: StudyServer) -> None:
    for path in ("/", "/results"):
        status, headers, page = ask(server, path)
        assert status == 200
        policy = headers["content-security-policy"]
        nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]
        assert "default-src 'none'" in policy
        assert f'nonce="{nonce}"' in page.decode()
        assert headers["x-content-type-options"] == "nosniff"


def test_elsewhere_a_token_is_needed(folder: Path) -> None:
    answers = Answers(folder / "study.sqlite")
    with StudyServer(answers, folder, host="0.0.0.0", port=0) as server:
        token, owner = (url.partition("token=")[2] for url in (server.rating_url, server.results_url))
        assert token
        assert owner
        assert token != owner
        assert ask(server, "/")[0] == 403
        assert ask(server, "/?token=wrong")[0] == 403
        status, headers, _ = ask(server, f"/?token={token}")
        assert status == 200
        cookie = headers["set-cookie"]
        assert "HttpOnly; SameSite=Strict" in cookie
        kept = {"Cookie": cookie.partition(";")[0]}
        rater = join(server, **kept)
        found = json.loads(ask(server, f"/api/next?rater={rater}", **kept)[2])
        assert ask(server, found["trial"]["left"], **kept)[0] == 200
        assert ask(server, found["trial"]["left"])[0] == 403
        # Raters see no results, and cannot ask which side is which.
        for path in ("/results", "/export.csv", "/export.json"):
            assert ask(server, path, **kept)[0] == 403
            assert ask(server, f"{path}?token={owner}")[0] == 200
        assert send(server, "/api/join?simulated=x", {}, **kept)[0] == 403
    with StudyServer(answers, folder, host="0.0.0.0", port=0) as server:
        assert server.rating_url.endswith(token), "links hold when the server is restarted"
    answers.close()


def test_with_a_token_any_name_will_do(folder: Path) -> None:
    """As behind a proxy: a page under another name has no token, so no name has to be checked."""
    answers = Answers(folder / "study.sqlite")
    with StudyServer(answers, folder, port=0, token="a-word-of-ours") as server:
        assert ask(server, "/?token=a-word-of-ours", Host="study.example")[0] == 200
        assert ask(server, "/", Host="study.example")[0] == 403
    answers.close()


def test_a_port_in_use_and_a_strange_host(server: StudyServer, folder: Path) -> None:
    for words, line in (
        ({"port": server.port}, "is in use"),
        ({"port": 70000}, "no such port"),
        ({"port": 0, "host": "192.0.2.7"}, "address of this machine"),
        ({"port": 0, "token": "a b"}, "--token"),
    ):
        with pytest.raises(UserError, match=line):
            StudyServer(server.answers, folder, **words)


def test_a_restarted_study_keeps_its_videos_and_takes_no_others(tmp_path: Path) -> None:
    specs, out = systems(tmp_path, "a"), tmp_path / "out"
    open_study(specs, out, seed=2).close()
    before = {file.name: file.stat().st_mtime_ns for file in (out / "videos").iterdir()}
    open_study(specs, out, seed=2).close()
    open_study((), out).close()
    assert {file.name: file.stat().st_mtime_ns for file in (out / "videos").iterdir()} == before
    gone = next((out / "videos").iterdir())
    gone.unlink()
    with pytest.raises(UserError, match="is not there"):
        open_study((), out)
    open_study(specs, out, seed=2).close()
    assert gone.is_file()
    with pytest.raises(UserError, match="other seed"):
        open_study(specs, out)
    moving(tmp_path / "new" / "a", 99)
    with pytest.raises(UserError, match="other clips"):
        open_study([specs[0], f"twin={tmp_path / 'new'}"], out, seed=2)


def test_encoding_stopped_in_the_middle_is_done_again(tmp_path: Path) -> None:
    """On Ctrl-C a video writer leaves what it has: a video cut short, which must not be shown."""

    def stop(done: int, total: int | None = None, note: str = "") -> None:
        if done == 6:
            raise KeyboardInterrupt

    specs, out = systems(tmp_path, "a"), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        open_study(specs, out, progress=stop)
    assert {len(open_frames(file)) for file in (out / "videos").iterdir()} == {4, 2}
    open_study(specs, out).close()
    assert [len(open_frames(file)) for file in (out / "videos").iterdir()] == [4, 4, 4]
