"""The store of objects: SQLite for durability, memory for speed.

A write is committed before it is acknowledged, and survives `kill -9` of the process (WAL). The log
of changes is in memory only: after a restart, watches get 410 and list again. There is one process
and one writer.
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

from jupyter_workspaces.kube.types import Object

Key = tuple[str, str]

LOG_EVENTS = 20_000
LOG_BYTES = 64 * 2**20

_VERSION = 1
"""Version of the tables, as `PRAGMA user_version`; databases before version 1 have 0."""

_COLUMNS = {
    "objects": ("id", "resource", "namespace", "name", "revision", "body"),
    "meta": ("key", "value"),
}
_TABLES = (
    "CREATE TABLE objects ("
    "id INTEGER PRIMARY KEY, resource TEXT NOT NULL, namespace TEXT NOT NULL, "
    "name TEXT NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL, "
    "UNIQUE (resource, namespace, name))",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT INTO meta VALUES ('revision', 1)",
    f"PRAGMA user_version = {_VERSION}",
)


class StorageError(Exception):
    """The store cannot be opened or written. The message says what to do.

    Acknowledged writes are not lost.
    """


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of an object: its encoded body, and an index of some fields."""

    namespace: str
    name: str
    uid: str
    revision: int
    labels: dict[str, str]
    body: bytes

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return (self.namespace, self.name)

    def decode(self) -> Object:
        """Return the object; the caller may change it."""
        return msgspec.json.decode(self.body, type=dict[str, Any])

    def at(self, revision: int) -> Stored:
        """Return the same state with another revision, that of the change that ended it."""
        body = self.decode()
        body["metadata"]["resourceVersion"] = str(revision)
        return replace(self, revision=revision, body=msgspec.json.encode(body))


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the log.

    Attributes:
        old: the previous state; None for a creation.
        new: the new state, or the last one if deleted.
        deleted: whether the object was deleted.
    """

    resource: str
    revision: int
    old: Stored | None
    new: Stored
    deleted: bool


Listener = Callable[[Change], None]


def to_stored(body: Object, encoded: bytes) -> Stored:
    """Return an object with its encoded body as `Stored`."""
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
    """Reject an empty file beside a write-ahead log, which SQLite would discard.

    Raises:
        sqlite3.DatabaseError: if that is so.
    """
    log = path.with_name(f"{path.name}-wal")
    if path.exists() and path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise sqlite3.DatabaseError(f"the file is empty, but changes to it are in {log.name}")


def _is_new(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)


def _create(connection: sqlite3.Connection) -> None:
    """Create the tables in one transaction, so that no incomplete database remains."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection) -> None:
    """Check that the database is ours and intact, without writing.

    Raises:
        sqlite3.DatabaseError: with the first defect.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _VERSION):
        raise sqlite3.DatabaseError(
            f"its tables have version {version}, but this program supports {_VERSION}: "
            "a newer program may have created it"
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
    """Objects of all resources by namespace and name. Reads never block.

    Names of resources are `PLURAL.GROUP`.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Load all objects of a database."""
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
            self._cache(resource, to_stored(msgspec.json.decode(body, type=dict[str, Any]), body))

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open or create a database.

        Raises:
            StorageError: if it is damaged, not ours, or cannot be written.
        """
        try:
            _check_files(path)
            connection = sqlite3.connect(path, isolation_level=None, timeout=5)
            try:
                if _is_new(connection):
                    _create(connection)
                else:
                    _check(connection)
                connection.execute("PRAGMA journal_mode=WAL")  # after the checks, because it writes
                connection.execute("PRAGMA synchronous=NORMAL")
                return cls(connection, path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"The database {path} cannot be opened for writing ({error}). "
                "Check the free space and the permissions of its folder."
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
                f"The database {path} is damaged or not a database of a local cluster ({error}). "
                "Nothing in it was changed. Restore a copy of the file, or move it away (with the "
                "files of its name that end in -wal and -shm) to start with an empty cluster. The "
                "files of all claims are beside it in `volumes` and are not affected."
            ) from error

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def get(self, resource: str, namespace: str, name: str) -> Stored | None:
        """Return an object, or None."""
        return self._objects.get(resource, {}).get((namespace, name))

    def count(self, resource: str) -> int:
        """Return the number of objects of a resource."""
        return len(self._objects.get(resource, ()))

    def list(self, resource: str, namespace: str | None = None) -> list[Stored]:
        """Return the objects of a resource, or of one namespace, by namespace and name."""
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
        """Return what `list` returned at a revision; None if the log does not reach back so far."""
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
        """Commit a new version of an object and publish it. Sets its resourceVersion.

        Raises:
            StorageError: if it cannot be written.
        """
        revision = self.revision + 1
        body["metadata"]["resourceVersion"] = str(revision)
        stored = to_stored(body, msgspec.json.encode(body))
        with self._commit(revision):
            self._connection.execute(
                "INSERT INTO objects (resource, namespace, name, revision, body) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (resource, namespace, name) "
                "DO UPDATE SET revision = excluded.revision, body = excluded.body",
                (resource, stored.namespace, stored.name, revision, stored.body),
            )
        old = self._objects.get(resource, {}).get(stored.key)
        self._cache(resource, stored)
        self._publish(Change(resource, revision, old, stored, deleted=False))
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> Stored:
        """Delete an object and publish it. Return the last state with the new revision.

        Raises:
            StorageError: if it cannot be written.
        """
        old = self._objects[resource][(namespace, name)]
        revision = self.revision + 1
        stored = old.at(revision)
        with self._commit(revision):
            self._connection.execute(
                "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
                (resource, namespace, name),
            )
        del self._objects[resource][old.key]
        self._publish(Change(resource, revision, old, stored, deleted=True))
        return stored

    def since(self, resource: str, revision: int) -> Sequence[Change] | None:
        """Return the changes of a resource after a revision, oldest first.

        Returns None if the log does not reach back so far.
        """
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
        """Call a listener for each change of a resource, after its commit.

        Returns:
            A function that unsubscribes the listener.
        """
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
                f"The change could not be stored in {self._path.name}: {error}. Nothing was lost. "
                "Free some space or fix the permissions, then try again."
            ) from error
        self.revision = revision

    def _cache(self, resource: str, stored: Stored) -> None:
        self._objects.setdefault(resource, {})[stored.key] = stored

    def _publish(self, change: Change) -> None:
        self._log.append(change)
        self._log_bytes += len(change.new.body)
        while len(self._log) > LOG_EVENTS or self._log_bytes > LOG_BYTES:
            dropped = self._log.popleft()
            self._log_bytes -= len(dropped.new.body)
            self.oldest = dropped.revision
        for listener in list(self._listeners.get(change.resource, ())):
            listener(change)
