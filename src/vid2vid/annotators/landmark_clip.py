"""The points that lie in a clip's folder, as other tools or our annotators write them, and their drawings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vid2vid.annotators.densepose import read_densepose
from vid2vid.annotators.disturb import Disturbance
from vid2vid.annotators.dlib_faces import read_landmark_clip, read_landmarks
from vid2vid.annotators.drawn import DRAWN, LANDMARKS, OPENPOSE, WHOLE, Kind, draw_found, resized
from vid2vid.annotators.keypoints import Found, Keypoints, follow_person
from vid2vid.annotators.mediapipe_points import POSE, body_25
from vid2vid.annotators.openpose import read_openpose
from vid2vid.annotators.retarget import retargeting
from vid2vid.annotators.smoothing import steady_clip
from vid2vid.errors import UserError
from vid2vid.types import Size
from vid2vid.video import natural_key

IMAGES = "images"
"""The folder of the frames, where a dataset has a folder for each kind of thing and in it one a clip."""


class LandmarkClip:
    """The drawings of a clip, one a frame, made when they are asked for: see `draw_found`.

    Args:
        name: one of `DRAWN`.
        home: the clip's folder.
        native: (width, height) of the frames, which the landmarks' pixels are those of.
        stems: the names of the frames, matched to those of the landmarks where any name is shared; otherwise
            they go in order. None: there are no frames, and all landmarks are drawn.
        total: how many frames there are, where they have no names (a video).

    Raises:
        UserError: no landmarks, or none for some frame.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        native: Size,
        stems: Sequence[str] | None = None,
        total: int | None = None,
    ) -> None:
        self.name = name
        self.home = home
        self.native = native
        self.channels = DRAWN[name].channels
        self._as_subject: Callable[[Found], Found] | None = None
        self._steadied: list[Found | None] | None = None
        first, *others = DRAWN[name].kinds
        self._points: list[np.ndarray | None] = []
        self._files: list[Path] = []
        whole = whole_file_of(home, first)
        if whole is not None:
            self._points, size = read_whole(whole)
            across = np.ones(2 + WHOLE[whole.name][1])
            across[:2] = np.array(native) / np.array(size or native)
            self._points = [None if points is None else points * across for points in self._points]
            count = total if stems is None else len(stems)
            if count is not None and count != len(self._points):
                raise UserError(f"{whole}: {len(self._points)} frames, the clip has {count}; write it anew")
            names = stems
        else:
            self._files = match_files(landmark_files(home, first), stems, total)
            names = [plain_stem(path) for path in self._files]
        self._others = [match_files(landmark_files(home, kind), names, len(self)) for kind in others]

    def __len__(self) -> int:
        return len(self._files) or len(self._points)

    @property
    def stems(self) -> list[str] | None:
        """The names of the frames' landmarks; None where one file holds them all."""
        return [plain_stem(path) for path in self._files] if self._files else None

    def retarget(self, subject: LandmarkClip) -> None:
        """Draw from now on what this clip does as the subject: see `annotators.retarget`. ``native`` becomes
        the subject's. The published face drawing then goes without the edges of the background.

        Raises:
            UserError: DensePose would have to be moved; what `acting` raises.
        """
        if len(DRAWN[self.name].kinds) > 1:
            raise UserError(f"--retarget {subject.home}: DensePose cannot be moved; only points can")
        self._as_subject = subject.acting(self._found(), self.home)
        self.native = subject.native

    def acting(self, driver: Sequence[Found], whose: Path | str) -> Callable[[Found], Found]:
        """What makes of each frame of a driver one of this clip's person: see `annotators.retarget`.

        Args:
            driver: what was found in frames of it.
            whose: what messages call it.

        Raises:
            UserError: nobody is found in one of them, or faces of other points.
        """
        found = self._found()
        for people, where in ((driver, whose), (found, self.home)):
            if not people:
                raise UserError(f"{where}: nobody is found in any frame; --retarget needs somebody")
        try:
            return retargeting(driver, found)
        except ValueError as error:
            raise UserError(
                f"--retarget {self.home}: faces of other points than the driver's ({error}); "
                "use one tool for both"
            ) from None

    def smooth(self, rate: float) -> None:
        """Draw from now on with the trembling taken out and short gaps filled, at ``rate`` frames per second.
        Of several people only the one that is followed is drawn then."""
        self._steadied = steady_clip([self._seen(t) for t in range(len(self))], rate)

    def points(self, t: int, disturb: Disturbance | None = None) -> Any:
        """What frame t is drawn from: `Keypoints`, or (N, 2) of a face, in pixels of ``native``; None where
        nobody was found. Of several people the one that is followed."""
        found = self._seen(t) if self._steadied is None else self._steadied[t]
        if found is not None and self._as_subject is not None:
            found = self._as_subject(found)
        if found is None or disturb is None:
            return found
        return disturb.person(found, t) if isinstance(found, Keypoints) else disturb.face(found, t)

    def draw(
        self,
        t: int,
        size: Size,
        frame: Callable[[], np.ndarray] | None = None,
        disturb: Disturbance | None = None,
    ) -> np.ndarray:
        """The condition of frame t, (H, W, channels) uint8 at ``size``.

        Args:
            frame: gives the frame itself, at its own size: the published face drawing has the edges of its
                background.
            disturb: changes the points before.

        Raises:
            UserError: a file is damaged; a DensePose picture of another size than the frames.
        """
        everybody = self.name in ("openpose", "dance")
        found = self._everybody(t, disturb) if everybody else self.points(t, disturb)
        behind = None if self._as_subject is not None else frame
        drawing = draw_found("openpose" if everybody else self.name, found, self.native, size, behind)
        if self.name != "dance":
            return drawing
        where = self._others[0][t]
        picture = read_densepose(where)
        if picture.shape[1::-1] != self.native:
            shown, mine = ("x".join(map(str, item)) for item in (picture.shape[1::-1], self.native))
            raise UserError(f"{where}: {shown}, but the clip is {mine}; bring the clip to one size")
        if disturb is not None:
            picture = disturb.densepose(picture)
        return np.concatenate([resized(picture, size), drawing], axis=-1)

    def _seen(self, t: int) -> Found | None:
        """What was found in frame t, as it was found."""
        return self._face(t) if DRAWN[self.name].kinds[0] is LANDMARKS else self._person(t)

    def _found(self) -> list[Found]:
        """What all frames are drawn from where there is any."""
        frames = (self.points(t) for t in range(len(self)))
        return [points for points in frames if points is not None]

    def _face(self, t: int) -> np.ndarray | None:
        return read_landmarks(self._files[t]) if self._files else self._points[t]

    def _person(self, t: int) -> Keypoints | None:
        if self._files:
            return self._people[self._files[t]]
        points = self._points[t]
        return None if points is None else body_25(points)

    def _everybody(self, t: int, disturb: Disturbance | None) -> list[Keypoints]:
        if self._files and self._as_subject is None and self._steadied is None:
            people = read_openpose(self._files[t])
            return people if disturb is None else [disturb.person(person, t) for person in people]
        person = self.points(t, disturb)
        return [] if person is None else [person]

    @cached_property
    def _people(self) -> dict[Path, Keypoints | None]:
        """The person of each frame, followed through all files of the clip, whatever part is asked for."""
        files = landmark_files(self.home, OPENPOSE)
        return dict(zip(files, follow_person([read_openpose(path) for path in files]), strict=True))


