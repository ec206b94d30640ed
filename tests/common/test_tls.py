"""TLS contexts are made in one place, and trust what kubectl trusts on every Python."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_echo import Echo, identity_echo

import jupyter_workspaces
from jupyter_workspaces.common import tls

PACKAGE = Path(jupyter_workspaces.__file__).parent

CONNECT = """
import socket, ssl, sys, importlib.util
spec = importlib.util.spec_from_file_location("tls", sys.argv[1])
tls = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tls)
authorities = open(sys.argv[2], "rb").read()
contexts = {"ours": tls.client_context(authorities),\
 "python's": ssl.create_default_context(cafile=sys.argv[2])}
for name, context in contexts.items():
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[3])), 10),\
 server_hostname="localhost"):
            print(name, "accepted")
    except ssl.SSLCertVerificationError as error:
        print(name, "refused", error.verify_message)
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    with identity_echo(tmp_path_factory.mktemp("tls")) as served:
        yield served


def connect(context: ssl.SSLContext, port: int, name: str = "localhost") -> None:
    import socket

    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name),
    ):
        pass


def test_no_context_is_made_elsewhere() -> None:
    made = re.compile(
        r"SSLContext\(|create_default_context|load_cert_chain|load_verify_locations|_create_unverified_context"
    )
    found = [
        str(file)
        for file in PACKAGE.rglob("*.py")
        if file.name != "tls.py" and made.search(file.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_an_authority_without_key_identifiers_is_accepted(echo: Echo) -> None:
    context = tls.client_context((echo.folder / "ca.pem").read_bytes())
    connect(context, echo.tls)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 sets it by default
    with pytest.raises(ssl.SSLCertVerificationError, match="Missing Authority Key Identifier"):
        connect(context, echo.tls)


def test_python_3_13_accepts_it_by_our_context_and_refuses_it_by_its_own(echo: Echo) -> None:
    python = newer_python()
    if python is None:
        pytest.skip("there is no Python 3.13 or later here")
    command = [python, "-c", CONNECT, tls.__file__, str(echo.folder / "ca.pem"), str(echo.tls)]
    said = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()
    assert said[0] == "ours accepted"
    assert said[1].startswith("python's refused Missing Authority Key Identifier")


def newer_python() -> str | None:
    if sys.version_info >= (3, 13):
        return sys.executable
    places = [
        str(place) for place in sorted(Path.home().glob(".pyenv/versions/3.1[3-9]*/bin/python"))
    ]
    for place in (*places, "python3.14", "python3.13"):
        if (found := shutil.which(place)) and subprocess.run(
            [found, "-c", "import ssl"], capture_output=True, check=False
        ).returncode == 0:
            return found
    return None


def test_the_servers_certificate_alone_is_trusted_as_kubectl_does(echo: Echo) -> None:
    connect(tls.client_context((echo.folder / "srv.pem").read_bytes()), echo.tls)


def test_a_pinned_certificate_is_accepted_by_any_name_and_no_other_one_is(echo: Echo) -> None:
    connect(
        tls.pinned_context((echo.folder / "srv.pem").read_bytes()), echo.tls, "elsewhere.example"
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tls.pinned_context((echo.folder / "usr.pem").read_bytes()), echo.tls)


def test_a_locked_key_is_refused_and_asks_nobody(echo: Echo) -> None:
    certificate = (echo.folder / "usr.pem").read_bytes()
    with pytest.raises(tls.BadCertificate, match="has a password"):
        tls.load_pair(tls.client_context(), certificate, (echo.folder / "locked.key").read_bytes())
    with pytest.raises(tls.BadCertificate, match="does not belong"):
        tls.load_pair(tls.client_context(), certificate, (echo.folder / "srv.key").read_bytes())
