"""What the small pages ask and do: how far a workspace is, resume it, restart it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from tornado import web

from ..cluster.errors import ClusterError, NotFound
from ..resources.catalog import PODS, WORKSPACES
from .asking import ConnectHandler, Refused, progress
from .target import Target, Unavailable, resolve

DIAL_SECONDS = 2


class StatusHandler(ConnectHandler):
    """GET: `{"state", "message", "steps": [{"name", "state", "message"}], "ready"}`. POST `action=resume` or `restart`: 202, the same."""

    @web.authenticated
    async def get(self, **_: str) -> None:
        self.set_header("Cache-Control", "no-store")
        try:
            target = resolve(self.view, self.place)
        except Unavailable as refusal:
            self._tell(refusal)
            return
        if await _listens(target):
            self.answer({"state": "running", "message": "It is ready.", "steps": [], "ready": True})
        else:
            self._tell(self.silent("Its program does not take connections yet."))

    @web.authenticated
    async def post(self, **_: str) -> None:
        workspace = self.view.workspace(self.place.namespace, self.place.name)
        if workspace is None:
            raise Refused(404, f"There is no workspace {self.place.name} in {self.place.namespace}.", "NotFound")
        action = self.get_body_argument("action", "")
        if action not in ("resume", "restart"):
            raise Refused(422, "The action must be resume or restart.", "Invalid")
        cluster = self.view.cluster
        try:
            if workspace["spec"].get("paused"):
                await cluster.patch(WORKSPACES, self.place.name, {"spec": {"paused": False}}, self.place.namespace)
            elif action == "restart" and (pod := self.view.pod_of(workspace)) is not None:
                metadata = pod["metadata"]
                await cluster.delete(PODS, metadata["name"], self.place.namespace, uid=metadata["uid"])
        except NotFound:
            pass  # its pod went by itself, and a new one is made
        except ClusterError as error:
            raise Refused(error.status, f"The cluster did not take it: {error.message}", error.reason) from error
        if "text/html" in self.request.headers.get("Accept", ""):  # the form without scripts
            self.redirect(f"{self.base_url}{self.place.path[1:]}", status=HTTPStatus.SEE_OTHER)
            return
        self.set_status(HTTPStatus.ACCEPTED)
        self.answer({"state": "starting", "message": "It starts.", "steps": [], "ready": False})

    def _tell(self, refusal: Unavailable) -> None:
        shown = [{"name": step.name, "state": step.state, "message": step.message} for step in progress(refusal)]
        self.answer({"state": refusal.state, "message": refusal.message, "steps": shown, "ready": False})


async def _listens(target: Target) -> bool:
    """Whether the port takes connections: Ready can be a moment early, and stays a moment after a crash."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(target.host, target.port), DIAL_SECONDS)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True
