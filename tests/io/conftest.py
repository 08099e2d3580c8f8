"""A valid recording on disk, and the means to spoil it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.io.recordings import small
from usbeam.io import save


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A small valid recording."""
    path = tmp_path / "recording.h5"
    save(small(), path)
    return path


@pytest.fixture
def unprivileged() -> Callable[[], AbstractContextManager[None]]:
    """Inside this context the tests are not root, to whom every file is open."""

    @contextmanager
    def lowered() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return lowered
