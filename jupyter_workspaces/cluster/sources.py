"""Files that say which cluster is meant, watched for changes as every run of kubectl reads them anew.

A change of the cluster's address, authority or user is another endpoint. Tokens that a login rotates
in place (`auth-provider`) are not: whoever uses them renews them (`cluster/credentials.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import kubeconfig
from .kubeconfig import NoEndpoint

Stamp = tuple[tuple[str, int, int, int], ...]

_ROTATED = frozenset(("id-token", "access-token", "refresh-token", "expiry"))


@dataclass(frozen=True)
class Look:
    """How the files were: `fingerprint` of what they mean, None when they mean nothing that can be used."""

    stamp: Stamp
    fingerprint: str | None
    watched: tuple[Path, ...]

    def means_the_same_as(self, other: Look) -> bool:
        """Whether both mean the same cluster and the same user."""
        return self.fingerprint is not None and self.fingerprint == other.fingerprint

    def with_meaning_of(self, other: Look) -> Look:
        """The files as they are now, with what they meant before."""
        return replace(self, fingerprint=other.fingerprint)


def _always() -> bool:
    return True


@dataclass(frozen=True)
class EndpointSource:
    """Kubeconfigs, other `files` that change when the cluster starts, and whether it `answers`. All of it may block."""

    kubeconfigs: tuple[Path, ...]
    context: str | None = None
    files: tuple[Path, ...] = ()
    answers: Callable[[], bool] = _always

    def look(self) -> Look:
        """Read the files. A change meanwhile shows as a change of the stamp at the next look."""
        watched = (*self.kubeconfigs, *self.files)
        stamp = _stamp(watched)
        try:
            found = kubeconfig.load(self.kubeconfigs, self.context)
        except NoEndpoint:
            return Look(stamp, None, watched)
        referred = [Path(file) for file in (found.cluster.get("certificate-authority"),) if file]
        watched = (*watched, *referred)
        authorities = _stamp(referred)
        meant = [found.name, found.namespace, found.cluster, _without_rotated(found.user), authorities]
        encoded = json.dumps(meant, sort_keys=True, default=str).encode()
        return Look((*stamp, *authorities), hashlib.sha256(encoded).hexdigest(), watched)

    def has_changed(self, since: Look) -> bool:
        """Whether a file was written, replaced or removed. Reads no file."""
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
