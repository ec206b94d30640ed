"""Writes new tokens of an `auth-provider` into a kubeconfig without any other change.

Comments and the order of keys stay, which needs edits of the text: PyYAML drops comments, and
ruamel.yaml would be one more dependency for this file. The file is locked as kubectl does
(`FILE.lock`) and replaced atomically; `filelock` uses flock(2), which kubectl does not see.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from jupyter_workspaces.common.documents.bounds import DocumentError

from . import loading

LOCK_SECONDS = 5.0
PAUSE_SECONDS = 0.05
_BASE: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotWritten(Exception):
    """The file was not changed. The message says why, and quotes nothing of the file."""


def save_provider(file: Path, user: str, changed: Mapping[str, str]) -> None:
    """Set keys of `auth-provider.config` of a user. Blocks up to 5 s for another writer.

    Raises:
        NotWritten: the file was not changed.
    """
    try:
        target = file.resolve(strict=True)
        with _locked(file):
            before = target.read_bytes()
            text = before.decode("utf-8")
            after = _changed(text, user, changed)
            _check(before, after.encode(), user, changed, file)
            _replace(target, after.encode())
    except OSError as error:
        raise NotWritten(f"{file} cannot be written: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NotWritten(f"{file} is not UTF-8") from None


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = file.with_name(file.name + ".lock")
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > end:
                raise NotWritten(
                    f"{lock} exists: another program writes the file, or ended while it did. "
                    "Remove it if none does"
                ) from None
            time.sleep(PAUSE_SECONDS)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _changed(text: str, user: str, changed: Mapping[str, str]) -> str:
    """Return the text with new values at the positions that the YAML parser reports.

    Raises `NotWritten`.
    """
    try:
        loader = _BASE(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError:
        raise NotWritten("its YAML cannot be edited in place") from None
    config = _config_node(root, user)
    if config is None or not config.value:
        raise NotWritten("the user has no auth-provider with a config there any more")
    edits: list[tuple[int, int, str]] = []
    held = {key.value: value for key, value in config.value}
    first = config.value[0][0]
    for key, value in changed.items():
        quoted = json.dumps(value)  # a JSON text is a YAML text, too
        node = held.get(key)
        if node is not None:
            begin, end = node.start_mark.index, node.end_mark.index
            # A plain or block scalar may end beyond its last letter.
            trail = len(text[begin:end]) - len(text[begin:end].rstrip())
            edits.append((begin, end - trail, quoted))
        elif config.flow_style:
            edits.append(
                (first.start_mark.index, first.start_mark.index, f"{json.dumps(key)}: {quoted}, ")
            )
        else:
            indent = " " * first.start_mark.column
            edits.append(
                (first.start_mark.index, first.start_mark.index, f"{key}: {quoted}\n{indent}")
            )
    for begin, end, replacement in sorted(edits, reverse=True):
        text = text[:begin] + replacement + text[end:]
    return text


def _config_node(root: Any, user: str) -> Any:
    users = _child(root, "users")
    for entry in users.value if isinstance(users, yaml.SequenceNode) else ():
        if getattr(_child(entry, "name"), "value", None) == user:
            node = _child(_child(_child(entry, "user"), "auth-provider"), "config")
            return node if isinstance(node, yaml.MappingNode) else None
    return None


def _child(node: Any, key: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _check(before: bytes, after: bytes, user: str, changed: Mapping[str, str], file: Path) -> None:
    """Check that the edit changed nothing but the tokens. Raises `NotWritten`."""
    try:
        old, new = loading.parse(before), loading.parse(after)
    except DocumentError:
        raise NotWritten(f"{file} cannot be edited in place") from None
    for entry in old.get("users") or ():
        if entry.get("name") == user:
            entry["user"]["auth-provider"]["config"].update(changed)
    if old != new:
        raise NotWritten(f"{file} cannot be edited in place (anchors or unusual YAML)")


def _replace(target: Path, content: bytes) -> None:
    """Replace a file atomically; mode and owner stay. Raises `OSError`."""
    held = target.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, held.st_mode & 0o777)
        if hasattr(os, "chown") and (held.st_uid, held.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(name, held.st_uid, held.st_gid)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
