"""Default roles and bindings of every cluster, which are restored at each start.

Only roles that users, programs in pods and clients need are here, not those of Kubernetes'
components. Their rules are those of API server 1.36. Source: Kubernetes docs, "Using RBAC
Authorization", Default roles and role bindings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from jupyter_workspaces.kube.catalog import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.engine import Engine

from . import policy_rules
from .policy_rules import Rule
from .users import (
    ACCOUNTS,
    AUTHENTICATED,
    MASTERS,
    UNAUTHENTICATED,
)

Rules = tuple[Rule, ...]

BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_ALL = tuple(sorted(_READ + _WRITE))


def _on(verbs: tuple[str, ...], group: str | tuple[str, ...], resources: str) -> Rule:
    return Rule(verbs, (group,) if isinstance(group, str) else group, tuple(resources.split()))


def _paths(urls: str) -> Rule:
    return Rule(("get",), urls=tuple(urls.split()))


_EVENTS = ("", "events.k8s.io")

_VIEW: Rules = (
    _on(
        _READ,
        "",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods "
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services "
        "services/status",
    ),
    _on(
        _READ,
        "",
        "bindings limitranges namespaces/status pods/log pods/status "
        "replicationcontrollers/status resourcequotas resourcequotas/status",
    ),
    _on(_READ, "", "namespaces"),
    _on(_READ, _EVENTS, "events"),
    _on(_READ, "discovery.k8s.io", "endpointslices"),
    _on(
        _READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale "
        "deployments/status replicasets replicasets/scale replicasets/status statefulsets "
        "statefulsets/scale statefulsets/status",
    ),
    _on(_READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    _on(_READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    _on(
        _READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses "
        "ingresses/status networkpolicies replicasets replicasets/scale replicasets/status "
        "replicationcontrollers/scale",
    ),
    _on(_READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    _on(_READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
    _on(_READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
)

_EDIT: Rules = (
    _on(_READ, "", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    _on(("impersonate",), "", "serviceaccounts"),
    _on(_WRITE, "", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    _on(("create",), "", "pods/eviction"),
    _on(
        _WRITE,
        "",
        "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale "
        "secrets serviceaccounts services services/proxy",
    ),
    _on(("create",), "", "serviceaccounts/token"),
    _on(_WRITE, _EVENTS, "events"),
    _on(
        _WRITE,
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets "
        "replicasets/scale statefulsets statefulsets/scale",
    ),
    _on(_WRITE, "autoscaling", "horizontalpodautoscalers"),
    _on(_WRITE, "batch", "cronjobs jobs"),
    _on(
        _WRITE,
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies "
        "replicasets replicasets/scale replicationcontrollers/scale",
    ),
    _on(_WRITE, "policy", "poddisruptionbudgets"),
    _on(_WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    _on(_ALL, "coordination.k8s.io", "leases"),
    _on(_WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
)

_ADMIN: Rules = (
    _on(("create",), "authorization.k8s.io", "localsubjectaccessreviews"),
    _on(_ALL, CLUSTER_ROLES.group, "rolebindings roles"),
)

_RULES: dict[str, Rules] = {
    "cluster-admin": (Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",))),
    "system:aggregate-to-admin": _ADMIN,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:auth-delegator": (
        _on(("create",), "authentication.k8s.io", "tokenreviews"),
        _on(("create",), "authorization.k8s.io", "subjectaccessreviews"),
    ),
    "system:basic-user": (
        _on(
            ("create",), "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"
        ),
        _on(("create",), "authentication.k8s.io", "selfsubjectreviews"),
    ),
    "system:discovery": (
        _paths(
            "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version "
            "/version/"
        ),
    ),
    "system:monitoring": (
        _paths(
            "/flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* "
            "/statusz"
        ),
        _on(("get",), "", "nodes/metrics"),
    ),
    "system:public-info-viewer": (_paths("/healthz /livez /readyz /version /version/"),),
    "system:service-account-issuer-discovery": (
        _paths(
            "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks "
            "/openid/v1/jwks/"
        ),
    ),
}

_AGGREGATED = {"admin": "", "edit": "admin", "view": "edit"}
"""Aggregated roles, and the role that each is aggregated to."""

_BOUND: dict[str, tuple[str, ...]] = {
    "cluster-admin": (MASTERS,),
    "system:basic-user": (AUTHENTICATED,),
    "system:discovery": (AUTHENTICATED,),
    "system:monitoring": ("system:monitoring",),
    "system:public-info-viewer": (AUTHENTICATED, UNAUTHENTICATED),
    "system:service-account-issuer-discovery": (ACCOUNTS,),
}


def ensure(engine: Engine) -> None:
    """Create missing roles and bindings, and add missing rules and subjects.

    An object with the annotation `rbac.authorization.kubernetes.io/autoupdate: "false"` is not
    changed.

    Raises:
        Refusal: if a write is rejected.
    """
    for manifest in _roles():
        _put(engine, manifest, _with_rules)
    for manifest in _bindings():
        _put(engine, manifest, _with_subjects)


def _put(engine: Engine, manifest: Object, changed: Callable[[Object, Object], Object]) -> None:
    row = engine.registry.by_kind(manifest["apiVersion"], manifest["kind"])
    assert row is not None
    name = manifest["metadata"]["name"]
    held = engine.store.get(row.name, "", name)
    if held is None:
        engine.create(row, "", manifest)
        return
    old = row.decode(held)
    metadata = old["metadata"]
    if (metadata.get("annotations") or {}).get(AUTOUPDATE) == "false":
        return
    kept = {
        key: manifest["metadata"][key] | (metadata.get(key) or {})
        for key in ("labels", "annotations")
    }
    new = changed(old, manifest) | {"metadata": metadata | kept}
    if new != old:
        engine.patch(row, "", name, lambda held: new)


def _with_rules(old: Object, wanted: Object) -> Object:
    if "aggregationRule" in wanted:
        return old | {"aggregationRule": old.get("aggregationRule") or wanted["aggregationRule"]}
    if old.get("rules") == wanted["rules"]:
        return old
    lacking = policy_rules.compact(
        policy_rules.missing(
            policy_rules.read(wanted["rules"]), policy_rules.read(old.get("rules"))
        )
    )
    return (
        old | {"rules": [*(old.get("rules") or ()), *(rule.document() for rule in lacking)]}
        if lacking
        else old
    )


def _with_subjects(old: Object, wanted: Object) -> Object:
    held = old.get("subjects") or []
    lacking = [subject for subject in wanted["subjects"] if subject not in held]
    return old | {"subjects": [*held, *lacking]} if lacking else old


def _roles() -> Iterator[Object]:
    for name, held in _RULES.items():
        part = name.removeprefix("system:aggregate-to-")
        yield _manifest(CLUSTER_ROLES.kind, name, part if part != name else "") | {
            "rules": [rule.document() for rule in held]
        }
    for name, part in _AGGREGATED.items():
        selector = {"matchLabels": {f"{_AGGREGATE}{name}": "true"}}
        yield _manifest(CLUSTER_ROLES.kind, name, part) | {
            "aggregationRule": {"clusterRoleSelectors": [selector]}
        }


def _bindings() -> Iterator[Object]:
    for name, groups in _BOUND.items():
        yield _manifest(CLUSTER_ROLE_BINDINGS.kind, name) | {
            "roleRef": {"apiGroup": CLUSTER_ROLES.group, "kind": CLUSTER_ROLES.kind, "name": name},
            "subjects": list(_groups(groups)),
        }


def _groups(names: Iterable[str]) -> Iterator[Object]:
    for name in names:
        yield {"kind": "Group", "apiGroup": CLUSTER_ROLES.group, "name": name}


def _manifest(kind: str, name: str, part: str = "") -> Object:
    labels = BOOTSTRAPPING | ({f"{_AGGREGATE}{part}": "true"} if part else {})
    return {
        "apiVersion": CLUSTER_ROLES.api_version,
        "kind": kind,
        "metadata": {"name": name, "labels": labels, "annotations": {AUTOUPDATE: "true"}},
    }
