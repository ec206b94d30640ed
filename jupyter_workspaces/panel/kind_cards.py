"""Widget that shows the workspace kinds as cards with logo, name and description."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import anywidget
import traitlets

from .form_data import Kind
from .table import module

PICTURE_LIMIT = 256 * 1024  # bytes
PICTURE_TYPES = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp")


class KindCards(anywidget.AnyWidget):
    """Cards of the workspace kinds; `chosen` is the name of the selected one, or empty."""

    _esm = module("form.js", "kinds.js")
    _css = module("kinds.css")

    kinds: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)


def cards(kinds: Iterable[Kind], pictures: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the contents of the cards: without hidden kinds, deprecated ones last."""
    shown = sorted(
        (kind for kind in kinds if not kind.get("hidden")),
        key=lambda kind: (bool(kind.get("deprecated")), _title(kind)),
    )
    return [_card(kind, pictures) for kind in shown]


def data_uri(media_type: str, picture: bytes) -> str:
    """Return a picture as a data URI for `<img>`, which does not run scripts of an SVG.

    Returns an empty text for other media types and for pictures over `PICTURE_LIMIT`.
    """
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
        note = str((restrictions.get("denyMessage") or {}).get("text") or "Not allowed")
    return {
        "name": str(kind["name"]),
        "title": _title(kind),
        "description": str(kind.get("description") or ""),
        "note": note,
        "denied": denied,
        "picture": pictures.get(str((kind.get("logo") or {}).get("url", "")), ""),
    }
