"""A local cluster in a process of its own, asked as its kubeconfig says."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from waiting import until_sync

from jupyter_workspaces.local import launch

LIMIT_SECONDS = 30.0


def ask(
    directory: Path, method: str, path: str, body: Any = None, *, token: str | None = ""
) -> tuple[int, Any]:
    """One request as the kubeconfig says, or with another token, or none."""
    document = yaml.safe_load((directory / "kubeconfig").read_text())
    address = urlsplit(document["clusters"][0]["cluster"]["server"])
    bearer = document["users"][0]["user"]["token"] if token == "" else token
    trust = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    connection = http.client.HTTPSConnection(
        str(address.hostname), address.port, timeout=10, context=trust
    )
    media = "application/merge-patch+json" if method == "PATCH" else "application/json"
    headers = {"Content-Type": media} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def kill(directory: Path) -> None:
    pid = launch.status(directory).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until_sync(lambda: not launch.status(directory).running, "the end of the process")
