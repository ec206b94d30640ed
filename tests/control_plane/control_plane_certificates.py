"""A certificate authority for a day: certificates of API server, kubelet and users."""

from __future__ import annotations

import ipaddress
import secrets
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 1
HOST = "127.0.0.1"


class Authority:
    """Writes `NAME.crt` and `NAME.key` into a folder; its own are `ca.crt` and `ca.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, mode=0o700)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test-authority")
        builder = _builder(self._name, self._name, self._key.public_key())
        certificate = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        ).sign(self._key, hashes.SHA256())
        self._write("ca", certificate, self._key)

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def server(self, name: str) -> None:
        """Create the certificate of a server on loopback."""
        self._issue(
            name,
            _name(name),
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))],
        )

    def person(self, name: str, *groups: str) -> None:
        """Create the certificate of a user with these groups."""
        self._issue(name, _name(name, *groups), [x509.DNSName(name)])

    def key_pair(self, name: str) -> None:
        """Create a key pair that signs tokens."""
        self._write(name, None, ec.generate_private_key(ec.SECP256R1()))

    def _issue(self, name: str, subject: x509.Name, names: list[x509.GeneralName]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, self._name, key.public_key())
        certificate = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=False
        ).sign(self._key, hashes.SHA256())
        self._write(name, certificate, key)

    def _write(
        self, name: str, certificate: x509.Certificate | None, key: ec.EllipticCurvePrivateKey
    ) -> None:
        if certificate is not None:
            (self.folder / f"{name}.crt").write_bytes(
                certificate.public_bytes(serialization.Encoding.PEM)
            )
        path = self.folder / f"{name}.key"
        path.touch(0o600)
        # The form that Kubernetes reads for tokens and for TLS alike.
        form = serialization.PrivateFormat.TraditionalOpenSSL
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        )


def _name(common: str, *groups: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=int.from_bytes(secrets.token_bytes(16), "big") >> 1,
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + timedelta(days=DAYS),
    )
