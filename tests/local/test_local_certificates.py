"""Certificates of the local cluster: renewal, damage and wrong clocks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from running_cluster import ask
from waiting import until_sync

from jupyter_workspaces.common import signing
from jupyter_workspaces.common.signing import Pair
from jupyter_workspaces.kube.endpoint import Endpoint, from_embedded
from jupyter_workspaces.local import launch, process
from jupyter_workspaces.local.parts import Parts
from jupyter_workspaces.localkube import certificates, kubeconfig_file
from jupyter_workspaces.localkube.directory import Directory

PARTS = Parts(controller=False, node="off")


def make_at(directory: Directory, days: float, *, only_server: bool = False) -> None:
    """Certificates as if the clock were so many days ahead when they were made."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=days)

    kept = (directory.certificate, directory.key) if only_server else ()
    for path in (
        directory.authority,
        directory.authority_key,
        directory.certificate,
        directory.key,
    ):
        if not only_server or path in kept:
            path.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(signing, "datetime", Clock)
        if only_server:
            patched.setattr(Pair, "is_valid", lambda pair, days: True, raising=False)
        certificates.ensure(directory)


def files(directory: Directory) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in (
            directory.authority,
            directory.authority_key,
            directory.certificate,
            directory.key,
        )
    }


def test_a_client_that_trusts_the_authority_may_call_it_by_each_of_its_names(
    tmp_path: Path,
) -> None:
    directory = Directory(tmp_path)
    assert certificates.ensure(directory) is True
    context, trust = (
        certificates.server_context(directory),
        ssl.create_default_context(cafile=str(directory.authority)),
    )

    for name in ("localhost", "127.0.0.1", "::1"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            server = threading.Thread(
                target=lambda end=ours: context.wrap_socket(end, server_side=True).close()
            )
            server.start()
            with trust.wrap_socket(theirs, server_hostname=name) as connection:
                assert connection.version() in ("TLSv1.2", "TLSv1.3")
            server.join(10)


def test_what_is_good_stays(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    before = files(directory)

    assert certificates.ensure(directory) is False

    assert files(directory) == before


def test_a_server_certificate_near_its_end_is_renewed_under_the_same_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory(tmp_path)
    monkeypatch.setattr(certificates, "SERVER_DAYS", 20)
    certificates.ensure(directory)
    before = files(directory)
    monkeypatch.undo()

    assert certificates.ensure(directory) is True

    after = files(directory)
    assert after["ca.crt"] == before["ca.crt"]
    assert after["server.crt"] != before["server.crt"]
    renewed = x509.load_pem_x509_certificate(after["server.crt"])
    assert renewed.not_valid_after_utc - renewed.not_valid_before_utc > timedelta(days=365)


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "server.crt", "server.key"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, name: str) -> None:
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    (tmp_path / name).write_bytes(b"-----BEGIN NONSENSE-----\n")

    assert certificates.ensure(directory) is True

    assert certificates.ensure(directory) is False
    certificates.server_context(directory)


@pytest.mark.parametrize("only_server", [False, True])
@pytest.mark.parametrize("days", [2, 400, 4000, -5000])
def test_certificates_of_a_wrong_clock_are_made_anew(
    tmp_path: Path, days: float, only_server: bool
) -> None:
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    make_at(directory, days, only_server=only_server)
    before = files(directory)

    assert certificates.ensure(directory) is True

    after = files(directory)
    assert (after["ca.crt"] == before["ca.crt"]) is only_server
    for name in ("ca.crt", "server.crt"):
        found, now = x509.load_pem_x509_certificate(after[name]), datetime.now(timezone.utc)
        assert found.not_valid_before_utc < now - timedelta(hours=12)
        assert found.not_valid_after_utc > now + timedelta(days=30)
    assert certificates.ensure(directory) is False


def _of_a_server(directory: Directory) -> None:
    directory.authority.write_bytes(directory.certificate.read_bytes())
    directory.authority_key.write_bytes(directory.key.read_bytes())


def _with_a_password(directory: Directory) -> None:
    key = serialization.load_pem_private_key(directory.authority_key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    directory.authority_key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))


def _of_another_kind(directory: Directory) -> None:
    key = rsa.generate_private_key(65537, 2048)
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    directory.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))


def _of_another_authority(directory: Directory) -> None:
    other = signing.make_authority("somebody else", 100)
    server = signing.make_server(other, "server", certificates.NAMES, 100)
    directory.certificate.write_bytes(server.certificate_pem)
    directory.key.write_bytes(server.key_pem)


