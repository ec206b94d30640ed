"""A server to speak to, and an environment that names no other one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_workspaces import TOKEN, Served

import jupyter_workspaces.client as jw
from jupyter_workspaces.client import AsyncClient, Client, portal

ELSEWHERE = (
    *(
        "JUPYTER_WORKSPACES_URL",
        "JUPYTER_WORKSPACES_TOKEN",
        "JUPYTER_WORKSPACES_NAMESPACE",
        "JUPYTER_WORKSPACE",
    ),
    *("JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_API_TOKEN", "JPY_PARENT_PID", "KUBECONFIG"),
    "JUPYTER_WORKSPACES_SERVER_FILE",
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing of this machine's user is found, or started, by chance. Where things would lie."""
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_WORKSPACES_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setattr(jw, "_default", None)
    return tmp_path


@pytest.fixture
def server() -> Iterator[Served]:
    served = Served().start()
    yield served
    served.stop()


@pytest.fixture
def client(server: Served) -> Iterator[Client]:
    with Client(server.url, TOKEN) as made:
        yield made


@pytest.fixture
def asynchronous(server: Served) -> Iterator[AsyncClient]:
    """Used on the private thread: `portal.run(asynchronous.…())`."""
    made = AsyncClient(server.url, TOKEN, namespace="default")
    yield made
    portal.run(made.close(), 5)
