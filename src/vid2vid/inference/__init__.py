"""Inference: the streaming engine, ``synthesize`` from disk to disk, and ``export`` to other runtimes."""

from vid2vid.inference.demo import demo
from vid2vid.inference.export import export
from vid2vid.inference.source import ConditionSource
from vid2vid.inference.stream import stream
from vid2vid.inference.synthesize import synthesize

__all__ = ["ConditionSource", "demo", "export", "stream", "synthesize"]
