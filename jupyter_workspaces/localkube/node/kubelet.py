"""What the API server of a real cluster asks the kubelet of a pod's node: its logs, commands in it, connections to its ports.

Only who shows a certificate of the cluster's authority is answered. Commands and ports are spoken to by WebSocket (v4.channel.k8s.io), which the API
server passes on as it comes; what it would translate into SPDY first (`kubectl exec`, `kubectl port-forward`) has no answer here.
Source: the kubelet's paths as kube-apiserver asks for them (Kubernetes docs, “Communication between Nodes and the Control Plane”).
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from aiohttp import web
from multidict import MultiDict

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.site import BoundedSite
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.pods import exec, logs, port_forward
from jupyter_workspaces.localkube.apiserver.pods.logs import LogsUnavailable, log_options

from .access import PodAccess
from .logs import PodLogs

Object = dict[str, Any]

HOST = "127.0.0.1"
STOP_SECONDS = 5.0
LIMITS = Limits(connections=512, idle=120.0, buffered=8 * 2**20)
_STREAMS = {"input": "stdin", "output": "stdout", "error": "stderr", "port": "ports"}
"""The kubelet's words for what the API calls otherwise."""

Answer = Callable[[web.Request, Object], Awaitable[web.StreamResponse]]


class Kubelet:
    """`start` listens on loopback and gives the port that the node has to tell; `stop` ends it."""

    def __init__(self, cluster: Cluster, directory: Path, trust: ssl.SSLContext) -> None:
        """`trust` has the server's certificate and asks clients for theirs (`ssl.CERT_REQUIRED`)."""
        self._cluster, self._trust = cluster, trust
        self._logs, self._access = PodLogs(directory), PodAccess(directory)
        application = web.Application()
        for path, answer in (
            ("/containerLogs/{namespace}/{pod}/{container}", self._log),
            ("/exec/{namespace}/{pod}/{container}", self._execute),
            ("/portForward/{namespace}/{pod}", self._forward),
            ("/portForward/{namespace}/{pod}/{uid}", self._forward),
        ):
            application.router.add_route("*", path, self._asked(answer))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_SECONDS)

    async def start(self) -> int:
        await self._runner.setup()
        site = BoundedSite(
            self._runner, HOST, 0, LIMITS, name="The kubelet's endpoint", ssl_context=self._trust
        )
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        await self._runner.cleanup()

    def _asked(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            place = request.match_info
            try:
                pod = await self._cluster.get(PODS, place["pod"], place["namespace"])
                if place.get("uid", pod["metadata"]["uid"]) != pod["metadata"]["uid"]:
                    return web.Response(
                        status=404, text=f"pod {place['pod']} is another one by now"
                    )
                return await answer(request, dict(pod))
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
            _as_api(request, container=request.match_info["container"]), pod, self._access
        )

    async def _forward(self, request: web.Request, pod: Object) -> web.StreamResponse:
        return await port_forward.forward(_as_api(request), pod, self._access)


def _as_api(request: web.Request, **more: str) -> web.Request:
    """The same request in the words of the API."""
    query = MultiDict((_STREAMS.get(name, name), value) for name, value in request.query.items())
    query.extend(more)
    return request.clone(rel_url=request.rel_url.with_query(query))
