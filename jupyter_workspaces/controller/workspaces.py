"""Makes the cluster what each Workspace says, and says in its status what is. From level, not from edge: safe to restart anywhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from ..cluster.client import Cluster
from ..cluster.errors import AlreadyExists, BadRequest, Forbidden, Invalid, NotFound
from ..cluster.recorder import record
from ..cluster.reflector import Key, Reflector
from ..resources import names
from ..resources.catalog import (
    EVENTS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    WORKSPACE_KINDS,
    WORKSPACES,
    Resource,
)
from ..resources.templates import TemplateError
from . import activity, generate, states, status
from .activity import Prober
from .options import Option, OptionError, resolve
from .views import View

log = logging.getLogger(__name__)

Object = dict[str, Any]

# How long a pod may be missing before its StatefulSet's events are asked why.
PATIENCE_SECONDS = 3.0


class Stuck(Exception):
    """This workspace cannot go on before somebody changes something; the text says what."""


class WorkspaceReconciler:
    """One call of `reconcile` for one workspace at a time; all it remembers is what the cluster says."""

    def __init__(self, cluster: Cluster, view: View, prober: Prober) -> None:
        self._cluster, self._view, self._prober = cluster, view, prober

    async def reconcile(self, key: Key) -> float | None:
        """Seconds until it should look again, None when only a change matters. Raises `ClusterError`."""
        namespace, name = key
        workspace = self._view.workspaces.get(name, namespace)
        if workspace is None or workspace["metadata"].get("deletionTimestamp"):
            self._prober.forget(key)
            return None
        kind = self._view.kinds.get(workspace["spec"]["kind"])
        pod = self._view.pod_of(workspace)
        options: dict[str, Option] | None = None
        trouble: str | None = None
        try:
            if kind is None:
                raise Stuck(
                    f"Its kind “{workspace['spec']['kind']}” is gone. Ask for it back, or make a new workspace with the same volumes."
                )
            await self._protect(kind)
            options = resolve(kind, workspace)
            if await self._apply_redirects(workspace, options):
                return None  # the change brings this workspace back at once
            trouble = await self._generate(workspace, kind, options, pod)
        except (Stuck, OptionError, TemplateError, ValueError) as error:
            await self._write_status(workspace, kind, options, pod, "Error", str(error), None)
            return None
        state, message = states.decide(workspace, pod, trouble)
        return await self._settle(key, workspace, kind, options, pod, state, message)

    async def _protect(self, kind: Object) -> None:
        """The kind stays while a workspace is of it."""
        finalizers = kind["metadata"].get("finalizers") or []
        if names.KIND_PROTECTION not in finalizers and not kind["metadata"].get("deletionTimestamp"):
            patch = {
                "metadata": {"finalizers": [*finalizers, names.KIND_PROTECTION], "resourceVersion": kind["metadata"]["resourceVersion"]}
            }
            self._view.kinds.apply(await self._cluster.patch(WORKSPACE_KINDS, kind["metadata"]["name"], patch))

    async def _apply_redirects(self, workspace: Object, options: dict[str, Option]) -> bool:
        """A paused workspace that says `deferUpdates: false` moves to where its redirects lead."""
        if workspace["spec"].get("deferUpdates") is not False or not workspace["spec"].get("paused"):
            return False
        moved = {dimension: option.desired for dimension, option in options.items() if option.chain}
        if not moved:
            return False
        metadata = workspace["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"podTemplate": {"options": moved}}}
        changed = await self._cluster.patch(WORKSPACES, metadata["name"], patch, metadata["namespace"])
        self._view.workspaces.apply(changed)
        await record(self._cluster, workspace, "Normal", "Redirected", f"Moved to {', '.join(moved.values())}, as its kind asks.")
        return True

    async def _generate(self, workspace: Object, kind: Object, options: dict[str, Option], pod: Object | None) -> str | None:
        """Make and update the owned objects. Why the cluster refused, if it did."""
        image, size = options["imageConfig"], options["podConfig"]
        try:
            await self._only(workspace, self._view.accounts, generate.service_account(workspace), SERVICE_ACCOUNTS)
            for binding in generate.role_bindings(workspace, kind):
                await self._bind(binding)
            token = await self._token(workspace, kind)
            await self._service(workspace, image)
            wanted = generate.stateful_set(workspace, kind, image, size, token)
            held = await self._only(workspace, self._view.stateful_sets, wanted, STATEFUL_SETS)
        except (Invalid, Forbidden, BadRequest, AlreadyExists) as error:
            return str(error)
        if held is None:
            return None
        replicas, template = wanted["spec"]["replicas"], wanted["spec"]["template"]
        if _only_kind_changed(held, template) and replicas == 1 == held["spec"].get("replicas"):
            template = held["spec"]["template"]  # a running workspace keeps what it was started with until it is restarted
        patch = _stateful_set_patch(held, replicas, template)
        if patch is not None:
            namespace = workspace["metadata"]["namespace"]
            self._view.stateful_sets.apply(await self._cluster.replace(STATEFUL_SETS, patch))
            log.debug("StatefulSet of %s/%s updated", namespace, workspace["metadata"]["name"])
        if pod is None and replicas == 1:
            return await self._why_no_pod(held)
        return None

    async def _only(self, workspace: Object, view: Reflector, wanted: Object, resource: Resource) -> Object | None:
        """The one owned object of a resource, made when there is none (then None)."""
        owned = self._view.owned(view, workspace)
        if len(owned) > 1:
            found = ", ".join(sorted(one["metadata"]["name"] for one in owned))
            raise Stuck(f"It has more than one {resource.kind} ({found}). Delete the wrong one.")
        if owned:
            return owned[0]
        name = wanted["metadata"].get("name")
        if name and view.get(name, workspace["metadata"]["namespace"]) is not None:
            raise Stuck(f"A {resource.kind} named {name} is there already and belongs to something else. Delete it, or take another name.")
        view.apply(await self._cluster.create(resource, wanted, workspace["metadata"]["namespace"]))
        return None

    async def _service(self, workspace: Object, image: Option) -> None:
        wanted = generate.service(workspace, image)
        held = await self._only(workspace, self._view.services, wanted, SERVICES)
        if held is None:
            return
        ports = [{key: port.get(key) for key in ("name", "port", "targetPort", "protocol")} for port in held["spec"].get("ports") or ()]
        if ports != wanted["spec"]["ports"]:
            changed = held | {"spec": held["spec"] | {"ports": wanted["spec"]["ports"]}}
            self._view.services.apply(await self._cluster.replace(SERVICES, changed))

    async def _token(self, workspace: Object, kind: Object) -> str | None:
        """The name of the Secret with the workspace's token, made when its kind wants one."""
        if names.TOKEN_ENV not in (kind["metadata"].get("annotations") or {}):
            return None
        for held in self._view.owned(self._view.stateful_sets, workspace):
            name: str | None = (held["spec"]["template"]["metadata"].get("annotations") or {}).get(names.TOKEN_SECRET)
            if name is not None and self._view.secrets.get(name, workspace["metadata"]["namespace"]) is not None:
                return name
        owned = self._view.owned(self._view.secrets, workspace)
        if owned:
            found: str = sorted(one["metadata"]["name"] for one in owned)[0]
            return found
        secret = await self._cluster.create(SECRETS, generate.token_secret(workspace), workspace["metadata"]["namespace"])
        self._view.secrets.apply(secret)
        made: str = secret["metadata"]["name"]
        return made

    async def _bind(self, wanted: Object) -> None:
        metadata = wanted["metadata"]
        held = self._view.bindings.get(metadata["name"], metadata["namespace"])
        if held is None:
            self._view.bindings.apply(await self._cluster.create(ROLE_BINDINGS, wanted, metadata["namespace"]))

    async def _why_no_pod(self, stateful_set: Object) -> str | None:
        """What the StatefulSet's latest warning says, if its pod has been missing for a while."""
        metadata = stateful_set["metadata"]
        made = status.milliseconds(metadata["creationTimestamp"])
        if time.time() * 1000 - made < PATIENCE_SECONDS * 1000:
            return None
        selector = f"involvedObject.uid={metadata['uid']},type=Warning"
        events = (await self._cluster.list(EVENTS, metadata["namespace"], field_selector=selector)).items
        recent = [event for event in events if time.time() * 1000 - status.milliseconds(event.get("lastTimestamp")) < 120_000]
        return max(recent, key=lambda event: event["lastTimestamp"])["message"] if recent else None

    async def _settle(
        self,
        key: Key,
        workspace: Object,
        kind: Object | None,
        options: dict[str, Option] | None,
        pod: Object | None,
        state: str,
        message: str,
    ) -> float | None:
        """Write the status, plan the next probe, pause what has been idle for long enough."""
        probe = ((kind or {}).get("spec") or {}).get("podTemplate", {}).get("activityProbe")
        if state != "Running" or kind is None or options is None or probe is None:
            self._prober.forget(key)
            await self._write_status(workspace, kind, options, pod, state, message, None)
            return PATIENCE_SECONDS if state == "Pending" and pod is None else None
        namespace = self._view.namespaces.get(key[0]) or {}
        labels = (namespace.get("metadata") or {}).get("labels") or {}
        rule = activity.pause_rule(kind, options["podConfig"].current, labels)
        fresh = self._prober.take(key)
        known = fresh or (workspace.get("status") or {}).get("activity") or activity.NEVER_USED
        if fresh is None and (workspace.get("status") or {}).get("state") != "Running":
            known = activity.NEVER_USED if not workspace["status"].get("lastRunningTime") else known
        now = int(time.time() * 1000)
        known = activity.with_rule(known, rule)
        written = await self._write_status(workspace, kind, options, pod, state, message, known)
        if (
            fresh is not None
            and fresh["lastProbe"]["result"] == "Success"
            and activity.is_due(known, rule, written["lastRunningTime"], now)
        ):
            await self._pause(workspace, known, rule)
            return None
        self._prober.schedule(key, activity.next_probe(written["activity"], probe, now))
        return None

    async def _pause(self, workspace: Object, known: Mapping[str, Any], rule: Mapping[str, Any] | None) -> None:
        metadata = workspace["metadata"]
        self._view.workspaces.apply(
            await self._cluster.patch(WORKSPACES, metadata["name"], {"spec": {"paused": True}}, metadata["namespace"])
        )
        idle = int(time.time() - known["lastActivity"] / 1000)
        limit = (rule or {}).get("config", {}).get("secondsSinceActive")
        text = f"Paused by its kind's rule: not used for {idle} s (the limit is {limit} s). Resume it to go on; the files stay."
        await record(self._cluster, workspace, "Normal", "PausedWhenIdle", text)

    async def _write_status(
        self,
        workspace: Object,
        kind: Object | None,
        options: dict[str, Option] | None,
        pod: Object | None,
        state: str,
        message: str,
        known: Mapping[str, Any] | None,
    ) -> Object:
        built = status.build(workspace, kind, options, pod, state, message, known, int(time.time() * 1000))
        if built != workspace.get("status"):
            try:
                answer = await self._cluster.replace(WORKSPACES, workspace | {"status": built}, subresource="status")
            except NotFound:
                return built  # deleted meanwhile
            self._view.workspaces.apply(answer)
        return built


def _only_kind_changed(held: Object, template: Object) -> bool:
    before, after = ((found["metadata"].get("annotations") or {}) for found in (held["spec"]["template"], template))
    return before.get(generate.WORKSPACE_HASH) == after.get(generate.WORKSPACE_HASH) and before.get(names.KIND_TEMPLATE_HASH) != after.get(
        names.KIND_TEMPLATE_HASH
    )


def _stateful_set_patch(held: Object, replicas: int, template: Object) -> Object | None:
    """The StatefulSet as it should be, or None when it is so.

    The API server adds defaults to a template; what we made it from stands in two hashes, so these are compared and not the template.
    """
    before, after = (found["metadata"].get("annotations") or {} for found in (held["spec"]["template"], template))
    keys = (generate.WORKSPACE_HASH, names.KIND_TEMPLATE_HASH, names.TOKEN_SECRET)
    if held["spec"].get("replicas") == replicas and all(before.get(key) == after.get(key) for key in keys):
        return None
    return held | {"spec": held["spec"] | {"replicas": replicas, "template": template}}
