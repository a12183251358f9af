"""What all web pages share stands in one place, and charts say what they show."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vid2vid
from vid2vid.pages import Series, figure, fill_page
from vid2vid.preference.page import rating_page

PACKAGE = Path(vid2vid.__file__).parent
STYLE = (PACKAGE / "pages" / "page.css").read_text(encoding="utf-8")
PAGES = sorted(path for path in PACKAGE.rglob("*.html") if "<style" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_page_takes_the_stylesheet_and_repeats_nothing_of_it(path: Path) -> None:
    own = path.read_text(encoding="utf-8").partition("<style")[2].partition("</style>")[0].splitlines()
    assert own[1] == "$style", "first, so that the page may differ"
    assert not {line.strip() for line in own[2:]} & {line.strip() for line in STYLE.splitlines()} - {"", "}"}


def test_a_filled_page_holds_the_stylesheet_under_the_nonce() -> None:
    page = rating_page("Which?", "x", "n0nce")
    assert page.count(STYLE.strip()) == 1
    assert page.index('<style nonce="n0nce">') < page.index(STYLE.strip()) < page.index("</style>")


def test_what_a_template_asks_for_must_be_given() -> None:
    with pytest.raises(KeyError):
        fill_page("vid2vid.speed", "page.html", title="x")


def test_one_curve_needs_no_key_and_names_are_text() -> None:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)

    evil = '"><img src=x>'
    one = figure(evil, [Series(evil, [1.0, 2.0], "c0")], [0, 1], evil)
    two = figure(evil, [Series(evil, [1.0, 2.0], "c0"), Series("b", [2.0, None], "c1")], [0, 1], evil)
    for text, keys in ((one, 0), (two, 2)):
        reader = Reader()
        reader.feed(text)
        assert reader.tags.count("i") == keys
        assert "img" not in reader.tags


@example([None], 5e-324)
@example([1.0, 1.0 + 1e-13], None)
@given(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1, max_size=20), st.none() | st.floats(-10, 10))
def test_all_that_is_known_is_drawn_inside_the_chart(values: list[float | None], level: float | None) -> None:
    text = figure("x", [Series("a", values, "c0")], list(range(len(values))), "frame", level)
    chart = ElementTree.fromstring(text)[1]
    _, _, width, height = map(float, chart.attrib["viewBox"].split())
    circles = chart.findall(".//circle")
    assert len(circles) == sum(value is not None for value in values)
    for circle in circles:
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height
    for words in chart.findall("text"):
        assert float(words.attrib["y"]) <= height - 3, "there is room for what hangs below the line"