@pytest.mark.parametrize(
    "spoil", [_of_a_server, _with_a_password, _of_another_kind, _of_another_authority]
)
def test_pairs_that_cannot_serve_are_made_anew(
    tmp_path: Path, spoil: Callable[[Directory], None]
) -> None:
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    spoil(directory)

    assert certificates.ensure(directory) is True

    assert certificates.ensure(directory) is False
    certificates.server_context(directory)


@pytest.mark.slow
def test_a_cluster_starts_again_after_its_clock_was_set_back(home: Path) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    launch.start(home, parts=PARTS)
    until_sync(lambda: ask(home, "GET", "/api/v1/namespaces/default")[0] == 200, "the namespace")
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}}
    assert ask(home, "POST", path, made)[0] == 201
    launch.stop(home)
    token = (home / "token").read_text()
    make_at(Directory(home), 400)

    launch.start(home)

    assert ask(home, "GET", f"{path}/kept")[0] == 200
    assert (home / "token").read_text() == token
    told = yaml.safe_load((home / "kubeconfig").read_text())["clusters"][0]["cluster"][
        "certificate-authority-data"
    ]
    assert base64.b64decode(told) == (home / "ca.crt").read_bytes()


async def test_a_running_cluster_notices_that_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "CERTIFICATE_CHECK_SECONDS", 0.1)
    directory = Directory(tmp_path / "cluster")
    directory.prepare()
    ready = asyncio.Event()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        running = asyncio.create_task(
            process.run(directory, ready=lambda url: ready.set(), parts=PARTS)
        )
        await asyncio.wait(
            {running, asyncio.ensure_future(ready.wait())},
            timeout=30,
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert ready.is_set()
        make_at(directory, 400)

        await asyncio.wait({running}, timeout=30)

        assert isinstance(running.exception(), process.AuthorityRenewed)
        assert certificates.ensure(directory) is False
        assert directory.record() is not None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.mark.slow
def test_a_running_cluster_starts_again_with_its_new_authority(tmp_path: Path) -> None:
    home = tmp_path / "cluster"
    script = (
        "import sys; from jupyter_workspaces.local import process, __main__ as local; "
        "process.CERTIFICATE_CHECK_SECONDS = 0.2; sys.exit(local.main())"
    )
    command = [sys.executable, "-c", script, "--directory", str(home), *PARTS.arguments()]

    def answers() -> bool:
        try:
            return ask(home, "GET", "/api/v1/namespaces/default")[0] == 200
        except (OSError, ValueError, LookupError, TypeError):
            return False

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            until_sync(answers, "the cluster")
            address, token = (home / "port").read_text(), (home / "token").read_text()
            before = (home / "kubeconfig").read_bytes()
            (home / "ca.key").unlink()
            until_sync(
                lambda: (home / "kubeconfig").read_bytes() != before and answers(),
                "the cluster with its new authority",
            )
            assert ((home / "port").read_text(), (home / "token").read_text()) == (address, token)
            assert running.poll() is None
        finally:
            running.terminate()
    assert running.returncode == 0


def test_a_client_that_reads_the_kubeconfig_again_trusts_the_new_authority(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    certificates.ensure(directory)
    kubeconfig_file.save(directory, "https://127.0.0.1:1", "token")
    before = from_embedded(directory.kubeconfig)
    make_at(directory, 400)
    certificates.ensure(directory)
    kubeconfig_file.save(directory, "https://127.0.0.1:1", "token")
    after = from_embedded(directory.kubeconfig)

    assert handshake(directory, after) is None
    assert isinstance(handshake(directory, before), ssl.SSLCertVerificationError)


def handshake(directory: Directory, endpoint: Endpoint) -> ssl.SSLError | None:
    """Return the client's error in a TLS handshake with the directory's server certificate."""
    context = certificates.server_context(directory)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with contextlib.suppress(ssl.SSLError, OSError):
            context.wrap_socket(ours, server_side=True).close()

    with ours, theirs:
        server = threading.Thread(target=serve)
        server.start()
        assert endpoint.ssl_context is not None
        try:
            with endpoint.ssl_context.wrap_socket(theirs, server_hostname="127.0.0.1"):
                return None
        except ssl.SSLError as error:
            return error
        finally:
            server.join(10)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_keys_are_their_owners_only(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        certificates.ensure(Directory(tmp_path))
    finally:
        os.umask(previous)

    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("ca.key", "server.key")} == {
        0o600
    }
