"""The file with which the cluster's owner signs in: server, authority and token, for our own parts and for `kubectl` alike."""

from __future__ import annotations

import base64
import secrets

import yaml

from .directory import Directory, write

NAME = "jupyter-workspaces"
USER = "local-admin"
TOKEN_BYTES = 32


def token(directory: Directory) -> str:
    """The administrator's token, made at the first start and kept. Raises `LocalClusterError`."""
    try:
        known = directory.token.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        known = ""
    if len(known) < TOKEN_BYTES:
        known = secrets.token_urlsafe(TOKEN_BYTES)
        write(directory.token, known.encode())
    return known


def save(directory: Directory, url: str, bearer: str) -> None:
    """Write the kubeconfig unless it says the same already. Raises `LocalClusterError`."""
    authority = base64.b64encode(directory.authority.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": NAME, "cluster": {"server": url, "certificate-authority-data": authority}}
        ],
        "users": [{"name": USER, "user": {"token": bearer}}],
        "contexts": [
            {"name": NAME, "context": {"cluster": NAME, "user": USER, "namespace": "default"}}
        ],
        "current-context": NAME,
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
        write(directory.kubeconfig, text)
