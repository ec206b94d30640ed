"""What the panel knows: rows by key, what was asked for and not yet confirmed, and what changed since it was last told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import rows
from .rows import Item, Row

CONFIRM_LIMIT = 10.0  # seconds after which the cluster's word counts again, whatever was asked for

BUSY = {
    rows.PAUSE: "Pausing",
    rows.RESUME: "Starting",
    rows.RESTART: "Restarting",
    rows.DELETE: "Being deleted",
}


@dataclass
class Expectation:
    """An action of this panel: how the row looks until the cluster shows it, or refuses."""

    action: str
    deadline: float
    accepted: bool = False

    def met_by(self, item: Item) -> bool:
        """Whether the cluster's own state shows it."""
        state = rows.state_of(item)
        if self.action == rows.DELETE:
            return state == "Terminating"
        if self.action == rows.RESTART:
            return self.accepted and state != "Running"
        return bool(item.get("paused")) == (self.action == rows.PAUSE)

    def over(self, item: Item) -> Item:
        """The item as it will be, for the row to show now."""
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
    """What changed: whole rows by key, and keys that are gone."""

    upsert: dict[str, Row] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.upsert or self.remove)


class Model:
    """Rows of one namespace or of all. Not locked: one thread feeds it; `rows()` may be read from any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
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
        known = list(self._rows.values())  # one step, so that another thread may call this
        return sorted(known, key=lambda row: (row["state"] != "Error", -row["created"], row["key"]))

    def kinds(self) -> list[Item]:
        return list(self._kinds.values())

    def item(self, key: str) -> Item | None:
        return self._items.get(key)

    def snapshot(self, workspaces: Iterable[Item], kinds: Iterable[Item] | None = None) -> None:
        """Take a whole list; what is not in it is gone."""
        if kinds is not None:
            self._take_kinds({kind["name"]: kind for kind in kinds})
        fresh = {rows.key(item): item for item in workspaces}
        for key in [key for key in self._items if key not in fresh]:
            self._drop(key)
        for key, item in fresh.items():
            self._put(key, item)

    def workspace(self, change: str, item: Item) -> None:
        """One event of the stream: ADDED, MODIFIED or DELETED."""
        key = rows.key(item)
        if change == "DELETED":
            self._drop(key)
        else:
            self._put(key, item)

    def kind(self, change: str, item: Item) -> None:
        """One event about a kind; it may bring another title to many rows."""
        kinds = {name: kind for name, kind in self._kinds.items() if name != item["name"]}
        if change != "DELETED":
            kinds = {**self._kinds, item["name"]: item}
        self._take_kinds(kinds)
        for key, known in self._items.items():
            if known["workspaceKind"]["name"] == item["name"]:
                self._draw(key)

    def expect(self, key: str, action: str) -> bool:
        """Show an action at once. False when there is no such row, it already waits for something, or it is so already."""
        expected = Expectation(action, self._clock() + CONFIRM_LIMIT)
        if key not in self._items or key in self._expected or expected.met_by(self._items[key]):
            return False
        self._expected[key] = expected
        self._notes.pop(key, None)
        self._draw(key)
        return True

    def accepted(self, key: str) -> None:
        """The server took it; the row goes on showing it until the cluster does."""
        expected = self._expected.get(key)
        if expected is not None:
            expected.accepted = True
            self._settle(key)

    def refused(self, key: str, reason: str) -> None:
        """Take it back and say why."""
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
        """A sentence on the row, until the next action or until it is put away (empty)."""
        if key in self._items:
            if text:
                self._notes[key] = text
            else:
                self._notes.pop(key, None)
            self._draw(key)

    def step(self, key: str, text: str) -> None:
        """What a starting workspace is doing just now."""
        if key in self._items and self._steps.get(key, "") != text:
            self._steps[key] = text
            self._draw(key)

    def expire(self) -> None:
        """Give up on what was accepted but never seen to happen."""
        now = self._clock()
        for key in [key for key, expected in self._expected.items() if expected.deadline <= now]:
            del self._expected[key]
            self._draw(key)

    def take(self) -> Delta:
        """What changed since the last call."""
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
