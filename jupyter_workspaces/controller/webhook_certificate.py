"""The webhook's certificate: made by the controller, kept in a Secret that all instances share, renewed in time, told to the API server.

A new authority is told together with the old one before anything that it signed is served, so no review fails meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cryptography import x509

from jupyter_workspaces.common import tls
from jupyter_workspaces.common.signing import Pair, make_authority, make_server
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import SECRETS, VALIDATING_WEBHOOKS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    NotFound,
)
from jupyter_workspaces.kube.reflector import Reflector

log = logging.getLogger(__name__)

Object = dict[str, Any]

AUTHORITY_DAYS, AUTHORITY_RENEW_DAYS = 5 * 365.0, 180.0
SERVER_DAYS, SERVER_RENEW_DAYS = 90.0, 30.0
LOOK_SECONDS = 600.0
RETRY_SECONDS = 5.0
ATTEMPTS = 5

AUTHORITY, AUTHORITY_KEY, FORMER = "ca.crt", "ca.key", "ca-former.crt"
SERVER, SERVER_KEY = "tls.crt", "tls.key"


class Certificate:
    """`ensure` once, then `run`. `trust` is for the server and always has the newest pair; `names` are how the API server calls it.

    `webhook` is the name of the ValidatingWebhookConfiguration whose `caBundle` is kept right; where there is none, nothing is told.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, secret: str, webhook: str, names: list[str]
    ) -> None:
        self.trust = tls.server_context()
        self.loaded: Callable[[float], None] = lambda expires: None
        self._cluster, self._namespace, self._secret, self._webhook = (
            cluster,
            namespace,
            secret,
            webhook,
        )
        self._names = tuple(_general(name) for name in names)
        self._common = names[0]
        self._served: bytes = b""
        self._changed = asyncio.Event()
        self._watches = [
            Reflector(cluster, SECRETS, namespace, field_selector=f"metadata.name={secret}"),
            Reflector(cluster, VALIDATING_WEBHOOKS, field_selector=f"metadata.name={webhook}"),
        ]

    async def ensure(self) -> None:
        """A good pair is served and told. Raises `ClusterError`."""
        data = await self._good()
        bundle = data[AUTHORITY] + data.get(FORMER, b"")
        await self._tell(bundle)
        if data[SERVER] != self._served:
            await asyncio.to_thread(tls.load_pair, self.trust, data[SERVER], data[SERVER_KEY])
            self._served = data[SERVER]
            expires = x509.load_pem_x509_certificate(data[SERVER]).not_valid_after_utc
            self.loaded(expires.timestamp())
            log.info("The webhook's certificate is valid until %s", expires.date())

    async def run(self) -> None:
        """Look again when the Secret or the configuration changes, and every ten minutes, until cancelled."""
        forget = [
            watch.listen(lambda change, obj, previous: self._changed.set())
            for watch in self._watches
        ]
        for watch in self._watches:
            watch.start()
        wait = LOOK_SECONDS
        try:
            while True:
                with suppress(asyncio.TimeoutError):
                    async with timeout(wait):
                        await self._changed.wait()
                self._changed.clear()
                try:
                    await self.ensure()
                    wait = LOOK_SECONDS
                except ClusterError as error:
                    log.warning("The webhook's certificate could not be looked after: %s", error)
                    wait = RETRY_SECONDS
        finally:
            for stop in forget:
                stop()
            await asyncio.gather(*(watch.stop() for watch in self._watches))

    async def _good(self) -> dict[str, bytes]:
        """What the Secret holds, renewed where it must be. Raises `ClusterError`."""
        for _ in range(ATTEMPTS):
            try:
                held = await self._cluster.get(SECRETS, self._secret, self._namespace)
            except NotFound:
                held = {}
            before = _decoded(held.get("data") or {})
            data = self._renewed(before)
            if data == before:
                return data
            encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
            try:
                if held:
                    # The API server hears of a new authority before anybody can serve what it signed.
                    await self._tell(data[AUTHORITY] + data.get(FORMER, b""))
                    await self._cluster.replace(SECRETS, held | {"data": encoded})
                else:
                    metadata = {"name": self._secret, "namespace": self._namespace}
                    secret = {
                        "apiVersion": "v1",
                        "kind": "Secret",
                        "metadata": metadata,
                        "type": "kubernetes.io/tls",
                        "data": encoded,
                    }
                    await self._cluster.create(SECRETS, secret, self._namespace)
                return data
            except (AlreadyExists, Conflict):
                log.debug("Another instance renewed the certificate at the same time")
        raise Conflict(f"the Secret {self._secret} is written by others again and again")

    def _renewed(self, data: dict[str, bytes]) -> dict[str, bytes]:
        authority = _pair(data, AUTHORITY, AUTHORITY_KEY)
        if (
            authority is None
            or not authority.is_authority()
            or not authority.is_valid(AUTHORITY_RENEW_DAYS)
        ):
            former = data.get(AUTHORITY, b"") if authority is not None else b""
            authority = make_authority("jupyter-workspaces webhook authority", AUTHORITY_DAYS)
            data = {FORMER: former} if former else {}
            data |= {AUTHORITY: authority.certificate_pem, AUTHORITY_KEY: authority.key_pem}
        server = _pair(data, SERVER, SERVER_KEY)
        good = (
            server is not None
            and server.is_valid(SERVER_RENEW_DAYS)
            and server.is_issued_by(authority)
        )
        if server is None or not good or not _names(server) >= set(self._names):
            server = make_server(authority, self._common, self._names, SERVER_DAYS)
            data = {**data, SERVER: server.certificate_pem, SERVER_KEY: server.key_pem}
        if FORMER in data and not _is_certificate(
            data[FORMER]
        ):  # no API server would accept the bundle
            data = {key: value for key, value in data.items() if key != FORMER}
        return data

    async def _tell(self, bundle: bytes) -> None:
        try:
            held = await self._cluster.get(VALIDATING_WEBHOOKS, self._webhook)
        except NotFound:
            log.debug(
                "There is no ValidatingWebhookConfiguration %s to tell the certificate's authority",
                self._webhook,
            )
            return
        encoded = base64.b64encode(bundle).decode()
        wrong = [
            index
            for index, found in enumerate(held.get("webhooks") or ())
            if (found.get("clientConfig") or {}).get("caBundle") != encoded
        ]
        if wrong:
            patch: list[Object] = [
                {
                    "op": "test",
                    "path": "/metadata/resourceVersion",
                    "value": held["metadata"]["resourceVersion"],
                }
            ]
            patch += [
                {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": encoded}
                for index in wrong
            ]
            await self._cluster.patch(VALIDATING_WEBHOOKS, self._webhook, patch)
            log.info("The API server was told the authority of the webhook's certificate")


def _pair(data: dict[str, bytes], certificate: str, key: str) -> Pair | None:
    try:
        return Pair.load(data[certificate], data[key])
    except LookupError:
        return None
    except ValueError as error:
        log.warning(
            "%s in the webhook's Secret is of no use (%s): a new one is made", certificate, error
        )
        return None


def _is_certificate(pem: bytes) -> bool:
    try:
        x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    return True


def _names(server: Pair) -> set[x509.GeneralName]:
    try:
        return set(
            server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        return set()


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _decoded(data: dict[str, str]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value) for key, value in data.items()}
    except binascii.Error:
        return {}
