"""When was a workspace last used, and when is that long enough ago to pause it (contracts/kubeflow-workspaces.md §4.6)."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import aiohttp
import msgspec

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.peer_connector import PeerConnector
from jupyter_workspaces.kube.reflector import Key, Reflector
from jupyter_workspaces.kube.selectors import matches
from jupyter_workspaces.kube.work_queue import WorkQueue
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.templates import base_url, connect_path
from jupyter_workspaces.resources.workspace_objects import is_token_secret

from . import pod_script
from .pod_script import ScriptFailed

Object = Mapping[str, Any]

PROBE_SECONDS = 10
PROBES_AT_ONCE = 8
ANSWER_BYTES = 2**20
EARLY_SECONDS = 0.5
QUIET_SECONDS = 3600.0
NEVER_USED = {"lastActivity": 0, "lastUpdate": 0}


class ProbeFailed(Exception):
    """The workspace did not tell; the text says why."""


class JupyterStatus(msgspec.Struct):
    """The part of a Jupyter server's `api/status` that counts here."""

    last_activity: datetime


def pause_rule(kind: Object, size: Object, namespace_labels: Mapping[str, str]) -> Object | None:
    """The rule that decides about pausing: the first that fits and says anything about it. None: nothing pauses this workspace."""
    labels = {
        label["key"]: label["value"] for label in (size.get("spawner") or {}).get("labels") or ()
    }
    for rule in kind["spec"].get("activityRules") or ():
        match, effect = rule.get("match") or {}, rule["effect"]
        if "pauseWorkspace" not in effect:
            continue
        if "matchNamespace" in match and not matches(
            match["matchNamespace"]["selector"], namespace_labels
        ):
            continue
        if "matchPodConfig" in match and not matches(match["matchPodConfig"]["selector"], labels):
            continue
        found: Object = rule
        return found if effect["pauseWorkspace"] else None
    return None


def with_rule(activity: Object, rule: Object | None) -> dict[str, Any]:
    """The activity with `rules.pauseWorkspace.eligibleAfter`: 0 as long as no activity is known, no `rules` when nothing would pause."""
    found = {key: value for key, value in activity.items() if key != "rules"}
    if rule is not None:
        last = activity.get("lastActivity", 0)
        found["rules"] = {
            "pauseWorkspace": {
                "eligibleAfter": last + 1000 * rule["config"]["secondsSinceActive"]
                if last > 0
                else 0
            }
        }
    return found


def is_due(status: Object, rule: Object | None, now: int) -> bool:
    """Whether a running workspace whose probe has just succeeded should be paused."""
    activity, last_running = status["activity"], status["lastRunningTime"]
    if (
        rule is None
        or not last_running
        or (activity.get("lastProbe") or {}).get("result") != "Success"
    ):
        return False
    eligible = ((activity.get("rules") or {}).get("pauseWorkspace") or {}).get("eligibleAfter", 0)
    return bool(
        0 < eligible <= now
        and now - last_running >= 1000 * rule["config"].get("minRunningSeconds", 0)
    )


def next_probe(activity: Object, probe: Object, now: int) -> float:
    """Seconds until the next probe is due: the long interval after a success, the short one after anything else."""
    last = activity.get("lastProbe")
    if last is None:
        return 0.0
    interval = (
        probe["probeIntervalSeconds"]
        if last["result"] == "Success"
        else probe["minProbeIntervalSeconds"]
    )
    return max(0.0, float(last["startTime"] + 1000 * interval - now) / 1000)


def duration(seconds: float) -> str:
    """As people say it, to the nearest full unit: `45 seconds`, `24 hours`, `3 days`."""
    amount, unit = max(0, round(seconds)), "second"
    for size, larger, worth in ((60, "minute", 120), (60, "hour", 120), (24, "day", 72)):
        if amount < worth:
            break
        amount, unit = round(amount / size), larger
    return f"{amount} {unit}" + ("" if amount == 1 else "s")


def is_news(status: Object, written: Object | None, now: int) -> bool:
    """Whether a status says more than the written one than that it was asked again with the same result; once an hour that is news, too."""
    if written is None or _without_times(status) != _without_times(written):
        return True
    told, known = _asked_at(written), _asked_at(status)
    return status != written and (
        told is None or known is None or now - told >= 1000 * QUIET_SECONDS
    )


def _without_times(status: Object) -> Object:
    activity = status.get("activity") or {}
    probe = {
        key: value
        for key, value in (activity.get("lastProbe") or {}).items()
        if key not in ("startTime", "endTime")
    }
    return {
        **status,
        "activity": {key: value for key, value in activity.items() if key != "lastUpdate"}
        | {"lastProbe": probe},
    }


def _asked_at(status: Object) -> int | None:
    asked: int | None = ((status.get("activity") or {}).get("lastProbe") or {}).get("endTime")
    return asked


