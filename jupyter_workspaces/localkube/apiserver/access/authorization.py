"""Authorization of requests by RBAC, with the messages of Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.localkube.apiserver.http.requests import Target, flag
from jupyter_workspaces.localkube.apiserver.http.status import Refusal
from jupyter_workspaces.localkube.apiserver.objects.field_selectors import exact_name

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
    """What is requested: a verb on a resource or, with `path`, on another path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        """Return the request as Kubernetes words it in errors."""
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
    """Whether a request is allowed.

    Attributes:
        reason: which binding allows it; for a denial, errors of the evaluation.
    """

    allowed: bool
    reason: str = ""


def resource_attributes(method: str, target: Target, query: Mapping[str, str]) -> Attributes:
    """Return the attributes of a request for a resource.

    Source: Kubernetes docs, "Authorization", Determine the request verb.
    """
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
    """Return the attributes of a request for a path that is no resource."""
    return Attributes(method.lower(), path=path)


class Authorizer:
    """Allows everything to `system:masters`, and to other users what RBAC grants."""

    def __init__(self, rbac: Rbac) -> None:
        """Create it with roles and bindings."""
        self.rbac = rbac

    def decide(self, user: User, attributes: Attributes) -> Decision:
        """Return whether a user may do this."""
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
        """Require that a user may do this.

        Raises:
            Refusal: 403 otherwise.
        """
        decision = self.decide(user, attributes)
        if not decision.allowed:
            raise forbidden(user, attributes, decision.reason)


def forbidden(user: User, attributes: Attributes, reason: str = "") -> Refusal:
    """Return 403 for a request that the user may not make."""
    why = f"User {quoted(user.name)} cannot {attributes}" + (f": {reason}" if reason else "")
    return refusal(attributes, why)


def refusal(attributes: Attributes, why: str) -> Refusal:
    """Return 403 for a request, with any reason."""
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
    """Return several errors in one line, as Kubernetes writes them."""
    found = list(dict.fromkeys(errors))
    return found[0] if len(found) == 1 else "[" + ", ".join(found) + "]"
