"""The certificate of the webhook: unusable content of its Secret is replaced."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from played_cluster import played_cluster

from jupyter_workspaces.common import signing
from jupyter_workspaces.common.signing import make_authority, make_server
from jupyter_workspaces.controller.webhook_certificate import (
    AUTHORITY,
    AUTHORITY_KEY,
    FORMER,
    SERVER,
    SERVER_KEY,
    Certificate,
)
from jupyter_workspaces.kube.catalog import SECRETS
from jupyter_workspaces.kube.client import Cluster

NAME, SECRET = "webhook.default.svc", "webhook"

Data = dict[str, bytes]


def pairs(days: float = 0, *, authority_days: float | None = None) -> Data:
    """Return authority and server certificate, made with a clock that is `days` ahead."""

    def at(ahead: float) -> type[datetime]:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:
                return datetime.now(tz) + timedelta(days=ahead)

        return Clock

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(signing, "datetime", at(days if authority_days is None else authority_days))
        authority = make_authority("authority", 5 * 365)
        patched.setattr(signing, "datetime", at(days))
        server = make_server(authority, NAME, (x509.DNSName(NAME),), 90)
    return {
        AUTHORITY: authority.certificate_pem,
        AUTHORITY_KEY: authority.key_pem,
        SERVER: server.certificate_pem,
        SERVER_KEY: server.key_pem,
    }


def of_another_authority() -> Data:
    other = pairs()
    return pairs() | {SERVER: other[SERVER], SERVER_KEY: other[SERVER_KEY]}


def with_anothers_key() -> Data:
    return pairs() | {SERVER_KEY: pairs()[SERVER_KEY]}


def with_a_server_as_authority() -> Data:
    data = pairs()
    return data | {AUTHORITY: data[SERVER], AUTHORITY_KEY: data[SERVER_KEY]}


@asynccontextmanager
async def with_secret(tmp_path: Path, data: Data) -> AsyncIterator[Cluster]:
    async with played_cluster(tmp_path) as played:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        secret: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": "default"},
            "type": "kubernetes.io/tls",
            "data": encoded,
        }
        await played.cluster.create(SECRETS, secret, "default")
        yield played.cluster


async def ensured(cluster: Cluster) -> Data:
    await Certificate(cluster, "default", SECRET, "webhook", [NAME]).ensure()
    return {
        key: base64.b64decode(value)
        for key, value in (await cluster.get(SECRETS, SECRET, "default"))["data"].items()
    }


def assert_good(data: Data) -> None:
    authority, server = (x509.load_pem_x509_certificate(data[name]) for name in (AUTHORITY, SERVER))
    server.verify_directly_issued_by(authority)
    now = datetime.now(timezone.utc)
    for found in (authority, server):
        assert found.not_valid_before_utc < now < found.not_valid_after_utc - timedelta(days=30)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: pairs(2), id="not valid yet"),
        pytest.param(lambda: pairs(-2000), id="expired"),
        pytest.param(of_another_authority, id="server of another authority"),
        pytest.param(with_anothers_key, id="key of another certificate"),
        pytest.param(with_a_server_as_authority, id="authority that is none"),
    ],
)
async def test_an_unusable_pair_is_replaced(tmp_path: Path, made: Callable[[], Data]) -> None:
    async with with_secret(tmp_path, made()) as cluster:
        assert_good(await ensured(cluster))


async def test_a_valid_authority_is_kept_when_the_certificate_is_renewed(
    tmp_path: Path,
) -> None:
    before = pairs(2, authority_days=0)
    async with with_secret(tmp_path, before) as cluster:
        after = await ensured(cluster)

    assert after[AUTHORITY] == before[AUTHORITY]
    assert_good(after)


async def test_an_invalid_former_authority_is_dropped(tmp_path: Path) -> None:
    before = pairs()
    async with with_secret(tmp_path, before | {FORMER: b"-----BEGIN NONSENSE-----"}) as cluster:
        assert await ensured(cluster) == before
