"""Certificates for tests, and servers that return the credentials of their client."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def certificate(
    common: str, key: Key, issuer: str, issuer_key: Key, *, authority: bool = False
) -> bytes:
    """A certificate without key identifiers: kubectl accepts it, Python 3.13 does not."""
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key, password: bytes | None = None) -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def write_certificates(folder: Path) -> None:
    """ca.pem, ca-utf8.pem, srv.pem, srv.key, usr.pem, usr.key and locked.key in a folder."""
    ca, server, user = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority = certificate("ca", ca, "ca", ca, authority=True)
    files = {
        "ca.pem": authority,
        "ca-utf8.pem": "# Főtanúsítvány – Gold\n".encode() + authority,
        "srv.pem": certificate("srv", server, "ca", ca),
        "srv.key": key_pem(server),
        "usr.pem": certificate("person", user, "ca", ca),
        "usr.key": key_pem(user),
        "locked.key": key_pem(user, b"password"),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)


class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        peer: Any = (
            self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        )
        who = dict(part[0] for part in peer["subject"])["commonName"] if peer else None
        impersonated = sorted(
            (key.lower(), value)
            for key, value in self.headers.items()
            if key.lower().startswith("impersonate")
        )
        body = json.dumps(
            {
                "certificate": who,
                "authorization": self.headers.get("Authorization"),
                "impersonated": impersonated,
                "path": self.path,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that refuse the certificate


@dataclass(frozen=True)
class Echo:
    """Ports of the servers, and the folder with the certificates."""

    folder: Path
    tls: int
    plain: int


@contextmanager
def identity_echo(folder: Path) -> Iterator[Echo]:
    write_certificates(folder)
    servers = [_Server(("127.0.0.1", 0), _Echo) for _ in range(2)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "srv.pem", folder / "srv.key")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    servers[0].socket = context.wrap_socket(
        servers[0].socket, server_side=True, do_handshake_on_connect=False
    )
    threads = [
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        for server in servers
    ]
    for thread in threads:
        thread.start()
    try:
        yield Echo(folder, *(server.server_address[1] for server in servers))
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join(5)
