"""Whether a user may do what a request asks: by RBAC, and refused in Kubernetes' own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.localkube.apiserver.http.requests import Target, flag
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.objects.selectors import exact_name

from .policy_rules import quoted
from .rbac import Rbac
from .users import MASTERS, User

_VERBS = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "GET": "get",
    "HEAD": "get",
}


@dataclass(frozen=True)
class Attributes:
    """What is attributes: a verb on a resource, or (with `path`) on a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.verb} path {quoted(self.path)}"
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        where = (
            f"in the namespace {quoted(self.namespace)}"
            if self.namespace
            else "at the cluster scope"
        )
        return f"{self.verb} resource {quoted(resource)} in API group {quoted(self.group)} {where}"


@dataclass(frozen=True)
class Decision:
    """`reason` says what allowed it; of a denial, what could not be resolved."""

    allowed: bool
    reason: str = ""


def resource_attributes(method: str, target: Target, query: Mapping[str, str]) -> Attributes:
    """What a request on a resource asks (Kubernetes docs, “Authorization”, “Determine the request verb”)."""
    verb, name = _VERBS.get(method, method.lower()), target.name or ""
    if not name:
        if verb == "get":
            verb = "watch" if flag(query, "watch") else "list"
            name = exact_name(query.get("fieldSelector")) or ""
        elif verb == "delete":
            verb = "deletecollection"
    namespace = target.namespace or ""
    if not target.group and target.plural == "namespaces":
        namespace = name if target.name else ""
    return Attributes(verb, target.group, target.plural, target.subresource or "", namespace, name)


def path_attributes(method: str, path: str) -> Attributes:
    return Attributes(method.lower(), path=path)


class Authorizer:
    """Masters may everything, everybody else what RBAC grants."""

    def __init__(self, rbac: Rbac) -> None:
        self.rbac = rbac

    def decide(self, user: User, attributes: Attributes) -> Decision:
        if MASTERS in user.groups:
            return Decision(True)
        held = self.rbac.rules_of(user, "" if attributes.path else attributes.namespace)
        for found in held.granted:
            if attributes.path:
                allowed = not found.binding.namespace and found.rule.allows_path(
                    attributes.verb, attributes.path
                )
            else:
                allowed = found.rule.allows(
                    attributes.verb,
                    attributes.group,
                    attributes.resource,
                    attributes.subresource,
                    attributes.name,
                )
            if allowed:
                return Decision(True, found.binding.reason(found.subject))
        return Decision(False, f"RBAC: {aggregate(held.errors)}" if held.errors else "")

    def check(self, user: User, attributes: Attributes) -> None:
        """Raises `Refusal` 403."""
        decision = self.decide(user, attributes)
        if not decision.allowed:
            raise forbidden(user, attributes, decision.reason)


def forbidden(user: User, attributes: Attributes, reason: str = "") -> Refusal:
    why = f"User {quoted(user.name)} cannot {attributes}" + (f": {reason}" if reason else "")
    return refusal(attributes, why)


def refusal(attributes: Attributes, why: str) -> Refusal:
    """403 about a resource (or a path), for a reason of any kind."""
    if attributes.path:
        return Refusal(403, "Forbidden", f"forbidden: {why}", details={})
    title = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    named = f" {quoted(attributes.name)}" if attributes.name else ""
    pairs: tuple[tuple[str, Any], ...] = (
        ("name", attributes.name),
        ("group", attributes.group),
        ("kind", attributes.resource),
    )
    return Refusal(
        403,
        "Forbidden",
        f"{title}{named} is forbidden: {why}",
        details={key: value for key, value in pairs if value},
    )


def aggregate(errors: tuple[str, ...]) -> str:
    """Several errors as Kubernetes writes them in one line."""
    found = list(dict.fromkeys(errors))
    return found[0] if len(found) == 1 else "[" + ", ".join(found) + "]"
