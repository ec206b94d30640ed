"""What an installation would do to a cluster, object by object, before anything is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

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
from jupyter_workspaces.resources import component_names, kubeflow_controller, metadata_keys
from jupyter_workspaces.resources.catalog import WORKSPACES

from . import manifests

Object = dict[str, Any]
Action = Literal["create", "change", "keep", "leave", "refuse", "delete"]

MANAGER = "jupyter-workspaces-install"
CONTROLLER_PARTS = (component_names.CONTROLLER, component_names.WEBHOOK)
_VOLATILE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


@dataclass(frozen=True)
class Step:
    """`why` is for people; empty where the action says all. `leave` is somebody else's and no harm, `refuse` stops everything."""

    action: Action
    obj: Object
    why: str = ""

    @property
    def resource(self) -> Resource:
        return manifests.resource(self.obj)

    @property
    def title(self) -> str:
        kind, namespace, name = manifests.key(self.obj)
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


@dataclass(frozen=True)
class Plan:
    """`kubeflow` is where Kubeflow's own controller runs, `installed` the version of ours that is there."""

    steps: list[Step]
    kubeflow: str | None = None
    installed: str | None = None

    @property
    def refusals(self) -> list[Step]:
        return [step for step in self.steps if step.action == "refuse"]

    @property
    def changes(self) -> list[Step]:
        return [step for step in self.steps if step.action in ("create", "change", "delete")]


def is_local(version: Object) -> bool:
    """Whether `/version` is that of a cluster of ours, to which definitions, rules and controller belong, however one came to it."""
    return f"+{metadata_keys.LOCAL_BUILD}" in str(version.get("gitVersion", ""))


async def find_kubeflow(cluster: Cluster) -> str | None:
    """Where Kubeflow's own controller runs. Raises `ClusterError`, `Forbidden` when that cannot be seen."""
    deployments = await cluster.list(
        DEPLOYMENTS, field_selector=f"metadata.name={kubeflow_controller.DEPLOYMENT}"
    )
    leases = await cluster.list(LEASES, field_selector=f"metadata.name={kubeflow_controller.LEASE}")
    return kubeflow_controller.find_running(deployments.items, leases.items)


async def installed_version(cluster: Cluster) -> str | None:
    """Of ours, by the label of its CRD, else of its namespace. Raises `ClusterError`."""
    for resource, name in (
        (CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES)),
        (NAMESPACES, manifests.NAMESPACE),
    ):
        held = await _held(cluster, resource, name)
        if held is not None and is_ours(held):
            return _labels(held).get(manifests.VERSION)
    return None


async def obstacle(cluster: Cluster, *, kinds: bool = False) -> str | None:
    """What to do instead where `install` would refuse, or leave out what is missing; None when nothing is known to be in its way.

    `kinds` is for sample kinds, which are installed beside Kubeflow's own controller, too. Raises `ClusterError`.
    """
    try:
        kubeflow = await find_kubeflow(cluster)
        defined = await _held(cluster, CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES))
        installed = await installed_version(cluster)
    except Forbidden:
        return None
    if kubeflow is not None:
        left_out = f"Kubeflow's own controller runs here ({kubeflow}), so `jupyter workspaces install` leaves this out."
        return None if kinds else f"{left_out} Ask who manages Kubeflow."
    if defined is not None and not is_ours(defined):
        return (
            "The definitions were not installed by us, so `jupyter workspaces install` refuses. "
            "Start the controller that they belong to; or, if nobody needs it, take them out first, then install."
        )
    why = _wrong_version(installed, upgrade=False)
    return None if why is None else f"{why[0].upper()}{why[1:]}."


def why_not_upgrade(installed: str | None) -> str | None:
    """Why `upgrade` would refuse, None when it would not."""
    return _wrong_version(installed, upgrade=True)


