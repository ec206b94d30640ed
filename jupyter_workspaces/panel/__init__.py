"""The notebook panel: `jw.panel()`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..client import AsyncClient, Client
    from .view import Panel

__all__ = ["panel"]


def panel(namespace: str | None = None, client: Client | AsyncClient | None = None) -> Panel:
    """Show workspaces and make new ones, live, in a notebook.

    `namespace`: whose workspaces; by default the client's, `"*"` for all. `client`: a connection made by `jw.use_server(…)`; by default the
    server that is found, else a local one is started. An `AsyncClient` must not be in use on a loop of your own.
    """
    from .remote import connector
    from .view import Panel

    return Panel(connector(client), namespace)


class _CallableModule(ModuleType):
    """`jupyter_workspaces.panel` is a function to its users; importing this package first must not turn it into something else."""

    def __call__(self, *arguments: Any, **named: Any) -> Panel:
        return panel(*arguments, **named)


sys.modules[__name__].__class__ = _CallableModule
