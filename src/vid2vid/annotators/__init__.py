"""What describes a frame: drawn from raw frames, or from what other tools found in them (landmarks, poses,
DensePose)."""

from vid2vid.annotators.densepose import iuv_picture, read_densepose
from vid2vid.annotators.dlib_faces import read_landmark_clip, read_landmarks, write_landmarks
from vid2vid.annotators.draw_face import draw_face, face_crop, sketch_face
from vid2vid.annotators.draw_pose import draw_openpose, draw_pose
from vid2vid.annotators.keypoints import Keypoints, follow_person
from vid2vid.annotators.openpose import read_openpose, write_openpose
from vid2vid.annotators.protocol import (
    Annotator,
    Drawn,
    Labeller,
    Pass,
    annotator_names,
    finds_points,
    gives_instances,
    open_annotator,
    open_annotators,
    picture_problem,
)
from vid2vid.annotators.smoothing import OneEuro, Steady, fill_gaps, smooth_points, steady_clip

__all__ = [
    "Annotator",
    "Drawn",
    "Keypoints",
    "Labeller",
    "OneEuro",
    "Pass",
    "Steady",
    "annotator_names",
    "draw_face",
    "draw_openpose",
    "draw_pose",
    "face_crop",
    "fill_gaps",
    "finds_points",
    "follow_person",
    "gives_instances",
    "iuv_picture",
    "open_annotator",
    "open_annotators",
    "picture_problem",
    "read_densepose",
    "read_landmark_clip",
    "read_landmarks",
    "read_openpose",
    "sketch_face",
    "smooth_points",
    "steady_clip",
    "write_landmarks",
    "write_openpose",
]
