"""Workspace kinds and their options, and how `spawn` arguments select from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from html import escape
from typing import Any

from . import display, formatting
from .errors import WorkspaceError


@dataclass(frozen=True)
class Option:
    """An image or a size of a kind.

    `redirects_to` is the id of the option that replaces it. `denied` is the reason why you cannot
    use it; empty if you can.
    """

    id: str
    name: str
    description: str
    labels: Mapping[str, str]
    hidden: bool
    redirects_to: str | None
    is_default: bool
    denied: str = ""

    @property
    def size(self) -> str:
        """Size as text, such as `2 CPU · 4 GiB`; empty for an image."""
        return formatting.size([{"key": key, "value": value} for key, value in self.labels.items()])

    def described(self) -> str:
        """Return name, size and id as text, and whether it is the default."""
        text = " · ".join(part for part in (self.name, self.size) if part)
        return mark_default(f"{text} ({self.id})", self.is_default)


@dataclass(frozen=True)
class Kind:
    """A workspace kind: a template with images and sizes to choose from.

    `home` is the mount path of the home volume.
    """

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
        """Return an image by id or name; by default the kind's. Raises `WorkspaceError`."""
        return _choose(self.images, wanted, "image", self)

    def size(self, wanted: str | None = None) -> Option:
        """Return a size by id or name; by default the kind's. Raises `WorkspaceError`."""
        return _choose(self.sizes, wanted, "size", self)

    def _repr_html_(self) -> str:
        heading = f"<div><b>{escape(self.display_name)}</b> {display.muted(self.name)}</div>"
        lines = [f'<div style="margin-bottom:4px">{escape(self.description)}</div>']
        for what, options in (("images", self.images), ("sizes", self.sizes)):
            text = ", ".join(option.described() for option in options if not option.hidden)
            lines.append(f"<div>{display.muted(what)} {escape(text)}</div>")
        return display.card(heading, "".join(lines))


def from_item(item: Mapping[str, Any]) -> Kind:
    """Return the kind of a list item of the API (docs/api.md)."""
    template = item["podTemplate"]
    return Kind(
        name=item["name"],
        display_name=item.get("displayName") or item["name"],
        description=item.get("description") or "",
        deprecated=bool(item.get("deprecated")),
        hidden=bool(item.get("hidden")),
        home=(template.get("volumeMounts") or {}).get("home") or "/home/jovyan",
        images=_options(template["options"]["imageConfig"]),
        sizes=_options(template["options"]["podConfig"]),
        logo_url=(item.get("logo") or {}).get("url") or "",
        workspaces=(item.get("clusterMetrics") or {}).get("workspacesCount") or 0,
    )


def choose(kinds: Sequence[Kind], wanted: str) -> Kind:
    """Return a kind by name or display name, ignoring case. Raises `WorkspaceError`."""
    for kind in kinds:
        if wanted == kind.name:
            return kind
    matching = [
        kind
        for kind in kinds
        if wanted.casefold() in (kind.name.casefold(), kind.display_name.casefold())
    ]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(kind.name for kind in matching)
        raise WorkspaceError(
            f"“{wanted}” matches {len(matching)} workspace kinds.",
            f"Use a name: {names}.",
            {"kind": "ambiguous"},
            422,
        )
    raise _unknown(
        "Workspace kind", wanted, [kind.name for kind in kinds], "kind", "jw.kinds() shows all."
    )


def mark_default(text: str, is_default: bool) -> str:
    """Return the text of an option, with “(default)” if it is the default."""
    return f"{text} (default)" if is_default else text


def closest(wanted: str, known: Collection[str]) -> str:
    """Return ` Did you mean …?` with the closest known name, or an empty text."""
    found = get_close_matches(wanted, known, 1)
    return f" Did you mean {found[0]}?" if found else ""


def _options(options: Mapping[str, Any]) -> tuple[Option, ...]:
    return tuple(
        Option(
            id=value["id"],
            name=formatting.option(value),
            description=value.get("description") or "",
            labels={label["key"]: label["value"] for label in value.get("labels") or ()},
            hidden=bool(value.get("hidden")),
            redirects_to=(value.get("redirect") or {}).get("to"),
            is_default=value["id"] == options.get("default"),
            denied=_denied(value.get("restrictions") or {}),
        )
        for value in options.get("values") or ()
    )


def _denied(restrictions: Mapping[str, Any]) -> str:
    if not restrictions.get("deny"):
        return ""
    return str((restrictions.get("denyMessage") or {}).get("text") or "not allowed here")


def _choose(options: Sequence[Option], wanted: str | None, what: str, kind: Kind) -> Option:
    if wanted is None:
        found = _usual(options)
        if found is None:
            raise WorkspaceError(
                f"Workspace kind '{kind.name}' has no {what} that you can use.",
                "Ask your cluster's administrator.",
                {what: "none available"},
            )
        return found
    matching = [option for option in options if wanted == option.id] or [
        option
        for option in options
        if wanted.casefold() in (option.id.casefold(), option.name.casefold())
    ]
    if len(matching) == 1:
        if matching[0].denied:
            text = f"You cannot use the {what} '{matching[0].name}': {matching[0].denied}."
            raise WorkspaceError(
                text, f"Available: {_offered(options)}.", {what: matching[0].denied}, 403
            )
        return matching[0]
    if matching:
        ids = ", ".join(one.id for one in matching)
        raise WorkspaceError(
            f"“{wanted}” matches {len(matching)} {what}s of workspace kind '{kind.name}'.",
            f"Use an id: {ids}.",
            {what: "ambiguous"},
            422,
        )
    raise _unknown(
        what.capitalize(),
        wanted,
        [option.id for option in options if not option.hidden and not option.denied],
        what,
        place=f" in workspace kind '{kind.name}'",
    )


def _usual(options: Sequence[Option]) -> Option | None:
    """Return the default, following redirects; if denied, the first option that is not."""
    known = {option.id: option for option in options}
    found = next((option for option in options if option.is_default), None)
    seen: set[str] = set()
    while found is not None and found.redirects_to in known and found.id not in seen:
        seen.add(found.id)
        found = known[found.redirects_to]
    if found is not None and not found.denied:
        return found
    return next((option for option in options if not option.denied and not option.hidden), None)


def _offered(options: Sequence[Option]) -> str:
    return (
        ", ".join(option.id for option in options if not option.hidden and not option.denied)
        or "none"
    )


def _unknown(
    what: str, wanted: str, known: Sequence[str], field: str, hint: str = "", place: str = ""
) -> WorkspaceError:
    suggestion = closest(wanted, known).strip() or f"Available: {', '.join(known) or 'none'}."
    text = f"{what} '{wanted}' not found{place}."
    return WorkspaceError(text, f"{suggestion} {hint}".strip(), {field: text}, 404)
