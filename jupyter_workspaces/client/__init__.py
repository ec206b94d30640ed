"""Python client of the HTTP API: `AsyncClient`, the blocking `Client`, and module functions.

The functions here (`list`, `get`, `spawn`, …) use one default client; the package exports them as
`jw.list()` and so on.
"""

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
    """Use this server for `jw.list()` and the other functions of `jw`.

    Args:
        url: Address of the server; by default it is discovered again.
        token: Token for it; by default JUPYTER_WORKSPACES_TOKEN.
        namespace: Default namespace of the client.

    Returns:
        The new default client.
    """
    global _default
    _default = Client(url, token, namespace=namespace)
    return _default


def default() -> Client:
    """Return the default client, which the functions of this package use."""
    return _default if _default is not None else use_server()


@checked
def kinds() -> KindList:
    """Return the workspace kinds of the cluster, without hidden ones."""
    return default().kinds()


@checked
def list(namespace: str | None = None) -> WorkspaceList:
    """Return the workspaces of a namespace; by default your own, `"*"` for all."""
    return default().list(namespace)


@checked
def get(name: str, namespace: str | None = None) -> Workspace:
    """Return a workspace by name. Raises `WorkspaceError` 404 if it does not exist."""
    return default().get(name, namespace)


@checked
def claims(namespace: str | None = None) -> builtins.list[dict[str, Any]]:
    """Return the volumes of a namespace, with the workspaces that use them."""
    return default().claims(namespace)


@checked
def create_claim(name: str, size: str = "1Gi", namespace: str | None = None) -> None:
    """Create a volume. `size` is a Kubernetes quantity, such as `10Gi`."""
    default().create_claim(name, size, namespace)


@checked
def delete_claim(name: str, namespace: str | None = None) -> None:
    """Delete a volume and its files."""
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
    """Create and start a workspace; see `Client.spawn`."""
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
