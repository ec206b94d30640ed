"""Names of workspaces: which are valid, and suggestions of free ones."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection

from jupyter_workspaces.common import dns_names

from .errors import WorkspaceError

LENGTH = dns_names.LABEL_LENGTH
SUGGESTED_LENGTH = 50  # names of a workspace's objects append to it and may have 63 characters

_WORDS = (
    "amber",
    "birch",
    "cedar",
    "coral",
    "delta",
    "ember",
    "fjord",
    "grove",
    "hazel",
    "iris",
    "juniper",
    "kelp",
    "lark",
    "maple",
    "north",
    "olive",
    "pearl",
    "quartz",
    "reed",
    "sage",
    "tundra",
    "umber",
    "violet",
    "willow",
    "yarrow",
    "zephyr",
)


def check_name(name: str) -> None:
    """Raise `WorkspaceError` 422 unless `name` is a valid workspace name."""
    if not dns_names.is_label(name):
        text = f"“{name}” is not a valid workspace name"
        raise WorkspaceError(
            f"{text}.",
            f"Use at most {LENGTH} lower-case letters, digits and “-”, "
            "starting and ending with a letter or digit.",
            {"name": text},
            422,
        )


def readable_name(kind: str, taken: Collection[str]) -> str:
    """Return a free name such as `jupyterlab-cedar`, with a number if all words are taken."""
    base = kind.replace(".", "-")[: LENGTH - 16].rstrip("-")
    for _ in range(20):
        name = f"{base}-{secrets.choice(_WORDS)}"
        if name not in taken:
            return name
    while (name := f"{base}-{secrets.choice(_WORDS)}-{secrets.randbelow(10_000)}") in taken:
        pass
    return name


def numbered_name(wanted: str, taken: Collection[str]) -> str:
    """Return a free name made from `wanted`, with a number if it is taken."""
    base = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[: SUGGESTED_LENGTH - 4]
    base = base or "workspace"
    number = 1
    while (name := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return name
