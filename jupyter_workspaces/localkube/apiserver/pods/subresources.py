"""Subresources of pods that their node serves: log, exec, attach, port-forward."""

from __future__ import annotations

from contextlib import aclosing

from aiohttp import web

from jupyter_workspaces.kube.catalog import NODES
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.http.streams import Streams, no_delay
from jupyter_workspaces.localkube.apiserver.objects.engine import Engine
from jupyter_workspaces.localkube.apiserver.objects.rows import Row

from . import (
    containers,
    exec,
    logs,
    port_forward,
)
from .logs import LogsUnavailable, PodLogReader, log_options
from .programs import PodPrograms

CONNECTIONS = ("attach", "exec", "portforward")
"""Subresources that a client connects to, by a GET or POST that becomes a WebSocket."""


class PodSubresources:
    """Serves the subresources. The node sets `logs` and `programs`; None without a node."""

    def __init__(self, engine: Engine, streams: Streams) -> None:
        """Create it for the pods of an engine."""
        self.logs: PodLogReader | None = None
        self.programs: PodPrograms | None = None
        self._engine = engine
        self._streams = streams

    async def connect(
        self, request: web.Request, row: Row, namespace: str, name: str, subresource: str
    ) -> web.StreamResponse:
        """Serve exec, attach or portforward until the connection ends.

        Raises:
            Refusal: if the request is invalid or the node is not available.
        """
        pod = self._engine.get(row, namespace, name).decode()
        no_delay(request)
        async with self._streams.track():
            match subresource:
                case "exec":
                    return await exec.execute(request, pod, self.programs)
                case "attach":
                    return await exec.attach(request, pod, self.logs)
                case _:
                    return await port_forward.forward(request, pod, self.programs)
        raise AssertionError("a stream's end hides nothing but broken connections")

    async def log(
        self, request: web.Request, row: Row, namespace: str, name: str
    ) -> web.StreamResponse:
        """Respond with the log of a container, and follow it if requested.

        Raises:
            Refusal: 400 if there is no such log.
        """
        options = log_options(name, request.query)
        pod = self._engine.get(row, namespace, name).decode()
        container = containers.container_name(pod, request.query.get("container", ""))
        node = pod["spec"].get("nodeName")
        if not node:
            return web.Response(status=204)
        if self._engine.store.get(NODES.plural, "", node) is None:
            raise containers.node_not_found(node)
        if self.logs is None:
            raise containers.node_unavailable(node)
        no_delay(request)
        async with (
            self._streams.track(),
            aclosing(self.logs(pod, container, options)) as pieces,
        ):
            try:
                return await logs.stream_log(request, pieces)
            except LogsUnavailable as error:
                raise status.bad_request(str(error)) from error
        raise AssertionError("a stream's end hides nothing but broken connections")
