"""Render the settings of the server extension and of `jupyter workspaces serve` as Markdown, from their traits."""

from __future__ import annotations

import re
from typing import Any

from traitlets import Bool, HasTraits, Int, List, TraitType
from traitlets.config import Configurable

from jupyter_workspaces.server.app import JupyterWorkspaces
from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.serve import ServeApp

# What each group is for, its class, and inherited traits of which it changes the default.
GROUPS: tuple[tuple[str, str, type[Configurable], tuple[str, ...]], ...] = (
    (
        "The server extension",
        "Set these in `jupyter_server_config.py` as `c.JupyterWorkspaces.NAME`, or on the command line as\n"
        "`jupyter lab --JupyterWorkspaces.NAME=VALUE`. For `jupyter workspaces serve`, set them in\n"
        "`jupyter_workspaces_serve_config.py`, except those that are options of the command: there the options apply.",
        JupyterWorkspaces,
        (),
    ),
    (
        "`jupyter workspaces serve`",
        "Set these in `jupyter_workspaces_serve_config.py` as `c.ServeApp.NAME`, in one of the directories that\n"
        "`jupyter --paths` lists as `config`. Those that are options of the command are only set by the options.",
        ServeApp,
        ("max_body_size",),
    ),
    (
        "Users named by headers",
        "For `jupyter workspaces serve --trusted-header-auth`, as `c.HeaderIdentities.NAME`.",
        HeaderIdentities,
        (),
    ),
)


def markdown() -> str:
    """Return one section for each class, from headings of the second level on."""
    lines: list[str] = []
    for title, text, owner, inherited in GROUPS:
        lines += [f"## {title}", "", text, ""]
        own = owner.class_own_traits(config=True)
        for name, trait in {
            **own,
            **{name: owner.class_traits()[name] for name in inherited},
        }.items():
            lines += _setting(owner, name, trait)
    return "\n".join(lines)


def _setting(owner: type[HasTraits], name: str, trait: TraitType[Any, Any]) -> list[str]:
    facts = [_type(trait), f"default {_default(owner, name, trait)}", *_bounds(trait)]
    return [
        f"(setting-{owner.__name__.lower()}-{name.replace('_', '-')})=",
        f"### `{name}`",
        "",
        f"{', '.join(facts)}".capitalize() + ".",
        "",
        _prose(trait.help),
        "",
    ]


def _prose(text: str) -> str:
    """Plain text as Markdown: nothing in it is markup, except names of pages, which become links."""
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
