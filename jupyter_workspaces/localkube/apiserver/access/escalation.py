"""Privilege escalation prevention: users can grant only rules that they have.

Exceptions are users who may `escalate` the role or `bind` to it. Source: Kubernetes docs, "Using
RBAC Authorization", Privilege escalation prevention and bootstrapping.
"""

from __future__ import annotations

from jupyter_workspaces.kube.catalog import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.status import not_found

from . import policy_rules
from .authorization import Attributes, Authorizer, refusal
from .policy_rules import Rule, quoted
from .rbac import RoleNotFound
from .users import MASTERS, User

_ROLES = {ROLES, CLUSTER_ROLES}
_EVERYTHING = (Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",)))
_BINDINGS = {ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS}
_FOR_THE_COLLECTOR = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")


def check(
    authorizer: Authorizer, user: User | None, resource: Resource, old: Object | None, new: Object
) -> None:
    """Require that a user may write a role or binding. Other resources are ignored.

    Raises:
        Refusal: 403 if it grants more, 404 for a binding to a role that does not exist.
    """
    if user is None or MASTERS in user.groups or resource not in _ROLES | _BINDINGS:
        return
    if old is not None and _same_grant(old, new):
        return
    metadata = new["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    attributes = Attributes("", resource.group, resource.plural, namespace=namespace, name=name)
    if resource in _ROLES:
        if not _is_allowed(authorizer, user, "escalate", resource, namespace, name):
            if new.get("aggregationRule") and policy_rules.missing(
                _EVERYTHING, authorizer.rbac.rules_of(user, "").rules
            ):
                raise refusal(
                    attributes, "must have cluster-admin privileges to use the aggregationRule"
                )
            _check_covered(
                authorizer, user, policy_rules.read(new.get("rules")), namespace, attributes
            )
        return
    reference = new.get("roleRef") or {}
    bound = CLUSTER_ROLES if reference.get("kind") == CLUSTER_ROLES.kind else ROLES
    role = reference.get("name", "")
    if _is_allowed(authorizer, user, "bind", bound, namespace, role):
        return
    try:
        wanted = authorizer.rbac.role(bound.kind, role, namespace)
    except RoleNotFound as error:
        raise not_found(resource, role) from error
    _check_covered(authorizer, user, wanted, namespace, attributes)


def _is_allowed(
    authorizer: Authorizer, user: User, verb: str, resource: Resource, namespace: str, name: str
) -> bool:
    return authorizer.decide(
        user, Attributes(verb, resource.group, resource.plural, namespace=namespace, name=name)
    ).allowed


def _check_covered(
    authorizer: Authorizer,
    user: User,
    wanted: tuple[Rule, ...],
    namespace: str,
    attributes: Attributes,
) -> None:
    held = authorizer.rbac.rules_of(user, namespace)
    lacking = policy_rules.compact(policy_rules.missing(wanted, held.rules))
    if not lacking:
        return
    groups = "[" + " ".join(quoted(group) for group in user.groups) + "]"
    rules = "\n".join(sorted(rule.text() for rule in lacking))
    text = (
        f"user {quoted(user.name)} (groups={groups}) "
        f"is attempting to grant RBAC permissions not currently held:\n{rules}"
    )
    if held.errors:
        text += f"; resolution errors: [{', '.join(held.errors)}]"
    raise refusal(attributes, text)


def _same_grant(old: Object, new: Object) -> bool:
    """Return whether only fields differ that the garbage collector changes."""

    def kept(obj: Object) -> Object:
        metadata = {
            key: value for key, value in obj["metadata"].items() if key not in _FOR_THE_COLLECTOR
        }
        return obj | {"metadata": metadata}

    return kept(old) == kept(new)
