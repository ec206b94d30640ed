"""A running API server with TLS, in a thread, so that synchronous clients can use it too."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import yaml
from api_objects import widget_definition

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.localkube import certificates
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.localkube.directory import Directory

Answer = TypeVar("Answer")

TOKEN = "test-token"
LIMIT_SECONDS = 20.0


class Running:
    """One API server, its address, and clients for it."""

    def __init__(self, directory: Directory, admission: Any = None) -> None:
        self.directory = directory
        self._admission = admission
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="api-server", daemon=True
        )
        self._thread.start()
        self.port = 0
        self._session: aiohttp.ClientSession | None = None

    def call(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Run a coroutine on the event loop of the server."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(LIMIT_SECONDS)

    def start(self) -> None:
        async def start() -> None:
            self.store = Store.open(self.directory.database)
            self.server = ApiServer(self.store, TOKEN, admission=self._admission)
            for manifest in (
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}},
                widget_definition(),
            ):
                self.server.apply_manifest(manifest)
            self.port = await self.server.start(
                "127.0.0.1", self.port, certificates.server_context(self.directory)
            )

        self.call(start())

    async def kept_session(self) -> aiohttp.ClientSession:
        """Return an HTTP session on the event loop of the server, for `call`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self.trust),
                timeout=aiohttp.ClientTimeout(total=LIMIT_SECONDS),
                headers={"Authorization": f"Bearer {TOKEN}"},
            )
        return self._session

    def stop(self) -> None:
        async def stop() -> None:
            if self._session is not None:
                await self._session.close()
            await self.server.stop()
            self.store.close()

        self.call(stop())

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_SECONDS)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.directory.authority))

    @property
    def kubeconfig(self) -> Path:
        path = self.directory.path / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [
                        {
                            "name": "test",
                            "cluster": {
                                "server": self.url,
                                "certificate-authority": str(self.directory.authority),
                            },
                        }
                    ],
                    "users": [{"name": "test", "user": {"token": TOKEN}}],
                    "contexts": [
                        {
                            "name": "test",
                            "context": {"cluster": "test", "user": "test", "namespace": "default"},
                        }
                    ],
                    "current-context": "test",
                }
            )
        )
        path.chmod(0o600)
        return path

    @asynccontextmanager
    async def cluster(self) -> AsyncIterator[Cluster]:
        """Return our own client."""

        async def token() -> str:
            return TOKEN

        async with Cluster(Endpoint(self.url, "test", self.trust, token, embedded=True)) as cluster:
            yield cluster

    @asynccontextmanager
    async def session(self, **headers: str) -> AsyncIterator[aiohttp.ClientSession]:
        """Return an HTTP session."""
        connector = aiohttp.TCPConnector(ssl=self.trust)
        timeout = aiohttp.ClientTimeout(total=LIMIT_SECONDS)
        given = {"Authorization": f"Bearer {TOKEN}"} | headers
        async with aiohttp.ClientSession(
            self.url, connector=connector, timeout=timeout, headers=given
        ) as session:
            yield session


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    directory = Directory(tmp_path_factory.mktemp("certificates"))
    certificates.ensure(directory)
    return directory


@pytest.fixture
def directory(certified: Directory, tmp_path: Path) -> Directory:
    """A directory with certificates and without data."""
    for file in certified.path.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return Directory(tmp_path)


@pytest.fixture
def run(directory: Directory) -> Iterator[Callable[..., Running]]:
    """Start API servers with given settings."""
    started: list[Running] = []

    def start(admission: Any = None) -> Running:
        running = Running(directory, admission)
        started.append(running)
        running.start()
        return running

    yield start
    for running in started:
        running.stop()
        running.end()


@pytest.fixture
def api(run: Callable[..., Running]) -> Running:
    return run()


def kubectls() -> dict[str, str]:
    """Return the kubectls to test by name: `$JUPYTER_WORKSPACES_KUBECTL`, or that on PATH."""
    named = os.environ.get("JUPYTER_WORKSPACES_KUBECTL")
    found = (
        named.split(os.pathsep) if named else [path for path in (shutil.which("kubectl"),) if path]
    )
    return {Path(path).name if not named else path: path for path in found}


class Kubectl:
    """A kubectl with its own home directory, and so without discovery caches."""

    def __init__(self, program: str, running: Running, home: Path) -> None:
        self._program, self._home = program, home
        self._environment = {
            "HOME": str(home),
            "KUBECONFIG": str(running.kubeconfig),
            "PATH": os.environ["PATH"],
        }

    def __call__(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self._program, *arguments],
            input=stdin,
            env=self._environment,
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, (
            f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        )
        return done


@pytest.fixture(
    params=sorted(kubectls())
    or [pytest.param("", marks=pytest.mark.skip("there is no kubectl on this machine"))]
)
def kubectl(
    request: pytest.FixtureRequest, api: Running, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    return Kubectl(kubectls()[request.param], api, tmp_path_factory.mktemp("home"))
