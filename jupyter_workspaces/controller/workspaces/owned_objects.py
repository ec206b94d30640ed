"""Makes and mends what a workspace owns: ServiceAccount, RoleBindings, token, Service, StatefulSet (contracts/kubeflow-workspaces.md §4.3)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.kube.catalog import (
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    AlreadyExists,
    BadRequest,
    ClusterError,
    Forbidden,
    Invalid,
    NotFound,
)
from jupyter_workspaces.kube.ownership import (
    age,
    controller,
)
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.workspace_objects import belongs, is_token_secret

from . import manifests
from .cluster_views import View
from .options import Option

log = logging.getLogger(__name__)

Object = dict[str, Any]

_LEADS_AWAY = frozenset(("externalName", "externalIPs"))
"""What a workspace's Service never has: it would send a user's requests, with the workspace's token, to somebody else's program."""


class Stuck(Exception):
    """This workspace cannot go on before somebody changes something; the text says what."""


class NotAccepted(Stuck):
    """The cluster refused an invalid write. A retry would fail again."""


class Refused(Exception):
    """The cluster did not let an object be made or changed, and may do so later (a quota, a namespace that goes); the text says why."""


class NotAllowed(Refused):
    """The cluster did not permit a write (a quota, a policy). A retry may succeed."""


class Owned:
    """The objects of workspaces, one `make` for a workspace at a time."""

    def __init__(self, cluster: Cluster, view: View) -> None:
        self._cluster, self._view = cluster, view

    async def make(
        self, workspace: Object, kind: Object, options: Mapping[str, Option], pod: Object | None
    ) -> None:
        """Everything as workspace and kind say. Raises `Stuck`, `GenerateError`, `Refused`, `ClusterError`."""
        try:
            await self._account(workspace)
            await self._bindings(workspace, kind)
            token = await self._token(workspace, kind)
            await self._service(workspace, options["imageConfig"])
            await self._stateful_set(
                workspace,
                manifests.stateful_set(
                    workspace, kind, options["imageConfig"], options["podConfig"], token
                ),
                pod,
            )
        except (Invalid, BadRequest) as error:
            raise NotAccepted(
                f"The cluster does not accept what this workspace becomes: {_stable(error, workspace)}. "
                f"Ask your cluster's administrator to fix the workspace kind {kind['metadata']['name']}."
            ) from error
        except Forbidden as error:
            raise NotAllowed(_stable(error, workspace)) from error

    async def stop(self, workspace: Object) -> None:
        """No pod, whatever else is wrong: pausing works without a kind."""
        for held in self._view.owned(self._view.stateful_sets, workspace):
            if held["spec"].get("replicas") != 0:
                changed = held | {"spec": held["spec"] | {"replicas": 0}}
                self._view.stateful_sets.apply(await self._cluster.replace(STATEFUL_SETS, changed))

    async def _account(self, workspace: Object) -> None:
        wanted = manifests.service_account(workspace)
        name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
        if self._one(self._view.accounts, workspace, SERVICE_ACCOUNTS) is not None:
            return
        try:
            made = await self._cluster.create(SERVICE_ACCOUNTS, wanted, namespace)
        except AlreadyExists as error:
            held = await self._cluster.get(SERVICE_ACCOUNTS, name, namespace)
            if belongs(workspace, held):
                return
            owner = controller(held)
            if (
                owner.get("kind") == workspace["kind"]
                and owner.get("name") == workspace["metadata"]["name"]
            ):
                raise Refused(
                    f"what is left of a former workspace of this name (ServiceAccount {name}) is being removed"
                ) from error
            text = f"A ServiceAccount named {name} is there already and belongs to something else. Delete it, or take another name."
            raise Stuck(text) from error
        self._view.accounts.apply(made)

    async def _bindings(self, workspace: Object, kind: Object) -> None:
        """What the kind grants, and nothing that it no longer grants."""
        wanted = {
            binding["metadata"]["name"]: binding
            for binding in manifests.role_bindings(workspace, kind)
        }
        held = {
            binding["metadata"]["name"]
            for binding in self._view.owned(self._view.bindings, workspace)
        }
        namespace = workspace["metadata"]["namespace"]
        for name in wanted.keys() - held:
            try:
                self._view.bindings.apply(
                    await self._cluster.create(ROLE_BINDINGS, wanted[name], namespace)
                )
            except AlreadyExists as error:
                raise Refused(
                    f"a RoleBinding named {name} is there already and belongs to something else"
                ) from error
        for name in held - wanted.keys():
            try:
                await self._cluster.delete(ROLE_BINDINGS, name, namespace)
            except NotFound:
                log.debug("RoleBinding %s/%s was gone already", namespace, name)

    async def _token(self, workspace: Object, kind: Object) -> str | None:
        """The name of the Secret with the workspace's token, made when its kind wants one."""
        if metadata_keys.TOKEN_ENV not in (kind["metadata"].get("annotations") or {}):
            return None
        namespace = workspace["metadata"]["namespace"]
        owned = {
            one["metadata"]["name"]: one
            for one in self._view.owned(self._view.secrets, workspace)
            if is_token_secret(workspace, one)
        }
        for held in self._view.owned(self._view.stateful_sets, workspace):
            name: str | None = (held["spec"]["template"]["metadata"].get("annotations") or {}).get(
                metadata_keys.TOKEN_SECRET
            )
            if name in owned:
                return name
        if owned:
            return str(min(owned.values(), key=age)["metadata"]["name"])
        secret = await self._cluster.create(SECRETS, manifests.token_secret(workspace), namespace)
        self._view.secrets.apply(secret)
        return str(secret["metadata"]["name"])

    async def _service(self, workspace: Object, image: Option) -> None:
        wanted = manifests.service(workspace, image)
        held = self._one(self._view.services, workspace, SERVICES)
        if held is None:
            self._view.services.apply(
                await self._cluster.create(SERVICES, wanted, workspace["metadata"]["namespace"])
            )
            return
        ports = [
            {key: port.get(key) for key in ("name", "port", "targetPort", "protocol")}
            for port in held["spec"].get("ports") or ()
        ]
        shape = {"ports": ports, **{key: held["spec"].get(key) for key in ("type", "selector")}}
        if shape != wanted["spec"] or _LEADS_AWAY & held["spec"].keys():
            kept = {key: value for key, value in held["spec"].items() if key not in _LEADS_AWAY}
            self._view.services.apply(
                await self._cluster.replace(SERVICES, held | {"spec": kept | wanted["spec"]})
            )

    async def _stateful_set(self, workspace: Object, wanted: Object, pod: Object | None) -> None:
        held = self._one(self._view.stateful_sets, workspace, STATEFUL_SETS)
        if held is None:
            self._view.stateful_sets.apply(
                await self._cluster.create(
                    STATEFUL_SETS, wanted, workspace["metadata"]["namespace"]
                )
            )
            return
        replicas, template = wanted["spec"]["replicas"], wanted["spec"]["template"]
        if (
            replicas == 1 == held["spec"].get("replicas")
            and _runs(pod)
            and _only_kind_changed(held, template)
        ):
            return  # a program that runs keeps what it was started with until its user restarts it
        # The API server adds defaults to a template; what it was made from stands in hashes, so these are compared and not the template.
        if held["spec"].get("replicas") != replicas or _made_from(
            held["spec"]["template"]
        ) != _made_from(template):
            changed = held | {"spec": held["spec"] | {"replicas": replicas, "template": template}}
            self._view.stateful_sets.apply(await self._cluster.replace(STATEFUL_SETS, changed))

    def _one(self, view: Reflector, workspace: Object, resource: Resource) -> Object | None:
        owned = self._view.owned(view, workspace)
        if len(owned) > 1:
            found = ", ".join(sorted(one["metadata"]["name"] for one in owned))
            raise Stuck(f"It has more than one {resource.kind} ({found}). Delete the wrong one.")
        return owned[0] if owned else None


def _stable(error: ClusterError, workspace: Object) -> str:
    """Return the error text without generated names, so that retries do not change the status."""
    if error.causes:
        return "; ".join(
            f"{cause.field}: {cause.message}" if cause.field else cause.message
            for cause in error.causes
        )
    return re.sub(
        rf"(ws-{re.escape(workspace['metadata']['name'])}[a-z0-9-]*-)[a-z0-9]{{5}}\b",
        r"\1…",
        error.message,
    )


def _runs(pod: Object | None) -> bool:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or ()
    return any(
        found["name"] == manifests.CONTAINER and "running" in (found.get("state") or {})
        for found in statuses
    )


def _made_from(template: Object) -> tuple[str | None, str | None, str | None]:
    annotations = template["metadata"].get("annotations") or {}
    return (
        annotations.get(manifests.WORKSPACE_HASH),
        annotations.get(metadata_keys.TOKEN_SECRET),
        annotations.get(metadata_keys.KIND_TEMPLATE_HASH),
    )


def _only_kind_changed(held: Object, template: Object) -> bool:
    before, after = _made_from(held["spec"]["template"]), _made_from(template)
    return before[0] == after[0] and before[2] != after[2]
