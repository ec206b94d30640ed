"""The certificates of the embedded cluster: an authority of its own for ten years, a server certificate for one, renewed in time."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .directory import Directory, write

log = logging.getLogger(__name__)

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
NAMES: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


def ensure(directory: Directory) -> bool:
    """Make what is missing, damaged or about to expire; True when something was made. Raises `LocalClusterError`.

    A new authority asks every client to read the kubeconfig again, so it is only made when the old one is of no use.
    """
    loaded = _authority(directory)
    if loaded is None:
        loaded = _make_authority(directory)
    elif _server_is_good(directory, loaded[0]):
        return False
    _make_server(directory, *loaded)
    return True


def server_context(directory: Directory) -> ssl.SSLContext:
    """For the API server: TLS 1.2 or later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(directory.certificate, directory.key)
    return context


def _authority(directory: Directory) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        certificate = x509.load_pem_x509_certificate(directory.authority.read_bytes())
        key = serialization.load_pem_private_key(directory.authority_key.read_bytes(), None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("The cluster's own certificate authority cannot be read (%s): a new one is made", error)
        return None
    fits = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key()
    return (certificate, key) if fits and _lasts(certificate) and isinstance(key, ec.EllipticCurvePrivateKey) else None


def _server_is_good(directory: Directory, authority: x509.Certificate) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(directory.certificate.read_bytes())
        key = serialization.load_pem_private_key(directory.key.read_bytes(), None)
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        log.warning("The server's certificate is of no use (%s): a new one is made", type(error).__name__)
        return False
    return key.public_key() == certificate.public_key() and _lasts(certificate) and set(NAMES) <= set(names)


def _lasts(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(timezone.utc) > timedelta(days=RENEW_DAYS)


def _make_authority(directory: Directory) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("jupyter-workspaces local cluster authority")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    write(directory.authority_key, _encoded(key))
    write(directory.authority, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate, key


def _make_server(directory: Directory, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(_name("jupyter-workspaces local cluster"), authority.subject, key.public_key(), SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(NAMES), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write(directory.key, _encoded(key))
    write(directory.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),  # clocks that run apart, containers that wake from sleep
        not_valid_after=now + timedelta(days=days),
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _encoded(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
