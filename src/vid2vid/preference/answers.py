"""The file of a study: its videos, its raters, what they are asked and what they said. SQLite, one file.

An answer is on the disk before the rater hears that it was taken: the server may be killed at any moment.
"""

from __future__ import annotations

import datetime
import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vid2vid.errors import UserError
from vid2vid.preference.trials import Shown, Side, Trial

FORMAT = 1
PERSON = "person"
"""The `kind` of a rater; that of a script is "simulated: " and its rule."""

_TABLES = """
CREATE TABLE IF NOT EXISTS study (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS videos (
    id TEXT PRIMARY KEY, clip TEXT NOT NULL, system TEXT NOT NULL, role TEXT NOT NULL,
    written INTEGER NOT NULL DEFAULT 0, UNIQUE (clip, system, role));
CREATE TABLE IF NOT EXISTS raters (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, joined TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    rater INTEGER NOT NULL REFERENCES raters, place INTEGER NOT NULL,
    "left" TEXT NOT NULL REFERENCES videos, "right" TEXT NOT NULL REFERENCES videos,
    expected TEXT CHECK (expected IN ('left', 'right')), PRIMARY KEY (rater, place));
CREATE TABLE IF NOT EXISTS answers (
    rater INTEGER NOT NULL, place INTEGER NOT NULL, side TEXT NOT NULL CHECK (side IN ('left', 'right')),
    milliseconds INTEGER NOT NULL, answered TEXT NOT NULL, PRIMARY KEY (rater, place),
    FOREIGN KEY (rater, place) REFERENCES trials);
"""


@dataclass(frozen=True)
class Rater:
    """Someone who answers. id: known to them alone; whoever has it can answer in their place."""

    number: int
    id: str
    kind: str

    @property
    def simulated(self) -> bool:
        return self.kind != PERSON


@dataclass(frozen=True)
class Asked:
    """One trial of a rater, by the ids of its videos. place: counts from 0."""

    place: int
    left: str
    right: str
    trial: Trial


@dataclass(frozen=True)
class Answer:
    """One answer with all that is known about it."""

    rater: int
    kind: str
    place: int
    trial: Trial
    side: Side
    milliseconds: int
    answered: str

    @property
    def chosen(self) -> Shown:
        return self.trial.left if self.side == "left" else self.trial.right


