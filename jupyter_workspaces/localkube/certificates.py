"""The certificates of the embedded cluster: an authority of its own for ten years, a server certificate for one, renewed in time."""

from __future__ import annotations

import ipaddress
import logging
import ssl

from cryptography import x509

from jupyter_workspaces.common import tls
from jupyter_workspaces.common.signing import Pair, make_authority, make_server

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
    """Make what is missing, damaged, not valid yet or about to expire; True when something was made.

    A new authority asks every client to read the kubeconfig again, so it is only made when the old one is of no use.
    Raises `LocalClusterError`.
    """
    authority = _authority(directory)
    if authority is None:
        authority = make_authority("jupyter-workspaces local cluster authority", AUTHORITY_DAYS)
        write(directory.authority_key, authority.key_pem)
        write(directory.authority, authority.certificate_pem, 0o644)
    elif _server_is_good(directory, authority):
        return False
    server = make_server(authority, "jupyter-workspaces local cluster", NAMES, SERVER_DAYS)
    write(directory.key, server.key_pem)
    write(directory.certificate, server.certificate_pem, 0o644)
    return True


def server_context(directory: Directory) -> ssl.SSLContext:
    """For the API server: TLS 1.2 or later."""
    context = tls.server_context()
    load(directory, context)
    return context


def load(directory: Directory, context: ssl.SSLContext) -> None:
    """Show the certificate that is in the directory now. Raises `OSError`, `tls.BadCertificate`."""
    tls.load_pair(context, directory.certificate.read_bytes(), directory.key.read_bytes())


def _authority(directory: Directory) -> Pair | None:
    try:
        pair = Pair.load(directory.authority.read_bytes(), directory.authority_key.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning(
            "The cluster's own certificate authority cannot be used (%s): a new one is made", error
        )
        return None
    if not pair.is_authority():
        log.warning(
            "The cluster's own certificate authority cannot sign certificates: a new one is made"
        )
        return None
    if not pair.is_valid(RENEW_DAYS):
        log.warning(
            "The cluster's own certificate authority is valid %s only: a new one is made",
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
            "The server's certificate is of no use (%s): a new one is made", type(error).__name__
        )
        return False
    if not server.is_valid(RENEW_DAYS):
        log.info("The server's certificate is valid %s: a new one is made", _period(server))
        return False
    return server.is_issued_by(authority) and set(NAMES) <= set(names)


def _period(pair: Pair) -> str:
    return f"from {pair.certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to {pair.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
