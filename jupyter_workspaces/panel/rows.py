"""One workspace as one row of the panel: sign, words, links, and the things that can be done now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jupyter_workspaces.client import words

Item = Mapping[str, Any]  # a WorkspaceListItem (contract §1.5 no. 4)
Row = dict[str, Any]  # what table.js draws, plain JSON

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
_SHOWN_ACTIVITY = 300_000  # ms; activity is told in steps of five minutes, or an open panel would keep the kernel from ever being idle


def key(item: Item) -> str:
    return f"{item['namespace']}/{item['name']}"


def row(
    item: Item, kind_titles: Mapping[str, str], *, busy: str = "", note: str = "", step: str = ""
) -> Row:
    """The row of an item. `busy` names what was asked for and is not yet confirmed, `note` is why the last thing was refused."""
    state = state_of(item)
    said = words.state("Pending" if state == STOPPING else state)
    options = item["podTemplate"]["options"]
    image, size = options["imageConfig"]["current"], options["podConfig"]["current"]
    kind = item["workspaceKind"]
    message = (
        str(item.get("stateMessage") or "") if state in ("Pending", "Error", "Unknown") else ""
    )
    if not message and kind.get("missing"):
        message = f"Its kind “{kind['name']}” is gone; ask whoever manages the cluster."
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
        "image": words.option(image),
        "size": words.size(size.get("labels"), words.option(size)),
        "moved": _moved(options),
        "created": milliseconds((item.get("audit") or {}).get("createdAt")),
        "since": _since(item, state),
        "activity": (item.get("activity") or {}).get("lastActivity") or 0,
        "links": links,
        **actions(state, links),
    }


def state_of(item: Item) -> str:
    """The state as people see it: one that is being deleted says so, one that was told to start is starting.

    The cluster's Terminating is about the pod (contract §4.2): of a workspace that stays it means that it stops, to pause or to restart.
    """
    if (item.get("audit") or {}).get("deletedAt"):
        return "Terminating"
    state = item.get("state") or "Pending"  # a new one, before its first status
    if state == "Terminating":
        return STOPPING
    if state == "Paused" and not item.get("paused"):
        return "Pending"
    return state if state in words.STATES else "Unknown"


def actions(state: str, links: list[dict[str, str]]) -> dict[str, Any]:
    """The one thing to do, the second one, and the menu (UX, “Words and states”)."""
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
    """Where its ports are served: label and path, the path without any server's base URL."""
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
    """Whether nobody could see the difference: only the activity moved, and by less than a step."""
    if old is None or abs(new["activity"] - old["activity"]) >= _SHOWN_ACTIVITY:
        return False
    return {**old, "activity": 0} == {**new, "activity": 0}


def milliseconds(text: Any) -> int:
    """RFC 3339 as ms since the epoch; 0 where there is none."""
    return (
        int(datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() * 1000)
        if text
        else 0
    )


def _action(entry: str | dict[str, str] | None) -> dict[str, str] | None:
    return {"id": entry, "label": LABELS[entry]} if isinstance(entry, str) else entry


def _transition(item: Item, state: str) -> str:
    if item.get("paused") and state in ("Running", "Pending", STOPPING):
        return "Pausing"
    return "Restarting" if state == STOPPING else ""


def _since(item: Item, state: str) -> int:
    """Since when it is in its state, as far as the list tells; 0 where it does not."""
    return int(
        item.get({"Paused": "pausedTime", "Running": "lastRunningTime"}.get(state, ""), 0) or 0
    )


def _moved(options: Item) -> str:
    """In words, where a newer option stands in for a chosen one (contract §4.5)."""
    said = []
    for dimension, noun in (("imageConfig", "image"), ("podConfig", "size")):
        chain = options[dimension].get("redirectChain") or []
        if chain:
            last = chain[-1]
            text = (last.get("message") or {}).get("text", "")
            said.append(
                f"A newer {noun} stands ready: {words.option(last['target'])}"
                + (f" ({text})" if text else "")
            )
    return ". ".join(said)
