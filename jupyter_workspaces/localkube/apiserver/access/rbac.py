"""RBAC: an index of the roles and bindings in the store, kept in sync by each write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from jupyter_workspaces.kube.catalog import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)
from jupyter_workspaces.kube.selectors import matches
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.store.store import Change, Store, Stored

from . import policy_rules
from .policy_rules import Rule
from .users import User, account_name

Subject = tuple[str, str, str]
"""Namespace of the binding (empty for the whole cluster), `User` or `Group`, name."""

KNOWN_USERS = 4_096


@dataclass(frozen=True)
class Binding:
    """A RoleBinding, or a ClusterRoleBinding (without namespace).

    Attributes:
        subjects: description of each subject, by kind and name.
    """

    namespace: str
    name: str
    role_kind: str
    role: str
    subjects: Mapping[tuple[str, str], str]

    def reason(self, subject: tuple[str, str]) -> str:
        """Return why the rules of the binding apply to a user who is one of its subjects."""
        title = (
            f'RoleBinding "{self.name}/{self.namespace}"'
            if self.namespace
            else f'ClusterRoleBinding "{self.name}"'
        )
        role = f'{self.role_kind} "{self.role}"'
        return f"RBAC: allowed by {title} of {role} to {self.subjects[subject]}"


@dataclass(frozen=True)
class GrantedRule:
    """A rule that applies to a user, and the binding that grants it."""

    rule: Rule
    binding: Binding
    subject: tuple[str, str]


@dataclass(frozen=True)
class EffectiveRules:
    """All rules of a user in a namespace, cluster-wide ones first.

    Attributes:
        errors: messages about roles that do not exist.
    """

    granted: tuple[GrantedRule, ...]
    errors: tuple[str, ...]

    @property
    def rules(self) -> list[Rule]:
        """The rules without their bindings."""
        return [found.rule for found in self.granted]


class RoleNotFound(Exception):
    """A binding refers to a role that does not exist. The message is that of Kubernetes."""

    def __init__(self, resource: Resource, name: str) -> None:
        """Create the error for a role."""
        super().__init__(f'{resource.kind.lower()}.{resource.group} "{name}" not found')
        self.resource, self.name = resource, name


class Rbac:
    """Roles and bindings of a store.

    The rules of a user are cached until the next write of a role or binding.
    """

    def __init__(self, store: Store) -> None:
        """Create the index of a store and subscribe to its changes."""
        self._store = store
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._aggregated: dict[str, list[Object]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._bindings: dict[tuple[str, str], Binding] = {}
        self._bound: dict[Subject, dict[tuple[str, str], Binding]] = {}
        self._held: LRUCache[tuple[str, tuple[str, ...], str], EffectiveRules] = LRUCache(
            KNOWN_USERS
        )
        for resource, update in self._handlers.items():
            for stored in store.list(_title(resource)):
                update(stored, False)
            store.listen(_title(resource), self._changed)

    @property
    def _handlers(self) -> dict[Resource, Any]:
        return {
            ROLES: self._update_role,
            CLUSTER_ROLES: self._update_role,
            ROLE_BINDINGS: self._update_binding,
            CLUSTER_ROLE_BINDINGS: self._update_binding,
        }

    def rules_of(self, user: User, namespace: str) -> EffectiveRules:
        """Return the rules of a user in a namespace; in the whole cluster if it is empty."""
        key = (user.name, user.groups, namespace)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = self._resolve(user, namespace)
        return found

    def role(self, kind: str, name: str, namespace: str) -> tuple[Rule, ...]:
        """Return the rules of a role that a binding refers to.

        Raises:
            RoleNotFound: if it does not exist.
        """
        key = ("", name) if kind == CLUSTER_ROLES.kind else (namespace, name)
        found = self._roles.get(key)
        if found is None:
            raise RoleNotFound(CLUSTER_ROLES if kind == CLUSTER_ROLES.kind else ROLES, name)
        if kind == CLUSTER_ROLES.kind and name in self._aggregated:
            return tuple(dict.fromkeys(self.aggregated_rules(name)))
        return found

    def aggregated_rules(self, name: str, seen: frozenset[str] = frozenset()) -> Iterator[Rule]:
        """Yield the rules of a ClusterRole.

        With an aggregationRule, these are the rules of the selected roles in the order of their
        names.
        """
        selectors = self._aggregated.get(name)
        if selectors is None:
            yield from self._roles.get(("", name), ())
            return
        for other in sorted(self._labels):
            if (
                other != name
                and other not in seen
                and any(matches(selector, self._labels[other]) for selector in selectors)
            ):
                yield from self.aggregated_rules(other, seen | {name})

    def _resolve(self, user: User, namespace: str) -> EffectiveRules:
        granted: list[GrantedRule] = []
        errors: list[str] = []
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        for where in ("", namespace) if namespace else ("",):
            bound: dict[tuple[str, str], Binding] = {}
            for subject in subjects:
                bound |= self._bound.get((where, *subject), {})
            for _, binding in sorted(bound.items()):
                try:
                    found = self.role(binding.role_kind, binding.role, binding.namespace)
                except RoleNotFound as error:
                    errors.append(str(error))
                else:
                    first = next(subject for subject in binding.subjects if subject in subjects)
                    granted += [GrantedRule(rule, binding, first) for rule in found]
        return EffectiveRules(tuple(granted), tuple(errors))

    # Updates by writes

    def _changed(self, change: Change) -> None:
        self._held.clear()
        for resource, update in self._handlers.items():
            if _title(resource) == change.resource:
                update(change.new, change.deleted)

    def _update_role(self, stored: Stored, deleted: bool) -> None:
        if not stored.namespace:
            self._aggregated.pop(stored.name, None)
            self._labels.pop(stored.name, None)
        if deleted:
            self._roles.pop(stored.key, None)
            return
        body = stored.decode()
        self._roles[stored.key] = policy_rules.read(body.get("rules"))
        if not stored.namespace:
            self._labels[stored.name] = stored.labels
            if aggregation := body.get("aggregationRule"):
                self._aggregated[stored.name] = list(aggregation.get("clusterRoleSelectors") or ())

    def _update_binding(self, stored: Stored, deleted: bool) -> None:
        if (old := self._bindings.pop(stored.key, None)) is not None:
            for subject in old.subjects:
                held = self._bound[(old.namespace, *subject)]
                del held[stored.key]
                if not held:
                    del self._bound[(old.namespace, *subject)]
        if deleted:
            return
        body = stored.decode()
        reference = body.get("roleRef") or {}
        subjects = dict(_subjects(body.get("subjects") or (), stored.namespace))
        binding = Binding(
            stored.namespace,
            stored.name,
            reference.get("kind", ""),
            reference.get("name", ""),
            subjects,
        )
        self._bindings[stored.key] = binding
        for subject in subjects:
            self._bound.setdefault((stored.namespace, *subject), {})[stored.key] = binding


def _subjects(subjects: Iterable[Object], namespace: str) -> Iterator[tuple[tuple[str, str], str]]:
    for subject in subjects:
        kind, name = subject.get("kind", ""), subject.get("name", "")
        if kind == "ServiceAccount":
            where = subject.get("namespace") or namespace
            if where:
                yield ("User", account_name(where, name)), f'ServiceAccount "{name}/{where}"'
        elif kind in ("User", "Group"):
            yield (kind, name), f'{kind} "{name}"'


def _title(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}"
