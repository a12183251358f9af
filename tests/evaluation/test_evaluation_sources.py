"""Which frames belong together, and what is said when they do not."""

from pathlib import Path

import pytest
from evaluation_clips import panned, write_folder

from vid2vid.errors import UserError
from vid2vid.evaluation.sources import Clip, match, open_clip, parse_fake
from vid2vid.types import Frame, VideoInfo
from vid2vid.video import VideoWriter

REAL = panned(10, (48, 32))


class Frames:
    """A video that only knows how long it is."""

    def __init__(self, count: int) -> None:
        self.info = VideoInfo(48, 32, 25, count)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.info.frames

    def __getitem__(self, index: int) -> Frame:
        raise AssertionError("not to be read")


def video(count: int, name: str = "video") -> Clip:
    return Clip(name, Path(f"{name}.mp4"), Frames(count), None)  # type: ignore[arg-type]


def folder(stems: str, name: str = "folder") -> Clip:
    return Clip(name, Path(name), Frames(len(stems)), tuple(stems))  # type: ignore[arg-type]


def test_folders_match_by_stem_and_a_fake_may_hold_a_part() -> None:
    matching = match(folder("abcdef"), [folder("ce"), folder("ce")])
    assert matching.real == [2, 4]
    assert matching.fakes == [[0, 1], [0, 1]]
    assert matching.names == ["c", "e"]


def test_a_slice_takes_its_part_of_both_folders() -> None:
    matching = match(folder("abcdef"), [folder("abcdef")], "2:5")
    assert matching.real == [2, 3, 4]
    assert matching.fakes == [[2, 3, 4]]


def test_videos_match_by_index() -> None:
    assert match(video(4), [folder("wxyz"), video(4)]).fakes == [[0, 1, 2, 3]] * 2
    assert match(video(6), [video(6)], "4:").fakes == [[4, 5]]
    assert match(video(6), [video(2), folder("xy")], "4:").fakes == [[0, 1]] * 2
    assert match(folder("abcdef"), [video(3)], "::2").real == [0, 2, 4]


@pytest.mark.parametrize(
    ("real", "fakes", "frames", "words"),
    [
        (video(5), [video(4)], None, "has 4 frames"),
        (video(5), [video(4)], "0:3", "has 4 frames"),
        (folder("abc"), [folder("abd")], None, "frame d has no picture of that name"),
        (
            folder("abcd"),
            [folder("ab", "one"), folder("bc", "two")],
            None,
            "two: covers other frames than one",
        ),
        (folder("abcd"), [folder("ab")], "2:", "none of the frames chosen"),
        (folder("abcd"), [folder("abcd")], "9:", "takes none"),
        (folder("abcd"), [folder("abcd")], "3", "write START:STOP"),
        (folder("abcd"), [folder("abcd")], "0:3:0", "write START:STOP"),
        (folder("abcd"), [folder("abcd")], "a:b", "write START:STOP"),
    ],
)
def test_frames_that_do_not_fit_are_told_in_one_line(
    real: Clip, fakes: list[Clip], frames: str | None, words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        match(real, fakes, frames)
    assert "\n" not in str(caught.value)


def test_names_of_fakes(tmp_path: Path) -> None:
    assert parse_fake("ours=runs/a.mp4") == ("ours", Path("runs/a.mp4"))
    assert parse_fake("runs/a.mp4") == (None, Path("runs/a.mp4"))
    (tmp_path / "a=b").mkdir()
    assert parse_fake(str(tmp_path / "a=b")) == (None, tmp_path / "a=b")
    with pytest.raises(UserError, match="NAME=PATH"):
        parse_fake("=x")


def test_a_clip_is_a_video_a_folder_or_a_folder_with_frames(tmp_path: Path) -> None:
    pictures = write_folder(tmp_path / "clip" / "frames", REAL[:4])
    for path in (pictures, tmp_path / "clip"):
        clip = open_clip(path)
        assert (clip.name, clip.size, clip.names) == ("clip", (48, 32), ("00000", "00001", "00002", "00003"))
    (tmp_path / "other").mkdir()
    with VideoWriter(tmp_path / "other" / "frames.mp4", 25) as writer:
        for picture in REAL[:4]:
            writer.write(picture)
    clip = open_clip(tmp_path / "other")
    assert (clip.name, len(clip.source), clip.names) == ("other", 4, None)
    assert next(clip.read([2], (24, 16))).shape == (16, 24, 3)
