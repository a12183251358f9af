"""Flat-faced bodies of one frame: moved, lit, projected and sorted out together, then painted one by one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vid2vid.data.city.camera import NEAR, cut_near
from vid2vid.data.city.canvas import SHIFT, Canvas, Surface, fixed_point
from vid2vid.data.city.light import Light
from vid2vid.data.city.meshes import Mesh, cross
from vid2vid.data.city.traffic import Pose


@dataclass(frozen=True)
class Body:
    """A mesh at a place.

    lit: share of the sun that reaches it; order: bodies of greater order are painted earlier; before: its
    place one frame ago, if it moves; points, last: its corners now and one frame ago, if it changes shape.
    """

    mesh: Mesh
    place: Pose
    surface: Surface
    lit: float
    order: float
    before: Pose | None = None
    points: np.ndarray | None = None
    last: np.ndarray | None = None


class Bodies:
    """The bodies of one frame, ready to be painted one by one."""

    def __init__(self, canvas: Canvas, bodies: list[Body], light: Light) -> None:
        self.canvas, self.bodies = canvas, bodies
        self.first = np.zeros(1, int)
        if bodies:
            self._prepare(light)

    def _prepare(self, light: Light) -> None:
        canvas, bodies = self.canvas, self.bodies
        counts = [len(body.mesh.counts) for body in bodies]
        which = np.repeat(np.arange(len(bodies)), counts)
        turns = _turns([body.place for body in bodies])
        places = np.array([(body.place[0], 0.0, body.place[1]) for body in bodies])
        world = np.concatenate(
            [
                (body.mesh.points if body.points is None else body.points).reshape(-1, 3) @ turn.T + place
                for body, turn, place in zip(bodies, turns, places, strict=True)
            ]
        ).reshape(len(which), -1, 3)
        view = canvas.camera.to_camera(world)
        depth = view[..., 2]
        screen = canvas.camera.project(np.dstack([view[..., :2], np.maximum(depth, NEAR)]))
        normal = cross(view[:, 1] - view[:, 0], view[:, 2] - view[:, 0])
        distance = (normal * view[:, 0]).sum(axis=-1)
        open_ = np.concatenate([body.mesh.open for body in bodies])
        low, high = screen.min(axis=1), screen.max(axis=1)
        height, width = canvas.faces.shape
        # Seen from the front, before the camera, and in the picture.
        shown = ((distance < -1e-9) | (open_ & (np.abs(distance) > 1e-9))) & (depth.max(axis=1) > NEAR)
        shown &= (low < [width, height]).all(axis=1) & (high > -1).all(axis=1)
        keep = np.flatnonzero(shown)
        moved = self._enter_motions(counts, turns, places, world)
        which = which[keep]
        self.first = np.searchsorted(which, np.arange(len(bodies) + 1))
        self._view, self._cut = view[keep], depth[keep].min(axis=1) < NEAR
        self._corners = fixed_point(screen[keep])
        self._counts = np.concatenate([body.mesh.counts for body in bodies])[keep]
        self._tints = _tints(bodies, keep, which, turns, canvas, light).tolist()
        inverse = 1 / np.maximum(depth[keep], NEAR)
        planes = np.column_stack(
            [normal[keep] / distance[keep, None], inverse.min(axis=1), inverse.max(axis=1)]
        )
        self.face = canvas.enter(planes, [bodies[index].surface for index in which], moved[keep])

    def _enter_motions(
        self, counts: list[int], turns: np.ndarray, places: np.ndarray, world: np.ndarray
    ) -> np.ndarray:
        """Enter where everything was one frame ago; returns the index of each face's motion (N,)."""
        moved = np.zeros(sum(counts), int)
        ends = np.cumsum(counts)
        going = [index for index, body in enumerate(self.bodies) if body.before is not None]
        if not going:
            return moved
        turns_then = _turns([self.bodies[index].before or (0, 0, 0) for index in going])
        changing, then = [], []
        for index, turn in zip(going, turns_then, strict=True):
            body, faces = self.bodies[index], slice(ends[index] - counts[index], ends[index])
            x, z, _ = body.before or body.place
            if body.last is None:
                back = turn @ turns[index].T
                motion = np.column_stack([back, np.array([x, 0.0, z]) - back @ places[index]])
                moved[faces] = self.canvas.move(motion[None])
            else:
                changing.append(np.arange(faces.start, faces.stop))
                then.append(body.last[:, :4] @ turn.T + np.array([x, 0.0, z]))
        if changing:
            where = np.concatenate(changing)
            motions = _affine(world[where, :4], np.concatenate(then))
            moved[where] = self.canvas.move(motions) + np.arange(len(where))
        return moved

    def paint(self, index: int) -> None:
        """Paint one body over what is there."""
        canvas, fill = self.canvas, cv2.fillConvexPoly
        for face in range(self.first[index], self.first[index + 1]):
            corners = self._corners[face, : self._counts[face]]
            if self._cut[face]:
                part = cut_near(self._view[face, : self._counts[face]])
                if len(part) < 3:
                    continue
                corners = fixed_point(canvas.camera.project(part))
            fill(canvas.image, corners, self._tints[face], cv2.LINE_AA, SHIFT)
            fill(canvas.faces, corners, self.face + face, cv2.LINE_8, SHIFT)


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
    """Maps (N, 3, 4) that take each flat polygon, by its first four corners (N, 4, 3), to where it was."""

    def frame(corners: np.ndarray) -> np.ndarray:
        a, b = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
        return np.stack([a, b, cross(a, b)], axis=-1)

    linear = frame(before) @ np.linalg.inv(frame(points))
    shift = before[:, 0] - (linear @ points[:, 0, :, None])[..., 0]
    return np.concatenate([linear, shift[..., None]], axis=-1)
