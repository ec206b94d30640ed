"""Handlers of the notice in a workspace's tab (`tab_notice`): its script, and the workspace's state.

Both are served below the workspace's own path, so they have the page's origin, and the session of
that origin if workspaces have one of their own. They return nothing that refusals do not contain, and
change nothing: *Resume* is a link to the page that the proxy shows for the workspace.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from tornado import web

from jupyter_workspaces.server.proxy.access import Absent, ConnectHandler, Refused
from jupyter_workspaces.server.proxy.target import Target, Unavailable

from .status import listens
from .tab_notice import (
    SCRIPT,
    STATE,
    TAB,
    script,
)

_CACHED = "private, max-age=604800, immutable"  # its address changes with it
_SENTENCES = {
    "paused": "Workspace '{name}' was paused. Its files are kept.",
    "stopping": "Workspace '{name}' is being paused. Its files are kept.",
    "gone": "Workspace '{name}' was deleted.",
    "starting": "Workspace '{name}' is starting. {why}",
    "failed": "Workspace '{name}' needs attention. {why}",
    "silent": "Workspace '{name}' does not answer. {why}",
    "running": "Workspace '{name}' is running.",
}
_OTHERWISE = "Workspace '{name}' cannot be reached. {why}"
_ACTIONS = {
    "paused": "Resume",
    "failed": "Show details",
    "token": "Show details",
    "secret": "Show details",
}


class TabHandler(ConnectHandler):
    """What both addresses have in common."""

    reads_only = True

    @property
    def page_path(self) -> str:
        """The path of the port's first page, at which the proxy shows its own page in place of an absent workspace."""
        return f"{self.base_url}{self.place.path[1:]}"

    @property
    def server_url(self) -> str:
        """The address of the Jupyter server, for a link back to the workspaces."""
        return self.base_url


class ScriptHandler(TabHandler):
    """GET `.tab/{port}/notice.js`: the same for everyone who is signed in, whatever the cluster says."""

    async def prepare(self) -> None:  # type: ignore[override]
        self.set_place()
        await self.authenticate()
        if self._is_cross_site():
            raise Refused(403, "This request comes from a page of another site.", "CrossOrigin")

    @web.authenticated
    async def get(self, **_: str) -> None:
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", _CACHED)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(script())


class StateHandler(TabHandler):
    """GET `.tab/{port}/state`: answers `{"state", "message", "action"}`.

    `state` is `running` or a state of `target.Unavailable`, `message` a sentence for a person, and
    `action` null or `{"label", "url"}` of a page that helps.
    """

    @web.authenticated
    async def get(self, **_: str) -> None:
        try:
            target = await self.find()
            if not await listens(self, target):
                raise Absent(Unavailable("starting", "Its program does not take connections yet."))
            if self.get_query_argument("probe", "") and not await self._answers(target):
                raise Absent(Unavailable("silent", "It may be busy or stopped."))
        except Absent as refusal:
            self._tell(refusal.why)
        else:
            self._tell(Unavailable("running", ""))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """That the cluster does not answer is what happened, too."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Absent):
            self.set_status(HTTPStatus.OK)
            self._tell(error.why)
        else:
            super().write_error(status_code, **kwargs)

    async def _slow_down(self) -> Target | None:
        """Do not wait: the script itself waits longer and longer."""
        return None

    async def _answers(self, target: Target) -> bool:
        token = await self.workspace_token(target)
        path = self.public_path(target)
        return await self.upstreams.answers(self.services.cluster.cluster, target, path, token)

    def _is_there(self) -> bool:
        return (
            hasattr(self, "services")
            and self.services.cluster.workspace(self.place.namespace, self.place.name) is not None
        )

    def _tell(self, why: Unavailable) -> None:
        sentence = _SENTENCES.get(why.state, _OTHERWISE).format(
            name=self.place.name, why=why.message
        )
        if why.state == "gone" and self._is_there():
            sentence = f"Workspace '{self.place.name}' is being deleted."
        action = None
        if why.state == "gone":
            action = {"label": "Back to workspaces", "url": self.server_url}
        elif (label := _ACTIONS.get(why.state)) is not None:
            action = {"label": label, "url": self.page_path}
        self.set_header("Cache-Control", "no-store")
        self.answer({"state": why.state, "message": sentence.strip(), "action": action})


def tab_routes(
    base_url: str,
    script_handler: type[ScriptHandler] = ScriptHandler,
    state_handler: type[StateHandler] = StateHandler,
) -> list[tuple[str, type[web.RequestHandler], dict[str, Any]]]:
    """For `Application.add_handlers`."""
    named = r"(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)"
    room = (
        rf"{re.escape(base_url)}workspace/connect/{named}/{re.escape(TAB)}/(?P<port>[a-z0-9_-]+)/"
    )
    return [(room + re.escape(SCRIPT), script_handler, {}), (room + STATE, state_handler, {})]
