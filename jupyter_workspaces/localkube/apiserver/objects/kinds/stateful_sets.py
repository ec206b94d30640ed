"""StatefulSets."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_workspaces.kube.causes import (
    Cause,
    forbidden,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.labels import check_labels, check_selector
from jupyter_workspaces.kube.selectors import matches
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.metadata import check_annotations
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .claims import check_claim, default_claim
from .pod_specs.pod_defaults import default_pod_spec
from .pod_specs.pod_rules import check_pod_spec
from .values import (
    Causes,
    at_least,
    one_of,
    valid_name,
)

_MAY_CHANGE = (
    "minReadySeconds",
    "ordinals",
    "persistentVolumeClaimRetentionPolicy",
    "replicas",
    "revisionHistoryLimit",
    "template",
    "updateStrategy",
)


class StatefulSetStrategy(Strategy):
    """Rules of StatefulSets."""

    has_generation = True

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
        spec.setdefault("podManagementPolicy", "OrderedReady")
        spec.setdefault("revisionHistoryLimit", 10)
        _default_updates(spec["updateStrategy"])
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        for event in ("whenDeleted", "whenScaled"):
            retention.setdefault(event, "Retain")
        for claim in spec.get("volumeClaimTemplates") or ():
            claim |= {"kind": "PersistentVolumeClaim", "apiVersion": "v1"}
            default_claim(claim)
        default_pod_spec(spec["template"]["spec"])

    def prepare(self, obj: Object, old: Object | None) -> None:
        """Set the fields that only the server may set, in place."""
        if old is None:
            obj["status"] = {"replicas": 0, "availableReplicas": 0}

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        spec = obj["spec"]
        causes = list(_check_numbers(spec))
        causes += _check_updates(spec["updateStrategy"])
        causes += _check_retention(spec["persistentVolumeClaimRetentionPolicy"])
        if old is None:
            causes += valid_name("spec.serviceName", spec.get("serviceName"), name_rules.label)
            for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
                causes += check_claim(claim["spec"], f"spec.volumeClaimTemplates[{index}].spec")
        causes += _check_selected(spec)
        causes += _check_template(spec)
        if old is not None and _kept(spec) != _kept(old["spec"]):
            causes.append(
                forbidden(
                    "spec", f"updates to fields other than {', '.join(_MAY_CHANGE)} are forbidden"
                )
            )
        return causes


def _default_updates(strategy: Object) -> None:
    if "type" not in strategy:
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)


def _kept(spec: Object) -> Object:
    return {field: value for field, value in spec.items() if field not in _MAY_CHANGE}


def _check_numbers(spec: Object) -> Causes:
    if (policy := spec["podManagementPolicy"]) not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", policy, "must be OrderedReady or Parallel")
    yield from at_least("spec.replicas", spec["replicas"])
    yield from at_least("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from at_least("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))


def _check_updates(strategy: Object) -> Causes:
    rolling = strategy.get("rollingUpdate")
    match strategy["type"]:
        case "OnDelete":
            if rolling is not None:
                yield invalid(
                    "spec.updateStrategy.rollingUpdate",
                    rolling,
                    "only allowed for the type RollingUpdate",
                )
        case "RollingUpdate":
            yield from at_least(
                "spec.updateStrategy.rollingUpdate.partition", (rolling or {}).get("partition")
            )
        case _:
            yield invalid(
                "spec.updateStrategy", strategy, "must be of the type RollingUpdate or OnDelete"
            )


def _check_retention(policy: Mapping[str, str]) -> Causes:
    for event in ("whenDeleted", "whenScaled"):
        yield from one_of(
            f"spec.persistentVolumeClaimRetentionPolicy.{event}",
            policy[event],
            ["Delete", "Retain"],
        )


def _check_selected(spec: Object) -> Causes:
    """Require that the selector matches the labels of the pod template."""
    selector, labels = spec.get("selector"), spec["template"]["metadata"].get("labels") or {}
    wrong = list(check_selector(selector, "spec.selector"))
    yield from wrong
    if selector is None:
        yield required("spec.selector")
    elif not selector:
        yield invalid("spec.selector", selector, "empty selector is invalid for statefulset")
    elif wrong:
        yield invalid("spec.selector", selector, "cannot be used")
    if selector is None or (selector and not wrong and not matches(selector, labels)):
        yield invalid(
            "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
        )


def _check_template(spec: Object) -> Causes:
    """Check the pod template with the volumes of the set's own claims."""
    template, claims = spec["template"], spec.get("volumeClaimTemplates") or []
    metadata, pod = template["metadata"], template["spec"]
    selector = spec.get("selector")
    if selector is not None and any(check_selector(selector, "")):
        return  # as Kubernetes, which checks the template only with a valid selector
    added = {
        name: {"name": name, "persistentVolumeClaim": {"claimName": name}}
        for name in (claim["metadata"].get("name", "") for claim in claims)
    }
    volumes = [
        *added.values(),
        *(volume for volume in pod.get("volumes") or () if volume["name"] not in added),
    ]
    looked = {
        field: value for field, value in pod.items() if field not in ("hostname", "subdomain")
    } | {"volumes": volumes}
    yield from check_pod_spec(looked, "spec.template.spec")
    for at in ("spec.template.labels", "spec.template.metadata.labels"):
        yield from check_labels(metadata.get("labels"), at)
    yield from check_annotations(metadata, "spec.template.annotations")
    if pod["restartPolicy"] != "Always":
        yield not_supported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"])
    if "activeDeadlineSeconds" in pod:
        yield forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            "is not allowed in the pods of a StatefulSet",
        )
