from __future__ import annotations

import os
import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from jupyter_workspaces.local import certificates
from jupyter_workspaces.local.directory import Directory


def files(directory: Directory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory.authority, directory.authority_key, directory.certificate, directory.key)}


def test_a_client_that_trusts_the_authority_may_call_it_by_each_of_its_names(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    assert certificates.ensure(directory) is True
    context, trust = certificates.server_context(directory), ssl.create_default_context(cafile=str(directory.authority))

    for name in ("localhost", "127.0.0.1", "::1"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            server = threading.Thread(target=lambda end=ours: context.wrap_socket(end, server_side=True).close())
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


def test_a_server_certificate_near_its_end_is_renewed_under_the_same_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_keys_are_their_owners_only(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        certificates.ensure(Directory(tmp_path))
    finally:
        os.umask(previous)

    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("ca.key", "server.key")} == {0o600}
