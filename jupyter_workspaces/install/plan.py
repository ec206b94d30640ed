"""Plans an installation: what would happen to each object, before anything is written.

Objects that this package did not install are never changed or deleted. `Plan.refusals` says why an
installation is not possible.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from jupyter_workspaces._version import __version__
from jupyter_workspaces.kube.catalog import (
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    LEASES,
    NAMESPACES,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import component_names, kubeflow_controller, metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.resources.views import MetadataView

from . import manifests

Action = Literal["create", "change", "keep", "leave", "refuse", "delete"]

MANAGER = "jupyter-workspaces-install"
"""Field manager of the installation in server-side apply."""

CONTROLLER_PARTS = (component_names.CONTROLLER, component_names.WEBHOOK)
_VOLATILE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


@dataclass(frozen=True)
class Step:
    """What happens to one object.

    Attributes:
        action: `leave` keeps an object that this package does not manage; `refuse` makes the whole
            plan impossible.
        obj: the object as it is to be.
        why: reason, for people; empty if the action needs none.
    """

    action: Action
    obj: Object
    why: str = ""

    @property
    def resource(self) -> Resource:
        """Resource type of the object."""
        return manifests.resource(self.obj)

    @property
    def title(self) -> str:
        """Kind, namespace and name of the object, for people."""
        kind, namespace, name = manifests.key(self.obj)
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are carried out.

    Attributes:
        steps: one step for each object.
        kubeflow: where Kubeflow's own controller runs; None if it does not run.
        installed: installed version of this package; None if there is none.
    """

    steps: list[Step]
    kubeflow: str | None = None
    installed: str | None = None

    @property
    def refusals(self) -> list[Step]:
        """Steps that make the plan impossible."""
        return [step for step in self.steps if step.action == "refuse"]

    @property
    def changes(self) -> list[Step]:
        """Steps that write something."""
        return [step for step in self.steps if step.action in ("create", "change", "delete")]


def is_local(version: Object) -> bool:
    """Return whether an answer to `/version` is from a local cluster of this package."""
    return f"+{metadata_keys.LOCAL_BUILD}" in str(version.get("gitVersion", ""))


async def find_kubeflow(cluster: Cluster) -> str | None:
    """Return where Kubeflow's own controller runs; None if it does not run.

    Raises:
        ClusterError: Deployments or Leases cannot be listed.
    """
    deployments = await cluster.list(
        DEPLOYMENTS, field_selector=f"metadata.name={kubeflow_controller.DEPLOYMENT}"
    )
    leases = await cluster.list(LEASES, field_selector=f"metadata.name={kubeflow_controller.LEASE}")
    return kubeflow_controller.find_running(deployments.items, leases.items)


async def installed_version(cluster: Cluster) -> str | None:
    """Return the installed version, from a label of the CRD or the namespace; None without one.

    Raises:
        ClusterError: they cannot be read.
    """
    for resource, name in (
        (CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES)),
        (NAMESPACES, manifests.NAMESPACE),
    ):
        held = await _held(cluster, resource, name)
        if held is not None and is_ours(held):
            return MetadataView(held).labels.get(manifests.VERSION)
    return None


async def obstacle(cluster: Cluster, *, kinds: bool = False) -> str | None:
    """Return advice if `install` would refuse, or would leave out what is missing.

    Args:
        cluster: API server to check.
        kinds: whether the sample kinds are missing, which are installed beside Kubeflow's
            controller too.

    Returns:
        The advice; None if nothing is known to prevent the installation.

    Raises:
        ClusterError: the cluster did not answer.
    """
    try:
        kubeflow = await find_kubeflow(cluster)
        defined = await _held(cluster, CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES))
        installed = await installed_version(cluster)
    except Forbidden:
        return None
    if kubeflow is not None:
        if kinds:
            return None
        return (
            f"Kubeflow's own controller runs in the cluster ({kubeflow}), so `jupyter workspaces "
            "install` does not install this. Ask the administrator of Kubeflow."
        )
    if defined is not None and not is_ours(defined):
        return (
            "The CRDs were not installed by this package, so `jupyter workspaces install` refuses. "
            "Start the controller that they belong to. If they are not needed, delete them, "
            "then install."
        )
    refusal = _version_refusal(installed, upgrade=False)
    return None if refusal is None else f"{refusal[0].upper()}{refusal[1:]}."


def why_not_upgrade(installed: str | None) -> str | None:
    """Return the reason why `upgrade` would refuse, or None if it would not."""
    return _version_refusal(installed, upgrade=True)


