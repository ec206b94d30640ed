"""Workspace kinds as people choose from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from . import words
from .errors import WorkspaceError


@dataclass(frozen=True)
class Option:
    """An image or a size of a kind. `redirects_to` names the option that takes its place."""

    id: str
    name: str
    description: str
    labels: Mapping[str, str]
    hidden: bool
    redirects_to: str | None
    is_default: bool

    @property
    def size(self) -> str:
        """`2 CPU · 4 GiB`; empty for an image."""
        return words.size([{"key": key, "value": value} for key, value in self.labels.items()])


@dataclass(frozen=True)
class Kind:
    """A template for workspaces: what it is, and which images and sizes it offers."""

    name: str
    display_name: str
    description: str
    deprecated: bool
    hidden: bool
    home: str
    images: tuple[Option, ...]
    sizes: tuple[Option, ...]
    logo_url: str
    workspaces: int

    def image(self, wanted: str | None = None) -> Option:
        """By id or name; the default without one. Raises `WorkspaceError`."""
        return _choose(self.images, wanted, "image", self)

    def size(self, wanted: str | None = None) -> Option:
        """By id or name; the default without one. Raises `WorkspaceError`."""
        return _choose(self.sizes, wanted, "size", self)


def from_item(item: Mapping[str, Any]) -> Kind:
    """From a list item (contract §1.5 operation 13)."""
    template = item["podTemplate"]
    return Kind(
        name=item["name"],
        display_name=item["displayName"],
        description=item["description"],
        deprecated=item["deprecated"],
        hidden=item["hidden"],
        home=template["volumeMounts"]["home"],
        images=_options(template["options"]["imageConfig"]),
        sizes=_options(template["options"]["podConfig"]),
        logo_url=item["logo"]["url"],
        workspaces=item["clusterMetrics"]["workspacesCount"],
    )


def choose(kinds: Sequence[Kind], wanted: str) -> Kind:
    """By name or display name. Raises `WorkspaceError` naming what there is."""
    for kind in kinds:
        if wanted in (kind.name, kind.display_name):
            return kind
    raise _unknown("kind of workspace", wanted, [kind.name for kind in kinds], "jw.kinds() shows them.")


def _options(options: Mapping[str, Any]) -> tuple[Option, ...]:
    return tuple(
        Option(
            id=value["id"],
            name=value["displayName"],
            description=value["description"],
            labels={label["key"]: label["value"] for label in value.get("labels") or ()},
            hidden=value["hidden"],
            redirects_to=(value.get("redirect") or {}).get("to"),
            is_default=value["id"] == options["default"],
        )
        for value in options.get("values") or ()
    )


def _choose(options: Sequence[Option], wanted: str | None, what: str, kind: Kind) -> Option:
    if wanted is None:
        found = next((option for option in options if option.is_default), None) or (options[0] if options else None)
        if found is None:
            raise WorkspaceError(f"The kind {kind.name} offers no {what} to you.", "Ask whoever manages the kinds.")
        return found
    matching = [option for option in options if wanted == option.id] or [option for option in options if wanted == option.name]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise WorkspaceError(
            f"“{wanted}” names {len(matching)} {what}s of {kind.name}.", f"Use an id: {', '.join(one.id for one in matching)}."
        )
    raise _unknown(f"{what} of {kind.name}", wanted, [option.id for option in options if not option.hidden])


def _unknown(what: str, wanted: str, known: Sequence[str], hint: str = "") -> WorkspaceError:
    close = get_close_matches(wanted, known, 1)
    suggestion = f"Did you mean {close[0]}?" if close else f"There is: {', '.join(known) or 'none'}."
    return WorkspaceError(f"There is no {what} named “{wanted}”.", f"{suggestion} {hint}".strip())
