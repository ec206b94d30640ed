"""The administrator's kubeconfig of a local cluster, for `kubectl` and for our own parts.

It holds the API server's URL, the authority's certificate and the administrator's token.
"""

from __future__ import annotations

import base64
import secrets

import yaml

from .directory import Directory

USER = "local-admin"
TOKEN_BYTES = 32


def token(directory: Directory) -> str:
    """Return the administrator's token, which is created at the first start.

    Raises:
        LocalClusterError: The token cannot be stored.
    """
    try:
        known = directory.token.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        known = ""
    if len(known) < TOKEN_BYTES:
        known = secrets.token_urlsafe(TOKEN_BYTES)
        directory.write(directory.token, known.encode())
    return known


def save(directory: Directory, url: str, bearer: str) -> None:
    """Write the kubeconfig unless it has this content already.

    Raises:
        LocalClusterError: It cannot be written.
    """
    name = directory.name
    authority = base64.b64encode(directory.authority.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": url, "certificate-authority-data": authority}}
        ],
        "users": [{"name": USER, "user": {"token": bearer}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": USER, "namespace": "default"}}
        ],
        "current-context": name,
    }
    text = yaml.safe_dump(document, sort_keys=False).encode()
    try:
        same = (
            directory.kubeconfig.read_bytes() == text
            and directory.kubeconfig.stat().st_mode & 0o077 == 0
        )
    except OSError:
        same = False
    if not same:
        directory.write(directory.kubeconfig, text)
