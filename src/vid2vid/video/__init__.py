"""Frames with time stamps, in and out: video files, cameras, folders of pictures, single pictures, scene
cuts."""

from vid2vid.video.broadcast import StreamWriter, is_stream
from vid2vid.video.camera import Camera, open_camera
from vid2vid.video.cuts import find_cuts
from vid2vid.video.files import as_path, make_folder, whole_file
from vid2vid.video.index import VERIFY_PIXELS
from vid2vid.video.live import Live
from vid2vid.video.pictures import (
    DEFAULT_RATE,
    PICTURE_SUFFIXES,
    PictureFolder,
    as_rate,
    list_pictures,
    natural_key,
    picture_size,
    read_picture,
    recorded_rate,
    resize_picture,
    write_picture,
)
from vid2vid.video.piped import PipedPictures, PipedVideo, is_pipe, open_pipe
from vid2vid.video.reader import Part, TimedSource, VideoFile, between, open_frames
from vid2vid.video.writer import VIDEO_SUFFIXES, FrameWriter, PictureWriter, VideoWriter, open_writer

__all__ = [
    "DEFAULT_RATE",
    "PICTURE_SUFFIXES",
    "VERIFY_PIXELS",
    "VIDEO_SUFFIXES",
    "Camera",
    "FrameWriter",
    "Live",
    "Part",
    "PictureFolder",
    "PictureWriter",
    "PipedPictures",
    "PipedVideo",
    "StreamWriter",
    "TimedSource",
    "VideoFile",
    "VideoWriter",
    "as_path",
    "as_rate",
    "between",
    "find_cuts",
    "is_pipe",
    "is_stream",
    "list_pictures",
    "make_folder",
    "natural_key",
    "open_camera",
    "open_frames",
    "open_pipe",
    "open_writer",
    "picture_size",
    "read_picture",
    "recorded_rate",
    "resize_picture",
    "whole_file",
    "write_picture",
]
