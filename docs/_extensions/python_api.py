"""List all public names of the Python client for autodoc."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from jupyter_workspaces import client

FIRST = ("Client", "Workspace")
"""Classes that come first; the others follow by name."""

GROUPS: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    ("Functions", "autofunction", inspect.isfunction),
    (
        "Classes",
        "autoclass",
        lambda found: inspect.isclass(found) and not issubclass(found, BaseException),
    ),
    (
        "Errors",
        "autoexception",
        lambda found: inspect.isclass(found) and issubclass(found, BaseException),
    ),
)


def markdown() -> str:
    """Return a section for each group, from headings of the second level on."""
    lines: list[str] = []
    for title, directive, belongs in GROUPS:
        names = [name for name in client.__all__ if belongs(getattr(client, name))]
        names.sort(key=lambda name: (name not in FIRST, name))
        lines += [f"## {title}", ""]
        for name in names:
            lines += [f"### `{name}`", ""] if directive == "autoclass" else []
            lines += ["```{eval-rst}", f".. {directive}:: {client.__name__}.{name}", "```", ""]
    return "\n".join(lines)
