"""What the small pages ask and do: how far a workspace is, resume it, restart it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus

from tornado import web

from ..api.problems import Problem
from .asking import Absent, ConnectHandler, Refused
from .target import Target, Unavailable

DIAL_SECONDS = 2


class StatusHandler(ConnectHandler):
    """GET: `{"state", "message", "steps": [{"name", "state", "seconds"}], "ready"}`. POST `action=resume` or `restart`: 202, the same."""

    shows_steps = True
    reads_only = True

    @web.authenticated
    async def get(self, **_: str) -> None:
        self.set_header("Cache-Control", "no-store")
        try:
            target = await self.find()
            if not await listens(self, target):
                raise await self.absent(Unavailable("starting", "Its program does not take connections yet; trying again."))
        except Absent as refusal:
            steps = [asdict(step) for step in refusal.steps]
            self.answer({"state": refusal.why.state, "message": refusal.why.message, "steps": steps, "ready": False})
        else:
            self.answer({"state": "running", "message": "It is ready.", "steps": [], "ready": True})

    @web.authenticated
    async def post(self, **_: str) -> None:
        action = self.get_body_argument("action", "")
        workspaces, namespace, name = self.services.workspaces, self.place.namespace, self.place.name
        try:
            if action == "resume":
                await workspaces.pause(namespace, name, False)
            elif action == "restart":
                await workspaces.restart(namespace, name)
            else:
                raise Refused(422, "The action must be resume or restart.", "Invalid")
        except Problem as problem:
            raise Refused(problem.status, _said(problem), problem.status.phrase.replace(" ", "")) from problem
        if "text/html" in self.request.headers.get("Accept", ""):  # the form without scripts
            self.redirect(f"{self.base_url}{self.place.path[1:]}", status=HTTPStatus.SEE_OTHER)
            return
        self.set_status(HTTPStatus.ACCEPTED)
        self.answer({"state": "starting", "message": "It starts.", "steps": [], "ready": False})


async def listens(handler: ConnectHandler, target: Target) -> bool:
    """Whether the port takes connections: Ready can be a moment early, and stays a moment after a crash. Raises `Absent`."""
    if target.forwarded is None:
        return await _takes_connections(target)
    from .forwarding import listens as listens_in_pod

    try:
        return await listens_in_pod(handler.services.cluster.cluster, target)
    except Unavailable as why:
        raise await handler.absent(why) from why


def _said(problem: Problem) -> str:
    """In one sentence: the cluster's own reason where there is one."""
    causes = (problem.cause or {}).get("conflict_cause") or ()
    return " ".join(cause["message"] for cause in causes) or problem.message


async def _takes_connections(target: Target) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(target.host, target.port), DIAL_SECONDS)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True