async def to_install(
    cluster: Cluster, objects: Iterable[Object], *, crds_only: bool = False, upgrade: bool = False
) -> Plan:
    """Looks, and asks the API server by dry runs; writes nothing. Raises `ClusterError` when it may not even look."""
    wanted = [obj for obj in objects if not crds_only or obj["kind"] == "CustomResourceDefinition"]
    if is_local(await cluster.raw("GET", "/version")):
        return Plan(
            [
                Step(
                    "refuse",
                    wanted[0],
                    "this is the local cluster: definitions, rules and the controller are part of it. Just use it.",
                )
            ]
        )
    kubeflow, installed = await find_kubeflow(cluster), await installed_version(cluster)
    namespace_there = await _held(cluster, NAMESPACES, manifests.NAMESPACE) is not None
    defined = await _held(cluster, CUSTOM_RESOURCE_DEFINITIONS, crd_name(WORKSPACES)) is not None
    steps = []
    for obj in wanted:
        if kubeflow is not None and _of_controller(obj):
            steps.append(
                Step(
                    "leave",
                    obj,
                    f"Kubeflow's own controller runs here ({kubeflow}); ours stands back",
                )
            )
            continue
        if kubeflow is not None:
            obj = manifests.without_probe_templates(obj)
        possible = (
            namespace_there or obj["metadata"].get("namespace") != manifests.NAMESPACE
        ) and (defined or obj["kind"] != "WorkspaceKind")
        steps.append(await _step(cluster, obj, possible))
    if (refusal := _wrong_version(installed, upgrade)) is not None and wanted:
        steps.insert(0, Step("refuse", wanted[0], refusal))
    return Plan(steps, kubeflow, installed)


async def to_uninstall(cluster: Cluster, objects: Iterable[Object], *, crds: bool = False) -> Plan:
    """What is ours, in reverse order; CRDs, and with them all workspaces and kinds, only when asked. Raises `ClusterError`."""
    steps = []
    for obj in reversed(list(objects)):
        held = await _held(
            cluster,
            manifests.resource(obj),
            obj["metadata"]["name"],
            obj["metadata"].get("namespace"),
        )
        if held is None:
            continue
        if not is_ours(held):
            steps.append(Step("leave", obj, "it was not installed by us"))
        elif obj["kind"] == "CustomResourceDefinition" and not crds:
            steps.append(
                Step(
                    "leave",
                    obj,
                    "it stays, and with it all workspaces and kinds; --with-crds deletes them too",
                )
            )
        else:
            steps.append(Step("delete", obj))
    return Plan(steps, None, await installed_version(cluster))


def is_ours(obj: Object) -> bool:
    return _labels(obj).get(manifests.PART_OF) == manifests.NAMESPACE


def crd_name(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}"


async def _step(cluster: Cluster, obj: Object, possible: bool) -> Step:
    resource = manifests.resource(obj)
    name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
    if not possible:
        return Step("create", obj)
    held = await _held(cluster, resource, name, namespace)
    if held is not None and not is_ours(held):
        who = (
            ", ".join(
                sorted(
                    {
                        entry.get("manager", "?")
                        for entry in held["metadata"].get("managedFields") or ()
                    }
                )
            )
            or "unknown"
        )
        hint = (
            "Take it out first if nobody needs it any more."
            if obj["kind"] != "CustomResourceDefinition"
            else _crd_hint()
        )
        return Step(
            "refuse", obj, f"there is one that was not installed by us (written by: {who}). {hint}"
        )
    try:
        would_be = await cluster.apply(resource, obj, manager=MANAGER, dry_run=True)
    except Conflict as error:
        return Step("refuse", obj, f"somebody else manages parts of it: {error.message}")
    except ClusterError as error:
        return Step("refuse", obj, error.message)
    if held is None:
        return Step("create", obj)
    return Step("keep" if _content(held) == _content(would_be) else "change", obj)


def _crd_hint() -> str:
    return "Another controller may still need it: its objects would change their meaning. Take that out first, or use what is there."


def _wrong_version(installed: str | None, upgrade: bool) -> str | None:
    if installed is None:
        return (
            "nothing of ours is installed, so there is nothing to upgrade; use `jupyter workspaces install`"
            if upgrade
            else None
        )
    try:
        there, ours = Version(installed), Version(__version__)
    except InvalidVersion:
        return f"the installed version {installed!r} cannot be read; take it out first"
    if there > ours:
        return f"version {there} is installed, and this package is {ours}: going back is not supported. Upgrade the package, then try again"
    if there < ours and not upgrade:
        return f"version {there} is installed; `jupyter workspaces upgrade` brings it to {ours}"
    return None


def _of_controller(obj: Object) -> bool:
    """The controller, its webhook, and the CRDs, which then are Kubeflow's."""
    name = obj["metadata"]["name"]
    return (
        obj["kind"] in ("CustomResourceDefinition", "ValidatingWebhookConfiguration")
        or name in CONTROLLER_PARTS
    )


async def _held(
    cluster: Cluster, resource: Resource, name: str, namespace: str | None = None
) -> Object | None:
    try:
        return await cluster.get(resource, name, namespace)
    except NotFound:
        return None


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _content(obj: Object) -> Object:
    metadata = {field: value for field, value in obj["metadata"].items() if field not in _VOLATILE}
    return {
        **{field: value for field, value in obj.items() if field != "status"},
        "metadata": metadata,
    }
