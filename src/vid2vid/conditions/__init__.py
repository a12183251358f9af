"""What describes a frame: label maps and image-valued conditions, as tensors and as pictures."""

from vid2vid.conditions.instances import ObjectTracker, instance_edges, track_components
from vid2vid.conditions.labels import LabelClass, LabelSchema
from vid2vid.conditions.overlay import overlay
from vid2vid.conditions.schema import ConditionSchema

__all__ = [
    "ConditionSchema",
    "LabelClass",
    "LabelSchema",
    "ObjectTracker",
    "instance_edges",
    "overlay",
    "track_components",
]
