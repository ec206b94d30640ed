"""State of a panel: rows by key, pending actions, and changes since the last update of the page.

Has no I/O: `session` feeds it with events, and sends its changes to the page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import rows
from .rows import Item, Row

CONFIRM_LIMIT = 10.0  # seconds until an accepted action that did not happen is dropped

BUSY = {
    rows.PAUSE: "Pausing",
    rows.RESUME: "Starting",
    rows.RESTART: "Restarting",
    rows.DELETE: "Being deleted",
}


@dataclass
class Expectation:
    """A pending action, which the row shows until the cluster confirms or refuses it."""

    action: str
    deadline: float
    accepted: bool = False

    def met_by(self, item: Item) -> bool:
        """Return whether the state of the cluster confirms the action."""
        state = rows.state_of(item)
        if self.action == rows.DELETE:
            return state == "Terminating"
        if self.action == rows.RESTART:
            return self.accepted and state != "Running"
        return bool(item.get("paused")) == (self.action == rows.PAUSE)

    def over(self, item: Item) -> Item:
        """Return the item as it will be after the action."""
        if self.action == rows.DELETE:
            return {
                **item,
                "audit": {**(item.get("audit") or {}), "deletedAt": "2000-01-01T00:00:00Z"},
            }
        if self.action == rows.PAUSE:
            return {**item, "paused": True, "stateMessage": ""}
        return {**item, "paused": False, "state": "Pending", "stateMessage": ""}


@dataclass
class Delta:
    """Changes: rows to insert or update by key, and keys to remove."""

    upsert: dict[str, Row] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether there are changes."""
        return bool(self.upsert or self.remove)


class Model:
    """Rows of one namespace or of all. Used by one thread, except for `rows()`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Create an empty model; tests pass their own clock."""
        self._clock = clock
        self._items: dict[str, Item] = {}
        self._rows: dict[str, Row] = {}
        self._kinds: dict[str, Item] = {}
        self._titles: dict[str, str] = {}
        self._expected: dict[str, Expectation] = {}
        self._notes: dict[str, str] = {}
        self._steps: dict[str, str] = {}
        self._changed: set[str] = set()

    def rows(self) -> list[Row]:
        """Return all rows: those that need attention first, then by creation time, newest first."""
        known = list(self._rows.values())  # atomic, because other threads call this
        return sorted(known, key=lambda row: (row["state"] != "Error", -row["created"], row["key"]))

    def row(self, key: str) -> Row | None:
        """Return a row by its key."""
        return self._rows.get(key)

    def kinds(self) -> list[Item]:
        """Return the workspace kinds."""
        return list(self._kinds.values())

    def item(self, key: str) -> Item | None:
        """Return the list item of a row."""
        return self._items.get(key)

    def snapshot(self, workspaces: Iterable[Item], kinds: Iterable[Item] | None = None) -> None:
        """Replace all items, and the kinds if given."""
        if kinds is not None:
            self._take_kinds({kind["name"]: kind for kind in kinds})
        fresh = {rows.key(item): item for item in workspaces}
        for key in [key for key in self._items if key not in fresh]:
            self._drop(key)
        for key, item in fresh.items():
            self._put(key, item)

    def workspace(self, change: str, item: Item) -> None:
        """Apply an event of the stream: ADDED, MODIFIED or DELETED."""
        key = rows.key(item)
        if change == "DELETED":
            self._drop(key)
        else:
            self._put(key, item)

    def kind(self, change: str, item: Item) -> None:
        """Apply an event about a kind; this may change the title in many rows."""
        kinds = {name: kind for name, kind in self._kinds.items() if name != item["name"]}
        if change != "DELETED":
            kinds = {**self._kinds, item["name"]: item}
        self._take_kinds(kinds)
        for key, known in self._items.items():
            if known["workspaceKind"]["name"] == item["name"]:
                self._draw(key)

    def expect(self, key: str, action: str) -> bool:
        """Show a pending action. False if there is none to do, or another one is pending."""
        expected = Expectation(action, self._clock() + CONFIRM_LIMIT)
        if key not in self._items or key in self._expected or expected.met_by(self._items[key]):
            return False
        self._expected[key] = expected
        self._notes.pop(key, None)
        self._draw(key)
        return True

    def accepted(self, key: str) -> None:
        """Record that the server accepted the action; it stays pending until confirmed."""
        expected = self._expected.get(key)
        if expected is not None:
            expected.accepted = True
            self._settle(key)

    def refused(self, key: str, reason: str) -> None:
        """Drop the pending action and show the reason."""
        self._expected.pop(key, None)
        self.note(key, reason)

    def withdraw(self, key: str) -> None:
        """Withdraw a pending action, because the user must confirm it first."""
        if self._expected.pop(key, None) is not None:
            self._draw(key)

    def kind_title(self, key: str) -> str:
        """Return the title of a row's kind, such as “JupyterLab”."""
        return str(self._rows[key]["kind"]) if key in self._rows else "its program"

    def note(self, key: str, text: str) -> None:
        """Show a note on the row until the next action; an empty text removes it."""
        if key in self._items:
            if text:
                self._notes[key] = text
            else:
                self._notes.pop(key, None)
            self._draw(key)

    def step(self, key: str, text: str) -> None:
        """Show the current step of a starting workspace."""
        if key in self._items and self._steps.get(key, "") != text:
            self._steps[key] = text
            self._draw(key)

    def expire(self) -> None:
        """Drop actions that were accepted but not confirmed in time."""
        now = self._clock()
        for key in [key for key, expected in self._expected.items() if expected.deadline <= now]:
            del self._expected[key]
            self._draw(key)

    def take(self) -> Delta:
        """Return the changes since the last call."""
        delta = Delta()
        for key in self._changed:
            if key in self._rows:
                delta.upsert[key] = self._rows[key]
            else:
                delta.remove.append(key)
        self._changed.clear()
        return delta

    def _take_kinds(self, kinds: Mapping[str, Item]) -> None:
        self._kinds = dict(kinds)
        self._titles = {name: str(kind.get("displayName") or name) for name, kind in kinds.items()}

    def _put(self, key: str, item: Item) -> None:
        self._items[key] = item
        self._settle(key)

    def _settle(self, key: str) -> None:
        expected, item = self._expected.get(key), self._items.get(key)
        if expected is not None and item is not None and expected.met_by(item):
            del self._expected[key]
        self._draw(key)

    def _drop(self, key: str) -> None:
        for known in (self._items, self._rows, self._expected, self._notes, self._steps):
            known.pop(key, None)
        self._changed.add(key)

    def _draw(self, key: str) -> None:
        item = self._items.get(key)
        if item is None:
            return
        expected = self._expected.get(key)
        drawn: dict[str, Any] = {"note": self._notes.get(key, ""), "step": self._steps.get(key, "")}
        if expected is not None:
            item, drawn["busy"] = expected.over(item), BUSY[expected.action]
        elif rows.state_of(item) != "Pending":
            self._steps.pop(key, None)
        row = rows.row(item, self._titles, **drawn)
        if not rows.same_to_the_eye(self._rows.get(key), row):
            self._rows[key] = row
            self._changed.add(key)
