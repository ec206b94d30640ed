"""A client for a real API server with blocking requests."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from kind_cases import Answer, Ask

from jupyter_workspaces.kube.endpoint import from_kubeconfig


def real(kubeconfig: Path) -> Ask:
    endpoint = from_kubeconfig(kubeconfig)
    return requester(endpoint.url, endpoint.ssl_context, dict(asyncio.run(endpoint.headers())))


def requester(url: str, trust: Any, headers: dict[str, str]) -> Ask:
    def ask(method: str, path: str, body: Any) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url + path, data, {**headers, "Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, context=trust, timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as refused:
            with refused:
                text = refused.read()
            return refused.code, json.loads(text) if text.startswith(b"{") else text.decode()

    return ask
