"""What the small pages ask and do: how far a workspace is, resume it, restart it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import parse_qs

from tornado import web

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import ClusterError, Unreachable
from jupyter_workspaces.kube.peers import ForeignListener, open_connection
from jupyter_workspaces.server.http.problems import Conflict, Problem
from jupyter_workspaces.server.http.request_body import RequestBody
from jupyter_workspaces.server.proxy.access import (
    CLUSTER_SECONDS,
    Absent,
    ConnectHandler,
    Refused,
)
from jupyter_workspaces.server.proxy.target import Target, Unavailable, foreign_listener

DIAL_SECONDS = 2
ACTION_SECONDS = 10
ACTION_BYTES = 1024


@web.stream_request_body
class StatusHandler(ConnectHandler):
    """How far a workspace is, and the actions of the pages.

    GET answers `{"state", "message", "steps": [{"name", "state", "seconds"}], "ready"}`; with `probe=1` the program must answer a request
    to be ready. POST `action=resume` or `restart` answers 202 and the same.
    """

    shows_steps = True
    reads_only = True

    @web.authenticated
    async def get(self, **_: str) -> None:
        self.set_header("Cache-Control", "no-store")
        try:
            target = await self.find()
            if not await listens(self, target):
                raise await self.absent(
                    Unavailable(
                        "starting", "Its program does not take connections yet; trying again."
                    )
                )
            token = await self.workspace_token(target)
            if self.get_query_argument("probe", "") and not await self._answers(target, token):
                raise Absent(
                    Unavailable(
                        "silent",
                        "Its program takes requests and does not answer. It may be busy or stopped.",
                    )
                )
        except Absent as refusal:
            steps = [asdict(step) for step in refusal.steps]
            self.answer(
                {
                    "state": refusal.why.state,
                    "message": refusal.why.message,
                    "steps": steps,
                    "ready": False,
                }
            )
        else:
            self.answer({"state": "running", "message": "It is ready.", "steps": [], "ready": True})

    async def prepare(self) -> None:  # type: ignore[override]
        """Decide who may before the body is taken in, of which one word counts."""
        self.request_body = RequestBody(self.request)
        await super().prepare()
        try:
            self.request_body.accept(ACTION_BYTES)
        except Problem as problem:
            raise Refused(problem.status, problem.message, "TooLarge") from problem

    def data_received(self, chunk: bytes) -> None:
        self.request_body.add(chunk)

    @web.authenticated
    async def post(self, **_: str) -> None:
        action = _action(self.request_body.content)
        workspaces, namespace, name = (
            self.services.workspaces,
            self.place.namespace,
            self.place.name,
        )
        try:
            if action == "resume":
                async with timeout(ACTION_SECONDS):
                    await workspaces.pause(namespace, name, False)
            elif action == "restart":
                async with timeout(ACTION_SECONDS):
                    await workspaces.restart(namespace, name)
            else:
                raise Refused(422, "The action must be resume or restart.", "Invalid")
        except (Unreachable, asyncio.TimeoutError) as error:
            text = f"The cluster does not answer, so {name} may or may not {action}. Look again when the cluster is back."
            raise Refused(503, text, "Cluster") from error
        except ClusterError as error:
            raise Refused(error.status, error.message, error.reason) from error
        except Problem as problem:
            raise Refused(
                problem.status, _said(problem), problem.status.phrase.replace(" ", "")
            ) from problem
        if "text/html" in self.request.headers.get("Accept", ""):  # the form without scripts
            self.redirect(f"{self.base_url}{self.place.path[1:]}", status=HTTPStatus.SEE_OTHER)
            return
        self.set_status(HTTPStatus.ACCEPTED)
        self.answer({"state": "starting", "message": "It starts.", "steps": [], "ready": False})

    async def _answers(self, target: Target, token: str | None) -> bool:
        path = self.public_path(target)
        return await self.upstreams.answers(self.services.cluster.cluster, target, path, token)


def _action(body: bytes) -> str:
    """The `action` of a form; empty when there is none that can be read."""
    try:
        return parse_qs(body.decode(), max_num_fields=10).get("action", [""])[0]
    except ValueError:
        return ""


async def listens(handler: ConnectHandler, target: Target) -> bool:
    """Whether the port takes connections: Ready can be a moment early, and stays a moment after a crash. Raises `Absent`."""
    try:
        if target.forwarded is None:
            return await _takes_connections(target)
        from jupyter_workspaces.server.proxy.transfer.port_forward import listens as listens_in_pod

        async with timeout(CLUSTER_SECONDS):
            return await listens_in_pod(handler.services.cluster.cluster, target)
    except asyncio.TimeoutError as error:
        raise Absent(
            Unavailable(
                "cluster",
                "The cluster does not answer, and connections to it go through it. Trying again.",
            )
        ) from error
    except Unavailable as why:
        raise await handler.absent(why) from why


def _said(problem: Problem) -> str:
    """In one sentence: the cluster's own reason where there is one."""
    return (problem.reason if isinstance(problem, Conflict) else None) or problem.message


async def _takes_connections(target: Target) -> bool:
    """Raises `Unavailable` where another user listens."""
    try:
        async with timeout(DIAL_SECONDS):
            _, writer = await open_connection(target.host, target.port)
    except ForeignListener as error:
        raise foreign_listener() from error
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True
