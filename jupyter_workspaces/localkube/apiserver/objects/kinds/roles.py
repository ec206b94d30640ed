"""Roles and role bindings."""

from __future__ import annotations

from jupyter_workspaces.kube.causes import (
    Cause,
    invalid,
    not_supported,
    required,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.strategies import Strategy

from .values import Causes, required_name

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ["Group", "ServiceAccount", "User"]


class RoleStrategy(Strategy):
    """Rules of Roles and ClusterRoles."""

    def __init__(self, *, of_paths: bool = False) -> None:
        """Create it.

        Args:
            of_paths: whether rules on paths are allowed, as in ClusterRoles.
        """
        self._of_paths = of_paths

    def name_problem(self, name: str) -> str | None:
        """Return why a name is invalid, or None."""
        return name_rules.path_segment(name)

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        causes: list[Cause] = []
        for index, rule in enumerate(obj.get("rules") or ()):
            causes += self._check_rule(rule, f"rules[{index}]")
        return causes

    def _check_rule(self, rule: Object, path: str) -> Causes:
        if not rule.get("verbs"):
            yield required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if not self._of_paths:
                yield invalid(
                    f"{path}.nonResourceURLs",
                    rule["nonResourceURLs"],
                    "namespaced rules cannot apply to non-resource URLs",
                )
            elif rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                yield invalid(
                    f"{path}.nonResourceURLs",
                    rule["nonResourceURLs"],
                    "a rule applies either to resources or to paths",
                )
            return
        for field in ("apiGroups", "resources"):
            if not rule.get(field):
                yield required(f"{path}.{field}", f"a rule on resources must have {field}")


class BindingStrategy(Strategy):
    """Rules of RoleBindings and ClusterRoleBindings."""

    def __init__(self, *, of_cluster: bool = False) -> None:
        """Create it.

        Args:
            of_cluster: whether only ClusterRoles are allowed, as in ClusterRoleBindings.
        """
        self._of_cluster = of_cluster

    def name_problem(self, name: str) -> str | None:
        """Return why a name is invalid, or None."""
        return name_rules.path_segment(name)

    def default(self, obj: Object) -> None:
        """Fill in defaults, in place."""
        obj["roleRef"]["apiGroup"] = obj["roleRef"]["apiGroup"] or GROUP
        for subject in obj.get("subjects") or ():
            if subject["kind"] in ("User", "Group"):
                subject.setdefault("apiGroup", GROUP)

    def check(self, obj: Object, old: Object | None) -> list[Cause]:
        """Return what is invalid."""
        causes = list(self._check_reference(obj["roleRef"]))
        for index, subject in enumerate(obj.get("subjects") or ()):
            causes += self._check_subject(subject, f"subjects[{index}]")
        if old is not None and obj["roleRef"] != old["roleRef"]:
            causes.append(invalid("roleRef", obj["roleRef"], "cannot change roleRef"))
        return causes

    def _check_reference(self, reference: Object) -> Causes:
        kinds = ["ClusterRole"] if self._of_cluster else ["ClusterRole", "Role"]
        if reference["apiGroup"] != GROUP:
            yield not_supported("roleRef.apiGroup", reference["apiGroup"], [GROUP])
        if reference["kind"] not in kinds:
            yield not_supported("roleRef.kind", reference["kind"], kinds)
        yield from required_name("roleRef.name", reference["name"], name_rules.path_segment)

    def _check_subject(self, subject: Object, path: str) -> Causes:
        kind, group = subject["kind"], subject.get("apiGroup", "")
        if not subject["name"]:
            yield required(f"{path}.name")
        if kind not in _SUBJECTS:
            yield not_supported(f"{path}.kind", kind, _SUBJECTS)
            return
        account = kind == "ServiceAccount"
        if group != ("" if account else GROUP):
            yield not_supported(f"{path}.apiGroup", group, ["" if account else GROUP])
        if account and (problem := name_rules.subdomain(subject["name"])) and subject["name"]:
            yield invalid(f"{path}.name", subject["name"], problem)
        if account and self._of_cluster and not subject.get("namespace"):
            yield required(f"{path}.namespace")
