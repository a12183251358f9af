"""Fixtures shared by every room."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).resolve().parents[2] / "shared"

settings.register_profile("busy", deadline=None)  # a machine that others use may take its time
settings.load_profile("busy")


def pytest_configure() -> None:
    """A job in the background of a shell ignores Ctrl-C, and so would all that tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips beside the checkout; tests that need it skip where it is absent."""
    folder = SHARED / "clips"
    if not folder.is_dir():
        pytest.skip("the real clips (../shared/clips) are not here")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden tensors beside the checkout; tests that need it skip where it is absent."""
    folder = SHARED / "golden"
    if not folder.is_dir():
        pytest.skip("the golden cases (../shared/golden) are not here")
    return folder
