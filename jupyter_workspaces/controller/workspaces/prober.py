"""Runs the activity probes of running workspaces and keeps their results for the reconciler.

A kind has one of two probes: `jupyter` reads `last_activity` from `api/status` of a Jupyter server
(https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html), `podExec` runs a script
in the pod (`pod_script.py`). Probes run beside the reconcilers, so a slow one delays nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp
import msgspec

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.peer_connector import PeerConnector
from jupyter_workspaces.kube.reflector import Key, Reflector
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.kube.work_queue import WorkQueue
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.templates import base_url, connect_path
from jupyter_workspaces.resources.views import PodView, WorkspaceKindView, WorkspaceView
from jupyter_workspaces.resources.workspace_objects import is_token_secret

from . import pod_script
from .activity import NEVER_USED, next_probe
from .pod_script import ScriptFailed

PROBE_SECONDS = 10
PROBES_AT_ONCE = 8
LONGEST_BODY = 2**20
TOLERANCE_SECONDS = 0.5
"""A probe that is due within this time is run at once."""

_SHORTEST_DELAY_SECONDS = 0.001
_LONGEST_MESSAGE = 500


class ProbeFailed(Exception):
    """The Jupyter server gave no usable response. The message says why."""


class JupyterStatus(msgspec.Struct):
    """Part of the response to `api/status` of a Jupyter server."""

    last_activity: datetime


class ProbeTarget(NamedTuple):
    """A running workspace whose kind has an activity probe."""

    workspace: ObjectView
    kind: ObjectView
    pod: ObjectView

    @property
    def probe(self) -> ObjectView:
        """`activityProbe` of the kind."""
        probe: ObjectView = self.kind["spec"]["podTemplate"]["activityProbe"]
        return probe


class Prober:
    """Queue of activity probes, and the results that the reconciler has not written yet."""

    def __init__(
        self,
        cluster: Cluster,
        secrets: Reflector,
        find: Callable[[Key], ProbeTarget | None],
        on_result: Callable[[Key], None],
    ) -> None:
        """Create an idle prober; `run` runs the probes.

        Args:
            cluster: API server that runs scripts in pods.
            secrets: cache with the tokens of workspaces.
            find: returns the workspace to probe, or None if it is not to be probed any more.
            on_result: called with the key of the workspace after each probe.
        """
        self._cluster, self._secrets, self._find, self._on_result = (
            cluster,
            secrets,
            find,
            on_result,
        )
        self._queue: WorkQueue[Key] = WorkQueue("activity probe")
        self._new: dict[Key, dict[str, Any]] = {}
        self._latest: dict[Key, dict[str, Any]] = {}

    def latest(self, key: Key) -> dict[str, Any] | None:
        """Return the activity after the last probe; the status may not have it yet."""
        return self._latest.get(key)

    def schedule(self, key: Key, seconds: float) -> None:
        """Probe a workspace after `seconds`."""
        self._queue.add(key, max(seconds, _SHORTEST_DELAY_SECONDS))

    def take(self, key: Key) -> dict[str, Any] | None:
        """Return the activity after the last probe if it was not taken yet."""
        return self._new.pop(key, None)

    def give_back(self, key: Key, result: dict[str, Any] | None) -> None:
        """Return a result that could not be written; a newer one takes precedence."""
        if result is not None:
            self._new.setdefault(key, result)

    def forget(self, key: Key) -> None:
        """Drop all results of a workspace."""
        self._new.pop(key, None)
        self._latest.pop(key, None)

    async def run(self) -> None:
        """Run scheduled probes until cancelled, at most `PROBES_AT_ONCE` at once."""
        timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
        # A probe carries the token of a workspace. On the local cluster, the connector refuses
        # programs of other users that listen at the address of the pod.
        async with aiohttp.ClientSession(connector=PeerConnector(), timeout=timeout) as session:

            async def probe(key: Key) -> None:
                if (target := self._find(key)) is None:
                    return
                known = (
                    self._latest.get(key) or WorkspaceView(target.workspace).activity or NEVER_USED
                )
                # A delay that was set for an earlier run or a shorter interval ends too early.
                if (early := next_probe(known, target.probe, _now())) > TOLERANCE_SECONDS:
                    self.schedule(key, early)
                    return
                self._new[key] = self._latest[key] = await self._probe(session, known, target)
                self._on_result(key)

            await self._queue.run(probe, PROBES_AT_ONCE)

    async def _probe(
        self, session: aiohttp.ClientSession, known: ObjectView, target: ProbeTarget
    ) -> dict[str, Any]:
        """Return the activity after a probe. A failure keeps the known activity."""
        started, seconds, probe = _now(), PROBE_SECONDS, target.probe
        last_activity, last_update = known.get("lastActivity", 0), known.get("lastUpdate", 0)
        try:
            if "jupyter" in probe:
                found = await self._jupyter_activity(session, target, probe["jupyter"]["portId"])
            else:
                seconds = probe["podExec"].get("timeoutSeconds", pod_script.DEFAULT_SECONDS)
                found = await pod_script.ask(self._cluster, target.pod, probe["podExec"]) or 0
            last_activity, last_update = max(last_activity, found), _now()
            result, message = "Success", "The workspace reported its last activity."
        except asyncio.TimeoutError:
            result, message = "Timeout", f"No response within {seconds} s."
        except (ProbeFailed, ScriptFailed, aiohttp.ClientError) as error:
            result, message = "Failure", str(error)[:_LONGEST_MESSAGE] or type(error).__name__
        return {
            "lastActivity": last_activity,
            "lastUpdate": last_update,
            "lastProbe": {
                "startTime": started,
                "endTime": _now(),
                "result": result,
                "message": message,
            },
        }

    async def _jupyter_activity(
        self, session: aiohttp.ClientSession, target: ProbeTarget, port_id: str
    ) -> int:
        """Return `last_activity` of a Jupyter server. Raises `ProbeFailed`."""
        url, headers = self._jupyter_status(target, port_id)
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            if not 200 <= response.status < 300:
                raise ProbeFailed(f"api/status returned {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LONGEST_BODY:
                    raise ProbeFailed(f"the response to api/status is over {LONGEST_BODY} bytes")
        try:
            last_activity = msgspec.json.decode(body, type=JupyterStatus).last_activity
        except (msgspec.DecodeError, ValueError) as error:
            raise ProbeFailed("the response to api/status has no last_activity") from error
        if last_activity.tzinfo is None:
            raise ProbeFailed("last_activity in api/status has no time zone")
        return min(int(last_activity.timestamp() * 1000), _now())

    def _jupyter_status(self, target: ProbeTarget, port_id: str) -> tuple[str, dict[str, str]]:
        """Return URL and headers of the request to `api/status`. Raises `ProbeFailed`."""
        workspace, kind = WorkspaceView(target.workspace), WorkspaceKindView(target.kind)
        pod = PodView(target.pod)
        port = kind.image_ports(workspace.options["imageConfig"]).get(port_id)
        if not pod.ip or port is None:
            raise ProbeFailed(f"the port {port_id} of this image has no address yet")
        path = "/"
        if not kind.http_proxy(port_id).get("removePathPrefix"):
            base = base_url(pod.metadata)
            path = connect_path(workspace.namespace, workspace.name, port_id, base)
        headers = {}
        if pod.token_secret is not None:
            headers["Authorization"] = f"token {self._token(pod.token_secret, target.workspace)}"
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        return f"http://{host}:{pod.listening_port(port)}{path}api/status", headers

    def _token(self, name: str, workspace: ObjectView) -> str:
        secret = self._secrets.get(name, workspace["metadata"]["namespace"])
        if secret is None or not is_token_secret(workspace, secret):
            raise ProbeFailed(f"there is no Secret {name} that belongs to the workspace")
        data = secret.get("data") or {}
        try:
            return base64.b64decode(data[metadata_keys.TOKEN_KEY], validate=True).decode("ascii")
        except (LookupError, ValueError) as error:  # also binascii.Error and UnicodeDecodeError
            raise ProbeFailed(f"the Secret {name} has no usable token") from error


def _now() -> int:
    return int(time.time() * 1000)
