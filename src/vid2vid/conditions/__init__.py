"""What describes a frame: label maps and image-valued conditions, as tensors and as pictures."""

from vid2vid.conditions.instances import ObjectTracker, instance_edges, told_apart, track_components
from vid2vid.conditions.labels import LabelClass, LabelSchema, check_classes
from vid2vid.conditions.overlay import overlay
from vid2vid.conditions.schema import ConditionSchema, check_alike

__all__ = [
    "ConditionSchema",
    "LabelClass",
    "LabelSchema",
    "ObjectTracker",
    "check_alike",
    "check_classes",
    "instance_edges",
    "overlay",
    "told_apart",
    "track_components",
]
