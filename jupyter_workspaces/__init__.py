"""Browse, spawn, pause, resume and manage workspaces of a Kubernetes cluster from inside Jupyter.

Import as `jw`. The import is cheap: each public name is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from ._version import __version__

if _TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell as _InteractiveShell

_PUBLIC = {
    "Client": "client",
    "AsyncClient": "client",
    "Workspace": "client",
    "WorkspaceError": "client",
    "TimedOut": "client",
    "use_server": "client",
    "kinds": "client",
    "list": "client",
    "get": "client",
    "spawn": "client",
    "claims": "client",
    "create_claim": "client",
    "delete_claim": "client",
    "panel": "panel",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> _Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for `jw.<Tab>`."""
    return sorted(__all__)


def _jupyter_server_extension_points() -> list[dict[str, _Any]]:
    from .server.app import JupyterWorkspaces

    return [{"module": "jupyter_workspaces", "app": JupyterWorkspaces}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-workspaces"}]


def load_ipython_extension(shell: _InteractiveShell) -> None:
    """Register `%workspaces` and `%workspace` (`%load_ext jupyter_workspaces`)."""
    from .magics import register

    register(shell)
