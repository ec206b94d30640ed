"""Base class of the handlers that reach a workspace: its target, its token, its state."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.peers import ForeignListener, open_connection
from jupyter_workspaces.server.http import origins
from jupyter_workspaces.server.http.problems import Problem
from jupyter_workspaces.server.proxy.headers.address_fields import AddressMapping
from jupyter_workspaces.server.proxy.headers.request_headers import public_scheme
from jupyter_workspaces.server.proxy.pages.placeholders import Step
from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath
from jupyter_workspaces.server.proxy.target import Target, resolve
from jupyter_workspaces.server.proxy.unavailable import (
    CLUSTER_IS_SILENT,
    PROGRAM_IS_STARTING,
    Unavailable,
    foreign_listener,
    missing_token,
)

from .access import CLUSTER_SECONDS, AccessHandler
from .errors import WorkspaceUnavailable

STEPS_SECONDS = 2.0
RECHECK_SECONDS = 0.5
"""Interval in seconds at which a delayed request checks for the workspace."""
CONNECT_SECONDS = 2.0
"""Seconds to wait for a connection that only tests whether a program listens."""


class ProxyHandler(AccessHandler):
    """Handler of requests to one workspace.

    Attributes:
        shows_steps: Whether the response shows the steps of the workspace's start.
    """

    shows_steps = False

    def address_mapping(self, path: PublicPath) -> AddressMapping:
        """Return the mapping of addresses in headers for a workspace's port."""
        scheme = public_scheme(self.request.headers, self.request.protocol)
        return AddressMapping(
            path, scheme, lambda origin: origins.is_trusted(origin, self.settings)
        )

    def public_path(self, target: Target) -> PublicPath:
        """Return the mapping between the browser's paths and the target's."""
        return PublicPath(
            self.base_url,
            target.path,
            target.remove_prefix,
            target.netloc,
            self.request.host,
            self.request.protocol,
        )

    async def find_target(self) -> Target:
        """Return the workspace's target.

        Raises:
            WorkspaceUnavailable: The workspace cannot be opened now.
        """
        try:
            return resolve(self.services.cluster, self.workspace_port)
        except Unavailable as why:
            if not self.navigates and not self.shows_steps:
                target = await self._delay_error()
                if target is not None:
                    return target
            raise await self.unavailable(why) from why

    async def _delay_error(self) -> Target | None:
        """Delay an error response to a client with many. Returns the target if it recovers."""
        delays, port = self.upstreams.error_delays, self.workspace_port
        # Programs with a token are one client per address: Jupyter gives them random user names.
        user = "" if self.token_authenticated else getattr(self.current_user, "username", "")
        left = delays.delay((port.namespace, port.name, self.request.remote_ip, user))
        delays.waiting += 1
        try:
            while left > 0:
                await asyncio.sleep(min(left, RECHECK_SECONDS))
                left -= RECHECK_SECONDS
                try:
                    return resolve(self.services.cluster, port)
                except Unavailable:
                    continue
        finally:
            delays.waiting -= 1
        return None

    async def workspace_token(self, target: Target) -> str | None:
        """Return the workspace's token, None if its kind has none.

        Raises:
            WorkspaceUnavailable: The token cannot be read.
        """
        try:
            return await self.upstreams.token(self.services.cluster, self.workspace_port, target)
        except ClusterError as error:
            why = missing_token(self.workspace_port.namespace, target.secret, error)
            raise WorkspaceUnavailable(why) from error

    async def unavailable(self, why: Unavailable) -> WorkspaceUnavailable:
        """Return the error response for a reason, with the steps of a start if it shows them."""
        shows_steps = self.navigates or self.shows_steps
        if why.state == "gone" and not shows_steps:
            # After a 404, JupyterLab requests the parent folder at once, again and again.
            return WorkspaceUnavailable(why, status=HTTPStatus.GONE)
        if why.state not in ("starting", "failed") or not shows_steps:
            return WorkspaceUnavailable(why)
        port = self.workspace_port
        try:
            async with timeout(STEPS_SECONDS):
                progress = await self.services.pods.progress(port.namespace, port.name)
        except (Problem, ClusterError, asyncio.TimeoutError):
            return WorkspaceUnavailable(why)  # the message says enough without the steps
        steps = [Step(step.name, step.state, step.seconds) for step in progress.steps]
        if steps and all(step.state == "done" for step in steps):
            # The pod is ready and its program does not respond, so the last step is not done.
            steps[-1] = Step(steps[-1].name, "current")
        return WorkspaceUnavailable(why, steps)

    async def require_listener(self, target: Target) -> None:
        """Raise `WorkspaceUnavailable` unless the target's port accepts connections.

        A pod can be Ready before its program listens, and stays Ready for a moment after a crash.
        """
        try:
            if target.forwarded is None:
                listening = await _accepts_connections(target)
            else:
                from jupyter_workspaces.server.proxy.transfer.port_forward import listens

                async with timeout(CLUSTER_SECONDS):
                    listening = await listens(self.services.cluster.cluster, target)
        except asyncio.TimeoutError as error:
            raise WorkspaceUnavailable(Unavailable("cluster", CLUSTER_IS_SILENT)) from error
        except Unavailable as why:
            raise await self.unavailable(why) from why
        if not listening:
            raise await self.unavailable(Unavailable("starting", PROGRAM_IS_STARTING))

    async def require_response(self, target: Target) -> None:
        """Raise `WorkspaceUnavailable` unless the program responds to a request within 2 s."""
        token = await self.workspace_token(target)
        if not await self.upstreams.responds(
            self.services.cluster.cluster, target, self.public_path(target), token
        ):
            raise WorkspaceUnavailable(
                Unavailable(
                    "silent",
                    "Its program accepts requests and does not respond. It may be busy or stopped.",
                )
            )


async def _accepts_connections(target: Target) -> bool:
    """Return whether a program listens. Raises `Unavailable` if it is another user's."""
    try:
        async with timeout(CONNECT_SECONDS):
            _, writer = await open_connection(target.host, target.port)
    except ForeignListener as error:
        raise foreign_listener() from error
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True
