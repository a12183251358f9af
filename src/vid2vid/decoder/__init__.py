"""A program of its own that opens a stranger's video, so that nothing in the file can harm who asked for it.

``video/decoding.py`` starts it, ``python -m vid2vid.decoder VIDEO``, one for each open video. It imports PyAV
and nothing of the other rooms, gives up its rights before libav sees a byte (``limits.py``), and answers
requests, a line of JSON each, with a line of JSON and, where that says so, raw bytes (``__main__.py``).
"""
