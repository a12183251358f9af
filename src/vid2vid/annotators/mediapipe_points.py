"""MediaPipe's points: 33 of a body as the joints of OpenPose, and the outlines within 478 of a face."""

from __future__ import annotations

import numpy as np

from vid2vid.annotators.keypoints import BODY, Keypoints

POSE, MESH = 33, 478
"""Points of a body, of a face with its irises."""

GUESSED = 0.3
"""MediaPipe gives every point a place, even out of the picture: of no larger visibility it is a guess."""

_RIGHT_AND_LEFT = (
    *((2, 12), (3, 14), (4, 16), (9, 24), (10, 26), (11, 28), (15, 5), (17, 8), (22, 32), (24, 30)),
    *((5, 11), (6, 13), (7, 15), (12, 23), (13, 25), (14, 27), (16, 2), (18, 7), (19, 31), (21, 29)),
)
_JOINTS = {0: 0, **dict(_RIGHT_AND_LEFT)}
"""Point of MediaPipe for a joint of BODY_25; it has no small toes."""
_MIDDLES = {1: (11, 12), 8: (23, 24)}
"""Neck and hips lie between two points."""


def body_25(points: np.ndarray) -> Keypoints:
    """A person of 33 points as OpenPose's joints; those that MediaPipe lacks or guesses have confidence 0.

    Args:
        points: (33, 3), x, y in pixels, visibility 0 ... 1.
    """
    body = np.zeros((BODY, 3), np.float32)
    body[list(_JOINTS)] = points[list(_JOINTS.values())]
    for joint, pair in _MIDDLES.items():
        ends = points[list(pair)]
        body[joint] = *ends[:, :2].mean(axis=0), ends[:, 2].min()
    body[body[:, 2] <= GUESSED] = 0
    return Keypoints(body=body)


MESH_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
MESH_BROWS = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
MESH_BRIDGE = (168, 6, 197, 195, 5, 4)
MESH_NOSTRILS = (48, 115, 220, 45, 4, 275, 440, 344, 278)
MESH_EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398),
)
MESH_IRISES = ((469, 470, 471, 472), (474, 475, 476, 477))
MESH_LIPS = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
"""Outer and inner. The person's right side comes first."""

MESH_68 = (
    *(127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 48, 97, 2, 326, 278),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178),
)
"""The points of a mesh that lie where dlib has its 68: contour, brows, nose, eyes, mouth, inner mouth."""
