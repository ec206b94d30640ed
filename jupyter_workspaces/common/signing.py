"""Certificate authorities of our own, and what they sign."""

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
        """From PEM. Raises `ValueError` when they cannot be read or do not belong together."""
        try:
            loaded, private = (
                x509.load_pem_x509_certificate(certificate),
                serialization.load_pem_private_key(key, None),
            )
        except (
            TypeError,
            UnsupportedAlgorithm,
        ) as error:  # a key with a password, one of another kind
            raise ValueError(f"the key is of no use: {type(error).__name__}") from None
        except ValueError:
            raise ValueError("the certificate or the key is not valid PEM") from None
        if (
            not isinstance(private, ec.EllipticCurvePrivateKey)
            or private.public_key() != loaded.public_key()
        ):
            raise ValueError("the key is not the certificate's")
        return cls(loaded, private)

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def is_valid(self, days: float) -> bool:
        """Whether it is valid now and for so long from now.

        One that was made while the clock was ahead is not, and nobody would accept it until then.
        """
        now = datetime.now(timezone.utc)
        return (
            self.certificate.not_valid_before_utc
            <= now
            < self.certificate.not_valid_after_utc - timedelta(days=days)
        )

    def is_authority(self) -> bool:
        """Whether certificates can be signed with it."""
        try:
            extensions = self.certificate.extensions
            extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            return bool(extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        except (x509.ExtensionNotFound, ValueError):
            return False

    def is_issued_by(self, authority: Pair) -> bool:
        """Whether this authority has signed it."""
        try:
            self.certificate.verify_directly_issued_by(authority.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def make_authority(common: str, days: float) -> Pair:
    """Signs servers' certificates and nothing else."""
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
    """For a server that is reached by any of `names`."""
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
        not_valid_before=now
        - timedelta(days=1),  # clocks that run apart, containers that wake from sleep
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
