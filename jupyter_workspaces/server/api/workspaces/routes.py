"""Which address leads to which handler."""

from __future__ import annotations

from tornado.routing import AnyMatches, Rule
from tornado.web import Application

from jupyter_workspaces.server.http.fallback import (
    NotAllowedHandler,
    NotFoundHandler,
    OptionsHandler,
    RedirectedHandler,
)
from jupyter_workspaces.server.http.routing import ApiRouter, Others, Route
from jupyter_workspaces.server.http.streaming import EventStreamHandler

from .about.handlers import (
    ClusterHandler,
    DescriptionHandler,
    DescriptionPageHandler,
    HealthHandler,
    NamespacesHandler,
    PageHandler,
)
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
    Route("cluster", ClusterHandler, ours=_READ),
    Route("events", EventStreamHandler, ours=_READ),
    Route("namespaces", NamespacesHandler, _READ),
    Route("workspaces", AllWorkspacesHandler, _READ),
    Route("workspaces/{}", WorkspacesHandler, _LIST),
    Route("workspaces/{}/{}", WorkspaceHandler, _ONE, ours=("PATCH",)),
    Route("workspaces/{}/{}/actions/pause", PauseHandler, ("POST",)),
    Route("workspaces/{}/{}/actions/restart", RestartHandler, ours=("POST",)),
    Route("workspaces/{}/{}/actions/stop", StopHandler, ours=("POST",)),
    Route("workspaces/{}/{}/events", EventsHandler, ours=_READ),
    Route("workspaces/{}/{}/progress", ProgressHandler, ours=_READ),
    Route("workspaces/{}/{}/podtemplate/details", DetailsHandler, _READ),
    Route("workspaces/{}/{}/podtemplate/logs/batch", LogHandler, _READ),
    Route("workspaces/{}/{}/podtemplate/logs/stream", LogStreamHandler, ours=_READ),
    Route("workspaces/{}/{}/podtemplate/resources", ResourcesHandler, ours=_READ),
    Route("workspacekinds", KindsHandler, _LIST),
    Route("workspacekinds/{}", KindHandler, _ONE, ours=("PATCH",)),
    Route("workspacekinds/{}/podtemplate/options/listvalues", ValuesHandler, ("POST",)),
    Route("workspacekinds/{}/assets/icon", IconHandler, _READ),
    Route("workspacekinds/{}/assets/logo", LogoHandler, _READ),
    Route("storageclasses", StorageClassesHandler, _READ),
    Route("persistentvolumeclaims/{}", ClaimsHandler, _LIST),
    Route("persistentvolumeclaims/{}/{}", ClaimHandler, ("DELETE",)),
    Route("secrets/{}", SecretsHandler, _LIST),
    Route("secrets/{}/{}", SecretHandler, _ONE),
)

_OTHERS = Others(RedirectedHandler, OptionsHandler, NotAllowedHandler, NotFoundHandler)


def add_routes(application: Application, prefix: str, *, to_the_letter: bool = False) -> None:
    """Serve everything below `prefix` (such as `/api/v1`); to the letter, everything that no handler takes that is there already."""
    router = ApiRouter(
        application, prefix, ROUTES, _OTHERS, to_the_letter=to_the_letter, whole=to_the_letter
    )
    # Not `add_handlers`: Jupyter's own looks into each rule for a handler's class, and this one has many.
    application.default_router.rules.insert(-1, Rule(AnyMatches(), router))
