"""Runs tests with `play` on the embedded API server and, if there is one, on a real one."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from played_cluster import Play, PlayedCluster, played_cluster, played_real_cluster


@pytest.fixture
def play(cluster_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Return a function that starts a cluster as an asynchronous context manager.

    With `admission=False`, the admission rules are off, as on a real cluster without our webhook.
    """
    if cluster_kind == "real":
        real = request.getfixturevalue("real_cluster")

        def on_real(*, admission: bool = False) -> AbstractAsyncContextManager[PlayedCluster]:
            return played_real_cluster(real)

        return on_real

    def on_embedded(*, admission: bool = True) -> AbstractAsyncContextManager[PlayedCluster]:
        return played_cluster(tmp_path, admission=admission)

    return on_embedded
