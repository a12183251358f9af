"""A web server that serves parts of files, as Python's own does not, and misbehaves when told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Served:
    """A folder on a local port.

    manners: what the next requests meet, first things first; nothing: they get what they want. Of "503",
    "403", "stall" (until the server ends), "drip" (a byte each 50 ms), "cut" (half of what was promised),
    "whole" (no parts), "shifted" (another part).
    asked: the file and the first byte of every request.
    """

    folder: Path
    manners: list[str] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(folder: Path, *manners: str) -> Iterator[Served]:
    served = Served(folder, list(manners))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, served)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.address = f"http://127.0.0.1:{server.server_port}/data"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield served
    finally:
        served.over.set()
        server.shutdown()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, served: Served) -> None:
    name = request.path.removeprefix("/data/")
    first, last = map(int, re.findall(r"\d+", request.headers["Range"]))
    served.asked.append((name, first))
    manner = served.manners.pop(0) if served.manners else ""
    path = served.folder / name
    if manner == "stall":
        served.over.wait()
        return
    if manner.isdigit() or not path.is_file():
        request.send_error(int(manner or 404))
        return
    data = path.read_bytes()
    if first >= len(data):
        request.send_error(416)
        return
    part = data if manner == "whole" else data[first : last + 1]
    request.send_response(200 if manner == "whole" else 206)
    request.send_header("Content-Length", str(len(part)))
    if manner != "whole":
        begin = first + (manner == "shifted")
        request.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{len(data)}")
    request.end_headers()
    for at in range(0, len(part), 1) if manner == "drip" else ():
        if served.over.wait(0.05):
            return
        request.wfile.write(part[at : at + 1])
        request.wfile.flush()
    if manner != "drip":
        request.wfile.write(part[: len(part) // 2] if manner == "cut" else part)
