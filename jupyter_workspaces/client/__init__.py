"""The Python client over HTTP: an asynchronous core, and what cells and scripts use."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Mapping
from typing import Any

from .arguments import WrongArgument, checked
from .asynchronous import AsyncClient, ServerEvent
from .errors import TimedOut, Unreachable, WorkspaceError
from .kinds import Kind, Option
from .lists import KindList, WorkspaceList
from .spawning import Mounts
from .synchronous import Client
from .workspace import Workspace

__all__ = [
    "AsyncClient",
    "Client",
    "Kind",
    "KindList",
    "Option",
    "ServerEvent",
    "TimedOut",
    "Unreachable",
    "Workspace",
    "WorkspaceError",
    "WorkspaceList",
    "WrongArgument",
    "claims",
    "create_claim",
    "default",
    "delete_claim",
    "get",
    "kinds",
    "list",
    "spawn",
    "use_server",
]

_default: Client | None = None


@checked
def use_server(
    url: str | None = None, token: str | None = None, *, namespace: str | None = None
) -> Client:
    """Use this server from now on in `jw.list()` and its like; without `url` the one that is found. Gives the client."""
    global _default
    _default = Client(url, token, namespace=namespace)
    return _default


def default() -> Client:
    """The client behind the functions of this package."""
    return _default if _default is not None else use_server()


@checked
def kinds() -> KindList:
    """Kinds of workspaces that are offered."""
    return default().kinds()


@checked
def list(namespace: str | None = None) -> WorkspaceList:
    """Workspaces of your namespace, or of another; `"*"` for all."""
    return default().list(namespace)


@checked
def get(name: str, namespace: str | None = None) -> Workspace:
    """One workspace by name."""
    return default().get(name, namespace)


@checked
def claims(namespace: str | None = None) -> builtins.list[dict[str, Any]]:
    """Volumes to be used as home or for data."""
    return default().claims(namespace)


@checked
def create_claim(name: str, size: str = "1Gi", namespace: str | None = None) -> None:
    """Make a volume. `size` as a quantity: `10Gi`."""
    default().create_claim(name, size, namespace)


@checked
def delete_claim(name: str, namespace: str | None = None) -> None:
    """Delete a volume and the files in it."""
    default().delete_claim(name, namespace)


def spawn(
    kind: str,
    name: str | None = None,
    image: str | None = None,
    size: str | None = None,
    home: str | None = None,
    data: Mounts | None = None,
    *,
    read_only: Collection[str] = (),
    labels: Mapping[str, str] | None = None,
    namespace: str | None = None,
    paused: bool = False,
    wait: bool = False,
) -> Workspace:
    return default().spawn(
        kind,
        name,
        image,
        size,
        home,
        data,
        read_only=read_only,
        labels=labels,
        namespace=namespace,
        paused=paused,
        wait=wait,
    )


spawn.__doc__ = Client.spawn.__doc__
spawn = checked(spawn)
