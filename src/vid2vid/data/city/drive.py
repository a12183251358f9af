"""The synthetic city as a stream of frames with exact ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import cv2
import numpy as np

from vid2vid.data.city.camera import Camera
from vid2vid.data.city.canvas import Canvas
from vid2vid.data.city.layout import Street
from vid2vid.data.city.scene import Scene
from vid2vid.types import Size


@dataclass(frozen=True)
class CityFrame:
    """One frame and what is exactly known of it.

    image: (H, W, 3) uint8 RGB. labels: (H, W) uint8 class ids.
    instances: (H, W) uint16, 0 = nothing countable; a car or pedestrian keeps its number from frame to frame.
    flow: (2, H, W) float32, pixels (x, y), from this frame to the one before; zeros in the first frame.
    occlusion: (H, W) bool, True where the surface was not visible in the frame before; at first all True.
    """

    image: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    flow: np.ndarray
    occlusion: np.ndarray


@dataclass(frozen=True)
class _Seen:
    """What the next frame needs to know of this one."""

    camera: Camera
    inverse: np.ndarray
    keys: np.ndarray


class City:
    """An endless drive through a street, the same for the same ``seed`` at any ``size``.

    size: (width, height) in pixels, at least 32 x 32; rate: frames per second. Every iteration starts anew at
    time 0; memory does not grow with length.
    """

    def __init__(self, seed: int = 0, size: Size = (512, 256), rate: Fraction | float = 15) -> None:
        if min(size) < 32:
            raise ValueError(f"size {size[0]}x{size[1]}: the city needs at least 32x32")
        if not 0 < rate < float("inf"):
            raise ValueError(f"rate {rate}: the city needs a positive number of frames per second")
        if seed < 0:
            raise ValueError(f"seed {seed}: the city needs a seed of 0 or more")
        self.seed, self.size, self.rate = seed, size, float(rate)
        self._scene = Scene(Street(seed), size)

    def __iter__(self) -> Iterator[CityFrame]:
        seen: _Seen | None = None
        index = 0
        while True:
            frame, seen = self._frame(index, seen)
            yield frame
            index += 1

    def frames(self, count: int) -> Iterator[CityFrame]:
        """The first ``count`` frames."""
        return islice(self, count)

    def _frame(self, index: int, last: _Seen | None) -> tuple[CityFrame, _Seen]:
        canvas = self._scene.paint(index / self.rate, 1 / self.rate)
        planes, surfaces, motions = canvas.tables()
        faces, ray_x, ray_y = canvas.faces, canvas.ray_x, canvas.ray_y
        inverse = planes[:, 0][faces] * ray_x + planes[:, 1][faces] * ray_y[:, None] + planes[:, 2][faces]
        # At the rim of a face its plane is read a little outside: keep to the depths of its corners.
        inverse = np.minimum(np.maximum(inverse, planes[:, 3][faces]), planes[:, 4][faces])
        labels = np.where(canvas.second.astype(bool), surfaces[:, 1][faces], surfaces[:, 0][faces]).astype(
            np.uint8
        )
        instances, keys = surfaces[:, 2].astype(np.uint16)[faces], surfaces[:, 3][faces]
        seen = _Seen(canvas.camera, inverse, keys)
        if last is None:
            flow = np.zeros((2, *faces.shape), np.float32)
            occlusion = np.ones(faces.shape, bool)
        else:
            flow, depth = _flow(
                canvas, inverse, surfaces[:, 4].astype(np.uint16)[faces], motions, last.camera
            )
            occlusion = _occlusion(flow, depth, keys, last)
        # A lens is never perfect: this also keeps what is finer than a pixel from crawling.
        image = cv2.GaussianBlur(canvas.image, (3, 3), 0.5)
        return CityFrame(image, labels, instances, flow, occlusion), seen


def _flow(
    canvas: Canvas, inverse: np.ndarray, moving: np.ndarray, motions: np.ndarray, last: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Exact backward flow (2, H, W) and 1 / depth (H, W) of the same points before the last camera.

    Works on points divided by their depth, so that the sky at infinity needs no exception.
    """
    now = canvas.camera
    ray_x, ray_y = canvas.ray_x, canvas.ray_y[:, None]
    sin, cos = np.float32(np.sin(now.yaw)), np.float32(np.cos(now.yaw))
    world_x, world_z = cos * ray_x + sin, cos - sin * ray_x
    x = world_x + inverse * np.float32(now.x - last.x)
    y = ray_y + inverse * np.float32(now.height - last.height)
    z = world_z + inverse * np.float32(now.z - last.z)
    at = np.nonzero(moving)
    if len(at[0]):
        scale = inverse[at].astype(np.float64)
        eye = np.array([now.x, now.height, now.z])
        # The motions, about the eye of this frame, so that far from the start no precision is lost.
        linear = motions[:, :, :3]
        shift = linear @ eye + motions[:, :, 3] - np.array([last.x, last.height, last.z])
        ray = np.stack([world_x[at[1]], canvas.ray_y[at[0]], world_z[at[1]]], axis=-1)
        index = moving[at]
        before = np.einsum("nij,nj->ni", linear[index], ray) + scale[:, None] * shift[index]
        x[at], y[at], z[at] = before.T
    sin, cos = np.float32(np.sin(last.yaw)), np.float32(np.cos(last.yaw))
    depth = np.maximum(sin * x + cos * z, np.float32(1e-4))
    height, width = inverse.shape
    to_x = np.float32(last.focal) * (cos * x - sin * z) / depth + np.float32(last.cx)
    to_y = np.float32(last.cy) - np.float32(last.focal) * y / depth
    flow = np.stack(
        [to_x - np.arange(width, dtype=np.float32), to_y - np.arange(height, dtype=np.float32)[:, None]]
    )
    return flow, inverse / depth


def _occlusion(flow: np.ndarray, inverse: np.ndarray, keys: np.ndarray, last: _Seen) -> np.ndarray:
    """Where the point seen now was out of the picture or behind something one frame ago.

    flow: (2, H, W) to the last frame; inverse: (H, W) 1 / depth of the points there; keys: (H, W).
    """
    height, width = keys.shape
    x = flow[0] + np.arange(width, dtype=np.float32)
    y = flow[1] + np.arange(height, dtype=np.float32)[:, None]
    outside = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    nearest = np.clip(np.rint(y), 0, height - 1).astype(np.intp) * width
    nearest += np.clip(np.rint(x), 0, width - 1).astype(np.intp)
    other = last.keys.ravel()[nearest] != keys
    # The pixel found lies up to half a pixel off the point: allow for the ground, whose depth changes most.
    slack = 0.06 * inverse + np.float32(0.5 / (last.camera.focal * last.camera.height))
    return outside | other | (np.abs(last.inverse.ravel()[nearest] - inverse) > slack)
