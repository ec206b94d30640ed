"""`jw.panel()`: the notebook panel that lists, creates and manages workspaces."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_workspaces.client import AsyncClient, Client

    from .widget import Panel

__all__ = ["panel"]

NOTEBOOK_PACKAGES = ("ipywidgets", "anywidget", "IPython")  # of the extra `notebook`


def panel(namespace: str | None = None, client: Client | AsyncClient | None = None) -> Panel:
    """Return a live panel that lists, starts and manages workspaces in a notebook.

    Args:
        namespace: Namespace to list; by default the client's own, `"*"` for all.
        client: Client of the server to use; by default that of `jw.use_server`, else of the
            discovered server. Do not use an `AsyncClient` on another event loop as well.
    """
    if not (namespace is None or isinstance(namespace, str)):
        from jupyter_workspaces.client import WrongArgument

        raise WrongArgument(
            f"panel(): namespace must be text or None, not {type(namespace).__name__}."
        )
    try:
        from .widget import Panel
    except ModuleNotFoundError as error:
        if error.name not in NOTEBOOK_PACKAGES:
            raise
        from jupyter_workspaces.client import WorkspaceError

        raise WorkspaceError(
            f"jw.panel() needs {error.name}, which is not installed.",
            "Install it: pip install 'jupyter-workspaces[notebook]'",
        ) from error
    from .connection import connector

    return Panel(connector(client), namespace)


class _CallableModule(ModuleType):
    """Makes this module callable.

    `jw.panel` is a function, but becomes this module if the module is imported first.
    """

    def __call__(
        self, namespace: str | None = None, client: Client | AsyncClient | None = None
    ) -> Panel:
        """Return a live panel of workspaces; see `panel`."""
        return panel(namespace, client)


sys.modules[__name__].__class__ = _CallableModule