async def to_install(
    cluster: Cluster, objects: Iterable[Object], *, crds_only: bool = False, upgrade: bool = False
) -> Plan:
    """Plan an installation with dry runs on the API server. Writes nothing.

    Args:
        cluster: API server.
        objects: the objects to install, in their order.
        crds_only: whether to install the CRDs only.
        upgrade: whether an older installation is to be upgraded.

    Raises:
        ClusterError: the present objects cannot be read.
    """
    wanted = [obj for obj in objects if not crds_only or obj["kind"] == "CustomResourceDefinition"]
    if is_local(await cluster.raw("GET", "/version")):
        why = (
            "this is the local cluster; CRDs, admission rules and controller are part of it, "
            "so there is nothing to install"
        )
        return Plan([Step("refuse", wanted[0], why)])
    kubeflow, installed = await find_kubeflow(cluster), await installed_version(cluster)
    has_namespace = await _held(cluster, NAMESPACES, manifests.NAMESPACE) is not None
    has_crds = await _held(cluster, CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES)) is not None
    steps = []
    for obj in wanted:
        if kubeflow is not None:
            if _is_replaced_by_kubeflow(obj):
                why = f"not needed: Kubeflow's own controller runs in the cluster ({kubeflow})"
                steps.append(Step("leave", obj, why))
                continue
            obj = manifests.without_probe_templates(obj)
        can_dry_run = (
            has_namespace or obj["metadata"].get("namespace") != manifests.NAMESPACE
        ) and (has_crds or obj["kind"] != "WorkspaceKind")
        steps.append(await _step(cluster, obj) if can_dry_run else Step("create", obj))
    if (refusal := _version_refusal(installed, upgrade)) is not None and wanted:
        steps.insert(0, Step("refuse", wanted[0], refusal))
    return Plan(steps, kubeflow, installed)


async def to_uninstall(cluster: Cluster, objects: Iterable[Object], *, crds: bool = False) -> Plan:
    """Plan the removal of an installation, in reverse order.

    Args:
        cluster: API server.
        objects: the objects of an installation, in their order.
        crds: whether to delete the CRDs as well, and with them all workspaces and kinds.

    Raises:
        ClusterError: the present objects cannot be read.
    """
    steps = []
    for obj in reversed(list(objects)):
        name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
        held = await _held(cluster, manifests.resource(obj), name, namespace)
        if held is None:
            continue
        if not is_ours(held):
            steps.append(Step("leave", obj, "it was not installed by this package"))
        elif obj["kind"] == "CustomResourceDefinition" and not crds:
            why = "kept, with all workspaces and kinds; --with-crds deletes them"
            steps.append(Step("leave", obj, why))
        else:
            steps.append(Step("delete", obj))
    return Plan(steps, None, await installed_version(cluster))


def is_ours(obj: Object) -> bool:
    """Return whether an object was installed by this package."""
    return MetadataView(obj).labels.get(manifests.PART_OF) == manifests.NAMESPACE


def crd_name(resource: Resource) -> str:
    """Return the name of the CustomResourceDefinition of a resource type."""
    return f"{resource.plural}.{resource.group}"


async def _step(cluster: Cluster, obj: Object) -> Step:
    """Return the step for an object that the API server can check by a dry run."""
    resource = manifests.resource(obj)
    name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
    held = await _held(cluster, resource, name, namespace)
    if held is not None and not is_ours(held):
        return Step("refuse", obj, _foreign(held))
    try:
        applied = await cluster.apply(resource, obj, manager=MANAGER, dry_run=True)
    except Conflict as error:
        return Step("refuse", obj, f"another field manager owns parts of it: {error.message}")
    except ClusterError as error:
        return Step("refuse", obj, error.message)
    if held is None:
        return Step("create", obj)
    return Step("keep" if _content(held) == _content(applied) else "change", obj)


def _foreign(held: Object) -> str:
    """Return the reason to refuse an object that exists and is not ours."""
    entries = held["metadata"].get("managedFields") or ()
    managers = ", ".join(sorted({entry.get("manager", "?") for entry in entries})) or "unknown"
    advice = "Delete it first if it is not needed."
    if held["kind"] == "CustomResourceDefinition":
        advice = (
            "Another controller may need it, and its objects would change. Remove that controller "
            "and its CRDs first, or use the present ones."
        )
    return f"it exists and was not installed by this package (field managers: {managers}). {advice}"


def _version_refusal(installed: str | None, upgrade: bool) -> str | None:
    """Return the reason why this version cannot be installed over the present one, or None."""
    if installed is None:
        if not upgrade:
            return None
        return "nothing is installed; use `jupyter workspaces install`"
    try:
        present, ours = Version(installed), Version(__version__)
    except InvalidVersion:
        return f"the installed version {installed!r} is not valid; uninstall it first"
    if present > ours:
        return (
            f"version {present} is installed, and this package is version {ours}; a downgrade is "
            "not supported. Upgrade this package, then try again"
        )
    if present < ours and not upgrade:
        return f"version {present} is installed; use `jupyter workspaces upgrade`"
    return None


def _is_replaced_by_kubeflow(obj: Object) -> bool:
    """Return whether Kubeflow installs its own version: CRDs, controller and webhook."""
    return (
        obj["kind"] in ("CustomResourceDefinition", "ValidatingWebhookConfiguration")
        or obj["metadata"]["name"] in CONTROLLER_PARTS
    )


async def _held(
    cluster: Cluster, resource: Resource, name: str, namespace: str | None = None
) -> Object | None:
    """Return the present object, or None."""
    try:
        return await cluster.get(resource, name, namespace)
    except NotFound:
        return None


def _content(obj: Object) -> Object:
    """Return an object without status and without what the API server maintains."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in _VOLATILE}
    content = {name: value for name, value in obj.items() if name != "status"}
    return content | {"metadata": metadata}