def found_in(points: Sequence[Sequence[float]]) -> Found | None:
    """What an annotator found in a frame, as it is drawn: MediaPipe's 33 points become joints."""
    if not points:
        return None
    array = np.array(points, np.float64)
    return body_25(array) if len(array) == POSE else array


def beside(home: Path, place: str) -> Path:
    """Where a clip has what is called ``place``: in its folder, or, where a dataset has a folder for each
    kind of thing and a clip is images/CLIP, in PLACE/CLIP."""
    inside = home / place
    by_kind = home.parent.name == IMAGES and not inside.exists()
    return home.parent.parent / place / home.name if by_kind else inside


def has_landmarks(home: Path, name: str) -> bool:
    """Whether something lies in a clip's folder that ``name`` is drawn from."""
    return _place(home, DRAWN[name].kinds[0]) is not None


def whole_file_of(home: Path, kind: Kind) -> Path | None:
    """The one file of a clip's points of a kind; None where a folder holds them, or nothing does."""
    place = _place(home, kind)
    return place if place is not None and place.name in WHOLE else None


def read_whole(path: Path) -> tuple[list[np.ndarray | None], Size | None]:
    """A file of `WHOLE`: see `read_landmark_clip`."""
    return read_landmark_clip(path, *WHOLE[path.name])


def _place(home: Path, kind: Kind) -> Path | None:
    places = (beside(home, place) for place in kind.places)
    return next((p for p in places if (p.is_file() if p.name in WHOLE else p.is_dir())), None)


def landmark_files(home: Path, kind: Kind) -> list[Path]:
    """The files of one kind of a clip, in natural order.

    Raises:
        UserError: there are none.
    """
    folder = next((path for name in kind.folders if (path := beside(home, name)).is_dir()), None)
    if folder is None:
        raise UserError(f"{beside(home, kind.folders[0])}: no such folder; put {kind.about} into it")
    files = [
        path for path in folder.iterdir() if path.suffix.lower() in kind.suffixes and path.name[0] != "."
    ]
    if not files:
        raise UserError(f"{folder}: holds nothing to draw from; put {kind.about} into it")
    return sorted(files, key=natural_key)


def plain_stem(path: Path) -> str:
    """The name of the frame that a file is about: OpenPose appends a word of its own."""
    return path.stem.removesuffix("_keypoints")


def match_files(files: list[Path], stems: Sequence[str] | None, total: int | None) -> list[Path]:
    """A file for each frame: by name where any name is shared, else in order.

    Raises:
        UserError: a frame has none.
    """
    named = {plain_stem(path): path for path in files}
    if stems is not None and not named.keys().isdisjoint(stems):
        if missing := [stem for stem in stems if stem not in named]:
            more = f" (and {len(missing) - 1} more are missing)" if len(missing) > 1 else ""
            raise UserError(f"{files[0].parent}: none is named {missing[0]}{more}; every frame needs one")
        return [named[stem] for stem in stems]
    count = total if stems is None else len(stems)
    if count is not None and count != len(files):
        raise UserError(
            f"{files[0].parent}: {len(files)} files for {count} frames; give every frame one of its name"
        )
    return files
