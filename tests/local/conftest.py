"""The directory of a local cluster for one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_workspaces.local import launch


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """It is stopped afterwards, with its pods."""
    path = tmp_path / "cluster"
    yield path
    launch.stop(path, pods=True)
