"""The kinds as cards: logo, name, what it is for."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import anywidget
import traitlets

from .fields import Kind
from .table import module

PICTURE_LIMIT = 256 * 1024  # bytes
PICTURE_TYPES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp")


class Kinds(anywidget.AnyWidget):
    """Cards of all kinds that one may see; `chosen` is the name of the open one, or empty."""

    _esm = module("form.js", "kinds.js")
    _css = module("kinds.css")

    kinds: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)


def cards(kinds: Iterable[Kind], pictures: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the cards show. Hidden kinds are left out, deprecated ones stand last."""
    shown = sorted(
        (kind for kind in kinds if not kind.get("hidden")),
        key=lambda kind: (bool(kind.get("deprecated")), _title(kind)),
    )
    return [_card(kind, pictures) for kind in shown]


def data_uri(media_type: str, picture: bytes) -> str:
    """A picture as the source of an `<img>`, where scripts in an SVG never run; empty for what is no picture or too big."""
    media_type = media_type.partition(";")[0].strip().lower()
    if media_type not in PICTURE_TYPES or not picture or len(picture) > PICTURE_LIMIT:
        return ""
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"


def _title(kind: Kind) -> str:
    return str(kind.get("displayName") or kind["name"])


def _card(kind: Kind, pictures: Mapping[str, str]) -> dict[str, Any]:
    restrictions = kind.get("restrictions") or {}
    denied = bool(restrictions.get("deny"))
    note = (
        str(kind.get("deprecationMessage") or "No longer recommended")
        if kind.get("deprecated")
        else ""
    )
    if denied:
        note = str((restrictions.get("denyMessage") or {}).get("text") or "Not allowed here")
    return {
        "name": str(kind["name"]),
        "title": _title(kind),
        "description": str(kind.get("description") or ""),
        "note": note,
        "denied": denied,
        "picture": pictures.get(str((kind.get("logo") or {}).get("url", "")), ""),
    }
