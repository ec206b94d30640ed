"""Certificates of the local cluster: its own authority, and the API server's certificate.

The authority is valid for ten years and the server certificate for one. Both are created at the
first start and renewed 30 days before they expire.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl

from cryptography import x509

from jupyter_workspaces.common import tls
from jupyter_workspaces.common.signing import Pair, make_authority, make_server

from .directory import Directory

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
    """Create certificates that are missing, damaged, not yet valid or about to expire.

    A new authority is only created when the old one cannot be used, because all clients then have
    to read the kubeconfig again.

    Returns:
        Whether a certificate was created.

    Raises:
        LocalClusterError: A file cannot be written.
    """
    authority = _authority(directory)
    if authority is None:
        authority = make_authority(f"{directory.name} local cluster authority", AUTHORITY_DAYS)
        directory.write(directory.authority_key, authority.key_pem)
        directory.write(directory.authority, authority.certificate_pem, 0o644)
    elif _server_is_good(directory, authority):
        return False
    server = make_server(authority, f"{directory.name} local cluster", NAMES, SERVER_DAYS)
    directory.write(directory.key, server.key_pem)
    directory.write(directory.certificate, server.certificate_pem, 0o644)
    return True


def server_context(directory: Directory) -> ssl.SSLContext:
    """Return the TLS context of the API server (TLS 1.2 or later)."""
    context = tls.server_context()
    load(directory, context)
    return context


def load(directory: Directory, context: ssl.SSLContext) -> None:
    """Load the server certificate from the directory into a TLS context that is in use.

    Raises:
        OSError: A file cannot be read.
        tls.BadCertificate: The certificate does not fit its key.
    """
    tls.load_pair(context, directory.certificate.read_bytes(), directory.key.read_bytes())


def _authority(directory: Directory) -> Pair | None:
    try:
        pair = Pair.load(directory.authority.read_bytes(), directory.authority_key.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning(
            "Cannot use the local cluster's certificate authority (%s). Creating a new one.", error
        )
        return None
    if not pair.is_authority():
        log.warning(
            "The local cluster's certificate authority cannot sign certificates. "
            "Creating a new one."
        )
        return None
    if not pair.is_valid(RENEW_DAYS):
        log.warning(
            "The local cluster's certificate authority is only valid %s. Creating a new one.",
            _period(pair),
        )
        return None
    return pair


def _server_is_good(directory: Directory, authority: Pair) -> bool:
    try:
        server = Pair.load(directory.certificate.read_bytes(), directory.key.read_bytes())
        names = server.certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except FileNotFoundError:
        return False
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        log.warning(
            "Cannot use the API server's certificate (%s). Creating a new one.",
            type(error).__name__,
        )
        return False
    if not server.is_valid(RENEW_DAYS):
        log.info(
            "The API server's certificate is only valid %s. Creating a new one.", _period(server)
        )
        return False
    return server.is_issued_by(authority) and set(NAMES) <= set(names)


def _period(pair: Pair) -> str:
    start, end = pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
    return f"from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
