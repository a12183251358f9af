"""A study from end to end: prepared or resumed, served, and summed up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from vid2vid.errors import UserError
from vid2vid.preference.answers import Answers
from vid2vid.preference.material import encode_material, open_material, video_path
from vid2vid.preference.page import results_page
from vid2vid.preference.results import answers_csv, json_text, summarise
from vid2vid.preference.server import StudyServer
from vid2vid.progress import Progress, silent
from vid2vid.video.files import make_folder, whole_file

QUESTION = "Which video looks more realistic?"
CATCH = 0.1
FILE = "study.sqlite"
"""Name of the file of answers in the study's folder."""


def study(
    systems: Sequence[Path | str],
    out: Path | str,
    *,
    real: Path | str | None = None,
    question: str | None = None,
    catch: float | None = None,
    frames: str | None = None,
    piece: int | None = None,
    fps: Fraction | float | None = None,
    seed: int | None = None,
    host: str = "127.0.0.1",
    port: int = 8008,
    token: str | None = None,
    serve: bool = True,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Ask people which of two videos they prefer, on a web page; return what they said.

    Called again with the same arguments, or with `out` alone, it goes on: videos and answers are kept.

    Args:
        systems: two or more, as NAME=PATH or paths: videos, folders of pictures, or folders of several clips
            with the same names in each. Empty: those that `out` was made with.
        out: folder of the study.
        real: the real clips, likewise; they are shown in catch trials only.
        question: what raters are asked; default: "Which video looks more realistic?".
        catch: share of catch trials, 0 to 0.5; default 0.1.
        frames: a slice "START:STOP" of the real clip (of the first system's, where there is no real one).
        piece: cut the clips into pieces of so many frames.
        fps: frames per second to show all at; default: those of the clips.
        seed: of orders and sides; default 0.
        host: address to listen on; any but a loopback one needs a token of whoever asks.
        port: 0 for any free one.
        token: for raters; made where it is needed.
        serve: False: sum up only, and write `results.html`, `results.json` and `answers.csv`.
        say: called with each line for whoever runs the study.
        progress: called for each frame encoded.

    Returns:
        What `results.json` holds: "groups" (people and simulated raters, apart), "raters" and what they
        were asked.

    Raises:
        UserError: input that does not fit together; a study of something else in `out`; a port in use.
    """
    settings = {"real": real, "question": question, "catch": catch, "frames": frames, "piece": piece}
    answers = open_study(systems, out, **settings, fps=fps, seed=seed, encode=serve, progress=progress)  # type: ignore[arg-type]
    folder = Path(out)
    try:
        if serve:
            _serve(StudyServer(answers, folder, host=host, port=port, token=token), say)
            return summarise(answers)
        return write_results(answers, folder)
    finally:
        answers.close()


def open_study(
    systems: Sequence[Path | str],
    out: Path,
    *,
    real: Path | str | None = None,
    question: str | None = None,
    catch: float | None = None,
    frames: str | None = None,
    piece: int | None = None,
    fps: Fraction | float | None = None,
    seed: int | None = None,
    encode: bool = True,
    progress: Progress = silent,
) -> Answers:
    """Begin a study or go on with it: its videos are written, its file is open. Arguments: see `study`."""
    file = out / FILE
    if not systems:
        if any(value is not None for value in (real, question, catch, frames, piece, fps, seed)):
            raise UserError(
                f"{out}: keeps its settings where no systems are named; name them, or --out alone"
            )
        return _whole(Answers(file), out) if encode else Answers(file)
    if not encode and not file.is_file():
        raise UserError(
            f"{file}: no study is kept here, so there are no results; begin one without --results"
        )
    if catch is not None and not 0 <= catch <= 0.5:
        raise UserError(f"--catch {catch:g}: is no share of catch trials; give 0 to 0.5")
    if fps is not None and not 0 < fps <= 1000:
        raise UserError(f"--fps {float(fps):g}: nothing can be shown at it; give frames per second above 0")
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    material = open_material(
        systems, None if real is None else Path(real), frames=frames, piece=piece, rate=rate
    )
    settings = {
        "question": " ".join((question or QUESTION).split()),
        "systems": material.systems,
        "real": material.real,
        "catch": CATCH if catch is None else catch,
        "seed": seed or 0,
        "clips": {part.name: part.about() for part in material.parts},
    }
    make_folder(out)
    answers = Answers(file, settings)
    try:
        if encode:
            encode_material(material, answers, out, progress)
    except BaseException:
        answers.close()
        raise
    return answers


def write_results(answers: Answers, folder: Path) -> dict[str, Any]:
    """Write results.html, results.json and answers.csv into a folder, each whole or not at all.

    Returns:
        What results.json holds.
    """
    summary = summarise(answers)
    for name, text in (
        ("results.json", json_text(summary)),
        ("results.html", results_page(summary)),
        ("answers.csv", answers_csv(answers, summary)),
    ):
        with whole_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return summary


def _whole(answers: Answers, folder: Path) -> Answers:
    """The study, if all its videos are there."""
    for name, written in answers.videos().values():
        if not written or not video_path(folder, name).is_file():
            answers.close()
            raise UserError(f"{video_path(folder, name)}: is not there; name the systems, to have it made")
    return answers


def _serve(server: StudyServer, say: Callable[[str], None]) -> None:
    """Until Ctrl-C."""
    say(f"For raters: {server.rating_url}")
    say(f"Results:    {server.results_url}")
    say("Ctrl-C ends this; the same command goes on with it.")
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    say(f"Answers: {server.answers.path} ({len(server.answers.all_answers())} so far)")
