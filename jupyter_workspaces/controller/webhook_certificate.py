"""Manages the TLS certificate of the admission webhook.

The controller signs the certificate with an authority of its own. Both are in a Secret that all
instances share, are renewed before they expire, and the authority is written to `caBundle` of the
ValidatingWebhookConfiguration. A new authority is published together with the former one before
any instance serves a certificate that it signed, so no review fails during a change.

Hand-written on `cryptography`, because not every cluster has cert-manager (https://cert-manager.io).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import logging
from collections.abc import Callable
from contextlib import suppress

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
from jupyter_workspaces.kube.types import Object

log = logging.getLogger(__name__)


AUTHORITY_DAYS, AUTHORITY_RENEW_DAYS = 5 * 365.0, 180.0
SERVER_DAYS, SERVER_RENEW_DAYS = 90.0, 30.0
CHECK_SECONDS = 600.0
RETRY_SECONDS = 5.0
ATTEMPTS = 5

AUTHORITY, AUTHORITY_KEY, FORMER = "ca.crt", "ca.key", "ca-former.crt"
SERVER, SERVER_KEY = "tls.crt", "tls.key"


class Certificate:
    """The certificate of the webhook. Call `ensure` before serving, then `run`."""

    def __init__(
        self, cluster: Cluster, namespace: str, secret: str, configuration: str, names: list[str]
    ) -> None:
        """Prepare without reading anything.

        Args:
            cluster: API server with the Secret and the configuration.
            namespace: namespace of the Secret.
            secret: name of the Secret.
            configuration: name of the ValidatingWebhookConfiguration, which need not exist.
            names: DNS names and addresses by which the API server calls the webhook.
        """
        self.tls = tls.server_context()
        """Context for the server, which always has the newest certificate."""
        self.on_load: Callable[[float], None] = lambda expires: None
        """Called with the expiry in seconds since 1970 when a new certificate is served."""
        self._cluster, self._namespace = cluster, namespace
        self._secret, self._configuration = secret, configuration
        self._names = tuple(_general_name(name) for name in names)
        self._common_name = names[0]
        self._served: bytes = b""
        self._changed = asyncio.Event()
        self._reflectors = [
            Reflector(cluster, SECRETS, namespace, field_selector=f"metadata.name={secret}"),
            Reflector(
                cluster, VALIDATING_WEBHOOKS, field_selector=f"metadata.name={configuration}"
            ),
        ]

    async def ensure(self) -> None:
        """Renew the certificate if necessary, publish its authority, and serve it.

        Raises:
            ClusterError: the Secret or the configuration cannot be read or written.
        """
        data = await self._current()
        await self._publish(_bundle(data))
        if data[SERVER] != self._served:
            await asyncio.to_thread(tls.load_pair, self.tls, data[SERVER], data[SERVER_KEY])
            self._served = data[SERVER]
            expires = x509.load_pem_x509_certificate(data[SERVER]).not_valid_after_utc
            self.on_load(expires.timestamp())
            log.info("The certificate of the webhook is valid until %s", expires.date())

    async def run(self) -> None:
        """Call `ensure` on changes and every `CHECK_SECONDS`, until cancelled."""
        unsubscribe = [
            reflector.listen(lambda change, obj, previous: self._changed.set())
            for reflector in self._reflectors
        ]
        for reflector in self._reflectors:
            reflector.start()
        wait = CHECK_SECONDS
        try:
            while True:
                with suppress(asyncio.TimeoutError):
                    async with timeout(wait):
                        await self._changed.wait()
                self._changed.clear()
                try:
                    await self.ensure()
                    wait = CHECK_SECONDS
                except ClusterError as error:
                    log.warning("The certificate of the webhook cannot be checked: %s", error)
                    wait = RETRY_SECONDS
        finally:
            for stop in unsubscribe:
                stop()
            await asyncio.gather(*(reflector.stop() for reflector in self._reflectors))

    async def _current(self) -> dict[str, bytes]:
        """Return the content of the Secret, after renewing what expires. Raises `ClusterError`."""
        for _ in range(ATTEMPTS):
            try:
                held = await self._cluster.get(SECRETS, self._secret, self._namespace)
            except NotFound:
                held = {}
            before = _decoded(held.get("data") or {})
            data = self._renewed(before)
            if data == before:
                return data
            try:
                await self._store(held, data)
                return data
            except (AlreadyExists, Conflict):
                log.debug("Another instance renewed the certificate at the same time")
        raise Conflict(f"other clients keep changing the Secret {self._secret}")

    async def _store(self, held: Object, data: dict[str, bytes]) -> None:
        """Write new content to the Secret `held`; empty creates it."""
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        if held:
            # The API server must trust a new authority before an instance uses it.
            await self._publish(_bundle(data))
            await self._cluster.replace(SECRETS, held | {"data": encoded})
            return
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self._secret, "namespace": self._namespace},
            "type": "kubernetes.io/tls",
            "data": encoded,
        }
        await self._cluster.create(SECRETS, secret, self._namespace)

    def _renewed(self, data: dict[str, bytes]) -> dict[str, bytes]:
        """Return `data` with a new authority or certificate where they expire or are unusable."""
        authority = _load_pair(data, AUTHORITY, AUTHORITY_KEY)
        if (
            authority is None
            or not authority.is_authority()
            or not authority.is_valid(AUTHORITY_RENEW_DAYS)
        ):
            former = data.get(AUTHORITY, b"") if authority is not None else b""
            authority = make_authority("jupyter-workspaces webhook authority", AUTHORITY_DAYS)
            data = {FORMER: former} if former else {}
            data |= {AUTHORITY: authority.certificate_pem, AUTHORITY_KEY: authority.key_pem}
        server = _load_pair(data, SERVER, SERVER_KEY)
        if (
            server is None
            or not server.is_valid(SERVER_RENEW_DAYS)
            or not server.is_issued_by(authority)
            or not _alternative_names(server) >= set(self._names)
        ):
            server = make_server(authority, self._common_name, self._names, SERVER_DAYS)
            data = {**data, SERVER: server.certificate_pem, SERVER_KEY: server.key_pem}
        if FORMER in data and not _is_certificate(data[FORMER]):
            # The API server refuses a bundle with anything else than certificates.
            data = {key: value for key, value in data.items() if key != FORMER}
        return data

    async def _publish(self, bundle: bytes) -> None:
        """Write the authorities to all webhooks of the configuration, if it exists."""
        try:
            held = await self._cluster.get(VALIDATING_WEBHOOKS, self._configuration)
        except NotFound:
            log.debug("There is no ValidatingWebhookConfiguration %s", self._configuration)
            return
        encoded = base64.b64encode(bundle).decode()
        outdated = [
            index
            for index, webhook in enumerate(held.get("webhooks") or ())
            if (webhook.get("clientConfig") or {}).get("caBundle") != encoded
        ]
        if not outdated:
            return
        version = held["metadata"]["resourceVersion"]
        patch: list[Object] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        ]
        patch += [
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": encoded}
            for index in outdated
        ]
        await self._cluster.patch(VALIDATING_WEBHOOKS, self._configuration, patch)
        log.info("Wrote the authority of the webhook's certificate to its configuration")


def _bundle(data: dict[str, bytes]) -> bytes:
    """Return the present authority and the former one."""
    return data[AUTHORITY] + data.get(FORMER, b"")


def _load_pair(data: dict[str, bytes], certificate: str, key: str) -> Pair | None:
    try:
        return Pair.load(data[certificate], data[key])
    except LookupError:
        return None
    except ValueError as error:
        log.warning("%s in the Secret of the webhook is replaced: %s", certificate, error)
        return None


def _is_certificate(pem: bytes) -> bool:
    try:
        x509.load_pem_x509_certificate(pem)
    except ValueError:
        return False
    return True


def _alternative_names(server: Pair) -> set[x509.GeneralName]:
    extensions = server.certificate.extensions
    try:
        return set(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _decoded(data: dict[str, str]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(value) for key, value in data.items()}
    except binascii.Error:
        return {}
