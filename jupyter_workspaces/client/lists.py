"""Lists of workspaces and kinds that render as tables and convert to data frames."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, TypeVar, overload

from . import display, formatting
from .errors import WorkspaceError
from .kinds import Kind, Option, mark_default
from .workspace import Workspace

T = TypeVar("T")


class Table(Sequence[T]):
    """Immutable list that renders as a table."""

    def __init__(self, items: Iterable[T]) -> None:
        """Create a list of items."""
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Return an item, or a sequence of items."""
        return self._items[index]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and cells as text."""
        raise NotImplementedError

    def records(self) -> list[Mapping[str, Any]]:
        """Return each item as a dict of plain values."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return a table as text."""
        headings, rows = self.rows()
        return display.text_table(headings, rows) if rows else "(none)"

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame. Raises `WorkspaceError` if pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise WorkspaceError(
                "Cannot create a data frame: pandas is not installed.",
                "Install it: %pip install pandas",
            ) from error
        records = self.records()
        return pandas.DataFrame(records, columns=list(records[0]) if records else self.rows()[0])


class WorkspaceList(Table[Workspace]):
    """Result of `jw.list()`. `where` is the namespace as text, for messages."""

    def __init__(
        self,
        items: Iterable[Workspace],
        where: str = "",
        volumes: Callable[[str], Mapping[str, list[str]]] | None = None,
    ) -> None:
        """Create a list.

        Args:
            items: Workspaces.
            where: Namespace as text, for messages.
            volumes: Returns the volumes of each workspace in a namespace, by name.
        """
        super().__init__(items)
        self.where, self._volumes = where, volumes

    def learn_volumes(self) -> None:
        """Set `mounts` of each workspace, if you are allowed to list volumes."""
        if self._volumes is None:
            return
        for namespace in {one.namespace for one in self}:
            try:
                known = self._volumes(namespace)
            except WorkspaceError as error:
                if error.status not in (401, 403, 404):
                    raise
                continue
            for one in self:
                if one.namespace == namespace:
                    one.mounts = sorted(known.get(one.name, []))

    def __repr__(self) -> str:
        """Return a table as text, or a sentence if the list is empty."""
        return super().__repr__() if self else f"No workspaces in {self.where}."

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and cells as text."""
        return workspaces_rows(self)

    def records(self) -> list[Mapping[str, Any]]:
        """Return each workspace as a dict; times are aware datetimes or None."""
        self.learn_volumes()
        times = ("created", "last_used")
        return [
            {
                **one.to_dict(),
                "image_name": one.image_name,
                "size_words": one.size_words,
                **dict(zip(times, (_time(one.created), _time(one.last_activity)), strict=True)),
            }
            for one in self
        ]

    def _repr_html_(self) -> str:
        if not self:
            text = f"No workspaces yet{f' in {self.where}' if self.where else ''}."
            hint = '<code>jw.spawn("jupyterlab")</code> creates one.'
            return f'<div style="color:{display.MUTED}">{escape(text)} {hint}</div>'
        headings, rows = self.rows()
        body = []
        for one, row in zip(self, rows, strict=True):
            cells = [display.sign(one.state_words), *(escape(cell) for cell in row[1:])]
            if one.state == "Running" and one.url:
                cells[1] = display.link(one.url, cells[1])
            # Ages sort by their timestamps, newest first.
            keys = {
                headings.index("age"): -one.created,
                headings.index("last used"): -one.last_activity,
            }
            body.append([(cell, keys.get(column)) for column, cell in enumerate(cells)])
        return display.table("Workspaces", headings, body)


class KindList(Table[Kind]):
    """Result of `jw.kinds()`."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and cells as text."""
        return kinds_rows(self)

    def records(self) -> list[Mapping[str, Any]]:
        """Return each kind as a dict of plain values."""
        return [
            {
                "name": kind.name,
                "display_name": kind.display_name,
                "description": kind.description,
                "deprecated": kind.deprecated,
                "images": [option.id for option in kind.images if not option.hidden],
                "sizes": [option.id for option in kind.sizes if not option.hidden],
                "workspaces": kind.workspaces,
            }
            for kind in self
        ]

    def _repr_html_(self) -> str:
        if not self:
            text = "No workspace kinds yet. Ask your cluster's administrator for one."
            return display.muted(text, "div")
        headings, rows = self.rows()
        return display.table(
            "Workspace kinds", headings, [[(escape(cell), None) for cell in row] for row in rows]
        )


def workspaces_rows(workspaces: Sequence[Workspace]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of workspaces, for HTML, text and the command line."""
    now = time.time() * 1000
    headings = ["state", "name", "kind", "image", "size", "age", "last used", "message"]
    rows = [
        [
            one.state_words.word,
            one.name,
            one.kind,
            one.image_name,
            one.size_words,
            formatting.age(one.created, now),
            formatting.age(one.last_activity, now),
            one.message if one.state != "Running" else "",
        ]
        for one in workspaces
    ]
    return headings, rows


def kinds_rows(kinds: Sequence[Kind]) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of workspace kinds, for HTML, text and the command line."""
    rows = [
        [
            kind.name,
            kind.display_name,
            _option_names(kind.images),
            _option_names(kind.sizes),
            kind.description,
        ]
        for kind in kinds
    ]
    return ["name", "title", "images", "sizes", "description"], rows


def _option_names(options: Sequence[Option]) -> str:
    """Return names that `spawn` accepts, with the id where two options share a name."""
    count = Counter(one.name.casefold() for one in options)
    return ", ".join(
        mark_default(
            one.name if count[one.name.casefold()] == 1 else f"{one.name} ({one.id})",
            one.is_default,
        )
        for one in options
        if not one.hidden
    )


def _time(milliseconds: float) -> Any:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc) if milliseconds else None
