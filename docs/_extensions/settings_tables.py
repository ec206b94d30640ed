"""Render the settings of the server extension and of `serve` as Markdown, from their traits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from traitlets import Bool, HasTraits, Int, List, TraitType
from traitlets.config import Configurable

from jupyter_workspaces.server.app import JupyterWorkspaces
from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.serve import ServeApp

PARTS: dict[str, tuple[type[Configurable], tuple[str, ...]]] = {
    "settings-extension.md": (JupyterWorkspaces, ()),
    "settings-serve.md": (ServeApp, ("max_body_size",)),
    "settings-headers.md": (HeaderIdentities, ()),
}
"""Class of each file, and inherited traits of which it changes the default."""


def markdown(owner: type[Configurable], inherited: Sequence[str]) -> str:
    """Return a section of the third level for each setting of a class."""
    traits = owner.class_traits(config=True).items()
    ours = [(name, one) for name, one in traits if name in inherited or _is_ours(one)]
    return "\n".join(line for name, trait in ours for line in _setting(owner, name, trait))


def _is_ours(trait: TraitType[Any, Any]) -> bool:
    defined_by = trait.this_class
    return defined_by is not None and defined_by.__module__.startswith("jupyter_workspaces.")


def _setting(owner: type[HasTraits], name: str, trait: TraitType[Any, Any]) -> list[str]:
    facts = [f"default {_default(owner, name, trait)}", *_bounds(trait)]
    return [
        f"(setting-{owner.__name__.lower()}-{name.replace('_', '-')})=",
        f"### `{name}`",
        "",
        f"{_type(trait).capitalize()}, {', '.join(facts)}.",
        "",
        _prose(trait.help),
        "",
    ]


def _prose(text: str) -> str:
    """Return plain text as Markdown, with names of pages as links and options as code."""
    escaped = re.sub(r"([\\*_<>\[\]])", r"\\\1", " ".join(text.split()))
    linked = re.sub(r"docs/([\w-]+)\.md", r"[\1](\1.md)", escaped)
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*)", r"`\1`", linked)


def _type(trait: TraitType[Any, Any]) -> str:
    if isinstance(trait, List):
        return "list of texts"
    if isinstance(trait, Bool):
        return "boolean"
    return (
        "integer"
        if isinstance(trait, Int)
        else "number"
        if type(trait).__name__ == "Float"
        else "text"
    )


def _default(owner: type[HasTraits], name: str, trait: TraitType[Any, Any]) -> str:
    value = owner().trait_defaults(name)
    if value in ("", []):
        return "empty"
    return f"`{value!r}`"


def _bounds(trait: TraitType[Any, Any]) -> list[str]:
    found = [("at least", getattr(trait, "min", None)), ("at most", getattr(trait, "max", None))]
    return [
        f"{word} `{bound:g}`"
        for word, bound in found
        if bound not in (None, float("-inf"), float("inf"))
    ]
