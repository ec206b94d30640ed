"""Tokens of workspaces: read from their Secrets, kept in memory while the workspace exists."""

from __future__ import annotations

import base64
import math
import re
from typing import Any

from jupyter_workspaces.kube.catalog import SECRETS
from jupyter_workspaces.kube.errors import ClusterError, Forbidden, NotFound
from jupyter_workspaces.resources.metadata_keys import TOKEN_KEY
from jupyter_workspaces.resources.workspace_objects import is_token_secret
from jupyter_workspaces.server.answer_cache import Lifetime, StaleCache

from .target import Place, Target, View

TOKEN_SECONDS = 30.0
TOKENS = 1024

# As long as the cluster does not answer: the program in the workspace checks the token itself.
_LIFETIME = Lifetime(TOKEN_SECONDS, math.inf)
_TOKEN = re.compile(r"[\x21-\x7e]+")

Key = tuple[str, str, str, str]  # namespace, workspace and its uid, Secret


class Tokens:
    """The tokens of one cluster's workspaces. Reads a Secret at most once at a time, however many requests wait for it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._known: StaleCache[Key, str] = StaleCache(
            size=TOKENS, silent=_says_nothing_of_the_secret
        )
        self._stop_listening = view.workspaces.listen(self._changed)

    async def get(self, place: Place, target: Target) -> str | None:
        """Return the token, or None if the workspace's kind has none.

        Raises `NotFound` if there is no Secret or no token in it, `Forbidden` if this server may not get it, and other `ClusterError`s
        if the cluster does not answer within 5 s and the token is not known.
        """
        if target.secret is None:
            return None
        key = _key(place, target, target.secret)
        return await self._known.get(
            key, lambda: self._read(place.namespace, target), lambda _: _LIFETIME
        )

    def refused(self, place: Place, target: Target, token: str | None) -> None:
        """The workspace answered 401 or 403: read its token again, at most once in 10 s, for it may have meant something else."""
        if target.secret is not None and token is not None:
            self._known.doubt(_key(place, target, target.secret), token)

    async def stop(self) -> None:
        """Forget all tokens."""
        self._stop_listening()
        await self._known.close()

    def __len__(self) -> int:
        return len(self._known)

    async def _read(self, namespace: str, target: Target) -> str:
        name = target.secret or ""
        secret = await self.view.cluster.get(SECRETS, name, namespace)
        if not is_token_secret(target.workspace, secret):  # the pod's annotation may name any
            raise NotFound(f"Secret '{name}' does not belong to the workspace")
        value = (secret.get("data") or {}).get(TOKEN_KEY)
        if value is None:
            raise NotFound(f"Secret '{name}' has no key '{TOKEN_KEY}'")
        try:
            token = base64.b64decode(value, validate=True).decode("ascii").strip()
        except ValueError:
            token = ""
        if not _TOKEN.fullmatch(token):  # it becomes part of a header
            raise NotFound(f"The key '{TOKEN_KEY}' of Secret '{name}' holds no token")
        return token

    def _changed(
        self, change: str, workspace: dict[str, Any], previous: dict[str, Any] | None
    ) -> None:
        metadata = workspace["metadata"]
        replaced = previous is not None and previous["metadata"].get("uid") != metadata.get("uid")
        if change == "DELETED" or replaced:
            of_it = (metadata["namespace"], metadata["name"])
            self._known.drop(lambda key: key[:2] == of_it)


def _key(place: Place, target: Target, secret: str) -> Key:
    """Of this workspace only: a later one of its name, whose pod names the same Secret, need not own it."""
    return place.namespace, place.name, str(target.workspace["metadata"]["uid"]), secret


def _says_nothing_of_the_secret(error: ClusterError) -> bool:
    """Whether the Secret may be as it was: everything but "it is not there" and "you may not get it"."""
    return not isinstance(error, Forbidden | NotFound)
