"""``vid2vid study``."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path


def study(
    systems: list[str] | None = None,
    *,
    out: Path,
    real: Path | None = None,
    question: str | None = None,
    catch: float | None = None,
    frames: str | None = None,
    piece: int | None = None,
    fps: Fraction | None = None,
    seed: int | None = None,
    host: str = "127.0.0.1",
    port: int = 8008,
    token: str | None = None,
    results: bool = False,
) -> None:
    """Ask people which of two videos they prefer: a web page for raters, and its results.

    Pairs are shown on random sides in random order, with catch trials among them whose right answer is known.
    Every answer is kept at once; the same command again goes on, and so does --out alone.

    Args:
        systems (NAME=PATH): two or more: videos, folders of pictures, or folders of clips of the same names
        out (STUDY): folder for the videos, the answers (study.sqlite) and the results
        real (PATH): the real clips, likewise; shown in catch trials only, against a spoilt copy
        question (TEXT): what raters are asked (default: Which video looks more realistic?)
        catch (SHARE): share of catch trials, at least one unless it is 0 (default: 0.1)
        frames (START:STOP): show a part of the real clip (of the first system's, without --real)
        piece (N): cut the clips into pieces of N frames, each judged on its own
        fps (RATE): frames per second to show all at (default: those of the clips; 25 for pictures)
        seed: of orders and sides (default: 0)
        host (ADDRESS): address to listen on; any but this machine's own needs a token
        port: where to listen; 0 takes any free one
        token: what the raters' link has to hold (default: one is made where --host needs it)
        results: serve nothing: print results and write results.html, results.json, answers.csv to STUDY

    Example:
        vid2vid study ours=made/ours twin=made/twin --real data/street/frames --out preference
        vid2vid study --out preference --results
    """
    from vid2vid.cli.bar import Bar
    from vid2vid.preference.conduct import study
    from vid2vid.preference.results import markdown_table

    with Bar("study") as bar:
        summary = study(
            systems or (),
            out,
            real=real,
            question=question,
            catch=catch,
            frames=frames,
            piece=piece,
            fps=fps,
            seed=seed,
            host=host,
            port=port,
            token=token,
            serve=not results,
            say=lambda line: print(line, flush=True),
            progress=bar,
        )
    if results:
        print(markdown_table(summary))
        print(f"To look at: {out / 'results.html'}\nAnswers: {out / 'answers.csv'}")
