"""Lifecycle hooks of containers: `postStart` and `preStop`.

Source: Kubernetes docs, “Container Lifecycle Hooks”.
"""

from __future__ import annotations

import asyncio

import aiohttp

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.localkube.node.access import PodAccess
from jupyter_workspaces.localkube.node.records import PodRecord

from . import checks, probes

POST_START_SECONDS = 600.0
"""Timeout of `postStart` hooks, for which Kubernetes has none."""


async def run(
    hook: ObjectView,
    session: aiohttp.ClientSession,
    access: PodAccess,
    pod: ObjectView,
    container: ObjectView,
    record: PodRecord,
    seconds: float,
) -> str | None:
    """Run a hook until it has ended or `seconds` have passed.

    Args:
        hook: The hook in the container's spec.
        session: HTTP client.
        access: Runs commands in the pod.
        pod: The pod.
        container: The container's spec.
        record: The pod's record.
        seconds: Timeout.

    Returns:
        None if it succeeded, otherwise what went wrong.
    """
    if (pause := (hook.get("sleep") or {}).get("seconds")) is not None:
        await asyncio.sleep(min(pause, seconds))
        return None
    check = probes.check_of({**hook, "timeoutSeconds": seconds}, access, pod, container, record)
    return None if check is None else await checks.attempt(session, check)


async def run_pre_stop(
    session: aiohttp.ClientSession,
    access: PodAccess,
    pod: ObjectView,
    record: PodRecord,
    seconds: float,
) -> list[str]:
    """Run the `preStop` hooks of all containers at the same time, for at most `seconds`.

    Returns:
        A sentence for each hook that failed.
    """
    hooks = [
        (found, hook)
        for found in pod["spec"]["containers"]
        if (hook := (found.get("lifecycle") or {}).get("preStop"))
    ]
    if not hooks or seconds <= 0:
        return []
    ended = await asyncio.gather(
        *(run(hook, session, access, pod, found, record, seconds) for found, hook in hooks)
    )
    failed = zip((found["name"] for found, _ in hooks), ended, strict=True)
    return [
        f"The preStop hook of container '{name}' failed: {problem}"
        for name, problem in failed
        if problem
    ]