class Prober:
    """Asks running workspaces when they were last used, off the reconcile workers, at most eight at once.

    `secrets` has the workspaces' tokens. What it learned is in `results` until a reconcile takes it with `take`; `learned` is called for each.
    """

    def __init__(
        self,
        cluster: Cluster,
        secrets: Reflector,
        find: Callable[[Key], tuple[Object, Object, Object] | None],
        learned: Callable[[Key], None],
    ) -> None:
        self._cluster, self._secrets, self._find, self._learned = cluster, secrets, find, learned
        self._queue: WorkQueue[Key] = WorkQueue("activity probe")
        self._results: dict[Key, dict[str, Any]] = {}
        self._latest: dict[Key, dict[str, Any]] = {}

    def latest(self, key: Key) -> dict[str, Any] | None:
        """The activity as of the last probe, which the status need not tell yet."""
        return self._latest.get(key)

    def schedule(self, key: Key, seconds: float) -> None:
        self._queue.add(key, max(seconds, 0.001))

    def take(self, key: Key) -> dict[str, Any] | None:
        """The activity as of the last probe, once."""
        return self._results.pop(key, None)

    def give_back(self, key: Key, result: dict[str, Any] | None) -> None:
        """What was taken could not be written; the next `take` gets it unless there is a newer one."""
        if result is not None:
            self._results.setdefault(key, result)

    def forget(self, key: Key) -> None:
        self._results.pop(key, None)
        self._latest.pop(key, None)

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
        # A probe carries the workspace's token, so it speaks only to programs of our own user where they are on this computer.
        async with aiohttp.ClientSession(connector=PeerConnector(), timeout=timeout) as session:

            async def probe(key: Key) -> None:
                found = self._find(key)
                if found is None:
                    return
                workspace, kind, _ = found
                known = (
                    self._latest.get(key)
                    or (workspace.get("status") or {}).get("activity")
                    or NEVER_USED
                )
                # A timer of an earlier run, or one from before the interval grew, may come too soon.
                if (
                    early := next_probe(known, kind["spec"]["podTemplate"]["activityProbe"], _now())
                ) > EARLY_SECONDS:
                    self.schedule(key, early)
                    return
                self._results[key] = self._latest[key] = await self._probe(session, known, *found)
                self._learned(key)

            await self._queue.run(probe, PROBES_AT_ONCE)

    async def _probe(
        self,
        session: aiohttp.ClientSession,
        before: Object,
        workspace: Object,
        kind: Object,
        pod: Object,
    ) -> dict[str, Any]:
        probe = kind["spec"]["podTemplate"]["activityProbe"]
        start, seconds = _now(), PROBE_SECONDS
        last_activity, last_update = before.get("lastActivity", 0), before.get("lastUpdate", 0)
        try:
            if "jupyter" in probe:
                last_activity = max(
                    last_activity,
                    await self._ask_jupyter(
                        session, workspace, kind, pod, probe["jupyter"]["portId"]
                    ),
                )
            else:
                seconds = probe["podExec"].get("timeoutSeconds", pod_script.DEFAULT_SECONDS)
                last_activity = max(
                    last_activity, await pod_script.ask(self._cluster, pod, probe["podExec"]) or 0
                )
            result, message, last_update = (
                "Success",
                "The workspace told when it was last used.",
                _now(),
            )
        except asyncio.TimeoutError:
            result, message = "Timeout", f"No answer within {seconds} s."
        except (ProbeFailed, ScriptFailed, aiohttp.ClientError) as error:
            result, message = "Failure", str(error)[:500] or type(error).__name__
        told = {"startTime": start, "endTime": _now(), "result": result, "message": message}
        return {"lastActivity": last_activity, "lastUpdate": last_update, "lastProbe": told}

    async def _ask_jupyter(
        self,
        session: aiohttp.ClientSession,
        workspace: Object,
        kind: Object,
        pod: Object,
        port_id: str,
    ) -> int:
        metadata, address = workspace["metadata"], (pod.get("status") or {}).get("podIP")
        port = _container_port(workspace, kind, port_id)
        if not address or port is None:
            raise ProbeFailed(f"the port {port_id} of this image has no address yet")
        annotations = pod["metadata"].get("annotations") or {}
        port = int(annotations.get(f"{metadata_keys.LOCAL_PORT}{port}", port))
        declared: Object = next(
            (found for found in kind["spec"]["podTemplate"]["ports"] if found["id"] == port_id), {}
        )
        stripped = (declared.get("httpProxy") or {}).get("removePathPrefix")
        path = (
            "/"
            if stripped
            else connect_path(
                metadata["namespace"], metadata["name"], port_id, base_url(pod["metadata"])
            )
        )
        headers = {}
        if (secret := annotations.get(metadata_keys.TOKEN_SECRET)) is not None:
            headers["Authorization"] = f"token {self._token(secret, workspace)}"
        host = f"[{address}]" if ":" in address else address
        async with session.get(
            f"http://{host}:{port}{path}api/status", headers=headers, allow_redirects=False
        ) as answer:
            if not 200 <= answer.status < 300:
                raise ProbeFailed(f"api/status answered {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > ANSWER_BYTES:
                    raise ProbeFailed("api/status answers more than a status")
        try:
            last_activity = msgspec.json.decode(body, type=JupyterStatus).last_activity
        except (msgspec.DecodeError, ValueError) as error:
            raise ProbeFailed("api/status does not say last_activity") from error
        if last_activity.tzinfo is None:
            raise ProbeFailed("api/status says last_activity without a time zone")
        return min(int(last_activity.timestamp() * 1000), _now())

    def _token(self, secret: str, workspace: Object) -> str:
        held = self._secrets.get(secret, workspace["metadata"]["namespace"])
        if held is None or not is_token_secret(workspace, held):
            raise ProbeFailed(f"there is no Secret {secret} that belongs to the workspace")
        data = held.get("data") or {}
        try:
            return base64.b64decode(data[metadata_keys.TOKEN_KEY], validate=True).decode("ascii")
        except (
            LookupError,
            ValueError,
        ) as error:  # binascii.Error and UnicodeDecodeError are ValueErrors
            raise ProbeFailed(f"the Secret {secret} holds no usable token") from error


def _container_port(workspace: Object, kind: Object, port_id: str) -> int | None:
    image = workspace["spec"]["podTemplate"]["options"]["imageConfig"]
    for value in kind["spec"]["podTemplate"]["options"]["imageConfig"]["values"]:
        if value["id"] == image:
            return next(
                (port["port"] for port in value["spec"]["ports"] if port["id"] == port_id), None
            )
    return None


def _now() -> int:
    return int(time.time() * 1000)
