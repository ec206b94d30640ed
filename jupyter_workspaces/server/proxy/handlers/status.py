"""Handler behind the placeholder pages: the state of a workspace, and its actions."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import parse_qs

from tornado import web

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import ClusterError, Unreachable
from jupyter_workspaces.server.http.problems import Conflict, Problem
from jupyter_workspaces.server.http.request_body import RequestBody

from .base import ProxyHandler
from .errors import RequestRefused, WorkspaceUnavailable

ACTION_SECONDS = 10
ACTION_BYTES = 1024


@web.stream_request_body
class StatusHandler(ProxyHandler):
    """`workspace/status/{namespace}/{name}/{portId}`: the state of a workspace, and actions.

    GET responds with `{"state", "message", "steps": [{"name", "state", "seconds"}], "ready"}`. With
    `probe=1` a workspace is ready only if its program responds to a request. POST with
    `action=resume` or `action=restart` responds with 202 and the same document.
    """

    shows_steps = True
    reads_only = True

    async def prepare(self) -> None:  # type: ignore[override]
        """Authorize before the body is read, then limit its size."""
        self.request_body = RequestBody(self.request)
        await super().prepare()
        try:
            self.request_body.accept(ACTION_BYTES)
        except Problem as problem:
            raise RequestRefused(problem.status, problem.message, "TooLarge") from problem

    def data_received(self, chunk: bytes) -> None:
        """Buffer the body."""
        self.request_body.add(chunk)

    @web.authenticated
    async def get(self, **_: str) -> None:
        """Respond with the workspace's state."""
        self.set_header("Cache-Control", "no-store")
        try:
            target = await self.find_target()
            await self.require_listener(target)
            await self.workspace_token(target)
            if self.get_query_argument("probe", ""):
                await self.require_response(target)
        except WorkspaceUnavailable as error:
            steps = [asdict(step) for step in error.steps]
            self._write_state(error.why.state, error.why.message, steps)
        else:
            self._write_state("running", "It is ready.")

    @web.authenticated
    async def post(self, **_: str) -> None:
        """Resume or restart the workspace."""
        action = _action(self.request_body.content)
        workspaces, namespace, name = (
            self.services.workspaces,
            self.workspace_port.namespace,
            self.workspace_port.name,
        )
        try:
            async with timeout(ACTION_SECONDS):
                if action == "resume":
                    await workspaces.pause(namespace, name, False)
                elif action == "restart":
                    await workspaces.restart(namespace, name)
                else:
                    raise RequestRefused(422, "The action must be resume or restart.", "Invalid")
        except (Unreachable, asyncio.TimeoutError) as error:
            raise RequestRefused(
                503,
                f"The cluster does not answer, so it is unknown whether workspace '{name}' will"
                f" {action}. Check its state when the cluster answers again.",
                "Cluster",
            ) from error
        except ClusterError as error:
            raise RequestRefused(error.status, error.message, error.reason) from error
        except Problem as problem:
            raise RequestRefused(
                problem.status, _sentence(problem), problem.status.phrase.replace(" ", "")
            ) from problem
        if "text/html" in self.request.headers.get("Accept", ""):  # the form without scripts
            page = f"{self.base_url}{self.workspace_port.path[1:]}"
            self.redirect(page, status=HTTPStatus.SEE_OTHER)
            return
        self.set_status(HTTPStatus.ACCEPTED)
        self._write_state("starting", "It is starting.")

    def _write_state(
        self, state: str, message: str, steps: list[dict[str, object]] | None = None
    ) -> None:
        ready = state == "running"
        self.write_json({"state": state, "message": message, "steps": steps or [], "ready": ready})


def _action(body: bytes) -> str:
    """Return the `action` of a form, empty if the body is not a form with one."""
    try:
        return parse_qs(body.decode(), max_num_fields=10).get("action", [""])[0]
    except ValueError:
        return ""


def _sentence(problem: Problem) -> str:
    """Return the reason of the cluster, else the message of the problem."""
    return (problem.reason if isinstance(problem, Conflict) else None) or problem.message
