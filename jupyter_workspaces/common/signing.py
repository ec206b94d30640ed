"""Makes certificate authorities, and the server certificates that they sign.

`cryptography` does the work; trustme makes such certificates for tests only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Pair:
        """Load a pair from PEM.

        Raises:
            ValueError: they cannot be read or do not belong together.
        """
        try:
            loaded, private = (
                x509.load_pem_x509_certificate(certificate),
                serialization.load_pem_private_key(key, None),
            )
        # A key with a password, or of another kind.
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"the key cannot be used: {type(error).__name__}") from None
        except ValueError:
            raise ValueError("the certificate or the key is not valid PEM") from None
        if (
            not isinstance(private, ec.EllipticCurvePrivateKey)
            or private.public_key() != loaded.public_key()
        ):
            raise ValueError("the key does not belong to the certificate")
        return cls(loaded, private)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key in PEM (PKCS #8), not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def is_valid(self, days: float) -> bool:
        """Return whether the certificate is valid now and for `days` more days.

        A certificate from the future, made while the clock was ahead, is not valid yet.
        """
        now = datetime.now(timezone.utc)
        return (
            self.certificate.not_valid_before_utc
            <= now
            < self.certificate.not_valid_after_utc - timedelta(days=days)
        )

    def is_authority(self) -> bool:
        """Return whether the pair can sign certificates."""
        try:
            extensions = self.certificate.extensions
            extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            return bool(extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        except (x509.ExtensionNotFound, ValueError):
            return False

    def is_issued_by(self, authority: Pair) -> bool:
        """Return whether an authority has signed the certificate."""
        try:
            self.certificate.verify_directly_issued_by(authority.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def make_authority(common: str, days: float) -> Pair:
    """Make a certificate authority that can only sign certificates of servers."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name(common)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def make_server(
    authority: Pair, common: str, names: tuple[x509.GeneralName, ...], days: float
) -> Pair:
    """Make the certificate of a server that is reached by any of `names`."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    ).value
    certificate = (
        _builder(_name(common), authority.certificate.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),  # other computers' clocks may be behind
        not_valid_after=now + timedelta(days=days),
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


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
