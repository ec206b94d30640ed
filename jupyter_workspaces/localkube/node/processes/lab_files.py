"""A contents manager that shows a pod's volumes in the file browser of its JupyterLab.

The home is the root, and a volume that is mounted at /data/x appears in it as data/x. Nothing is
written into the home for that. The file is copied beside the Lab's connection files and loaded by
the Lab (`--ServerApp.contents_manager_class`), so it needs Jupyter Server only. A JSON file with
the same name beside it maps paths to directories.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

Model = dict[str, Any]


class WorkspaceFiles(AsyncLargeFileManager):
    """Serves the files of the home, and those of each volume by a contents manager of its own."""

    def __init__(self, **settings: Any) -> None:
        """Read the volumes from the file beside this one."""
        super().__init__(**settings)
        found: dict[str, str] = json.loads(
            Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
        )
        self._volumes = {
            path: AsyncLargeFileManager(parent=self, root_dir=directory)
            for path, directory in found.items()
        }

    async def get(  # newer servers ask for hashes, too
        self,
        path: str,
        content: bool = True,
        type: str | None = None,
        format: str | None = None,
        *more: Any,
        **named: Any,
    ) -> Model:
        """Return the model of a file or directory."""
        path = path.strip("/")
        if (inside := self._inside(path)) is not None:
            prefix, volume, rest = inside
            return _outward(await volume.get(rest, content, type, format, *more, **named), prefix)
        children = self._children(path)
        if children and not os.path.isdir(super()._get_os_path(path)):
            if type not in (None, "directory"):
                raise HTTPError(400, f"{path} is a directory, not a {type}", reason="bad type")
            return await self._with_children(_directory(path, content), children)
        model: Model = await super().get(path, content, type, format, *more, **named)
        return await self._with_children(model, children) if model["type"] == "directory" else model

    async def save(self, model: Model, path: str = "") -> Model:
        """Save a file or create a directory."""
        if (inside := self._inside(path)) is None:
            saved: Model = await super().save(model, path)
            return saved
        prefix, volume, rest = inside
        return _outward(await volume.save(model, rest), prefix)

    async def delete(self, path: str) -> None:
        """Delete a file or directory, but not a volume."""
        self._refuse_volume(path, "deleted")
        if (inside := self._inside(path)) is not None:
            await inside[1].delete(inside[2])
            return
        await super().delete(path)

    async def rename(self, old_path: str, new_path: str) -> None:
        """Rename or move a file or directory, also between volumes, but not a volume."""
        self._refuse_volume(old_path, "renamed or moved")
        old, new = self._inside(old_path), self._inside(new_path)
        if old is None and new is None:
            await super().rename(old_path, new_path)
        elif old is not None and new is not None and old[0] == new[0]:
            await old[1].rename(old[2], new[2])
        else:
            source, target = (
                self._get_os_path(old_path.strip("/")),
                self._get_os_path(new_path.strip("/")),
            )
            if os.path.exists(target):
                raise HTTPError(409, f"File already exists: {new_path}")
            with self.perm_to_403():
                await asyncio.to_thread(shutil.move, source, target)

    async def file_exists(self, path: str) -> bool:
        """Return whether a file exists."""
        return os.path.isfile(self._get_os_path(path.strip("/")))

    async def dir_exists(self, path: str) -> bool:
        """Return whether a directory exists, or a volume lies below it."""
        return bool(self._children(path.strip("/"))) or os.path.isdir(
            self._get_os_path(path.strip("/"))
        )

    async def is_hidden(self, path: str) -> bool:
        """Return whether a file or directory is hidden."""
        inside = self._inside(path)
        return bool(
            await inside[1].is_hidden(inside[2])
            if inside is not None
            else await super().is_hidden(path)
        )

    async def get_kernel_path(self, path: str, model: Model | None = None) -> str:
        """Return the directory of a notebook's kernel relative to the root, also in a volume."""
        inside = self._inside(path)
        if inside is None:
            found: str = await super().get_kernel_path(path, model=model)
            return found
        place = self._get_os_path(path.strip("/"))
        return os.path.relpath(
            place if os.path.isdir(place) else os.path.dirname(place),
            os.path.abspath(self.root_dir),
        )

    async def create_checkpoint(self, path: str) -> Model:
        """Create a checkpoint of a file."""
        checkpoints, rest = self._checkpoints(path)
        return dict(await checkpoints.create_checkpoint(rest))

    async def restore_checkpoint(self, checkpoint_id: str, path: str) -> None:
        """Restore a checkpoint of a file."""
        checkpoints, rest = self._checkpoints(path)
        await checkpoints.restore_checkpoint(checkpoint_id, rest)

    async def list_checkpoints(self, path: str) -> list[Model]:
        """Return the checkpoints of a file."""
        checkpoints, rest = self._checkpoints(path)
        return list(await checkpoints.list_checkpoints(rest))

    async def delete_checkpoint(self, checkpoint_id: str, path: str) -> None:
        """Delete a checkpoint of a file."""
        checkpoints, rest = self._checkpoints(path)
        await checkpoints.delete_checkpoint(checkpoint_id, rest)

    def _checkpoints(self, path: str) -> tuple[Any, str]:
        """Return the contents manager with the checkpoints of a path, and the path in it."""
        inside = self._inside(path)
        return (super(), path) if inside is None else (inside[1], inside[2])

    def _get_os_path(self, path: str) -> str:
        inside = self._inside(path)
        found: str = (
            inside[1]._get_os_path(inside[2]) if inside is not None else super()._get_os_path(path)
        )
        return found

    def _inside(self, path: str) -> tuple[str, AsyncLargeFileManager, str] | None:
        """Return the volume of a path: its path, its contents manager and the path in it."""
        path = path.strip("/")
        for prefix, volume in self._volumes.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return prefix, volume, path[len(prefix) + 1 :]
        return None

    def _children(self, path: str) -> list[str]:
        """Return the names in a directory that lead to volumes."""
        start = f"{path}/" if path else ""
        return sorted(
            {
                prefix[len(start) :].partition("/")[0]
                for prefix in self._volumes
                if prefix.startswith(start) and prefix != path
            }
        )

    async def _with_children(self, model: Model, children: list[str]) -> Model:
        if model["content"] is not None and children:
            kept = [entry for entry in model["content"] if entry["name"] not in children]
            below = f"{model['path']}/" if model["path"] else ""
            model["content"] = [
                *kept,
                *[await self.get(below + name, content=False) for name in children],
            ]
        return model

    def _refuse_volume(self, path: str, done: str) -> None:
        path = path.strip("/")
        if path in self._volumes or self._children(path):
            raise HTTPError(
                400, f"'{path}' contains a volume of this workspace and cannot be {done}."
            )


def _outward(model: Model, prefix: str) -> Model:
    """Return the model of a file in a volume with its path relative to the root."""
    model["path"] = f"{prefix}/{model['path'].strip('/')}".rstrip("/")
    model["name"] = model["path"].rpartition("/")[2]
    if model["type"] == "directory" and model.get("content") is not None:
        model["content"] = [_outward(entry, prefix) for entry in model["content"]]
    return model


def _directory(path: str, content: bool) -> Model:
    """Return the model of a directory that only exists because a volume lies below it."""
    then = datetime.fromtimestamp(Path(__file__).stat().st_mtime, tz=timezone.utc)
    return {
        **{
            "name": path.rpartition("/")[2],
            "path": path,
            "type": "directory",
            "writable": False,
            "created": then,
            "last_modified": then,
        },
        **{
            "content": [] if content else None,
            "format": "json" if content else None,
            "mimetype": None,
            "size": None,
            "hash": None,
        },
        "hash_algorithm": None,
    }
