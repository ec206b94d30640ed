"""Policy rules of roles: what they match, whether some cover another, and how Kubernetes writes them down. Pure.

Source: Kubernetes documentation, “Using RBAC Authorization”; wording and order as the real API server answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

Object = dict[str, Any]

ALL = "*"


@dataclass(frozen=True)
class Rule:
    """One rule of a role: verbs on resources (all names unless some are given), or on paths that are no resources."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, verb: str, group: str, resource: str, subresource: str, name: str) -> bool:
        """Whether it lets a verb on a resource be used; an empty name is none in particular."""
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
        return _has(self.verbs, verb) and any(_matches(held, path) for held in self.urls)

    def covers(self, part: Rule) -> bool:
        """Whether it grants all of one part (see `parts`) of another rule."""
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
        """One rule for each verb on each single thing."""
        for group in self.groups:
            for resource in self.resources:
                for verb in self.verbs:
                    for name in self.names or ("",):
                        yield Rule((verb,), (group,), (resource,), (name,) if name else ())
        for url in self.urls:
            for verb in self.verbs:
                yield Rule((verb,), urls=(url,))

    def document(self) -> Object:
        """As it stands in a role."""
        pairs = zip(
            _FIELDS, (self.verbs, self.groups, self.resources, self.names, self.urls), strict=True
        )
        return {key: list(values) for key, values in pairs if values or key == "verbs"}

    def text(self) -> str:
        """As an escalation is told of: `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`."""
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
    """The rules of a role as it is stored."""
    return tuple(Rule(*(tuple(rule.get(key) or ()) for key in _FIELDS)) for rule in rules or ())


def missing(wanted: Iterable[Rule], held: Sequence[Rule]) -> list[Rule]:
    """What of the wanted rules the held ones do not cover, one verb on one thing each."""
    return [
        part
        for rule in wanted
        for part in rule.parts()
        if not any(owned.covers(part) for owned in held)
    ]


def compact(parts: Iterable[Rule]) -> list[Rule]:
    """Rules on resources that differ in their verbs only, put together; those on paths stay as they are."""
    found: dict[Rule, list[str]] = {}
    for part in parts:
        if part.urls:
            found[part] = list(part.verbs)
            continue
        verbs = found.setdefault(replace(part, verbs=()), [])
        verbs += [verb for verb in part.verbs if verb not in verbs]
    return [replace(rule, verbs=tuple(verbs)) for rule, verbs in found.items()]


def quoted(text: str) -> str:
    """As Kubernetes puts a text between quotation marks."""
    return json.dumps(text, ensure_ascii=False)


def _has(held: Sequence[str], value: str) -> bool:
    return value in held or ALL in held


def _matches(pattern: str, path: str) -> bool:
    return pattern in (ALL, path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))
