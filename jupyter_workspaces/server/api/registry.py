"""The HTTP APIs of the server. A new API is a folder beside this module and one entry in `APIS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tornado.web import Application

from jupyter_workspaces.server.access_reviews import Access
from jupyter_workspaces.server.cache import Cache
from jupyter_workspaces.server.connection import ApiServices

from .workspaces import routes as workspaces_routes
from .workspaces.base import SETTING as WORKSPACES_SETTING
from .workspaces.services import WorkspacesServices


class AddRoutes(Protocol):
    """Adds the routes of an API to a web application."""

    def __call__(self, application: Application, prefix: str, *, compatible: bool = False) -> None:
        """Add the routes below `prefix`."""
        ...


class BuildServices(Protocol):
    """Makes the services of an API for a cache that is in sync."""

    def __call__(
        self,
        cache: Cache,
        access: Access,
        prefix: str,
        base_url: str,
        publish: Callable[[dict[str, Any]], None] | None,
    ) -> ApiServices:
        """Return the services."""
        ...


@dataclass(frozen=True)
class Api:
    """An HTTP API.

    Attributes:
        name: Name of the folder.
        path: Path below the base URL of a Jupyter server.
        standalone_path: Path of the standalone server.
        setting: Setting of the web application with the API's `ApiConnection`.
        services: Makes its services.
        add_routes: Adds its routes.
    """

    name: str
    path: str
    standalone_path: str
    setting: str
    services: BuildServices
    add_routes: AddRoutes


APIS: tuple[Api, ...] = (
    Api(
        "workspaces",
        "workspaces/api/v1",
        "api/v1",
        WORKSPACES_SETTING,
        WorkspacesServices,
        workspaces_routes.add_routes,
    ),
)
