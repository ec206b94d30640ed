"""Which address leads to which handler."""

from __future__ import annotations

import re
from typing import Any

from .http import NoSuchRoute
from .stream import EventStreamHandler
from .workspaces.about.handlers import ClusterHandler, DescriptionHandler, HealthHandler, NamespacesHandler
from .workspaces.kinds.handlers import IconHandler, KindHandler, KindsHandler, LogoHandler
from .workspaces.pods.handlers import DetailsHandler, EventsHandler, LogHandler, ProgressHandler
from .workspaces.volumes.handlers import ClaimHandler, ClaimsHandler, StorageClassesHandler
from .workspaces.workspaces.handlers import AllWorkspacesHandler, PauseHandler, RestartHandler, WorkspaceHandler, WorkspacesHandler

_SEGMENT = "([^/]+)"

_ROUTES: tuple[tuple[str, type], ...] = (
    ("healthcheck", HealthHandler),
    ("swagger/doc.json", DescriptionHandler),
    ("swagger/?", DescriptionHandler),
    ("cluster", ClusterHandler),
    ("events", EventStreamHandler),
    ("namespaces", NamespacesHandler),
    ("workspaces", AllWorkspacesHandler),
    ("workspaces/{}", WorkspacesHandler),
    ("workspaces/{}/{}", WorkspaceHandler),
    ("workspaces/{}/{}/actions/pause", PauseHandler),
    ("workspaces/{}/{}/actions/restart", RestartHandler),
    ("workspaces/{}/{}/events", EventsHandler),
    ("workspaces/{}/{}/progress", ProgressHandler),
    ("workspaces/{}/{}/podtemplate/details", DetailsHandler),
    ("workspaces/{}/{}/podtemplate/logs/batch", LogHandler),
    ("workspacekinds", KindsHandler),
    ("workspacekinds/{}", KindHandler),
    ("workspacekinds/{}/assets/icon", IconHandler),
    ("workspacekinds/{}/assets/logo", LogoHandler),
    ("storageclasses", StorageClassesHandler),
    ("persistentvolumeclaims/{}", ClaimsHandler),
    ("persistentvolumeclaims/{}/{}", ClaimHandler),
)


def routes(prefix: str) -> list[tuple[str, type[Any]]]:
    """Patterns below `prefix` (such as `/api/v1`), the most general last."""
    root = re.escape(prefix)
    found: list[tuple[str, type[Any]]] = [(f"{root}/{path.replace('{}', _SEGMENT)}", handler) for path, handler in _ROUTES]
    return [*found, (f"{root}(?:/.*)?", NoSuchRoute)]
