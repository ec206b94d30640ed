"""Routes of the Workspaces API."""

from __future__ import annotations

from tornado.routing import AnyMatches, Rule
from tornado.web import Application

from jupyter_workspaces.server.http.fallback import fallback_handlers
from jupyter_workspaces.server.http.routing import ApiRouter, Route

from .about.handlers import (
    ClusterHandler,
    DescriptionHandler,
    DescriptionPageHandler,
    HealthHandler,
    NamespacesHandler,
    PageHandler,
)
from .base import DataHandler
from .kinds.handlers import (
    IconHandler,
    KindHandler,
    KindsHandler,
    LogoHandler,
    ValuesHandler,
)
from .pods.handlers import (
    DetailsHandler,
    EventsHandler,
    LogHandler,
    LogStreamHandler,
    ProgressHandler,
    ResourcesHandler,
)
from .secrets.handlers import SecretHandler, SecretsHandler
from .streaming import ChangesHandler
from .volumes.handlers import ClaimHandler, ClaimsHandler, StorageClassesHandler
from .workspaces.handlers import (
    AllWorkspacesHandler,
    PauseHandler,
    RestartHandler,
    StopHandler,
    WorkspaceHandler,
    WorkspacesHandler,
)

_READ, _LIST, _ONE = ("GET",), ("GET", "POST"), ("DELETE", "GET", "PUT")

ROUTES: tuple[Route, ...] = (
    Route("healthcheck", HealthHandler, _READ),
    Route("swagger/doc.json", DescriptionHandler, _READ),
    Route("swagger/index.html", DescriptionPageHandler, _READ),
    Route("swagger/", PageHandler, _READ),
    Route("cluster", ClusterHandler, native=_READ),
    Route("events", ChangesHandler, native=_READ),
    Route("namespaces", NamespacesHandler, _READ),
    Route("workspaces", AllWorkspacesHandler, _READ),
    Route("workspaces/{}", WorkspacesHandler, _LIST),
    Route("workspaces/{}/{}", WorkspaceHandler, _ONE, native=("PATCH",)),
    Route("workspaces/{}/{}/actions/pause", PauseHandler, ("POST",)),
    Route("workspaces/{}/{}/actions/restart", RestartHandler, native=("POST",)),
    Route("workspaces/{}/{}/actions/stop", StopHandler, native=("POST",)),
    Route("workspaces/{}/{}/events", EventsHandler, native=_READ),
    Route("workspaces/{}/{}/progress", ProgressHandler, native=_READ),
    Route("workspaces/{}/{}/podtemplate/details", DetailsHandler, _READ),
    Route("workspaces/{}/{}/podtemplate/logs/batch", LogHandler, _READ),
    Route("workspaces/{}/{}/podtemplate/logs/stream", LogStreamHandler, native=_READ),
    Route("workspaces/{}/{}/podtemplate/resources", ResourcesHandler, native=_READ),
    Route("workspacekinds", KindsHandler, _LIST),
    Route("workspacekinds/{}", KindHandler, _ONE, native=("PATCH",)),
    Route("workspacekinds/{}/podtemplate/options/listvalues", ValuesHandler, ("POST",)),
    Route("workspacekinds/{}/assets/icon", IconHandler, _READ),
    Route("workspacekinds/{}/assets/logo", LogoHandler, _READ),
    Route("storageclasses", StorageClassesHandler, _READ),
    Route("persistentvolumeclaims/{}", ClaimsHandler, _LIST),
    Route("persistentvolumeclaims/{}/{}", ClaimHandler, ("DELETE",)),
    Route("secrets/{}", SecretsHandler, _LIST),
    Route("secrets/{}/{}", SecretHandler, _ONE),
)


def add_routes(application: Application, prefix: str, *, compatible: bool = False) -> None:
    """Serve the API below `prefix`, such as `/api/v1`.

    In compatibility mode it also answers every other path that the application does not serve.
    """
    router = ApiRouter(
        application,
        prefix,
        ROUTES,
        fallback_handlers(DataHandler),
        compatible=compatible,
        whole=compatible,
    )
    # Not `add_handlers`: Jupyter's own version expects each rule to name a handler class.
    application.default_router.rules.insert(-1, Rule(AnyMatches(), router))
