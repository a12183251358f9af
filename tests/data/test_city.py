"""The synthetic city: repeatable, endless, and exact in everything it says about its frames."""

from __future__ import annotations

import hashlib
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from vid2vid.conditions import LabelSchema
from vid2vid.data.city import CLASSES, City, CityFrame, city_schema, write_city
from vid2vid.data.city.classes import CAR, MARKING, PAVEMENT, PEDESTRIAN, ROAD, SKY
from vid2vid.data.city.layout import PLOT, SPEED, Street
from vid2vid.data.city.light import FAR
from vid2vid.data.city.scene import Scene
from vid2vid.data.city.traffic import Traffic
from vid2vid.errors import UserError

SMALL = (256, 128)


@pytest.fixture(scope="module")
def drive() -> list[CityFrame]:
    return list(City(seed=3, size=SMALL).frames(8))


def digest(frames: list[CityFrame]) -> str:
    sums = hashlib.sha256()
    for frame in frames:
        for array in (frame.image, frame.labels, frame.instances, frame.flow, frame.occlusion):
            sums.update(np.ascontiguousarray(array).tobytes())
    return sums.hexdigest()


def warped(previous: np.ndarray, flow: np.ndarray) -> np.ndarray:
    height, width = flow.shape[1:]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(previous, x + flow[0], y + flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def psnr_of_warp(previous: CityFrame, frame: CityFrame) -> float:
    error = warped(previous.image, frame.flow).astype(float) - frame.image
    return 10 * np.log10(255**2 / np.mean(error[~frame.occlusion] ** 2))


def test_shapes_and_types(drive: list[CityFrame]) -> None:
    frame = drive[1]
    assert (frame.image.shape, frame.image.dtype) == ((128, 256, 3), np.uint8)
    assert (frame.labels.shape, frame.labels.dtype) == ((128, 256), np.uint8)
    assert (frame.instances.shape, frame.instances.dtype) == ((128, 256), np.uint16)
    assert (frame.flow.shape, frame.flow.dtype) == ((2, 128, 256), np.float32)
    assert (frame.occlusion.shape, frame.occlusion.dtype) == ((128, 256), np.bool_)
    assert np.isfinite(frame.flow).all()


def test_first_frame_has_no_past(drive: list[CityFrame]) -> None:
    assert not drive[0].flow.any()
    assert drive[0].occlusion.all()


def test_same_seed_same_frames_however_many_are_asked_for(drive: list[CityFrame]) -> None:
    city = City(seed=3, size=SMALL)
    assert digest(list(city.frames(5))) == digest(drive[:5])
    assert digest(list(islice(city, 8))) == digest(drive)  # and a second drive starts anew


def test_other_seeds_are_other_streets(drive: list[CityFrame]) -> None:
    other = next(iter(City(seed=4, size=SMALL)))
    assert (other.labels != drive[0].labels).mean() > 0.1


def test_same_seed_shows_the_same_scene_at_another_size(drive: list[CityFrame]) -> None:
    large = next(iter(City(seed=3, size=(512, 256))))
    small = cv2.resize(large.image, SMALL, interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(float) - drive[0].image).mean() < 6
    assert (large.labels[1::2, 1::2] == drive[0].labels).mean() > 0.93


@pytest.mark.parametrize(
    ("seed", "size"), [(0, SMALL), (1, (512, 256)), (2, SMALL), (5, (512, 256)), (7, (320, 240))]
)
def test_exact_flow_warps_each_frame_to_the_next(seed: int, size: tuple[int, int]) -> None:
    frames = list(City(seed, size).frames(6))
    for previous, frame in pairwise(frames):
        assert psnr_of_warp(previous, frame) > 30
        assert frame.occlusion.mean() < 0.12


def test_without_the_flow_frames_differ(drive: list[CityFrame]) -> None:
    still = CityFrame(
        drive[5].image, drive[5].labels, drive[5].instances, 0 * drive[5].flow, drive[5].occlusion
    )
    assert psnr_of_warp(drive[4], still) < psnr_of_warp(drive[4], drive[5]) - 8


def test_labels_and_instances_follow_the_flow(drive: list[CityFrame]) -> None:
    """A visible point keeps its class and its number; only rims of thin things may miss by a pixel."""
    previous, frame = drive[4:6]
    y, x = np.nonzero(~frame.occlusion)
    at_x, at_y = (np.rint(place + frame.flow[axis][y, x]).astype(int) for axis, place in enumerate((x, y)))
    assert (previous.labels[at_y, at_x] == frame.labels[y, x]).mean() > 0.97
    assert (previous.instances[at_y, at_x] == frame.instances[y, x]).all()


def test_cars_and_pedestrians_are_numbered_and_nothing_else(drive: list[CityFrame]) -> None:
    for frame in drive:
        countable = np.isin(frame.labels, [CAR, PEDESTRIAN])
        assert ((frame.instances > 0) == countable).all()
        for number in np.unique(frame.instances[countable]):
            assert len(np.unique(frame.labels[frame.instances == number])) == 1


def test_every_countable_thing_has_its_own_number() -> None:
    traffic = Traffic(Street(0))
    for time in (0.0, 7.3, 5000.0):
        numbers = [thing.slot.instance for thing in traffic.things(time, 0.1) if thing.slot.instance]
        assert len(numbers) == len(set(numbers)) > 20
        assert max(numbers) < 2**16


def test_it_is_a_street() -> None:
    seen = np.zeros(len(CLASSES))
    for seed in range(3):
        frame = next(iter(City(seed, SMALL)))
        seen += np.bincount(frame.labels.ravel(), minlength=len(CLASSES)) / frame.labels.size / 3
        assert (frame.labels[-1] == ROAD).mean() > 0.2
        assert np.isin(frame.labels[: len(frame.labels) // 3], [ROAD, PAVEMENT, MARKING]).sum() == 0
        assert SKY in frame.labels[:40]
    assert len(seen) == len(CLASSES)
    assert (seen[[entry[0] for entry in CLASSES if entry[1] != "fence"]] > 0).all()


def test_drive_has_no_end_and_memory_does_not_grow() -> None:
    """Hours down the road all is as at the start: the caches hold what is in sight, and no more."""
    street = Street(1)
    traffic = Traffic(street)
    counts = [len(list(traffic.things(time, 0.1))) for time in (0.0, 100.0, 200.0, 1000.0, 9000.0, 36000.0)]
    assert 50 < min(counts) <= max(counts) < 250
    for cache in (traffic._slot, traffic._standing):
        assert cache.cache_info().currsize <= cache.cache_info().maxsize < 2000
    scene = Scene(street, (64, 32))
    for time in (0.0, 1.0, 36000.0, 36001.0):
        scene.paint(time, 0.1)
    plots, trees = scene._plot.cache_info(), scene._tree.cache_info()
    assert max(plots.maxsize, trees.maxsize) < 100
    # Room for all that is in sight: each front was painted once.
    assert plots.misses < 4 * FAR / PLOT + 20


def test_flow_stays_exact_far_down_the_road() -> None:
    city = City(seed=2, size=SMALL)
    _, seen = city._frame(15 * 3600, None)
    previous = city._frame(15 * 3600, None)[0]
    frame, _ = city._frame(15 * 3600 + 1, seen)
    assert city._scene.street.eye(3600) > 3000 * SPEED
    assert psnr_of_warp(previous, frame) > 30


@pytest.mark.parametrize("settings", [{"size": (16, 16)}, {"rate": 0}, {"rate": float("nan")}, {"seed": -1}])
def test_settings_that_make_no_city_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match="needs"):
        City(**settings)


def test_written_clip_is_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    clip = write_city(
        tmp_path / "clip",
        seed=3,
        frames=3,
        size=SMALL,
        progress=lambda done, total=None, note="": told.append((done, total)),
    )
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["clip"]
    assert told[-1] == (3, 3)
    frames = list(City(3, SMALL).frames(3))
    for index, frame in enumerate(frames):
        name = f"{index:06d}"
        picture = cv2.imread(str(clip / "frames" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert (picture[..., ::-1] == frame.image).all()
        for kind, array in (("labels", frame.labels), ("instances", frame.instances)):
            stored = cv2.imread(str(clip / kind / f"{name}.png"), cv2.IMREAD_UNCHANGED)
            assert stored.dtype == array.dtype
            assert (stored == array).all()
        with np.load(clip / "flow" / f"{name}.npz") as stored:
            assert stored["flow"].dtype == np.float16
            assert np.allclose(stored["flow"], frame.flow, rtol=1e-3, atol=1e-3)
            assert (stored["occlusion"] == frame.occlusion).all()
    assert LabelSchema.read(clip / "labels.yaml") == city_schema()
    record = yaml.safe_load((clip / "clip.yaml").read_text())
    assert (record["rate"], record["source"], record["seed"], record["size"]) == (15, "city", 3, [256, 128])


def test_nothing_is_left_of_a_clip_that_was_stopped(tmp_path: Path) -> None:
    def stop(done: int, total: int | None = None, note: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_city(tmp_path / "clip", frames=2, size=(64, 32), progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_clip_is_not_written_over_another(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "precious").touch()
    with pytest.raises(UserError, match="already there"):
        write_city(tmp_path / "clip", frames=1, size=(64, 32))
    assert [path.name for path in (tmp_path / "clip").iterdir()] == ["precious"]


@pytest.mark.parametrize("settings", [{"frames": 0}, {"size": (8, 8)}, {"rate": -1}])
def test_bad_settings_are_told_in_one_line(tmp_path: Path, settings: dict) -> None:
    with pytest.raises(UserError) as told:
        write_city(tmp_path / "clip", **settings)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())
