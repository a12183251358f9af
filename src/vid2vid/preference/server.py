"""The server of a study: starts, stops, and knows its own addresses. What it answers is in `handler.py`."""

from __future__ import annotations

import errno
import hashlib
import hmac
import ipaddress
import re
import socket
import socketserver
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vid2vid.errors import UserError
from vid2vid.preference.answers import Answers
from vid2vid.preference.handler import Access, Handler
from vid2vid.preference.material import video_path


class StudyServer(ThreadingHTTPServer):
    """Serves one study; listens from the moment it is made.

    `with StudyServer(...) as server:` serves in a thread until the block ends, for tests and notebooks;
    `serve_forever()` serves here until Ctrl-C.

    Args:
        answers: the opened study.
        folder: where its videos lie.
        host: address to listen on. Any but a loopback one needs a token of whoever asks.
        port: 0 for any free one.
        token: what raters have to bring in their link. None: one is made where one is needed.

    Raises:
        UserError: the port is in use, or the address is none of this machine's; a token too short.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        answers: Answers,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8008,
        token: str | None = None,
    ) -> None:
        if token is not None and not re.fullmatch(r"[A-Za-z0-9_-]{8,200}", token):
            raise UserError(
                "--token: give 8 letters, digits, - or _ or more, or no token at all to have one made"
            )
        if not 0 <= port <= 65535:
            raise UserError(f"--port {port}: there is no such port; give 0 to 65535")
        local = is_loopback(host)
        self.answers = answers
        self.host = host
        secret = answers.settings["secret"]
        token = token if token is not None or local else _derived(secret, "raters")
        # Raters must see neither results nor which side is which: whoever runs the study has their own link.
        self.access = Access(token, None if token is None else _derived(secret, f"owner {token}"))
        # What may be asked for is looked up here; nothing of an address ever becomes part of a path.
        self.videos = {name: video_path(folder, name) for name, _ in answers.videos().values()}
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, UnicodeError) as error:
            raise _cannot_listen(host, port, error) from error
        self.port: int = self.server_address[1]
        # Another site's name that points here (DNS rebinding) must not reach a server without a token. With
        # one any name is good, a proxy's too: a page under another name has neither link nor cookie.
        self.hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]", _bracketed(host))}
        if self.port == 80:
            self.hosts |= {name.rpartition(":")[0] for name in tuple(self.hosts)}
        self.any_host = token is not None

    @property
    def rating_url(self) -> str:
        """The link for raters."""
        return self._url("/", self.access.rater)

    @property
    def results_url(self) -> str:
        """The link for whoever runs the study."""
        return self._url("/results", self.access.owner)

    def _url(self, path: str, token: str | None) -> str:
        host = socket.gethostname() if _is_any(self.host) else _bracketed(self.host)
        return f"http://{host}:{self.port}{path}" + (f"?token={token}" if token else "")

    def server_bind(self) -> None:
        # HTTPServer's own asks a name server for the machine's full name, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.shutdown()
        self.server_close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _derived(secret: str, purpose: str) -> str:
    """A token that the study's file always gives again, so that links hold when the server is restarted."""
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()[:24]


def _cannot_listen(host: str, port: int, error: Exception) -> UserError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return UserError(f"--port {port}: is in use; choose another, or 0 for any free one")
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return UserError(f"--port {port}: needs rights that you do not have; choose one above 1023")
    return UserError(f"--host {host}: cannot be listened on ({error}); give an address of this machine")
