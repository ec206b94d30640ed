"""Handlers of the notice in a workspace's tab: its script, and the workspace's state.

Both URLs are below the workspace's own path. So they have the origin of the workspace's pages, and
the session of that origin if workspaces have an origin of their own. They return nothing that error
responses do not contain, and change nothing: *Resume* is a link to the placeholder page.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from tornado import web

from jupyter_workspaces.server.proxy.pages.tab_notice import SCRIPT, STATE, TAB, script
from jupyter_workspaces.server.proxy.target import Target
from jupyter_workspaces.server.proxy.unavailable import Unavailable

from .base import ProxyHandler
from .errors import WorkspaceUnavailable

_CACHE_CONTROL = "private, max-age=604800, immutable"  # the URL changes with the script
_SENTENCES = {
    "paused": "Workspace '{name}' was paused. Its files are kept.",
    "stopping": "Workspace '{name}' is being paused. Its files are kept.",
    "gone": "Workspace '{name}' was deleted.",
    "starting": "Workspace '{name}' is starting. {why}",
    "failed": "Workspace '{name}' needs attention. {why}",
    "silent": "Workspace '{name}' does not answer. It may be busy or stopped.",
    "running": "Workspace '{name}' is running.",
}
_OTHER_STATES = "Workspace '{name}' cannot be reached. {why}"
_ACTIONS = {
    "paused": "Resume",
    "failed": "Show details",
    "token": "Show details",
    "secret": "Show details",
}


class TabHandler(ProxyHandler):
    """Base class of both handlers."""

    reads_only = True

    @property
    def page_path(self) -> str:
        """Path of the port's first page, at which the placeholder page appears."""
        return f"{self.base_url}{self.workspace_port.path[1:]}"

    @property
    def server_url(self) -> str:
        """URL of the Jupyter server, for a link back to the workspaces."""
        return self.base_url


class ScriptHandler(TabHandler):
    """`.tab/{port}/notice.js`: the script, the same for every signed-in user."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Authenticate only, because the script is no secret and needs no cluster."""
        self.read_workspace_port()
        await self.authenticate()
        self.refuse_cross_site()

    @web.authenticated
    async def get(self, **_: str) -> None:
        """Respond with the script."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", _CACHE_CONTROL)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(script())


class StateHandler(TabHandler):
    """`.tab/{port}/state`: responds with `{"state", "message", "action"}`.

    `state` is `running` or a state of `Unavailable`, `message` a sentence for people, and `action`
    null, or `{"label", "url"}` of a page that helps.
    """

    @web.authenticated
    async def get(self, **_: str) -> None:
        """Respond with the workspace's state."""
        try:
            target = await self.find_target()
            await self.require_listener(target)
            if self.get_query_argument("probe", ""):
                await self.require_response(target)
        except WorkspaceUnavailable as error:
            self._write_state(error.why)
        else:
            self._write_state(Unavailable("running", ""))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Respond with the state if the workspace is unavailable, such as during an outage."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, WorkspaceUnavailable):
            self.set_status(HTTPStatus.OK)
            self._write_state(error.why)
        else:
            super().write_error(status_code, **kwargs)

    async def _delay_error(self) -> Target | None:
        """Do not delay: the script increases its interval itself."""
        return None

    def _exists(self) -> bool:
        return (
            hasattr(self, "services")
            and self.services.cluster.workspace(
                self.workspace_port.namespace, self.workspace_port.name
            )
            is not None
        )

    def _write_state(self, why: Unavailable) -> None:
        name = self.workspace_port.name
        sentence = _SENTENCES.get(why.state, _OTHER_STATES).format(name=name, why=why.message)
        if why.state == "gone" and self._exists():
            sentence = f"Workspace '{name}' is being deleted."
        action = None
        if why.state == "gone":
            action = {"label": "Back to workspaces", "url": self.server_url}
        elif (label := _ACTIONS.get(why.state)) is not None:
            action = {"label": label, "url": self.page_path}
        self.set_header("Cache-Control", "no-store")
        self.write_json({"state": why.state, "message": sentence.strip(), "action": action})


def tab_routes(
    base_url: str,
    script_handler: type[ScriptHandler] = ScriptHandler,
    state_handler: type[StateHandler] = StateHandler,
) -> list[tuple[str, type[web.RequestHandler], dict[str, Any]]]:
    """Return the rules of both handlers, for `Application.add_handlers`."""
    workspace = r"(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)"
    tab = (
        rf"{re.escape(base_url)}workspace/connect/{workspace}/{re.escape(TAB)}"
        r"/(?P<port>[a-z0-9_-]+)/"
    )
    return [(tab + re.escape(SCRIPT), script_handler, {}), (tab + STATE, state_handler, {})]
