"""Reads kubeconfigs as kubectl does: merges files, resolves paths relative to their file.

No error quotes a value of a file: it may be a secret, or the line of one. Errors name the file, the
entry and the key.

The official client is not used: version 37 drops the error of a login program, never reads a
rotated certificate or token file again, does not impersonate, and prints refresh tokens.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.common.documents.bounds import DocumentError
from jupyter_workspaces.kube.errors import NoEndpoint
from jupyter_workspaces.kube.types import ObjectView

from . import fields
from .fields import WrongField

_SECTIONS = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))
_FILES = {
    "clusters": ("certificate-authority",),
    "users": ("client-certificate", "client-key", "tokenFile"),
}
_CODES = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Context:
    """A context of a kubeconfig with its cluster and user.

    In `cluster` and `user` paths are absolute, `…-data` is bytes, and keys that are unknown or null
    are omitted. `user_file` is the file that defines the user. `user_says_nothing` is true for an
    entry without any key: only then requests are anonymous.
    """

    name: str
    cluster_name: str
    cluster: ObjectView
    user_name: str
    user: ObjectView
    user_file: Path
    user_says_nothing: bool
    namespace: str


@dataclass(frozen=True)
class _Entry:
    value: ObjectView
    file: Path
    says_nothing: bool


def default_paths() -> list[Path]:
    """Return the files that KUBECONFIG lists, or else `~/.kube/config`.

    As in kubectl, `~` in KUBECONFIG is not expanded.
    """
    named = [Path(entry) for entry in os.environ.get("KUBECONFIG", "").split(os.pathsep) if entry]
    return named or [Path.home() / ".kube" / "config"]


def load(paths: Sequence[Path], context: str | None = None) -> Context:
    """Return a context by name, or else the current one. Files that do not exist are omitted.

    Raises:
        NoEndpoint: a file, the context or one of its parts cannot be used.
    """
    where = os.pathsep.join(str(path) for path in paths)
    merged = _merge(paths, where)
    name = context or merged.current
    known = ", ".join(merged.contexts) or "none"
    if not name:
        raise NoEndpoint(
            f"{where} has no current context. Choose one of its contexts with --context: {known}."
        )
    if name not in merged.contexts:
        raise NoEndpoint(f"{where} has no context named {name}. It has: {known}.")
    chosen = merged.contexts[name].value
    cluster_name, user_name = chosen.get("cluster", ""), chosen.get("user", "")
    cluster = merged.clusters.get(cluster_name)
    if cluster is None or not cluster.value.get("server"):
        raise NoEndpoint(
            f"The context {name} of {where} names the cluster {cluster_name!r}, which has no "
            "server there."
        )
    user = merged.users.get(user_name)
    if user is None:
        raise NoEndpoint(
            f"The context {name} of {where} names the user {user_name!r}, which does not exist "
            "there. Add the user, or choose another context."
        )
    namespace = chosen.get("namespace") or "default"
    return Context(
        name,
        cluster_name,
        cluster.value,
        user_name,
        user.value,
        user.file,
        user.says_nothing,
        namespace,
    )


def user_entry(path: Path, name: str) -> ObjectView | None:
    """Return the entry of a user in one file, None without one. Raises `NoEndpoint`."""
    found = _merge([path], str(path)).users.get(name)
    return None if found is None else found.value


def parse(text: bytes) -> Any:
    """Return the first document of a JSON or YAML text, None if there is none.

    Raises:
        DocumentError: the text is neither JSON nor YAML.
    """
    encoding = next((name for mark, name in _CODES if text.startswith(mark)), "utf-8")
    try:
        decoded = text.decode(encoding)
    except UnicodeDecodeError:
        raise DocumentError("it is not UTF-8") from None
    if decoded.lstrip().startswith("{"):  # JSON may be indented by tabs, YAML may not
        try:
            return msgspec.json.decode(decoded)
        except (msgspec.DecodeError, RecursionError):
            pass
    document = next(yaml_text.read(decoded), None)
    return None if document is None else document.value


class _Merged:
    """The entries of all files by name."""

    def __init__(self) -> None:
        self.current = ""
        self.clusters: dict[str, _Entry] = {}
        self.users: dict[str, _Entry] = {}
        self.contexts: dict[str, _Entry] = {}

    def add(self, path: Path, document: ObjectView) -> None:
        """Add the entries of a file, except those of an earlier file. Raises `WrongField`."""
        self.current = self.current or fields.text(document, "current-context")
        for section, singular in _SECTIONS:
            held: dict[str, _Entry] = getattr(self, section)
            for name, given in fields.entries(document, section, singular).items():
                value = fields.checked(given, section, f"{singular} {name!r}")
                held.setdefault(
                    name, _Entry(_absolute(value, section, path.parent), path, not given)
                )


def _merge(paths: Sequence[Path], where: str) -> _Merged:
    merged, found = _Merged(), False
    for path in paths:
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NoEndpoint(f"The kubeconfig {path} cannot be read: {error.strerror}.") from None
        found = True
        try:
            document = parse(text)
            if document is not None:
                fields.check_kind(document)
                merged.add(path, document)
        except DocumentError as error:
            place = f" (line {error.line})" if error.line else ""
            raise NoEndpoint(
                f"The kubeconfig {path} is neither YAML nor JSON{place}. `kubectl config view` "
                "says more."
            ) from None
        except WrongField as error:
            raise NoEndpoint(f"The kubeconfig {path} cannot be used: {error}.") from None
    if not found:
        raise NoEndpoint(
            f"No kubeconfig found at {where}. Set KUBECONFIG, or unset it to use the local cluster."
        )
    return merged


def _absolute(value: ObjectView, section: str, folder: Path) -> ObjectView:
    changed: dict[str, Any] = {
        key: str((folder / value[key]).absolute())
        for key in _FILES.get(section, ())
        if value.get(key)
    }
    program = value.get("exec") or {}
    command = program.get("command", "")
    if os.sep in command and not Path(command).is_absolute():
        changed["exec"] = {**program, "command": str((folder / command).absolute())}
    return {**value, **changed}
