"""Tokens in Secrets of the type `kubernetes.io/service-account-token`.

Such a Secret gets a token of the service account that it names, and is deleted with the account
(Kubernetes docs, “Service accounts”, token Secrets).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from jupyter_workspaces.kube.catalog import SECRETS, SERVICE_ACCOUNTS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import Conflict, NotFound
from jupyter_workspaces.kube.reflector import Key, Reflector, key_of
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.kube.work_queue import WorkQueue
from jupyter_workspaces.localkube.apiserver.access.tokens import SECRET_TYPE, Keys

from .informers import Informers, wait_listed

ACCOUNT, ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


@dataclass(frozen=True)
class Signing:
    """What tokens are made with.

    Attributes:
        keys: Signs the tokens.
        authority: Certificate of the authority of the API server (PEM).
    """

    keys: Keys
    authority: str


class AccountTokens:
    """The controller that writes tokens into Secrets."""

    def __init__(self, cluster: Cluster, informers: Informers, signing: Signing) -> None:
        """Create the controller; `run` starts it."""
        self._cluster, self._signing = cluster, signing
        self._accounts = informers.of(SERVICE_ACCOUNTS)
        self._secrets = Reflector(cluster, SECRETS, field_selector=f"type={SECRET_TYPE}")
        self._queue: WorkQueue[Key] = WorkQueue("account tokens")

    async def run(self) -> None:
        """Run until cancelled."""
        unsubscribe = (
            self._secrets.listen(lambda change, obj, previous: self._queue.add(key_of(obj))),
            self._accounts.listen(
                lambda change, obj, previous: (
                    self._requeue(key_of(obj)) if change != "MODIFIED" else None
                )
            ),
        )
        self._secrets.start()
        try:
            await wait_listed(self._accounts, self._secrets)
            for secret in self._secrets.items():
                self._queue.add(key_of(secret))
            await self._queue.run(self._reconcile, workers=1)
        finally:
            for stop in unsubscribe:
                stop()
            await self._secrets.stop()

    def _requeue(self, account: Key) -> None:
        for secret in self._secrets.items():
            if (secret["metadata"]["namespace"], _named(secret)) == account:
                self._queue.add(key_of(secret))

    async def _reconcile(self, key: Key) -> float | None:
        secret = self._secrets.get(key[1], key[0])
        if secret is None:
            return None
        metadata = secret["metadata"]
        # Not from the cache: a Secret must not be deleted because the watch of accounts lags.
        try:
            account = await self._cluster.get(SERVICE_ACCOUNTS, _named(secret), key[0])
        except NotFound:
            account = None
        try:
            if (
                account is None
                or (metadata.get("annotations") or {}).get(ACCOUNT_UID, account["metadata"]["uid"])
                != account["metadata"]["uid"]
            ):
                await self._cluster.delete(SECRETS, key[1], key[0], uid=metadata["uid"])
            elif (filled := self._filled(secret, account["metadata"])) != secret:
                self._secrets.apply(await self._cluster.replace(SECRETS, filled))
        except (Conflict, NotFound):
            return None  # changed meanwhile; its event queues it again
        return None

    def _filled(self, secret: Object, account: Object) -> Object:
        metadata, data = secret["metadata"], dict(secret.get("data") or {})
        namespace = metadata["namespace"]
        for key, value in (("ca.crt", self._signing.authority), ("namespace", namespace)):
            data[key] = base64.b64encode(value.encode()).decode()
        if not data.get("token"):
            token = self._signing.keys.issue_legacy(
                namespace, account["name"], account["uid"], metadata["name"]
            )
            data["token"] = base64.b64encode(token.encode()).decode()
        annotations = (metadata.get("annotations") or {}) | {ACCOUNT_UID: account["uid"]}
        return secret | {"metadata": metadata | {"annotations": annotations}, "data": data}


def _named(secret: Object) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(ACCOUNT, ""))
