"""Inference: the streaming engine, and ``synthesize`` from disk to disk."""

from vid2vid.inference.demo import demo
from vid2vid.inference.source import ConditionSource
from vid2vid.inference.stream import stream
from vid2vid.inference.synthesize import synthesize

__all__ = ["ConditionSource", "demo", "stream", "synthesize"]
