"""`jupyter workspaces serve --workspaces-url` as a process: its own port, and its errors."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from waiting import until_started

pytestmark = pytest.mark.slow

LIMIT = 120.0


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """A server without a cluster, because these tests concern only its origin."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "none",
                "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
                "clusters": [
                    {"name": "none", "cluster": {"server": f"http://127.0.0.1:{free_port()}"}}
                ],
                "users": [{"name": "none", "user": {}}],
            }
        )
    )
    told = {
        f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    return (
        os.environ
        | told
        | {"KUBECONFIG": str(kubeconfig), "JUPYTER_WORKSPACES_HOME": str(folder / "home")}
    )


@contextmanager
def serve(folder: Path, port: int, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / "log"
    command = [sys.executable, "-m", "jupyter_workspaces.cli", "serve", "--port", str(port), *more]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def ask(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""


def test_the_origins_own_port_has_nothing_but_workspaces(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    with serve(tmp_path, port, "--no-auth", "--workspaces-url", f"http://*.localhost:{own}") as (
        process,
        log,
    ):
        until_started(lambda: ask(f"http://127.0.0.1:{own}/")[0], process, log)
        until_started(lambda: ask(f"http://127.0.0.1:{port}/api/v1/healthcheck")[0], process, log)

        for path in (
            "",
            "api",
            "api/v1/healthcheck",
            "api/v1/workspaces",
            "login",
            "logout",
            "workspace/status/a/b/c",
        ):
            for host in (f"x.localhost:{own}", f"127.0.0.1:{port}", "elsewhere.example"):
                status, text = ask(f"http://127.0.0.1:{own}/{path}", Host=host)
                assert (status, json.loads(text)["reason"]) == (404, "NotFound"), (path, host)
        assert (
            ask(f"http://127.0.0.1:{own}/workspace/connect/a/b/c/", Host="elsewhere.example")[0]
            == 404
        )
        assert ask(f"http://127.0.0.1:{port}/api/v1/healthcheck")[0] == 200
        assert "act as" not in log.read_text()
        assert "--workspaces-url" not in log.read_text()
    assert process.returncode == 0


def test_without_one_the_banner_of_no_auth_names_it(tmp_path: Path) -> None:
    port = free_port()
    with serve(tmp_path, port, "--no-auth") as (process, log):
        until_started(lambda: ask(f"http://127.0.0.1:{port}/api/v1/healthcheck")[0], process, log)
        assert "--workspaces-url to open them at an origin of their own" in log.read_text()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("workspaces.example.org", "must begin with https://"),
        ("http://localhost:{port}", "is the origin of this Jupyter server itself"),
        ("https://localhost:{own}", "Set a certificate"),
        ("http://localhost:{taken}", "Cannot listen on 127.0.0.1 port {taken}"),
    ],
)
def test_a_url_that_cannot_be_used_ends_the_server_with_the_reason(
    tmp_path: Path, url: str, says: str
) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"port": free_port(), "own": free_port(), "taken": taken.getsockname()[1]}
        with serve(tmp_path, ports["port"], "--workspaces-url", url.format(**ports)) as (
            process,
            log,
        ):
            assert process.wait(LIMIT) == 2
        text = log.read_text()
    assert says.format(**ports) in text
    assert "Traceback" not in text


@contextmanager
def jupyter(folder: Path, port: int, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a Jupyter server with the extension."""
    log = folder / "log"
    command = [
        *(
            sys.executable,
            "-m",
            "jupyter_server",
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--port={port}",
        ),
        *("--ServerApp.jpserver_extensions={'jupyter_workspaces': True}", *more),
    ]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            env=environment(folder),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, secret


def test_the_origins_own_port_has_the_servers_certificate(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    pem, secret = certificate(tmp_path)
    more = (
        f"--certfile={pem}",
        f"--keyfile={secret}",
        f"--JupyterWorkspaces.workspaces_url=https://*.localhost:{own}",
    )
    with jupyter(tmp_path, port, *more) as (process, log):
        until_started(lambda: ask(f"https://127.0.0.1:{own}/")[0], process, log)
        assert ask(f"https://127.0.0.1:{own}/api", Host=f"x.localhost:{own}")[0] == 404
        assert ask(f"http://127.0.0.1:{own}/")[0] == 0


def test_a_server_that_had_to_take_another_port_says_that_the_url_is_wrong(tmp_path: Path) -> None:
    """`*.localhost` at the server's own port, which another program uses."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with jupyter(
            tmp_path, port, f"--JupyterWorkspaces.workspaces_url=http://*.localhost:{port}"
        ) as (process, log):
            assert process.wait(LIMIT) != 0
        text = log.read_text()
    assert re.search(rf"but the server listens on port (?!{port})\d+", text), text[-2000:]
