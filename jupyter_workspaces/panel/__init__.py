"""The notebook panel: `jw.panel()`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_workspaces.client import AsyncClient, Client

    from .view import Panel

__all__ = ["panel"]


def panel(namespace: str | None = None, client: Client | AsyncClient | None = None) -> Panel:
    """Return a live panel that lists, starts and manages workspaces in a notebook.

    Args:
        namespace: Namespace to list; by default the client's own, `"*"` for all.
        client: A client from `jw.use_server(…)`; by default that of the server that is found, else a
            local one is started. Do not use an `AsyncClient` on another event loop as well.
    """
    if not (namespace is None or isinstance(namespace, str)):
        from jupyter_workspaces.client import WrongArgument

        raise WrongArgument(f"panel(): namespace is text or None, not {type(namespace).__name__}.")
    from .remote import connector
    from .view import Panel

    return Panel(connector(client), namespace)


class _CallableModule(ModuleType):
    """`jupyter_workspaces.panel` is a function to its users; importing this package first must not turn it into something else."""

    def __call__(
        self, namespace: str | None = None, client: Client | AsyncClient | None = None
    ) -> Panel:
        """Return a live panel of workspaces; see `panel`."""
        return panel(namespace, client)


sys.modules[__name__].__class__ = _CallableModule
