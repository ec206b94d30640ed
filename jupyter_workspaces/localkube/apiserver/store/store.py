"""Where objects are kept: SQLite for what must survive, memory for what must be fast.

An answered write is committed before it is answered and survives `kill -9` of the process (WAL). The log of changes lives in memory only:
after a restart old watches are told to list again. One process, one writer.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

Object = dict[str, Any]
Key = tuple[str, str]

LOG_EVENTS = 20_000
LOG_BYTES = 64 * 2**20

_VERSION = 1
"""Of the tables, as `PRAGMA user_version`; databases from before it was counted have 0."""

_COLUMNS = {
    "objects": ("id", "resource", "namespace", "name", "revision", "body"),
    "meta": ("key", "value"),
}
_TABLES = (
    "CREATE TABLE objects ("
    "id INTEGER PRIMARY KEY, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, "
    "body BLOB NOT NULL, UNIQUE (resource, namespace, name))",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT INTO meta VALUES ('revision', 1)",
    f"PRAGMA user_version = {_VERSION}",
)


class StorageError(Exception):
    """The store cannot be opened or written; nothing that was answered is lost. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of an object: its encoded body and the little that is looked up without decoding it."""

    namespace: str
    name: str
    uid: str
    revision: int
    labels: dict[str, str]
    body: bytes

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    def decode(self) -> Object:
        """A fresh object, the caller's to change."""
        return msgspec.json.decode(self.body, type=dict[str, Any])

    def at(self, revision: int) -> Stored:
        """The same state under another revision: that of the change that ended it."""
        body = self.decode()
        body["metadata"]["resourceVersion"] = str(revision)
        return replace(self, revision=revision, body=msgspec.json.encode(body))


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the log: `old` is None for a creation, `new` carries the last state of a deleted object when `deleted`."""

    resource: str
    revision: int
    old: Stored | None
    new: Stored
    deleted: bool


Listener = Callable[[Change], None]


def index(body: Object, encoded: bytes) -> Stored:
    metadata = body["metadata"]
    return Stored(
        metadata.get("namespace") or "",
        metadata["name"],
        metadata["uid"],
        int(metadata["resourceVersion"]),
        metadata.get("labels") or {},
        encoded,
    )


def _check_files(path: Path) -> None:
    """Raises `sqlite3.DatabaseError` for an empty file beside a log of changes: SQLite would throw the log away."""
    log = path.with_name(f"{path.name}-wal")
    if path.exists() and path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise sqlite3.DatabaseError(f"the file is empty, but changes to it are in {log.name}")


def _is_new(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)


def _create(connection: sqlite3.Connection) -> None:
    """All of it or nothing: tables without a revision would be taken for a damaged database."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection) -> None:
    """Read what must hold of a database of ours; nothing is written. Raises `sqlite3.DatabaseError` with the first thing that does not."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise sqlite3.DatabaseError(
            f"its tables have version {version}, and this program knows {_VERSION}: it may be a newer program's"
        )
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    }
    for table, columns in _COLUMNS.items():
        found = tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        if found != columns:
            raise sqlite3.DatabaseError(
                f"it has no table {table} with the columns {', '.join(columns)}"
            )
    if strange := sorted(tables - _COLUMNS.keys()):
        raise sqlite3.DatabaseError(f"it has a table {strange[0][:80]!r}, which is not ours")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
    row = connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
    newest = connection.execute("SELECT max(revision) FROM objects").fetchone()[0]
    if row is None:
        raise sqlite3.DatabaseError("its table meta has no row 'revision'")
    if not isinstance(row[0], int) or row[0] < max(1, newest if isinstance(newest, int) else 1):
        raise sqlite3.DatabaseError(
            f"its revision is {row[0]!r}, but there are objects of revision {newest}"
        )


class Store:
    """Objects of all resources by (namespace, name). Resource names are `plural.group`. Reads never wait."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._objects: dict[str, dict[Key, Stored]] = {}
        self._log: deque[Change] = deque()
        self._log_bytes = 0
        self._listeners: dict[str, list[Listener]] = {}
        self.revision: int = connection.execute(
            "SELECT value FROM meta WHERE key = 'revision'"
        ).fetchone()[0]
        self.oldest = self.revision
        for resource, body in connection.execute("SELECT resource, body FROM objects ORDER BY id"):
            self._remember(resource, index(msgspec.json.decode(body, type=dict[str, Any]), body))

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create the database file. Raises `StorageError` when it is damaged, is another program's, or cannot be written."""
        try:
            _check_files(path)
            connection = sqlite3.connect(path, isolation_level=None, timeout=5)
            try:
                if _is_new(connection):
                    _create(connection)
                else:
                    _check(connection)
                connection.execute("PRAGMA journal_mode=WAL")  # only now: it writes to the file
                connection.execute("PRAGMA synchronous=NORMAL")
                return cls(connection, path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"The database {path} cannot be opened for writing ({error}). Check the free space and the rights of its folder."
            ) from error
        except (
            sqlite3.DatabaseError,
            msgspec.DecodeError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            raise StorageError(
                f"The database {path} is damaged or no database of ours ({error}). Nothing in it was changed. Put a copy of the file back, "
                "or move it away (with the files of its name that end in -wal and -shm) to begin with an empty cluster; the files of all claims "
                "are beside it in `volumes` and stay."
            ) from error

    def close(self) -> None:
        self._connection.close()

    def get(self, resource: str, namespace: str, name: str) -> Stored | None:
        return self._objects.get(resource, {}).get((namespace, name))

    def count(self, resource: str) -> int:
        return len(self._objects.get(resource, ()))

    def list(self, resource: str, namespace: str | None = None) -> list[Stored]:
        """All of a resource, or those of one namespace, by namespace and name."""
        found = self._objects.get(resource, {})
        keys = (
            sorted(found)
            if namespace is None
            else sorted(key for key in found if key[0] == namespace)
        )
        return [found[key] for key in keys]

    def at(
        self, resource: str, revision: int, namespace: str | None = None
    ) -> Sequence[Stored] | None:
        """What `list` gave when that revision was the newest; None when the log no longer reaches back that far."""
        changes = self.since(resource, revision)
        if changes is None:
            return None
        found = dict(self._objects.get(resource, {}))
        for change in reversed(changes):
            if change.old is not None:
                found[change.old.key] = change.old
            else:
                found.pop(change.new.key, None)
        return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def put(self, resource: str, body: Object) -> Stored:
        """Commit a new version of an object and tell everybody. Sets its resourceVersion. Raises `StorageError`."""
        revision = self.revision + 1
        body["metadata"]["resourceVersion"] = str(revision)
        stored = index(body, msgspec.json.encode(body))
        with self._commit(revision):
            self._connection.execute(
                "INSERT INTO objects (resource, namespace, name, revision, body) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (resource, namespace, name) DO UPDATE SET revision = excluded.revision, body = excluded.body",
                (resource, stored.namespace, stored.name, revision, stored.body),
            )
        old = self._objects.get(resource, {}).get(stored.key)
        self._remember(resource, stored)
        self._tell(Change(resource, revision, old, stored, deleted=False))
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> Stored:
        """Commit the removal and tell everybody; what is told is the last stored state with the deletion's revision."""
        old = self._objects[resource][(namespace, name)]
        revision = self.revision + 1
        stored = old.at(revision)
        with self._commit(revision):
            self._connection.execute(
                "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                (resource, namespace, name),
            )
        del self._objects[resource][old.key]
        self._tell(Change(resource, revision, old, stored, deleted=True))
        return stored

    def since(self, resource: str, revision: int) -> Sequence[Change] | None:
        """Changes of a resource after a revision, oldest first; None when the log no longer reaches back that far."""
        if revision < self.oldest:
            return None
        found: deque[Change] = deque()
        for change in reversed(self._log):
            if change.revision <= revision:
                break
            if change.resource == resource:
                found.appendleft(change)
        return list(found)

    def listen(self, resource: str, listener: Listener) -> Callable[[], None]:
        """Hear of each change of a resource, after it is committed; call what comes back to stop."""
        listeners = self._listeners.setdefault(resource, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    @contextmanager
    def _commit(self, revision: int) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute(
                    "UPDATE meta SET value = ? WHERE key = 'revision'", (revision,)
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StorageError(
                f"The change could not be stored in {self._path.name}: {error}. Nothing was lost; free some space or mend the rights, then try again."
            ) from error
        self.revision = revision

    def _remember(self, resource: str, stored: Stored) -> None:
        self._objects.setdefault(resource, {})[stored.key] = stored

    def _tell(self, change: Change) -> None:
        self._log.append(change)
        self._log_bytes += len(change.new.body)
        while len(self._log) > LOG_EVENTS or self._log_bytes > LOG_BYTES:
            dropped = self._log.popleft()
            self._log_bytes -= len(dropped.new.body)
            self.oldest = dropped.revision
        for listener in list(self._listeners.get(change.resource, ())):
            listener(change)
