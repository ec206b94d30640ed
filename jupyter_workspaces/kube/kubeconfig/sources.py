"""Detects changes of the files that define the endpoint: kubectl reads them at every run.

A changed address, authority or user is another endpoint. Rotated tokens of an `auth-provider` are
not: `ProviderToken` (`kube/kubeconfig/oidc.py`) reads them itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jupyter_workspaces.kube.errors import NoEndpoint

from . import loading

Stamp = tuple[tuple[str, int, int, int], ...]

_ROTATED = frozenset(("id-token", "access-token", "refresh-token", "expiry"))


@dataclass(frozen=True)
class FileState:
    """State of the files: `fingerprint` of the endpoint, None if they define no valid one."""

    stamp: Stamp
    fingerprint: str | None
    watched: tuple[Path, ...]

    def has_same_endpoint_as(self, other: FileState) -> bool:
        """Return whether both states define the same cluster and user."""
        return self.fingerprint is not None and self.fingerprint == other.fingerprint

    def with_endpoint_of(self, other: FileState) -> FileState:
        """Return the current state of the files with the fingerprint of `other`."""
        return replace(self, fingerprint=other.fingerprint)


def _always() -> bool:
    return True


@dataclass(frozen=True)
class EndpointSource:
    """Kubeconfigs and other files that define the endpoint. All methods may block.

    Attributes:
        files: further files that change when the cluster starts.
        answers: returns whether the cluster answers.
    """

    kubeconfigs: tuple[Path, ...]
    context: str | None = None
    files: tuple[Path, ...] = ()
    answers: Callable[[], bool] = _always

    def read(self) -> FileState:
        """Read the files. A concurrent change is found by the stamp at the next check."""
        watched = (*self.kubeconfigs, *self.files)
        stamp = _stamp(watched)
        try:
            found = loading.load(self.kubeconfigs, self.context)
        except NoEndpoint:
            return FileState(stamp, None, watched)
        referred = [Path(file) for file in (found.cluster.get("certificate-authority"),) if file]
        watched = (*watched, *referred)
        authorities = _stamp(referred)
        meant = [
            found.name,
            found.namespace,
            found.cluster,
            _without_rotated(found.user),
            authorities,
        ]
        encoded = json.dumps(meant, sort_keys=True, default=str).encode()
        return FileState((*stamp, *authorities), hashlib.sha256(encoded).hexdigest(), watched)

    def has_changed(self, since: FileState) -> bool:
        """Return whether a file was written, replaced or removed. Does not read the files."""
        return _stamp(since.watched) != since.stamp


def _stamp(paths: tuple[Path, ...] | list[Path]) -> Stamp:
    found = []
    for path in paths:
        try:
            held = os.stat(path)
        except OSError:
            continue
        found.append((str(path), held.st_ino, held.st_mtime_ns, held.st_size))
    return tuple(found)


def _without_rotated(user: Mapping[str, Any]) -> Mapping[str, Any]:
    provider = user.get("auth-provider")
    if not isinstance(provider, Mapping) or not isinstance(provider.get("config"), Mapping):
        return user
    config = {key: value for key, value in provider["config"].items() if key not in _ROTATED}
    return {**user, "auth-provider": {**provider, "config": config}}
