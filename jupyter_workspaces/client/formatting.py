"""Text for states, sizes and ages, the same in panel, cards, tables and command line."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.common import quantities


@dataclass(frozen=True)
class StateLabel:
    """How a state is shown: icon name `sign`, `glyph` for plain text, and label `word`."""

    sign: str
    glyph: str
    word: str


STATES: Mapping[str, StateLabel] = {
    "Running": StateLabel("running", "●", "Running"),
    "Pending": StateLabel("starting", "◐", "Starting"),
    "Paused": StateLabel("paused", "❙❙", "Paused"),
    "Error": StateLabel("error", "▲", "Needs attention"),
    "Terminating": StateLabel("leaving", "○", "Being deleted"),
    "Unknown": StateLabel("unknown", "○", "Unknown"),
}

_PAUSING = StateLabel("starting", "◐", "Pausing")
_RESTARTING = StateLabel("starting", "◐", "Restarting")

_LABELS = {"cpu": "cpu", "memory": "memory", "gpu": "nvidia.com/gpu"}
_SPANS = (
    (1, 60, "s"),
    (60, 3600, "min"),
    (3600, 86_400, "h"),
    (86_400, 14 * 86_400, "day"),
    (7 * 86_400, 60 * 86_400, "week"),
)
_MONTH = 30 * 86_400


def state(name: str) -> StateLabel:
    """Return how a state is shown; other states, also the empty one, are Unknown."""
    return STATES.get(name, STATES["Unknown"])


def is_being_deleted(item: Mapping[str, Any]) -> bool:
    """Return whether the deletion of a list item's workspace was requested."""
    return bool((item.get("audit") or {}).get("deletedAt"))


def shown_state(item: Mapping[str, Any]) -> str:
    """Return the shown state of a list item.

    Terminating while it is being deleted, Pending once its start was requested.
    """
    if is_being_deleted(item):
        return "Terminating"
    found = str(item.get("state") or "Pending")
    return "Pending" if found == "Paused" and not item["paused"] else found


def of_item(item: Mapping[str, Any]) -> StateLabel:
    """Return how the state of a list item is shown.

    Only a deleted workspace is "Being deleted"; others that stop are pausing or restarting.
    """
    shown = shown_state(item)
    if is_being_deleted(item):
        return state(shown)
    if item["paused"] and shown in ("Running", "Pending", "Terminating"):
        return _PAUSING
    return _RESTARTING if shown == "Terminating" else state(shown)


def size(labels: Iterable[Mapping[str, str]] | None, otherwise: str = "") -> str:
    """Return the size in a pod option's labels as text, such as `2 CPU · 4 GiB · 1 GPU`.

    Returns `otherwise` if it has no `cpu`, `memory` and `gpu` labels.
    """
    known = {
        _LABELS[label["key"]]: label["value"]
        for label in labels or ()
        if label.get("key") in _LABELS
    }
    return (
        quantities.words({name: text for name, text in known.items() if text not in ("", "0")})
        or otherwise
    )


def storage(quantity: str) -> str:
    """Return a storage quantity as text: `10 GiB` for `10Gi`."""
    return quantities.words({"storage": quantity}) if quantity else ""


def option(info: Mapping[str, Any]) -> str:
    """Return an option's name; its id if the kind no longer has the option."""
    shown = str(info.get("displayName") or "")
    return str(info.get("id", "")) if not shown or shown.startswith("__UNKNOWN_") else shown


def age(since: float, now: float | None = None) -> str:
    """Return the age of a timestamp (ms) as text, such as `12 min`; empty for 0."""
    if not since:
        return ""
    seconds = max(0.0, (time.time() * 1000 if now is None else now) - since) / 1000
    for unit, below, word in _SPANS:
        if seconds < below:
            count = int(seconds // unit)
            return f"{count} {word}{'s' if word in ('day', 'week') and count != 1 else ''}"
    months = int(seconds // _MONTH)
    return f"{months} month{'s' if months != 1 else ''}"
