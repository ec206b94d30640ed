"""Rows of the panel as JSON for table.js: state, texts, links and available actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.client import formatting
from jupyter_workspaces.common.timestamps import milliseconds

Item = Mapping[str, Any]  # list item of a workspace (docs/api.md)
Row = dict[str, Any]  # JSON for table.js

OPEN, PAUSE, RESUME, RESTART, DELETE, DETAILS, WHY = (
    "open",
    "pause",
    "resume",
    "restart",
    "delete",
    "details",
    "why",
)
STOP = "stop"
LABELS = {
    OPEN: "Open",
    PAUSE: "Pause",
    RESUME: "Resume",
    RESTART: "Restart",
    STOP: "Stop now",
    DELETE: "Delete…",
    DETAILS: "Details",
    WHY: "Why?",
}
STOPPING = "Stopping"
_CANCEL = {"id": PAUSE, "label": "Cancel the start"}
# Steps (ms) in which changes of the activity are sent. Each message counts as activity of the
# kernel, so an open panel would otherwise keep the kernel from becoming idle.
_SHOWN_ACTIVITY = 300_000


def key(item: Item) -> str:
    """Return the key of an item: `namespace/name`."""
    return f"{item['namespace']}/{item['name']}"


def row(
    item: Item, kind_titles: Mapping[str, str], *, busy: str = "", note: str = "", step: str = ""
) -> Row:
    """Return the row of an item.

    Args:
        item: List item of the workspace.
        kind_titles: Titles of workspace kinds by name.
        busy: Label of a pending action.
        note: Message about the last action, such as why it failed.
        step: Current step of a start.
    """
    state = state_of(item)
    said = formatting.state("Pending" if state == STOPPING else state)
    options = item["podTemplate"]["options"]
    image, size = options["imageConfig"]["current"], options["podConfig"]["current"]
    kind = item["workspaceKind"]
    message = (
        str(item.get("stateMessage") or "") if state in ("Pending", "Error", "Unknown") else ""
    )
    if not message and kind.get("missing"):
        message = (
            f"Workspace kind “{kind['name']}” no longer exists. "
            "Ask your cluster's administrator to fix it."
        )
    links = links_of(item) if state == "Running" else []
    return {
        "key": key(item),
        "name": item["name"],
        "title": item.get("displayName") or item["name"],
        "namespace": item["namespace"],
        "state": state,
        "sign": said.sign,
        "word": busy or _transition(item, state) or said.word,
        "busy": bool(busy or _transition(item, state)),
        "step": step if state == "Pending" else "",
        "message": message,
        "note": note,
        "kind": kind_titles.get(kind["name"], kind["name"]),
        "image": formatting.option(image),
        "size": formatting.size(size.get("labels"), formatting.option(size)),
        "moved": _moved(options),
        "created": milliseconds((item.get("audit") or {}).get("createdAt")),
        "since": _since(item, state),
        "activity": (item.get("activity") or {}).get("lastActivity") or 0,
        "links": links,
        **actions(state, links),
    }


def state_of(item: Item) -> str:
    """Return the state that the row shows.

    The API's Terminating is the state of the pod: unless the workspace is being deleted, it is
    stopping, to pause or to restart.
    """
    if formatting.is_being_deleted(item):
        return "Terminating"
    state = item.get("state") or "Pending"  # a new one, before its first status
    if state == "Terminating":
        return STOPPING
    if state == "Paused" and not item.get("paused"):
        return "Pending"
    return state if state in formatting.STATES else "Unknown"


def actions(state: str, links: list[dict[str, str]]) -> dict[str, Any]:
    """Return the actions of a state: primary button, secondary button and menu."""
    offered: dict[str, tuple[str | None, str | None, list[Any]]] = {
        "Running": (OPEN if links else DETAILS, PAUSE, [RESTART, DETAILS, DELETE]),
        "Pending": (WHY, None, [DETAILS, _CANCEL, DELETE]),
        "Paused": (RESUME, None, [DETAILS, DELETE]),
        "Error": (WHY, None, [RESTART, DETAILS, PAUSE, DELETE]),
        STOPPING: (None, STOP, [DETAILS, DELETE]),
        "Terminating": (None, STOP, [DETAILS]),
        "Unknown": (DETAILS, None, [RESTART, DELETE]),
    }
    primary, secondary, menu = offered[state]
    return {
        "primary": _action(primary),
        "secondary": _action(secondary),
        "menu": [_action(entry) for entry in menu],
    }


def links_of(item: Item) -> list[dict[str, str]]:
    """Return label and path of each port; paths do not contain the server's base URL."""
    found = []
    for service in item.get("services") or ():
        http = service.get("httpService")
        if http and str(http.get("httpPath", "")).startswith("/workspace/connect/"):
            found.append(
                {
                    "label": str(http.get("displayName") or "Workspace"),
                    "path": str(http["httpPath"]),
                }
            )
    return found


def same_to_the_eye(old: Row | None, new: Row) -> bool:
    """Return whether two rows look alike: only the activity differs, by less than a step."""
    if old is None or abs(new["activity"] - old["activity"]) >= _SHOWN_ACTIVITY:
        return False
    return {**old, "activity": 0} == {**new, "activity": 0}


def _action(entry: str | dict[str, str] | None) -> dict[str, str] | None:
    return {"id": entry, "label": LABELS[entry]} if isinstance(entry, str) else entry


def _transition(item: Item, state: str) -> str:
    if item.get("paused") and state in ("Running", "Pending", STOPPING):
        return "Pausing"
    return "Restarting" if state == STOPPING else ""


def _since(item: Item, state: str) -> int:
    """Return since when it is running or paused (ms); 0 if unknown."""
    return int(
        item.get({"Paused": "pausedTime", "Running": "lastRunningTime"}.get(state, ""), 0) or 0
    )


def _moved(options: Item) -> str:
    """Return a sentence on newer options that replace the chosen ones."""
    said = []
    for dimension, noun in (("imageConfig", "image"), ("podConfig", "size")):
        chain = options[dimension].get("redirectChain") or []
        if chain:
            last = chain[-1]
            text = (last.get("message") or {}).get("text", "")
            said.append(
                f"A newer {noun} is available: {formatting.option(last['target'])}"
                + (f" ({text})" if text else "")
            )
    return ". ".join(said)
