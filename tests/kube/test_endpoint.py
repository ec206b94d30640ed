"""Credentials of kubeconfigs reach the API server with every version of the official client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.errors import NoEndpoint


def kubeconfig(path: Path, user: dict[str, Any]) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "there",
        "contexts": [
            {"name": "there", "context": {"cluster": "c", "user": "u", "namespace": "lab"}}
        ],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(document))
    return path


async def test_a_token_is_sent(tmp_path: Path) -> None:
    endpoint = from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {"token": "a-token"}))
    assert (endpoint.url, endpoint.name, endpoint.namespace) == (
        "http://127.0.0.1:1",
        "there",
        "lab",
    )
    assert await endpoint.headers() == {"Authorization": "Bearer a-token"}


async def test_a_program_is_asked_for_a_token(tmp_path: Path) -> None:
    script = tmp_path / "login"
    status = {"token": "from-a-program"}
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    script.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    script.chmod(0o700)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(script),
        "interactiveMode": "Never",
    }
    endpoint = from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {"exec": plugin}))
    assert await endpoint.headers() == {"Authorization": "Bearer from-a-program"}


async def test_no_credential_is_no_header(tmp_path: Path) -> None:
    assert await from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {})).headers() == {}


def test_a_kubeconfig_that_names_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{}")
    with pytest.raises(NoEndpoint, match="kubeconfig"):
        from_kubeconfig(tmp_path / "kubeconfig")