class Answers:
    """The opened file. Usable from several threads, and by several processes at once.

    Args:
        path: the file; made if it is not there.
        settings: what the study is made of, and is kept in a new file. None: as the file says.

    Raises:
        UserError: no such file, no study in it, one of other settings, or a place that cannot be written to.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any] | None = None) -> None:
        self.path = path
        if settings is None and not path.is_file():
            raise UserError(f"{path}: no study is kept here; name the systems to begin one")
        self._lock = threading.RLock()
        try:
            # Autocommit: what belongs together is put between BEGIN and COMMIT by `_together`.
            self._file = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise UserError(f"{path}: cannot be opened ({error}); choose another place for it") from error
        try:
            with self._worded():
                for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                    self._file.execute(f"PRAGMA {pragma}")
                self._file.executescript(_TABLES)
            self.settings = self._settled(settings)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let go of the file; an answer being written is finished first."""
        with self._lock:
            self._file.close()

    def videos(self) -> dict[Shown, tuple[str, bool]]:
        """What each video shows, to its id and whether it has been written."""
        rows = self._rows("SELECT clip, system, role, id, written FROM videos")
        return {
            Shown(clip, system, role): (name, bool(written)) for clip, system, role, name, written in rows
        }

    def add_videos(self, shown: Sequence[Shown]) -> None:
        """Give an id that tells nothing to each video that has none yet."""
        with self._together():
            self._file.executemany(
                "INSERT OR IGNORE INTO videos (id, clip, system, role) VALUES (?, ?, ?, ?)",
                [(secrets.token_hex(8), one.clip, one.system, one.role) for one in shown],
            )

    def video_written(self, video: str) -> None:
        """Note that the video of this id is whole."""
        with self._together():
            self._file.execute("UPDATE videos SET written = 1 WHERE id = ?", (video,))

    def join(self, kind: str, plan: Callable[[int], list[Trial]]) -> Rater:
        """A new rater with their trials. plan: called with the rater's number, gives the trials."""
        with self._together():
            number = self._one("SELECT COALESCE(MAX(number), 0) + 1 FROM raters")[0]
            rater = Rater(number, secrets.token_urlsafe(12), kind)
            self._file.execute("INSERT INTO raters VALUES (?, ?, ?, ?)", (number, rater.id, kind, _now()))
            ids = {shown: name for shown, (name, _) in self.videos().items()}
            self._file.executemany(
                "INSERT INTO trials VALUES (?, ?, ?, ?, ?)",
                [
                    (number, place, ids[trial.left], ids[trial.right], trial.expected)
                    for place, trial in enumerate(plan(number))
                ],
            )
        return rater

    def rater(self, name: str) -> Rater | None:
        """The rater of this id."""
        rows = self._rows("SELECT number, id, kind FROM raters WHERE id = ?", name)
        return Rater(*rows[0]) if rows else None

    def next(self, rater: Rater) -> Asked | None:
        """The first trial that the rater has not answered; None when there is none left."""
        return next(iter(self._asked(rater, unanswered=True)), None)

    def asked(self, rater: Rater) -> list[Asked]:
        """All trials of a rater, in order."""
        return list(self._asked(rater))

    def progress(self, rater: Rater) -> tuple[int, int]:
        """How many trials the rater has answered, and how many there are."""
        done = self._one("SELECT COUNT(*) FROM answers WHERE rater = ?", rater.number)[0]
        return done, self._one("SELECT COUNT(*) FROM trials WHERE rater = ?", rater.number)[0]

    def answer(self, rater: Rater, place: int, side: Side, milliseconds: int) -> Side:
        """Keep an answer; on the disk when this returns.

        A trial is answered once: when it was answered before, nothing changes.

        Returns:
            The side that is kept, which after a second answer is that of the first.

        Raises:
            KeyError: the rater has no such trial.
        """
        with self._together():
            if not self._rows("SELECT 1 FROM trials WHERE rater = ? AND place = ?", rater.number, place):
                raise KeyError(place)
            self._file.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)",
                (rater.number, place, side, milliseconds, _now()),
            )
            kept = self._one("SELECT side FROM answers WHERE rater = ? AND place = ?", rater.number, place)
        return cast(Side, kept[0])

    def all_raters(self) -> list[tuple[Rater, int]]:
        """Every rater, in the order they joined, with how many trials they have."""
        rows = self._rows(
            "SELECT number, id, kind, (SELECT COUNT(*) FROM trials WHERE rater = number)"
            " FROM raters ORDER BY number"
        )
        return [(Rater(number, name, kind), trials) for number, name, kind, trials in rows]

    def all_answers(self) -> list[Answer]:
        """Every answer, rater by rater, in the order of their trials."""
        rows = self._rows(
            "SELECT r.number, r.kind, t.place, l.clip, l.system, l.role, k.system, k.role, t.expected,"
            " a.side, a.milliseconds, a.answered FROM answers a"
            " JOIN trials t ON t.rater = a.rater AND t.place = a.place JOIN raters r ON r.number = a.rater"
            ' JOIN videos l ON l.id = t."left" JOIN videos k ON k.id = t."right"'
            " ORDER BY r.number, t.place"
        )
        return [
            Answer(rater, kind, place, _trial(*shown), side, took, when)
            for rater, kind, place, *shown, side, took, when in rows
        ]

    def _asked(self, rater: Rater, unanswered: bool = False) -> Iterator[Asked]:
        rows = self._rows(
            "SELECT t.place, l.id, k.id, l.clip, l.system, l.role, k.system, k.role, t.expected FROM trials t"
            ' JOIN videos l ON l.id = t."left" JOIN videos k ON k.id = t."right"'
            " LEFT JOIN answers a ON a.rater = t.rater AND a.place = t.place"
            " WHERE t.rater = ? AND (a.side IS NULL OR NOT ?) ORDER BY t.place",
            rater.number,
            unanswered,
        )
        return (Asked(place, left, right, _trial(*shown)) for place, left, right, *shown in rows)

    def _settled(self, wanted: Mapping[str, Any] | None) -> dict[str, Any]:
        """The settings in the file; those wanted are kept in a new one, and have to agree with an old one."""
        with self._together():
            kept = {key: json.loads(value) for key, value in self._rows("SELECT key, value FROM study")}
            if not kept and wanted is not None:
                own = {"name": secrets.token_hex(8), "secret": secrets.token_urlsafe(24)}
                kept = {"format": FORMAT, **own, **wanted}
                self._file.executemany(
                    "INSERT INTO study VALUES (?, ?)",
                    [(key, json.dumps(value)) for key, value in kept.items()],
                )
        if kept.get("format") != FORMAT:
            raise UserError(f"{self.path}: holds no study that this version reads; choose another --out")
        for key, value in (wanted or {}).items():
            if kept[key] != value:
                shown = "" if isinstance(value, dict) else f" ({kept[key]!r}, not {value!r})"
                raise UserError(
                    f"{self.path}: keeps answers to a study with other {key}{shown}; "
                    "choose another --out, or give the same again"
                )
        return kept

    def _one(self, words: str, *values: object) -> tuple[Any, ...]:
        return self._rows(words, *values)[0]

    def _rows(self, words: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._worded():
            return self._file.execute(words, values).fetchall()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """All of it is kept, or nothing."""
        with self._lock, self._worded():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            mend = "free some space" if "full" in str(error) else "is it a study's file, and may be written?"
            raise UserError(f"{self.path}: cannot be used ({error}); {mend}") from error


def _trial(clip: str, left: str, left_role: Any, right: str, right_role: Any, expected: Side | None) -> Trial:
    return Trial(Shown(clip, left, left_role), Shown(clip, right, right_role), expected)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
