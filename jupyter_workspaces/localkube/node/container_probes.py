"""Probes of one run of a container: startup, liveness and readiness, and its `postStart` hook.

Where a pod's spec has no readiness probe, the check of the program that stands for the image is
used (Kubernetes docs, “Liveness, Readiness, and Startup Probes”).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jupyter_workspaces.common.supervision import ended
from jupyter_workspaces.kube.peers import FOREIGN

from .access import PodAccess
from .context import NodeContext, Owner
from .probes import checks, hooks, probes
from .probes.checks import ProbeNotPossible
from .processes import limits
from .records import ContainerRecord
from .status import ContainerState

CHECK_SECONDS, CHECK_FAILURES = 5.0, 4
"""Readiness checks where a pod's spec has no probe.

A program that stops answering is not ready within 25 s; one that pauses for 15 s stays ready.
"""


class ContainerProbes:
    """Probes one run of a container and keeps its readiness in its state."""

    def __init__(
        self,
        node: NodeContext,
        owner: Owner,
        spec: Mapping[str, Any],
        record: ContainerRecord,
        state: ContainerState,
        became_ready: Callable[[], None],
    ) -> None:
        """Create the probes of a container.

        Args:
            node: The node.
            owner: The pod of the container.
            spec: The container's spec.
            record: The container's record.
            state: Its state, whose fields `ready`, `started` and `problem` the probes set.
            became_ready: Called each time the container gets ready.
        """
        self._node = node
        self._owner = owner
        self._spec = spec
        self._record = record
        self._state = state
        self._became_ready = became_ready
        self._access = PodAccess(node.host.directory)

    async def run(self) -> None:
        """Probe until the container has to be killed, then return.

        Raises:
            ProbeNotPossible: A probe could not be made, which says nothing about the container.
        """
        try:
            await self._run_until_failure()
        except ProbeNotPossible as error:
            self._owner.record_event(
                "Warning", "ProbeNotPossible", f"A probe could not be made and is retried: {error}"
            )
            raise

    async def _run_until_failure(self) -> None:
        if (problem := await self._run_post_start_hook()) is not None:
            self._owner.record_event(
                "Warning",
                "FailedPostStartHook",
                f"The postStart hook of container '{self._spec['name']}' failed: {problem}",
            )
            return
        impossible = partial(self._owner.record_event, "Warning", "ProbeNotPossible")
        startup = self._check("startupProbe", impossible)
        live = self._check("livenessProbe", impossible)
        ready = self._check("readinessProbe", None) or self._default_readiness_check()
        if (
            startup is not None
            and not self._state.started
            and (problem := await checks.succeeded(self._node.session, startup)) is not None
        ):
            self._owner.record_event("Warning", "Unhealthy", f"Startup probe failed: {problem}")
            return
        self._state.started = True
        failed = asyncio.Event()

        def liveness_changed(good: bool, problem: str) -> None:
            if not good:
                self._owner.record_event(
                    "Warning", "Unhealthy", f"Liveness probe failed: {problem}"
                )
                failed.set()

        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(failed.wait())]
        if ready is None:
            self._readiness_changed(True, "")
        else:
            tasks.append(self._watch(ready, self._readiness_changed))
        if live is not None:
            tasks.append(self._watch(live, liveness_changed))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(tasks)

    def _readiness_changed(self, good: bool, problem: str) -> None:
        if (self._state.ready, self._state.problem) != (good, problem):
            self._state.ready, self._state.problem = good, problem
            self._owner.status_changed()
        if good:
            self._became_ready()
            key = self._owner.record.uid, self._spec["name"]
            self._node.metrics.lower_priority(key, limits.niceness(self._spec))
        else:
            self._owner.record_event(
                "Warning",
                "AddressTaken" if problem == FOREIGN else "Unhealthy",
                f"Readiness probe failed: {problem}",
            )

    def _watch(
        self, check: checks.Check, changed: Callable[[bool, str], None]
    ) -> asyncio.Task[Any]:
        return asyncio.create_task(checks.watch(self._node.session, check, changed))

    def _check(self, name: str, impossible: Callable[[str], None] | None) -> checks.Check | None:
        """Return the check for a probe of the container's spec; None if it has none."""
        return probes.check_of(
            self._spec.get(name),
            self._access,
            self._owner.pod,
            self._spec,
            self._owner.record,
            self._record.leading,
            impossible,
        )

    def _default_readiness_check(self) -> checks.Check | None:
        if self._record.check is None:
            return None
        return checks.Check(
            self._owner.record.address,
            0,
            self._record.check,
            period=CHECK_SECONDS,
            timeout=CHECK_SECONDS,
            failures=CHECK_FAILURES,
            any_status=self._record.any_status,
        )

    async def _run_post_start_hook(self) -> str | None:
        """Run the `postStart` hook once for each run. Return what went wrong."""
        hook = (self._spec.get("lifecycle") or {}).get("postStart")
        if hook is None or self._record.hooked == self._record.attempt:
            return None
        problem = await hooks.run(
            hook,
            self._node.session,
            self._access,
            self._owner.pod,
            self._spec,
            self._owner.record,
            hooks.POST_START_SECONDS,
        )
        self._record.hooked = self._record.attempt
        self._owner.files.save(self._owner.record)
        return problem
