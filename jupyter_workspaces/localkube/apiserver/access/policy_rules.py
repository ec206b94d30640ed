"""Policy rules of roles: what they allow, and which rules cover others.

Source: Kubernetes docs, "Using RBAC Authorization"; messages and order as of the real API server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from jupyter_workspaces.kube.types import Object

ALL = "*"


@dataclass(frozen=True)
class Rule:
    """A policy rule: verbs on resources (of all names unless some are given), or on other paths."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, verb: str, group: str, resource: str, subresource: str, name: str) -> bool:
        """Return whether the rule allows a verb on a resource. An empty name is no specific one."""
        if not (_has(self.verbs, verb) and _has(self.groups, group)) or (
            self.names and name not in self.names
        ):
            return False
        wanted = f"{resource}/{subresource}" if subresource else resource
        return any(
            held in (ALL, wanted) or (subresource and held == f"*/{subresource}")
            for held in self.resources
        )

    def allows_path(self, verb: str, path: str) -> bool:
        """Return whether the rule allows a verb on a path that is no resource."""
        return _has(self.verbs, verb) and any(_matches(held, path) for held in self.urls)

    def covers(self, part: Rule) -> bool:
        """Return whether the rule includes a part of another rule (see `parts`)."""
        if not _has(self.verbs, part.verbs[0]):
            return False
        if part.urls:
            return any(_matches(held, part.urls[0]) for held in self.urls)
        if not _has(self.groups, part.groups[0]) or (
            self.names and not (part.names and part.names[0] in self.names)
        ):
            return False
        wanted = part.resources[0]
        return any(
            held in (ALL, wanted) or (held.startswith("*/") and wanted.endswith(held[1:]))
            for held in self.resources
        )

    def parts(self) -> Iterator[Rule]:
        """Yield one rule for each verb on each single resource or path."""
        for group in self.groups:
            for resource in self.resources:
                for verb in self.verbs:
                    for name in self.names or ("",):
                        yield Rule((verb,), (group,), (resource,), (name,) if name else ())
        for url in self.urls:
            for verb in self.verbs:
                yield Rule((verb,), urls=(url,))

    def document(self) -> Object:
        """Return the rule as roles have it."""
        pairs = zip(
            _FIELDS, (self.verbs, self.groups, self.resources, self.names, self.urls), strict=True
        )
        return {key: list(values) for key, values in pairs if values or key == "verbs"}

    def text(self) -> str:
        """Return the rule as in errors: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`."""
        titles = ("NonResourceURLs", "APIGroups", "Resources", "ResourceNames", "Verbs")
        held = zip(
            titles, (self.urls, self.groups, self.resources, self.names, self.verbs), strict=True
        )
        return (
            "{"
            + ", ".join(
                f"{key}:[{' '.join(quoted(value) for value in values)}]"
                for key, values in held
                if values
            )
            + "}"
        )


_FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


def read(rules: Iterable[Object] | None) -> tuple[Rule, ...]:
    """Return the rules of a stored role."""
    return tuple(Rule(*(tuple(rule.get(key) or ()) for key in _FIELDS)) for rule in rules or ())


def missing(wanted: Iterable[Rule], held: Sequence[Rule]) -> list[Rule]:
    """Return the parts of wanted rules that no other rule covers."""
    return [
        part
        for rule in wanted
        for part in rule.parts()
        if not any(owned.covers(part) for owned in held)
    ]


def compact(parts: Iterable[Rule]) -> list[Rule]:
    """Merge rules on resources that differ in their verbs only."""
    found: dict[Rule, list[str]] = {}
    for part in parts:
        if part.urls:
            found[part] = list(part.verbs)
            continue
        verbs = found.setdefault(replace(part, verbs=()), [])
        verbs += [verb for verb in part.verbs if verb not in verbs]
    return [replace(rule, verbs=tuple(verbs)) for rule, verbs in found.items()]


def quoted(text: str) -> str:
    """Return a text in quotation marks, as Go's `%q` writes it."""
    return json.dumps(text, ensure_ascii=False)


def _has(held: Sequence[str], value: str) -> bool:
    return value in held or ALL in held


def _matches(pattern: str, path: str) -> bool:
    return pattern in (ALL, path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))
