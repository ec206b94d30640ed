"""Runs the script of an activity probe of type `podExec` in the main container of a workspace.

The script writes JSON to the file `$OUTPUT_JSON_PATH`: `{"has_activity": true}`, or the time of the
last activity as `{"last_activity": "2026-01-01T00:00:00Z"}`. A script that writes nothing reports
activity.
"""

from __future__ import annotations

import time
from datetime import datetime

import msgspec

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.kube.execution import ExecutionFailed, execute
from jupyter_workspaces.kube.loopback import at_pod
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.views import MAIN_CONTAINER, PodView

DEFAULT_SECONDS = 60
_LONGEST_ERROR = 300

# The probe's script is an argument, so no input stream has to be closed. Its output is discarded.
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
    """The script gave no result. The message says why."""


class _Answer(msgspec.Struct):
    has_activity: bool | None = None
    last_activity: datetime | None = None


async def ask(cluster: Cluster, pod: ObjectView, probe: ObjectView) -> int | None:
    """Run the script of a probe.

    Args:
        cluster: API server, which must permit `pods/exec`.
        pod: pod of the workspace.
        probe: `activityProbe.podExec` of the kind.

    Returns:
        Time of the last activity in milliseconds since 1970; None if the workspace is idle now.

    Raises:
        ScriptFailed: the script could not be run, failed, or wrote invalid JSON.
        asyncio.TimeoutError: the script took longer than `timeoutSeconds`.
    """
    view, script = PodView(pod), probe["script"]
    if cluster.endpoint.embedded:
        script = at_pod(script, view.ip, _listening_ports(view))
    try:
        async with timeout(probe.get("timeoutSeconds", DEFAULT_SECONDS)):
            ended = await execute(
                cluster,
                view.namespace,
                view.name,
                MAIN_CONTAINER,
                ["/bin/sh", "-c", _RUN, "probe", script],
            )
    except (ExecutionFailed, ClusterError) as error:
        advice = "For Jupyter servers, use the jupyter probe."
        raise ScriptFailed(f"the script could not be run in the pod: {error}. {advice}") from error
    if ended.exit_code != 0:
        errors = " ".join(ended.errors.decode(errors="replace").split())[:_LONGEST_ERROR]
        raise ScriptFailed(
            f"the script ended with exit code {ended.exit_code}" + (f": {errors}" if errors else "")
        )
    return _last_activity(ended.output, int(time.time() * 1000))


def _last_activity(output: bytes, now: int) -> int | None:
    if not output.strip():
        return now
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except msgspec.DecodeError as error:
        raise ScriptFailed(
            "the script wrote no valid JSON with `has_activity` or `last_activity`: " + str(error)
        ) from error
    if answer.has_activity is not None:
        return now if answer.has_activity else None
    if answer.last_activity is None:
        return now
    if answer.last_activity.tzinfo is None:
        raise ScriptFailed("the script wrote a `last_activity` without a time zone")
    return min(int(answer.last_activity.timestamp() * 1000), now)


def _listening_ports(pod: PodView) -> dict[str, int]:
    """Return the listening port for each container port."""
    ports = [
        port["containerPort"]
        for container in pod.spec["containers"]
        for port in container.get("ports") or ()
    ]
    return {str(port): pod.listening_port(port) for port in ports}
