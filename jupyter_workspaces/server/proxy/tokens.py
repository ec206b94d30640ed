"""Access tokens of workspaces, read from their Secrets and cached in memory.

A workspace whose kind asks for it has a random token in a Secret that the workspace owns. The proxy
adds it to every request. A cached token stays usable while the cluster does not answer, because
the program in the workspace checks it itself.
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any

from jupyter_workspaces.kube.catalog import SECRETS
from jupyter_workspaces.kube.errors import ClusterError, Forbidden, NotFound
from jupyter_workspaces.resources.metadata_keys import TOKEN_KEY
from jupyter_workspaces.resources.workspace_objects import is_token_secret
from jupyter_workspaces.server.answer_cache import AnswerCache, Lifetime

from .interfaces import ClusterView
from .target import Target, WorkspacePort

TOKEN_SECONDS = 30.0
TOKENS = 1024

_LIFETIME = Lifetime(TOKEN_SECONDS, math.inf)
_TOKEN = re.compile(r"[\x21-\x7e]+")

Key = tuple[str, str, str, str]  # namespace, workspace and its uid, Secret


class Tokens:
    """Cache of the tokens of one cluster's workspaces.

    A Secret is read at most once at a time, however many requests wait for it.
    """

    def __init__(self, view: ClusterView) -> None:
        """Start with an empty cache, and listen to changes of workspaces."""
        self.view = view
        self._known: AnswerCache[Key, str] = AnswerCache(size=TOKENS, silent=_may_be_unchanged)
        self._stop_listening = view.workspaces.listen(self._workspace_changed)

    async def get(self, workspace_port: WorkspacePort, target: Target) -> str | None:
        """Return the token, or None if the workspace's kind has none.

        Raises:
            NotFound: There is no Secret, or no token in it.
            Forbidden: This server is not permitted to get the Secret.
            ClusterError: The cluster does not answer within 5 s and the token is not cached.
        """
        if target.secret is None:
            return None
        key = _key(workspace_port, target, target.secret)
        return await self._known.get(
            key, lambda: self._read(workspace_port.namespace, target), lambda _: _LIFETIME
        )

    def rejected(self, workspace_port: WorkspacePort, target: Target, token: str | None) -> None:
        """Read a token again, after the workspace answered 401 or 403.

        Reads at most once in 10 s, because the response may have had another reason.
        """
        if target.secret is not None and token is not None:
            self._known.doubt(_key(workspace_port, target, target.secret), token)

    async def stop(self) -> None:
        """Stop listening, and remove all tokens."""
        self._stop_listening()
        await self._known.close()

    def __len__(self) -> int:
        """Return the number of cached tokens."""
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

    def _workspace_changed(
        self, change: str, workspace: dict[str, Any], previous: dict[str, Any] | None
    ) -> None:
        metadata = workspace["metadata"]
        replaced = previous is not None and previous["metadata"].get("uid") != metadata.get("uid")
        if change == "DELETED" or replaced:
            removed = (metadata["namespace"], metadata["name"])
            self._known.drop(lambda key: key[:2] == removed)


def _key(workspace_port: WorkspacePort, target: Target, secret: str) -> Key:
    """Return the cache key. It has the uid: a later workspace of this name has other tokens."""
    uid = str(target.workspace["metadata"]["uid"])
    return workspace_port.namespace, workspace_port.name, uid, secret


def _may_be_unchanged(error: ClusterError) -> bool:
    """Return whether the Secret may still exist and be readable after an error."""
    return not isinstance(error, Forbidden | NotFound)
