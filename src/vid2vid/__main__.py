"""``python -m vid2vid``: the same as ``vid2vid``."""

from vid2vid.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
