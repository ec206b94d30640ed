"""Creates and repairs the objects that a workspace owns.

`OwnedObjects.reconcile` compares the objects in the caches with the manifests of `manifests.py` and
writes the differences. Its exceptions say whether a retry can succeed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import NamedTuple

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
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.views import (
    MetadataView,
    PodView,
    WorkspaceKindView,
    container_state,
)
from jupyter_workspaces.resources.workspace_objects import belongs, is_token_secret

from . import manifests
from .caches import Caches
from .options import Option

log = logging.getLogger(__name__)


_EXTERNAL_FIELDS = frozenset(("externalName", "externalIPs"))
"""Fields that a workspace's Service must not have.

They would send the requests of users, with the token of the workspace, to other programs.
"""


class Stuck(Exception):
    """The workspace cannot run until somebody changes something. The message says what."""


class NotAccepted(Stuck):
    """The cluster refused an invalid object. A retry would fail again."""


class Refused(Exception):
    """The cluster did not allow a write, but may do so later. The message says why.

    Reasons are a quota, or objects of an earlier workspace that are still being deleted.
    """


class NotAllowed(Refused):
    """The cluster did not permit a write (a quota, a policy). A retry may succeed."""


class OwnedObjects:
    """The objects that workspaces own; `reconcile` runs once at a time for each workspace."""

    def __init__(self, cluster: Cluster, caches: Caches) -> None:
        """Use `cluster` for writes and `caches` for reads."""
        self._cluster, self._caches = cluster, caches

    async def reconcile(
        self, workspace: Object, kind: Object, options: Mapping[str, Option], pod: Object | None
    ) -> None:
        """Make all objects of a workspace match its spec and its kind.

        Args:
            workspace: the Workspace.
            kind: its WorkspaceKind.
            options: its options by dimension.
            pod: its pod, or None.

        Raises:
            Stuck: an object is in the way, or the cluster refuses an invalid one.
            GenerateError: the kind is not valid.
            Refused: the cluster does not allow a write now.
            ClusterError: the API server did not answer, or a write conflicts with another one.
        """
        try:
            await self._service_account(workspace)
            await self._role_bindings(workspace, kind)
            token = await self._token_secret(workspace, kind)
            image, size = options["imageConfig"], options["podConfig"]
            await self._service(workspace, image)
            wanted = manifests.stateful_set(workspace, kind, image, size, token)
            await self._stateful_set(workspace, wanted, pod)
        except (Invalid, BadRequest) as error:
            raise NotAccepted(
                "The cluster does not accept the objects of this workspace: "
                f"{_stable_message(error, workspace)}. "
                f"Ask your administrator to fix the workspace kind {kind['metadata']['name']}."
            ) from error
        except Forbidden as error:
            raise NotAllowed(_stable_message(error, workspace)) from error

    async def scale_down(self, workspace: Object) -> None:
        """Stop the pod of a workspace. Works without its kind, so that any workspace can pause."""
        for held in self._caches.owned(self._caches.stateful_sets, workspace):
            if held["spec"].get("replicas") != 0:
                changed = held | {"spec": held["spec"] | {"replicas": 0}}
                answer = await self._cluster.replace(STATEFUL_SETS, changed)
                self._caches.stateful_sets.apply(answer)

    async def _service_account(self, workspace: Object) -> None:
        wanted = manifests.service_account(workspace)
        name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
        if self._single(self._caches.accounts, workspace, SERVICE_ACCOUNTS) is not None:
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
                    f"the ServiceAccount {name} of an earlier workspace of this name "
                    "is being deleted"
                ) from error
            raise Stuck(
                f"A ServiceAccount {name} exists already and does not belong to the workspace. "
                "Delete it, or create a workspace with another name."
            ) from error
        self._caches.accounts.apply(made)

    async def _role_bindings(self, workspace: Object, kind: Object) -> None:
        """Create the RoleBindings that the kind grants, and delete those that it does not."""
        wanted = {
            binding["metadata"]["name"]: binding
            for binding in manifests.role_bindings(workspace, kind)
        }
        held = {
            binding["metadata"]["name"]
            for binding in self._caches.owned(self._caches.bindings, workspace)
        }
        namespace = workspace["metadata"]["namespace"]
        for name in wanted.keys() - held:
            try:
                made = await self._cluster.create(ROLE_BINDINGS, wanted[name], namespace)
            except AlreadyExists as error:
                raise Refused(
                    f"a RoleBinding {name} exists already and does not belong to the workspace"
                ) from error
            self._caches.bindings.apply(made)
        for name in held - wanted.keys():
            try:
                await self._cluster.delete(ROLE_BINDINGS, name, namespace)
            except NotFound:
                log.debug("RoleBinding %s/%s was already deleted", namespace, name)

    async def _token_secret(self, workspace: Object, kind: Object) -> str | None:
        """Return the name of the Secret with the token, creating it if the kind takes one."""
        if metadata_keys.TOKEN_ENV not in WorkspaceKindView(kind).annotations:
            return None
        namespace = workspace["metadata"]["namespace"]
        owned = {
            secret["metadata"]["name"]: secret
            for secret in self._caches.owned(self._caches.secrets, workspace)
            if is_token_secret(workspace, secret)
        }
        for held in self._caches.owned(self._caches.stateful_sets, workspace):
            in_use = MetadataView(held["spec"]["template"]).annotations.get(
                metadata_keys.TOKEN_SECRET
            )
            if in_use in owned:
                return in_use
        if owned:
            return MetadataView(min(owned.values(), key=age)).name
        secret = await self._cluster.create(SECRETS, manifests.token_secret(workspace), namespace)
        self._caches.secrets.apply(secret)
        return MetadataView(secret).name

    async def _service(self, workspace: Object, image: Option) -> None:
        wanted = manifests.service(workspace, image)
        held = self._single(self._caches.services, workspace, SERVICES)
        if held is None:
            namespace = workspace["metadata"]["namespace"]
            made = await self._cluster.create(SERVICES, wanted, namespace)
            self._caches.services.apply(made)
            return
        spec = held["spec"]
        ports = [
            {key: port.get(key) for key in ("name", "port", "targetPort", "protocol")}
            for port in spec.get("ports") or ()
        ]
        compared = {"ports": ports, "type": spec.get("type"), "selector": spec.get("selector")}
        if compared != wanted["spec"] or _EXTERNAL_FIELDS & spec.keys():
            kept = {key: value for key, value in spec.items() if key not in _EXTERNAL_FIELDS}
            changed = held | {"spec": kept | wanted["spec"]}
            self._caches.services.apply(await self._cluster.replace(SERVICES, changed))

    async def _stateful_set(self, workspace: Object, wanted: Object, pod: Object | None) -> None:
        held = self._single(self._caches.stateful_sets, workspace, STATEFUL_SETS)
        if held is None:
            namespace = workspace["metadata"]["namespace"]
            made = await self._cluster.create(STATEFUL_SETS, wanted, namespace)
            self._caches.stateful_sets.apply(made)
            return
        spec, replicas = held["spec"], wanted["spec"]["replicas"]
        template = wanted["spec"]["template"]
        before, after = _Source.of(spec["template"]), _Source.of(template)
        if replicas == 1 == spec.get("replicas") and _runs(pod) and after.only_kind_differs(before):
            return  # a running program keeps the template of its kind until its user restarts it
        # The API server adds defaults to a template, so the annotations are compared instead.
        if spec.get("replicas") != replicas or before != after:
            changed = held | {"spec": spec | {"replicas": replicas, "template": template}}
            self._caches.stateful_sets.apply(await self._cluster.replace(STATEFUL_SETS, changed))

    def _single(self, cache: Reflector, workspace: Object, resource: Resource) -> Object | None:
        """Return the object of a type that the workspace owns, or None. Raises `Stuck` for two."""
        owned = self._caches.owned(cache, workspace)
        if len(owned) > 1:
            names = ", ".join(sorted(one["metadata"]["name"] for one in owned))
            raise Stuck(f"It has more than one {resource.kind} ({names}). Delete the wrong one.")
        return owned[0] if owned else None


class _Source(NamedTuple):
    """What a pod template was made from, as its annotations say."""

    workspace_hash: str | None
    token_secret: str | None
    kind_hash: str | None

    @classmethod
    def of(cls, template: Object) -> _Source:
        annotations = MetadataView(template).annotations
        return cls(
            annotations.get(manifests.WORKSPACE_HASH),
            annotations.get(metadata_keys.TOKEN_SECRET),
            annotations.get(metadata_keys.KIND_TEMPLATE_HASH),
        )

    def only_kind_differs(self, other: _Source) -> bool:
        return self.workspace_hash == other.workspace_hash and self.kind_hash != other.kind_hash


def _stable_message(error: ClusterError, workspace: Object) -> str:
    """Return the message of an error without generated names.

    Otherwise each retry would change the status.
    """
    if error.causes:
        return "; ".join(
            f"{cause.field}: {cause.message}" if cause.field else cause.message
            for cause in error.causes
        )
    generated = rf"(ws-{re.escape(workspace['metadata']['name'])}[a-z0-9-]*-)[a-z0-9]{{5}}\b"
    return re.sub(generated, r"\1…", error.message)


def _runs(pod: Object | None) -> bool:
    if pod is None:
        return False
    return container_state(PodView(pod).main_status, "running") is not None
