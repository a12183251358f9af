"""Flat-faced bodies of one frame: moved, lit, projected and sorted out together, then painted one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vid2vid.data.city.camera import NEAR, cut_near
from vid2vid.data.city.canvas import Canvas, Surface, fill, fixed_point
from vid2vid.data.city.layout import Light
from vid2vid.data.city.meshes import Mesh

Pose = tuple[float, float, float]
"""x, z, yaw."""


@dataclass(frozen=True)
class Body:
    """A mesh at a place. ``before``: its place one frame ago; ``last``: its mesh then, if it changes shape.

    lit: share of the sun that reaches it; order: bodies of greater order are painted earlier.
    """

    mesh: Mesh
    place: Pose
    surface: Surface
    lit: float
    order: float
    before: Pose | None = None
    last: Mesh | None = None


class Bodies:
    """The bodies of one frame, ready to be painted one by one."""

    def __init__(self, canvas: Canvas, bodies: list[Body], light: Light) -> None:
        self.canvas = canvas
        if not bodies:
            return
        counts = np.array([len(body.mesh.counts) for body in bodies])
        which = np.repeat(np.arange(len(bodies)), counts)
        turns = _turns([body.place for body in bodies])
        places = np.array([(body.place[0], 0.0, body.place[1]) for body in bodies])
        points = np.concatenate([body.mesh.points for body in bodies])
        world = np.einsum("nkj,nij->nki", points, turns[which]) + places[which, None]
        view = canvas.camera.to_camera(world)
        normal = np.cross(view[:, 1] - view[:, 0], view[:, 2] - view[:, 0])
        distance = (normal * view[:, 0]).sum(axis=-1)
        open_ = np.concatenate([body.mesh.open for body in bodies])
        depth = view[..., 2]
        self._screen = canvas.camera.project(
            np.concatenate([view[..., :2], np.maximum(view[..., 2:], NEAR)], axis=-1)
        )
        low, high = self._screen.min(axis=1), self._screen.max(axis=1)
        height, width = canvas.faces.shape
        shown = ((distance < -1e-9) | (open_ & (np.abs(distance) > 1e-9))) & (depth.max(axis=1) > NEAR)
        shown &= (low[:, 0] < width) & (high[:, 0] > -1) & (low[:, 1] < height) & (high[:, 1] > -1)
        keep = np.flatnonzero(shown)
        which = which[keep]
        self.first = np.searchsorted(which, np.arange(len(bodies) + 1))
        self._view, self._cut = view[keep], depth[keep].min(axis=1) < NEAR
        self._corners = fixed_point(self._screen[keep])
        self._counts = np.concatenate([body.mesh.counts for body in bodies])[keep]
        self._tints = _tints(bodies, keep, which, turns, canvas, light).tolist()
        inverse = 1 / np.maximum(depth[keep], NEAR)
        planes = np.column_stack(
            [normal[keep] / distance[keep, None], inverse.min(axis=1), inverse.max(axis=1)]
        )
        moved = self._motions(bodies, counts, turns, places)[keep]
        self.face = canvas.enter(planes, [bodies[index].surface for index in which], moved)

    def _motions(
        self, bodies: list[Body], counts: np.ndarray, turns: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """Enter where everything was one frame ago; the index of each face's motion (N,)."""
        moved = []
        for index, body in enumerate(bodies):
            if body.before is None:
                moved.append(np.zeros(counts[index], int))
                continue
            turn = _turns([body.before])[0]
            before = np.array([body.before[0], 0.0, body.before[1]])
            if body.last is None:
                back = turn @ turns[index].T
                motion = np.column_stack([back, before - back @ places[index]])[None]
                moved.append(np.full(counts[index], self.canvas.move(motion)))
            else:
                now = body.mesh.points[:, :4] @ turns[index].T + places[index]
                motion = _affine(now, body.last.points[:, :4] @ turn.T + before)
                moved.append(self.canvas.move(motion) + np.arange(counts[index]))
        return np.concatenate(moved)

    def paint(self, index: int) -> None:
        """Paint one body over what is there."""
        canvas = self.canvas
        for face in range(self.first[index], self.first[index + 1]):
            corners = self._corners[face, : self._counts[face]]
            if self._cut[face]:
                part = cut_near(self._view[face, : self._counts[face]])
                if len(part) < 3:
                    continue
                corners = fixed_point(canvas.camera.project(part))
            fill(canvas.image, corners, self._tints[face], smooth=True)
            fill(canvas.faces, corners, self.face + face)


def _tints(
    bodies: list[Body], keep: np.ndarray, which: np.ndarray, turns: np.ndarray, canvas: Canvas, light: Light
) -> np.ndarray:
    """Colours (N, 3) of the kept faces in their light and haze."""
    normals = np.concatenate([body.mesh.normals for body in bodies])[keep]
    normals = np.einsum("nj,nij->ni", normals, turns[which])
    shine = np.concatenate([body.mesh.lit for body in bodies])[keep, None]
    lit = np.array([body.lit for body in bodies])[which]
    factors = shine * light.on(normals, 1 - lit) + (1 - shine)
    colours = np.concatenate([body.mesh.colours for body in bodies])[keep] * factors
    away = np.array([body.place[1] for body in bodies])[which] - canvas.camera.z
    return light.through_air(colours, away)


def _turns(poses: list[Pose]) -> np.ndarray:
    """Rotations (N, 3, 3) about the vertical by the poses' yaw."""
    yaw = np.array([pose[2] for pose in poses])
    turns = np.zeros((len(poses), 3, 3))
    turns[:, 0, 0] = turns[:, 2, 2] = np.cos(yaw)
    turns[:, 0, 2], turns[:, 1, 1], turns[:, 2, 0] = np.sin(yaw), 1.0, -np.sin(yaw)
    return turns


def _affine(points: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Maps (N, 3, 4) that take each flat polygon (N, 4, 3) to where it was."""

    def frame(corners: np.ndarray) -> np.ndarray:
        a, b = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
        return np.stack([a, b, np.cross(a, b)], axis=-1)

    linear = frame(before) @ np.linalg.inv(frame(points))
    shift = before[:, 0] - (linear @ points[:, 0, :, None])[..., 0]
    return np.concatenate([linear, shift[..., None]], axis=-1)
