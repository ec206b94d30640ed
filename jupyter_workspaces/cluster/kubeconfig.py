"""Reads kubeconfigs as kubectl does: several files merged, relative paths taken from the file that says them.

Not the official package: it drops the error of a login program, never reads a rotated certificate or token file again, and knows no
impersonation (kubernetes 37).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..documents import yaml_text
from ..documents.bounds import DocumentError

Object = Mapping[str, Any]

_FILES = {"clusters": ("certificate-authority",), "users": ("client-certificate", "client-key", "tokenFile")}


class NoEndpoint(Exception):
    """A setting names a cluster that cannot be found. The text says which setting and what to do."""


@dataclass(frozen=True)
class Context:
    """A context with what it refers to; paths in `cluster` and `user` are absolute."""

    name: str
    cluster: Object
    user: Object
    namespace: str


def default_paths() -> list[Path]:
    """The files that KUBECONFIG lists, else `~/.kube/config`."""
    named = [Path(entry).expanduser() for entry in os.environ.get("KUBECONFIG", "").split(os.pathsep) if entry]
    return named or [Path.home() / ".kube" / "config"]


def load(paths: Sequence[Path], context: str | None = None) -> Context:
    """A context by name, else the current one. Files that do not exist are left out, as kubectl does. Raises `NoEndpoint`."""
    where = os.pathsep.join(str(path) for path in paths)
    document = _merged(paths, where)
    name = context or document["current-context"]
    if not name:
        known = ", ".join(document["contexts"]) or "none"
        raise NoEndpoint(f"{where} has no current context. Choose one of its contexts with --context: {known}.")
    if name not in document["contexts"]:
        known = ", ".join(document["contexts"]) or "none"
        raise NoEndpoint(f"{where} has no context named {name}. It has: {known}.")
    chosen = document["contexts"][name]
    cluster = document["clusters"].get(chosen.get("cluster"))
    if not cluster or not cluster.get("server"):
        raise NoEndpoint(f"The context {name} of {where} names the cluster {chosen.get('cluster')!r}, which has no server there.")
    user_name = chosen.get("user") or ""
    if user_name and user_name not in document["users"]:
        raise NoEndpoint(f"The context {name} of {where} names the user {user_name!r}, who is not there.")
    return Context(name, cluster, document["users"].get(user_name) or {}, chosen.get("namespace") or "default")


def context_names(paths: Sequence[Path]) -> list[str]:
    """Of all files. Raises `NoEndpoint`."""
    return list(_merged(paths, os.pathsep.join(str(path) for path in paths))["contexts"])


def _merged(paths: Sequence[Path], where: str) -> dict[str, Any]:
    """Entries by name; the first file that says something counts."""
    merged: dict[str, Any] = {"current-context": "", "clusters": {}, "users": {}, "contexts": {}}
    found = False
    for path in paths:
        if not path.exists():
            continue
        found = True
        document = _read(path)
        merged["current-context"] = merged["current-context"] or document.get("current-context") or ""
        for section, singular in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            try:
                entries = [(entry["name"], entry.get(singular) or {}) for entry in document.get(section) or ()]
            except (TypeError, LookupError, AttributeError) as error:
                raise NoEndpoint(f"{path} is not a kubeconfig: its {section} are not a list of names and values.") from error
            for name, value in entries:
                merged[section].setdefault(name, _absolute(value, section, path.parent))
    if not found:
        raise NoEndpoint(f"There is no kubeconfig at {where}.")
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml_text.load(path.read_bytes())
    except (OSError, DocumentError) as error:
        raise NoEndpoint(f"The kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise NoEndpoint(f"{path} is not a kubeconfig.")
    return document


def _absolute(value: Object, section: str, folder: Path) -> Object:
    changed: dict[str, Any] = {key: str(folder / value[key]) for key in _FILES.get(section, ()) if value.get(key)}
    program = value.get("exec") or {}
    command = str(program.get("command") or "")
    if os.sep in command and not Path(command).is_absolute():
        changed["exec"] = {**program, "command": str(folder / command)}
    return {**value, **changed}
