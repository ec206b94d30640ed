"""Runs the login program of a kubeconfig (`exec`), which prints a credential.

`loading.py` says why the official client does not do this. Source: Kubernetes docs,
"Authenticating", client-go credential plugins (client.authentication.k8s.io).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import ssl
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from jupyter_workspaces.common import tls
from jupyter_workspaces.common.documents.bounds import DocumentError
from jupyter_workspaces.common.terminal import printable
from jupyter_workspaces.kube.errors import NoEndpoint, Unauthorized

from .credentials import fits_header
from .loading import Context, parse

PROGRAM_SECONDS = 60.0
EARLY = timedelta(seconds=10)
"""A credential that expires within this time is renewed before use."""
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
MODES = ("Never", "IfAvailable", "Always")

_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class LoginProgram:
    """Login program: runs if there is no credential, if it expired, or if the server refused it.

    Concurrent requests wait for one run. Standard error of the program is discarded: it may hold
    secrets, and errors reach logs and other users.
    """

    def __init__(self, context: Context, tls_context: ssl.SSLContext | None) -> None:
        """Prepare the program of a context. Raises `NoEndpoint` if it cannot be used here."""
        program: Mapping[str, Any] = context.user["exec"]
        self._context, self._tls = context, tls_context
        self._command: str = program.get("command", "")
        self._version: str = program.get("apiVersion", "")
        self._hint = printable(program.get("installHint", "").strip())
        who = f"The login program of the user {context.user_name}"
        if not self._command or self._version not in EXEC_VERSIONS:
            raise NoEndpoint(
                f"{who} needs a command, and as apiVersion {' or '.join(EXEC_VERSIONS)}."
            )
        mode = program.get("interactiveMode") or (
            "IfAvailable" if self._version != EXEC_VERSIONS[0] else ""
        )
        if mode not in MODES:
            raise NoEndpoint(f"{who} needs an interactiveMode: {', '.join(MODES)}.")
        if mode == "Always":
            raise NoEndpoint(
                f"The login program {self._command} requires a terminal (interactiveMode: "
                "Always), and there is none. "
                "Configure it to sign in without prompts."
            )
        self._arguments: list[str] = program.get("args", [])
        self._provides_cluster: bool = program.get("provideClusterInfo", False)
        self._environment = {
            entry.get("name", ""): entry.get("value", "") for entry in program.get("env", [])
        }
        if any(not name or "=" in name or "\0" in name for name in self._environment):
            raise NoEndpoint(f"{who} has an entry of env without a name, or with an invalid name.")
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._expires: datetime | None = None
        self._has = False

    async def token(self) -> str | None:
        """Return the token, after a run of the program if needed. Raises `Unauthorized`."""
        if not self._fresh():
            async with self._lock:
                if not self._fresh():
                    await self._run()
        return self._token

    async def renew(self, used: str | None) -> bool:
        """Run the program again if it gave the token that was refused. Raises `Unauthorized`."""
        async with self._lock:
            if used == self._token:
                await self._run()
        return True

    def _fresh(self) -> bool:
        return self._has and (
            self._expires is None or datetime.now(timezone.utc) + EARLY < self._expires
        )

    async def _run(self) -> None:
        status = await asyncio.to_thread(self._ask)
        wrong = [
            key
            for key in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
            if not _is_text(status, key)
        ]
        if wrong:
            raise self._failed(f"the {wrong[0]} that it printed is not a text")
        token, certificate, key = (
            status.get(name) or "" for name in ("token", "clientCertificateData", "clientKeyData")
        )
        expires = (
            _time(status["expirationTimestamp"]) if status.get("expirationTimestamp") else None
        )
        if status.get("expirationTimestamp") and expires is None:
            raise self._failed("the expirationTimestamp that it printed is not a time (RFC 3339)")
        if bool(certificate) != bool(key):
            raise self._failed("it printed a certificate or a key, and not both")
        if not fits_header(token):
            raise self._failed("the token that it printed has a line break in it")
        if not token and not (certificate and self._tls is not None):
            raise self._failed(
                "it printed neither a token nor a certificate with its key that this server's "
                "address could use"
            )
        if certificate and self._tls is not None:
            try:
                await asyncio.to_thread(
                    tls.load_pair, self._tls, certificate.encode(), key.encode()
                )
            except tls.BadCertificate as error:
                raise self._failed(f"its certificate cannot be used: {error}") from None
        self._expires, self._token, self._has = expires, token or None, True

    def _ask(self) -> Mapping[str, Any]:
        spec: dict[str, Any] = {"interactive": False}
        if self._provides_cluster:
            spec["cluster"] = self._cluster_info()
        asked = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        try:
            ended = subprocess.run(
                [self._command, *self._arguments],
                env={**os.environ, **self._environment, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROGRAM_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise self._failed("it is not installed, or not on PATH") from None
        except OSError as error:
            raise self._failed(f"it cannot be started: {error.strerror}") from None
        except ValueError:
            raise self._failed("its args or env have a null character in them") from None
        except subprocess.TimeoutExpired:
            raise self._failed(f"it did not end within {PROGRAM_SECONDS:g} s") from None
        if ended.returncode != 0:
            name = self._context.name
            raise self._failed(
                f"it ended with status {ended.returncode}. `kubectl --context {name} get --raw "
                "/version` shows its error"
            )
        try:
            answer = parse(ended.stdout)
        except DocumentError:
            answer = None
        status = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(status, dict):
            raise self._failed("it did not print an ExecCredential with a status")
        if answer.get("apiVersion") != self._version:
            other = answer.get("apiVersion")
            named = other if other in EXEC_VERSIONS else "another apiVersion"
            raise self._failed(f"it printed {named}, and the kubeconfig says {self._version}")
        return status

    def _cluster_info(self) -> dict[str, Any]:
        cluster = self._context.cluster
        keys = (
            "server",
            "tls-server-name",
            "insecure-skip-tls-verify",
            "proxy-url",
            "disable-compression",
        )
        info = {key: cluster[key] for key in keys if key in cluster}
        authority = cluster.get("certificate-authority-data")
        if not authority and (path := cluster.get("certificate-authority")):
            try:
                authority = Path(path).read_bytes()
            except OSError as error:
                raise self._failed(
                    f"the certificate authority {path} cannot be read: {error.strerror}"
                ) from None
        if authority:
            info["certificate-authority-data"] = base64.b64encode(authority).decode()
        for extension in cluster.get("extensions", ()):
            if extension.get("name") == "client.authentication.k8s.io/exec":
                info["config"] = extension.get("extension")
        return info

    def _failed(self, why: str) -> Unauthorized:
        return Unauthorized(
            f"The login program {self._command} of the user {self._context.user_name} gave no "
            f"credential: {why}." + (f" {self._hint}" if self._hint else "")
        )


def _is_text(status: Mapping[str, Any], key: str) -> bool:
    return status.get(key) is None or isinstance(status[key], str)


def _time(text: str) -> datetime | None:
    """Return an RFC 3339 time, None if it is none. Fractions of any length are dropped."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1].upper() + found[3].upper().replace("Z", "+00:00"))
    except ValueError:
        return None
