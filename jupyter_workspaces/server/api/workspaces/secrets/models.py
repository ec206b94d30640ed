"""Models of Secrets."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.server.api.workspaces.workspaces.models import Audit
from jupyter_workspaces.server.http import checks

KEY_LENGTH = 253
_KEY = re.compile(r"[-._a-zA-Z0-9]+")


class Value(msgspec.Struct, forbid_unknown_fields=True):
    """Value of a key. Without `base64` a stored value stays; responses never have it."""

    base64: str | UnsetType = UNSET


class SecretUpdate(msgspec.Struct, forbid_unknown_fields=True):
    """The update model of GET and PUT."""

    type: str = ""
    immutable: bool = False
    contents: dict[str, Value] = msgspec.field(default_factory=dict)

    def causes(self) -> list[Cause]:
        """Return what is wrong with the model."""
        return list(_contents(self.contents))


class SecretCreate(msgspec.Struct, forbid_unknown_fields=True):
    """Request and response of a create."""

    name: str = ""
    type: str = ""
    immutable: bool = False
    contents: dict[str, Value] = msgspec.field(default_factory=dict)

    def causes(self) -> list[Cause]:
        """Return what is wrong with the model."""
        return [*checks.name("data.name", self.name), *_contents(self.contents)]


class Mount(msgspec.Struct):
    """A workspace that mounts the Secret."""

    group: str
    kind: str
    name: str


class SecretListItem(msgspec.Struct, rename="camel"):
    """A Secret in lists."""

    name: str
    can_update: bool
    can_mount: bool
    audit: Audit
    mounts: list[Mount] | UnsetType = UNSET


def _contents(contents: dict[str, Value]) -> Iterator[Cause]:
    for key, value in contents.items():
        if not _KEY.fullmatch(key) or len(key) > KEY_LENGTH or key == "." or key.startswith(".."):
            yield invalid(
                "data.contents",
                key,
                f"a key has at most {KEY_LENGTH} letters, digits, '-', '_' or '.', and no two dots "
                "in front",
            )
        if value.base64 is UNSET:
            continue
        try:
            base64.b64decode(value.base64.replace("\r", "").replace("\n", ""), validate=True)
        except (binascii.Error, ValueError):
            # The value itself is not told: it is a secret, even a broken one.
            yield Cause(
                "FieldValueInvalid",
                "Invalid value: this is not base64 (RFC 4648, with padding)",
                f"data.contents[{key}].base64",
            )
