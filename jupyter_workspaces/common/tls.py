"""TLS contexts. They are only made here, so that one rule holds for every connection.

Trust means the same as in kubectl and other Go programs: every certificate in the given file is a
trust anchor, and authorities without key identifiers are accepted. Python 3.13 refuses the latter
by default (`VERIFY_X509_STRICT` of `ssl.create_default_context`).
"""

from __future__ import annotations

import re
import ssl
import tempfile
from pathlib import Path

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class BadCertificate(ValueError):
    """A certificate or key cannot be used. The message says why, and quotes nothing of it."""


class _Named(ssl.SSLContext):
    """Sends and checks another name than the host's (`tls-server-name` of a kubeconfig)."""

    server_name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def client_context(
    authorities: bytes | None = None, *, server_name: str = "", insecure: bool = False
) -> ssl.SSLContext:
    """Return a context for connections to a server.

    Args:
        authorities: PEM certificates to trust; other blocks and comments are ignored. None: those
            of the system.
        server_name: the name that the server's certificate must have, if not that of the host.
        insecure: do not verify the server.

    Raises:
        BadCertificate: there is no readable certificate in `authorities`.
    """
    context = (
        _Named(ssl.PROTOCOL_TLS_CLIENT) if server_name else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    if isinstance(context, _Named):
        context.server_name = server_name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is None:
        context.load_default_certs()
    else:
        _trust(context, authorities)
    return context


def pinned_context(certificate: bytes) -> ssl.SSLContext:
    """Return a context that accepts only this server certificate (PEM), for any host name.

    Raises:
        BadCertificate: it is not a certificate.
    """
    context = client_context(first_certificate(certificate))
    context.check_hostname = False
    return context


def first_certificate(text: bytes) -> bytes:
    """Return the first certificate of a PEM text, which is the server's own; empty without one."""
    found = _CERTIFICATE.search(text)
    return found.group() if found else b""


def server_context() -> ssl.SSLContext:
    """Return a context for a listener; `load_pair` loads its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a certificate and its private key (both PEM) into a context.

    Raises:
        BadCertificate: they cannot be read or do not belong together.
    """
    if not _CERTIFICATE.search(certificate):
        raise BadCertificate("the certificate is not PEM")
    # The ssl module only reads files. Only our user can read this directory.
    with tempfile.TemporaryDirectory(prefix="jupyter-workspaces-") as folder:
        files = Path(folder) / "certificate.pem", Path(folder) / "key.pem"
        for file, content in zip(files, (certificate, key), strict=True):
            file.touch(0o600)
            file.write_bytes(content)
        try:
            context.load_cert_chain(*files, password=_no_password)
        except ssl.SSLError as error:
            mismatch = error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")
            why = (
                "the key does not belong to the certificate"
                if mismatch
                else "the certificate or the key is not valid PEM"
            )
            raise BadCertificate(why) from None
        except OSError as error:
            raise BadCertificate(f"a temporary file cannot be written ({error.strerror})") from None


def failure(error: ssl.SSLError) -> str:
    """Return why a handshake failed. The text holds nothing of a key or token."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be verified ({error.verify_message})"
    reason = (error.reason or "no reason given").lower().replace("_", " ")
    return f"the TLS handshake failed ({reason})"


def _trust(context: ssl.SSLContext, authorities: bytes) -> None:
    for block in _CERTIFICATE.findall(authorities):
        try:
            context.load_verify_locations(cadata=block.decode("ascii"))
        except (ssl.SSLError, ValueError):
            continue  # Go skips unreadable certificates, too, if another one is readable
    if context.cert_store_stats()["x509"] == 0:
        raise BadCertificate("there is no certificate in it that can be read (PEM is expected)")


def _no_password() -> bytes:
    """Refuse an encrypted key; otherwise OpenSSL would prompt in the terminal and block."""
    raise BadCertificate(
        "the key has a password, which cannot be entered here: store it without one"
    )
