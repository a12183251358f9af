"""Where the bytes of shards come from: a folder, a web server, or any store that fsspec knows."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from vid2vid.errors import UserError

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.")
_MISSING = (404, 410)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_BEYOND = 416
_PIECE = 1 << 16

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
"""What fsspec wants for a scheme, by pip's name."""


class Store(Protocol):
    """Files side by side, read in parts. Cheap to copy to other processes."""

    @property
    def address(self) -> str:
        """The folder, as messages name it."""
        ...

    def read(self, name: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer where the file ends.

        Raises:
            UserError: no such file; it cannot be read.
        """
        ...


def scheme_of(root: Path | str) -> str | None:
    """ "s3" of s3://bucket/data; None for a folder."""
    match = _ADDRESS.match(root) if isinstance(root, str) else None
    return match[1].lower() if match else None


def open_store(root: Path | str) -> Store:
    """The store at an address, or a folder. Raises UserError where a package is missing."""
    scheme = scheme_of(root)
    if scheme is None:
        return LocalStore(Path(root))
    address = str(root).rstrip("/")
    return HttpStore(address) if scheme in ("http", "https") else FsspecStore.open(address, scheme)


def missing(where: str) -> UserError:
    return UserError(f"{where}: missing; copy it there, or check the address")


@dataclass(frozen=True)
class LocalStore:
    """A folder."""

    folder: Path

    @property
    def address(self) -> str:
        return str(self.folder)

    def read(self, name: str, offset: int, length: int) -> bytes:
        path = self.folder / name
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            raise missing(str(path)) from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); check the disk") from error


@dataclass(frozen=True)
class HttpStore:
    """A web server that serves parts of files (HTTP ranges).

    timeout: seconds without a byte after which a try has failed; a try may take ten times as long in all.
    pause: seconds before the second try, doubled before each further one.
    """

    address: str
    timeout: float = 30.0
    tries: int = 3
    pause: float = 1.0

    def read(self, name: str, offset: int, length: int) -> bytes:
        where = f"{self.address}/{quote(name)}"
        part = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
        reason = ""
        for attempt in range(self.tries):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            try:
                with urlopen(Request(where, headers=part), timeout=self.timeout) as response:
                    return self._part(response, where, offset, length)
            except HTTPError as error:
                error.close()
                if error.code == _BEYOND:
                    return b""
                if error.code in _MISSING:
                    raise missing(where) from None
                if error.code not in _PASSING:
                    raise UserError(
                        f"{where}: the server answers {error.code}; check the address and who may read it"
                    ) from None
                reason = f"the server answers {error.code}"
            except TimeoutError:
                reason = f"no answer within {self.timeout:g} s"
            except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
                slow = isinstance(getattr(error, "reason", None), TimeoutError)
                reason = f"no answer within {self.timeout:g} s" if slow else _one_line(error)
        raise UserError(
            f"{where}: cannot be read, tried {self.tries} times ({reason}); check the network and the address"
        )

    def _part(self, response: HTTPResponse, where: str, offset: int, length: int) -> bytes:
        if response.status == 206:
            begins = re.match(r"bytes (\d{1,20})-", response.headers.get("Content-Range", ""))
            if begins is None or int(begins[1]) != offset:
                raise UserError(f"{where}: the server sends another part than asked for; use another server")
        elif offset:
            raise UserError(
                f"{where}: the server does not serve parts of files (HTTP ranges); use one that does"
            )
        promised = response.headers.get("Content-Length", "")
        wanted = min(length, int(promised)) if re.fullmatch(r"\d{1,20}", promised) else None
        deadline = time.monotonic() + 10 * self.timeout
        pieces = bytearray()
        while len(pieces) < length and (piece := response.read1(min(_PIECE, length - len(pieces)))):
            pieces += piece
            if time.monotonic() > deadline:
                raise TimeoutError
        if wanted is not None and len(pieces) < wanted:
            raise ConnectionError("the connection broke")
        return bytes(pieces)


@dataclass(frozen=True)
class FsspecStore:
    """What fsspec opens: s3://, gs://, ..."""

    address: str
    scheme: str

    @classmethod
    def open(cls, address: str, scheme: str) -> FsspecStore:
        """Raises UserError where a package is missing, or nobody knows the scheme."""
        store = cls(address, scheme)
        store._reaching(address, lambda files, folder: b"")
        return store

    def read(self, name: str, offset: int, length: int) -> bytes:
        where = f"{self.address}/{name}"
        return self._reaching(
            where,
            lambda files, folder: files.cat_file(f"{folder}/{name}", start=offset, end=offset + length),
        )

    def _reaching(self, where: str, work: Callable[..., bytes]) -> bytes:
        """What ``work`` makes of the file system and the folder in it; every library fails in its own way."""
        try:
            from fsspec.core import url_to_fs

            return work(*url_to_fs(self.address))
        except FileNotFoundError:
            raise missing(where) from None
        except ImportError as error:
            package = PACKAGES.get(self.scheme)
            mend = f"pip install {package or 'fsspec'}" if package or error.name == "fsspec" else "install it"
            what = f"{self.scheme}:// wants a package ({_one_line(error)})"
            raise UserError(f"{where}: {what}; {mend}") from None
        except Exception as error:
            raise UserError(
                f"{where}: cannot be read ({_one_line(error)}); check the address and who may read it"
            ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(ascii(str(error))[1:-1].split())[:160] or type(error).__name__
