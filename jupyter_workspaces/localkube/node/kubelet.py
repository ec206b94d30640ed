"""The kubelet endpoint of the node when it joins a real cluster: logs, commands and ports of pods.

Only clients with a certificate of the cluster's authority are served. Commands and port-forwards
use WebSockets (v4.channel.k8s.io), which the API server passes through; SPDY, to which it
translates `kubectl exec` and `kubectl port-forward`, is not supported.
Source: Kubernetes docs, “Communication between Nodes and the Control Plane”.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from aiohttp import web
from multidict import MultiDict

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.site import BoundedSite
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.pods import exec, logs, port_forward
from jupyter_workspaces.localkube.apiserver.pods.logs import LogsUnavailable, log_options

from .access import PodAccess
from .logs import PodLogs

HOST = "127.0.0.1"
STOP_SECONDS = 5.0
LIMITS = Limits(connections=512, idle=120.0, buffered=8 * 2**20)
_STREAMS = {"input": "stdin", "output": "stdout", "error": "stderr", "port": "ports"}
"""Query parameters of the kubelet and their names in the API."""

Handler = Callable[[web.Request, Object], Awaitable[web.StreamResponse]]


class Kubelet:
    """The kubelet endpoint, which listens on loopback."""

    def __init__(self, cluster: Cluster, directory: Path, trust: ssl.SSLContext) -> None:
        """Create the endpoint; `start` starts it.

        Args:
            cluster: Client of the API server.
            directory: The cluster's directory.
            trust: TLS context with the endpoint's certificate that requires client certificates
                (`ssl.CERT_REQUIRED`).
        """
        self._cluster, self._trust = cluster, trust
        self._logs, self._access = PodLogs(directory), PodAccess(directory)
        application = web.Application()
        for path, handler in (
            ("/containerLogs/{namespace}/{pod}/{container}", self._log),
            ("/exec/{namespace}/{pod}/{container}", self._execute),
            ("/portForward/{namespace}/{pod}", self._forward),
            ("/portForward/{namespace}/{pod}/{uid}", self._forward),
        ):
            application.router.add_route("*", path, self._with_pod(handler))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_SECONDS)

    async def start(self) -> int:
        """Listen at a free port and return it; the node has to report it."""
        await self._runner.setup()
        site = BoundedSite(
            self._runner, HOST, 0, LIMITS, name="The kubelet's endpoint", ssl_context=self._trust
        )
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Close the endpoint."""
        await self._runner.cleanup()

    def _with_pod(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            place = request.match_info
            try:
                pod = await self._cluster.get(PODS, place["pod"], place["namespace"])
                if place.get("uid", pod["metadata"]["uid"]) != pod["metadata"]["uid"]:
                    return web.Response(
                        status=404, text=f"pod '{place['pod']}' was replaced by another one"
                    )
                return await handler(request, dict(pod))
            except Refusal as refusal:
                return web.Response(status=refusal.code, text=refusal.message)
            except ClusterError as error:
                return web.Response(status=error.status, text=str(error))

        return handle

    async def _log(self, request: web.Request, pod: Object) -> web.StreamResponse:
        options = log_options(pod["metadata"]["name"], request.query)
        async with aclosing(self._logs(pod, request.match_info["container"], options)) as pieces:
            try:
                return await logs.stream_log(request, pieces)
            except LogsUnavailable as error:
                return web.Response(status=404, text=str(error))

    async def _execute(self, request: web.Request, pod: Object) -> web.StreamResponse:
        return await exec.execute(
            _as_api_request(request, container=request.match_info["container"]), pod, self._access
        )

    async def _forward(self, request: web.Request, pod: Object) -> web.StreamResponse:
        return await port_forward.forward(_as_api_request(request), pod, self._access)


def _as_api_request(request: web.Request, **more: str) -> web.Request:
    """Return a request with the query parameters of the API."""
    query = MultiDict((_STREAMS.get(name, name), value) for name, value in request.query.items())
    query.extend(more)
    return request.clone(rel_url=request.rel_url.with_query(query))
