"""A study driven through a real browser by a simulated rater, killed twice in the middle.

    python benchmarks/study_browser.py ours=out/street/ours/test frame-wise=out/street/frame-wise-twin/test \
        --real ../shared/clips/street_camvid --frames 55:71 --piece 4 --fps 8 --prefer ours --out out/study

The raters are no people: they prefer --prefer with a stated probability, and the study marks them as
simulated. What is shown is that the page, the keys and the file of answers work: no answer is lost when
the server is killed (SIGKILL), right after a key was pressed and again between two pairs, and none is asked
twice. The pictures of both pages are there to be looked at.

Needs a Chromium, and playwright, which the project does not depend on: pip install playwright
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

KEYS = {"left": ("ArrowLeft", "f"), "right": ("ArrowRight", "j")}
SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("systems", nargs="+", metavar="NAME=PATH")
    words.add_argument("--real")
    words.add_argument("--frames")
    words.add_argument("--piece")
    words.add_argument("--fps")
    words.add_argument("--raters", type=int, default=4)
    words.add_argument("--prefer", required=True, metavar="NAME", help="the system that raters prefer")
    words.add_argument("--probability", type=float, default=0.8)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--browser", default=shutil.which("chromium"))
    words.add_argument("--out", type=Path, required=True)
    args = words.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("playwright is missing; pip install playwright")
    if (args.out / "study").exists():
        sys.exit(f"{args.out / 'study'}: is there already; give another --out")

    server, told = Server(args), []
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=args.browser, args=["--no-sandbox"])
            for number in range(1, args.raters + 1):
                told += Rater(browser, server, number, args).run()
            photograph(browser, server, args.out)
            browser.close()
        code = server.end()
    finally:
        server.kill()
    facts = check(args.out / "study" / "study.sqlite", told)
    print(json.dumps({"ctrl-c exit code": code, "kills": server.kills, **facts}, indent=1))
    if code or facts["lost"] or facts["asked twice"] or facts["differing"]:
        sys.exit("the study lost or changed an answer")


class Server:
    """`vid2vid study` as a process that is killed and started again."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.kills = 0
        self._words = [sys.executable, "-m", "vid2vid", "study", *args.systems]
        for name in ("real", "frames", "piece", "fps"):
            if getattr(args, name):
                self._words += [f"--{name}", getattr(args, name)]
        self._words += ["--out", str(args.out / "study"), "--seed", str(args.seed)]
        self._start("0")

    def _start(self, port: str) -> None:
        self._process = subprocess.Popen([*self._words, "--port", port], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := re.search(r"http://\S+:(\d+)/results", line):
                self.url, self.port = match[0].removesuffix("/results"), match[1]
            if line.startswith("Ctrl-C"):
                return
        sys.exit("the server did not start")

    def kill(self) -> None:
        """SIGKILL: it gets no chance to tidy up."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.kills += 1
        self._start(self.port)

    def end(self) -> int:
        """Ctrl-C, and its exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(20)


class Rater:
    """A simulated rater with a browser profile of its own."""

    def __init__(self, browser: Any, server: Server, number: int, args: argparse.Namespace) -> None:
        self.browser, self.server, self.number, self.args = browser, server, number, args
        self.dice = random.Random(f"{args.seed}/{number}")
        self.rule = f"prefers {args.prefer} with probability {args.probability:g}, seed {args.seed}/{number}"
        self.page = browser.new_context(**SCREENS["desktop"]).new_page()
        self.page.on("pageerror", lambda error: sys.exit(f"the page failed: {error}"))
        self.told: list[tuple[int, int, str]] = []

    def run(self) -> list[tuple[int, int, str]]:
        """Answer to the end; what was answered, as (rater, place, side)."""
        page = self.page
        page.goto(f"{self.server.url}/?simulated={self.rule}")
        if self.number == 1:
            self._picture("welcome")
        page.click("#start")
        while (asked := self._asked())["trial"]:
            trial, done = asked["trial"], asked["done"]
            page.wait_for_selector("#pair[aria-busy=false]")
            page.wait_for_function(
                "place => document.documentElement.dataset.place == place", arg=trial["place"]
            )
            if self.number == 1 and done == 0:
                self._picture("rating")
            side = self._choose(trial)
            page.wait_for_timeout(350)  # what comes sooner is taken for a slip
            page.keyboard.press(KEYS[side][self.dice.random() < 0.5])
            self.told.append((self.number, trial["place"], side))
            if self.number == 2 and done == 1:
                self.server.restart()  # has the answer arrived? The page sends it until it has
            page.wait_for_function(
                "done => document.getElementById('bar').value > done", arg=done, timeout=30_000
            )
            if self.number == 2 and done == 2:
                self.server.restart()
                page.reload()
        page.wait_for_selector("#end:not([hidden])")
        if self.number == 1:
            self._picture("end")
        page.context.close()
        return self.told

    def _asked(self) -> dict:
        """What the page is showing, with the names that only simulated raters are told."""
        self.page.wait_for_function("() => new URL(location.href).searchParams.has('rater')")
        rater = "new URL(location.href).searchParams.get('rater')"
        return self.page.evaluate(f"async () => (await fetch('/api/next?rater=' + {rater})).json()")

    def _choose(self, trial: dict) -> str:
        if trial["expected"]:
            return trial["expected"]
        sides = {trial["left_shows"]: "left", trial["right_shows"]: "right"}
        if self.args.prefer not in sides:
            return self.dice.choice(("left", "right"))
        preferred = sides.pop(self.args.prefer)
        return preferred if self.dice.random() < self.args.probability else next(iter(sides.values()))

    def _picture(self, name: str) -> None:
        for device, screen in SCREENS.items():
            page = self.browser.new_context(**screen).new_page()
            page.goto(self.page.url)
            page.wait_for_selector("#welcome:not([hidden]), #pair[aria-busy=false], #end:not([hidden])")
            page.wait_for_timeout(300)
            page.screenshot(path=self.args.out / f"{name}-{device}.png")
            page.context.close()


def photograph(browser: Any, server: Server, out: Path) -> None:
    """The results page, light and dark, on both screens."""
    for scheme in ("light", "dark"):
        for device, screen in SCREENS.items():
            page = browser.new_context(**screen, color_scheme=scheme).new_page()
            page.goto(f"{server.url}/results")
            page.screenshot(path=out / f"results-{device}-{scheme}.png", full_page=True)
            page.context.close()


def check(file: Path, told: list[tuple[int, int, str]]) -> dict:
    """What the file holds against what was answered."""
    with sqlite3.connect(file) as opened:
        kept = {
            (rater, place): side
            for rater, place, side in opened.execute("SELECT rater, place, side FROM answers")
        }
        trials = set(opened.execute("SELECT rater, place FROM trials"))
        kinds = [kind for (kind,) in opened.execute("SELECT kind FROM raters")]
    answered = [(rater, place) for rater, place, _ in told]
    return {
        "answers given": len(told),
        "answers kept": len(kept),
        "lost": len(trials - kept.keys()) + len(set(answered) - kept.keys()),
        "asked twice": len(answered) - len(set(answered)),
        "differing": sum(kept.get((rater, place)) != side for rater, place, side in told),
        "raters": kinds,
    }


if __name__ == "__main__":
    main()
