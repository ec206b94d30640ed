"""The notebook panel: `jw.panel()`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..client import AsyncClient, Client
    from .view import Panel

__all__ = ["panel"]


def panel(namespace: str | None = None, client: Client | AsyncClient | None = None) -> Panel:
    """Show workspaces and make new ones, live, in a notebook.

    Args:
        namespace: Whose workspaces; by default the client's own, `"*"` for all.
        client: A connection made by `jw.use_server(…)`; by default the server that is found, else a local
            one is started. An `AsyncClient` must not be in use on a loop of your own.
    """
    if not (namespace is None or isinstance(namespace, str)):
        from ..client import WrongArgument

        raise WrongArgument(f"panel(): namespace is text or None, not {type(namespace).__name__}.")
    from .remote import connector
    from .view import Panel

    return Panel(connector(client), namespace)


class _CallableModule(ModuleType):
    """`jupyter_workspaces.panel` is a function to its users; importing this package first must not turn it into something else."""

    def __call__(self, namespace: str | None = None, client: Client | AsyncClient | None = None) -> Panel:
        """Show workspaces and make new ones, live, in a notebook; see `panel`."""
        return panel(namespace, client)


sys.modules[__name__].__class__ = _CallableModule
