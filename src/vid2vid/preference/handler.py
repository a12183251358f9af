"""What the server answers to each request. It trusts nothing that it is sent."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from vid2vid.errors import UserError
from vid2vid.preference.answers import PERSON, Asked, Rater
from vid2vid.preference.page import rating_page, results_page
from vid2vid.preference.results import answers_csv, json_text, summarise
from vid2vid.preference.trials import Shown, plan_trials

if TYPE_CHECKING:
    from vid2vid.preference.server import StudyServer

BODY_LIMIT = 4096
"""Bytes that a request may bring; an answer has about a hundred."""
LONGEST = 24 * 3600 * 1000
"""Milliseconds; who took longer went away meanwhile."""

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Access:
    """What has to be brought: by raters, and by whoever runs the study. None: nothing."""

    rater: str | None
    owner: str | None

    def allows(self, token: str, owner: bool) -> bool:
        if self.rater is None or self.owner is None:
            return True
        is_owner = compare_digest(token.encode(), self.owner.encode())
        return is_owner or (not owner and compare_digest(token.encode(), self.rater.encode()))


class Refused(Exception):
    """What was asked for is not given. words: one line for whoever asked."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: StudyServer
    protocol_version = "HTTP/1.1"
    server_version = "vid2vid"
    sys_version = ""
    timeout = 60  # seconds without a byte, after which a connection is given up

    def do_GET(self) -> None:
        self._reply(
            {
                "/": self._rating,
                "/results": self._results,
                "/export.csv": self._csv,
                "/export.json": self._json,
                "/api/next": self._next,
            }
        )

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._reply({"/api/join": self._join, "/api/answer": self._answer})

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: who asked for what is nobody's business."""

    # What every request goes through

    def _reply(self, routes: dict[str, Callable[[], None]]) -> None:
        self._nonce = secrets.token_urlsafe(16)
        self._body_read = False
        self._query: dict[str, str] = {}
        if self.command != "POST" and {"Content-Length", "Transfer-Encoding"} & set(self.headers):
            self.close_connection = True  # a body that nobody reads
        try:
            parts = self._address()
            self._guard()
            if video := re.fullmatch(r"/video/([0-9a-f]{16})\.mp4", parts.path):
                if self.command == "POST":
                    raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "videos are only given")
                self._video(video[1])
            elif parts.path in routes:
                routes[parts.path]()
            else:
                raise Refused(HTTPStatus.NOT_FOUND, "there is nothing at this address")
        except Refused as refusal:
            self._refuse(refusal.status, refusal.words)
        except (UserError, sqlite3.Error) as error:  # a full disk, a file taken away
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _address(self) -> SplitResult:
        try:
            parts = urlsplit(self.path)
            self._query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            "".join(self._query.values()).encode()
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "this address cannot be read") from error
        return parts

    def _guard(self) -> None:
        """Keep out other sites' pages and, where there is a token, everybody without it."""
        host = self.headers.get("Host", "")
        if not self.server.any_host and host.lower() not in self.server.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, "this server is not known by that name")
        origin = self.headers.get("Origin")
        if self.command == "POST" and origin is not None and urlsplit(origin).netloc != host:
            raise Refused(HTTPStatus.FORBIDDEN, "answers are taken from this server's own page only")
        if not self.server.access.allows(self._token(), owner=False):
            raise Refused(HTTPStatus.FORBIDDEN, "open the link that you were given: it has a token")

    def _token(self) -> str:
        """From the link, else from the cookie that was set when the link was opened."""
        if "token" in self._query:
            return self._query["token"]
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(self._cookie())
        except CookieError:
            return ""
        return cookie.value if cookie else ""

    def _cookie(self) -> str:
        """Its name; cookies know no ports, and another study may be served beside this one."""
        return f"study-{self.server.answers.settings['name']}"

    def _owners_only(self) -> None:
        if not self.server.access.allows(self._token(), owner=True):
            raise Refused(HTTPStatus.FORBIDDEN, "this is for whoever runs the study: open their link")

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        if self.command == "POST" and not self._body_read:
            # A body that nobody has read would be taken for the next request of this connection. A small one
            # is read nevertheless: hanging up on it could take the answer away from the browser.
            length = self.headers.get("Content-Length", "")
            if re.fullmatch(r"[0-9]{1,5}", length):
                self.rfile.read(int(length))
            self.close_connection = True
        self._send_json({"error": words}, status)

    def _body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,18}", length) or "Transfer-Encoding" in self.headers:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "say how long the request is")
        if int(length) > BODY_LIMIT:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{BODY_LIMIT} bytes are taken at most")
        raw = self.rfile.read(int(length))
        self._body_read = True
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "this is not JSON") from error
        if not isinstance(body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "send a JSON object")
        return body

    # The pages

    def _rating(self) -> None:
        settings = self.server.answers.settings
        self._send(
            rating_page(settings["question"], settings["name"], self._nonce), "text/html; charset=utf-8"
        )

    def _results(self) -> None:
        self._owners_only()
        page = results_page(summarise(self.server.answers), self._nonce, exports=True)
        self._send(page, "text/html; charset=utf-8")

    def _csv(self) -> None:
        self._owners_only()
        answers = self.server.answers
        self._send(answers_csv(answers, summarise(answers)), "text/csv; charset=utf-8", "answers.csv")

    def _json(self) -> None:
        self._owners_only()
        self._send(json_text(summarise(self.server.answers)), "application/json", "results.json")

    # What the rating page asks for

    def _join(self) -> None:
        self._body()
        kind = PERSON
        if rule := self._query.get("simulated", ""):
            self._owners_only()
            kind = f"simulated: {' '.join(rule.split())[:200]}"
        settings, answers = self.server.answers.settings, self.server.answers
        rater = answers.join(
            kind,
            lambda number: plan_trials(
                settings["systems"],
                list(settings["clips"]),
                seed=settings["seed"],
                rater=number,
                catch=settings["catch"],
                real=settings["real"],
            ),
        )
        self._send_json({"rater": rater.id})

    def _next(self) -> None:
        rater = self._rater(self._query.get("rater"))
        asked = self.server.answers.next(rater)
        done, total = self.server.answers.progress(rater)
        trial = None if asked is None else _described(asked, open_=rater.simulated)
        self._send_json({"done": done, "total": total, "trial": trial})

    def _answer(self) -> None:
        body = self._body()
        rater = self._rater(body.get("rater"))
        place, side, took = body.get("place"), body.get("side"), body.get("milliseconds")
        if side not in ("left", "right") or type(place) is not int or type(took) is not int:
            raise Refused(HTTPStatus.BAD_REQUEST, "an answer has place, side and milliseconds")
        if not 0 <= place < 1 << 31:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such trial")
        try:
            kept = self.server.answers.answer(rater, place, side, min(max(took, 0), LONGEST))
        except KeyError as error:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such trial") from error
        self._send_json({"side": kept})

    def _rater(self, name: object) -> Rater:
        rater = self.server.answers.rater(name) if isinstance(name, str) else None
        if rater is None:
            raise Refused(HTTPStatus.NOT_FOUND, "nobody of this name has joined")
        return rater

    # Sending

    def _video(self, name: str) -> None:
        path = self.server.videos.get(name)
        if path is None or not path.is_file():
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such video")
        size = path.stat().st_size
        start, stop, status = self._range(size)
        headers = {
            "Content-Type": "video/mp4",
            "Content-Length": str(stop - start),
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, max-age=86400",
        }
        if status == HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._head(status, headers)
        if self.command != "HEAD":
            self._send_part(path, start, stop)

    def _range(self, size: int) -> tuple[int, int, HTTPStatus]:
        """The part asked for, as browsers ask when they seek. What is not understood gets the whole file."""
        asked = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.headers.get("Range", "").strip())
        if asked is None or not (asked[1] or asked[2]):
            return 0, size, HTTPStatus.OK
        first, last = asked[1], asked[2]
        start = int(first) if first else max(0, size - int(last))
        stop = min(int(last) + 1, size) if first and last else size
        if start >= stop:
            self._unsatisfied = size
            raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"the video has {size} bytes")
        return start, stop, HTTPStatus.PARTIAL_CONTENT

    def _send_part(self, path: Path, start: int, stop: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and (block := file.read(min(_BLOCK, stop - start))):
                self.wfile.write(block)
                start += len(block)

    def _send_json(self, what: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(what), "application/json", status=status)

    def _send(
        self, text: str, kind: str, name: str | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        raw = text.encode()
        headers = {"Content-Type": kind, "Content-Length": str(len(raw)), "Cache-Control": "no-store"}
        if name is not None:
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            headers["Content-Range"] = f"bytes */{self._unsatisfied}"
        self._head(status, headers)
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | self._safety()).items():
            self.send_header(key, value)
        token = self._query.get("token")
        if token and status == HTTPStatus.OK and self.server.access.rater is not None:
            # The browser sends it by itself from here on, and no script can read it. The address keeps it as
            # well: a link opened from a mail brings no strict cookie when it is reloaded.
            self.send_header("Set-Cookie", f"{self._cookie()}={token}; Path=/; HttpOnly; SameSite=Strict")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _safety(self) -> dict[str, str]:
        own = f"'nonce-{self._nonce}'"
        return {
            "Content-Security-Policy": f"default-src 'none'; script-src {own}; style-src {own}; "
            "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }


def _described(asked: Asked, open_: bool) -> dict[str, Any]:
    """A trial for the page. open_: with what is shown, which only a simulated rater is told."""
    trial: dict[str, Any] = {"place": asked.place}
    for side, video, shown in (
        ("left", asked.left, asked.trial.left),
        ("right", asked.right, asked.trial.right),
    ):
        trial[side] = f"/video/{video}.mp4"
        if open_:
            trial[f"{side}_shows"] = _words(shown)
    if open_:
        trial["clip"], trial["expected"] = asked.trial.left.clip, asked.trial.expected
    return trial


def _words(shown: Shown) -> str:
    return shown.system if shown.role == "system" else f"({shown.role})"
