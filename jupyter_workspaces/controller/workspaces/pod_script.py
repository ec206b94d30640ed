"""The activity probe `podExec`: a script of the kind that runs in a workspace's container and prints whether it was used."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.execution import ExecutionFailed, execute
from jupyter_workspaces.kube.loopback import at_pod
from jupyter_workspaces.resources import metadata_keys

from .manifests import CONTAINER

Object = Mapping[str, Any]

DEFAULT_SECONDS = 60

# The script is an argument, so that no input has to end. What it prints is of no interest; its answer is in a file.
_RUN = """
umask 077
place="${TMPDIR:-/tmp}/.ws-activity-probe-$$"
mkdir "$place" || exit 126
trap 'rm -rf "$place"' EXIT
printf '%s' "$1" > "$place/script" && chmod 700 "$place/script" || exit 126
OUTPUT_JSON_PATH="$place/output.json"
export OUTPUT_JSON_PATH
"$place/script" > /dev/null || exit $?
if [ -e "$OUTPUT_JSON_PATH" ]; then head -c 65536 "$OUTPUT_JSON_PATH"; fi
"""


class ScriptFailed(Exception):
    """The script gave no result. The text says why."""


class _Answer(msgspec.Struct):
    has_activity: bool | None = None
    last_activity: datetime | None = None


async def ask(cluster: Cluster, pod: Object, probe: Object) -> int | None:
    """Run the script. Returns when the workspace was last used, in ms since 1970; None if it is idle now.

    A script without output reports activity. Raises `ScriptFailed`, `asyncio.TimeoutError`.
    """
    metadata, script = pod["metadata"], probe["script"]
    if cluster.endpoint.embedded:
        script = at_pod(script, (pod.get("status") or {}).get("podIP") or "", _ports(pod))
    try:
        async with timeout(probe.get("timeoutSeconds", DEFAULT_SECONDS)):
            ended = await execute(
                cluster,
                metadata["namespace"],
                metadata["name"],
                CONTAINER,
                ["/bin/sh", "-c", _RUN, "probe", script],
            )
    except (ExecutionFailed, ClusterError) as error:
        instead = "A kind of Jupyter servers can use the jupyter probe."
        raise ScriptFailed(f"its script could not be run in the pod: {error}. {instead}") from error
    if ended.exit_code != 0:
        said = " ".join(ended.errors.decode(errors="replace").split())[:300]
        raise ScriptFailed(
            f"its script ended with exit code {ended.exit_code}" + (f": {said}" if said else "")
        )
    return _read(ended.output, int(time.time() * 1000))


def _read(output: bytes, now: int) -> int | None:
    if not output.strip():
        return now
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except msgspec.DecodeError as error:
        raise ScriptFailed(
            f"its script wrote no valid JSON with `has_activity` or `last_activity`: {error}"
        ) from error
    if answer.has_activity is not None:
        return now if answer.has_activity else None
    if answer.last_activity is None:
        return now
    if answer.last_activity.tzinfo is None:
        raise ScriptFailed("its script wrote a `last_activity` without a time zone")
    return min(int(answer.last_activity.timestamp() * 1000), now)


def _ports(pod: Object) -> dict[str, int]:
    """Return the listening port for each container port."""
    annotations = pod["metadata"].get("annotations") or {}
    wanted = [
        port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
    ]
    return {
        str(port): int(annotations.get(f"{metadata_keys.LOCAL_PORT}{port}", port))
        for port in wanted
    }
