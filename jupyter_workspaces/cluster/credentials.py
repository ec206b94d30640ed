"""How a kubeconfig's user signs in: tokens, token files, login programs, client certificates. All of them may change while we run.

Login programs: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol

from .errors import Unauthorized
from .kubeconfig import NoEndpoint

Object = Mapping[str, Any]

PROGRAM_SECONDS = 60.0
EARLY = timedelta(seconds=10)
"""A credential that expires so soon may be refused on its way."""
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class Credentials(Protocol):
    """What `Endpoint` asks before each request, and after a 401."""

    async def token(self) -> str | None:
        """The bearer token, fresh. Raises `ClusterError`."""

    async def renew(self, used: str | None) -> bool:
        """The server refused `used`. Whether there is something newer to try; what is newer already is not renewed again."""


class StaticToken:
    """A token that does not change, or none."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def token(self) -> str | None:
        return self._token

    async def renew(self, used: str | None) -> bool:
        return False


class FileToken:
    """A token in a file that somebody else renews."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8").strip() or None
        except (OSError, ValueError) as error:
            raise Unauthorized(f"The token file {self._path} cannot be read: {error}") from error

    async def renew(self, used: str | None) -> bool:
        return await self.token() != used


class CertificateFiles:
    """A client certificate in files; connections that are made after a renewal show the new one."""

    def __init__(self, trust: ssl.SSLContext, certificate: Path, key: Path) -> None:
        self._trust, self._files = trust, (certificate, key)
        self._seen = self._stamps()
        try:
            trust.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            raise NoEndpoint(f"The client certificate {certificate} or its key {key} cannot be used: {error}") from error

    async def token(self) -> str | None:
        return None

    async def renew(self, used: str | None) -> bool:
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        try:
            self._trust.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            raise Unauthorized(f"The client certificate {self._files[0]} cannot be used any more: {error}") from error
        self._seen = stamps
        return True

    def _stamps(self) -> list[int]:
        try:
            return [path.stat().st_mtime_ns for path in self._files]
        except OSError:
            return []


class LoginProgram:
    """A program that prints a credential. It runs when there is none, when the last one expires, and when the server refuses it.

    Many requests at once wait for one run.
    """

    def __init__(self, program: Object, cluster: Object, user: str, trust: ssl.SSLContext | None) -> None:
        self._program, self._cluster, self._user, self._trust = program, cluster, user, trust
        self._version = program.get("apiVersion") or ""
        if not program.get("command") or self._version not in EXEC_VERSIONS:
            supported = " or ".join(EXEC_VERSIONS)
            raise NoEndpoint(f"The login program of the user {user} needs a command, and as apiVersion {supported}.")
        if program.get("interactiveMode") == "Always":
            raise NoEndpoint(
                f"The login program {program['command']} wants to ask at a terminal (interactiveMode: Always), and there is none. "
                "Set it up so that it can sign in without questions."
            )
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._expires: datetime | None = None
        self._has = False

    async def token(self) -> str | None:
        if not self._fresh():
            async with self._lock:
                if not self._fresh():
                    await self._run()
        return self._token

    async def renew(self, used: str | None) -> bool:
        async with self._lock:
            if used == self._token:
                await self._run()
        return True

    def _fresh(self) -> bool:
        return self._has and (self._expires is None or datetime.now(timezone.utc) + EARLY < self._expires)

    async def _run(self) -> None:
        status = await asyncio.to_thread(self._ask)
        try:
            expires = status.get("expirationTimestamp")
            self._expires = datetime.fromisoformat(expires.replace("Z", "+00:00")) if expires else None
            token, certificate, key = status.get("token"), status.get("clientCertificateData"), status.get("clientKeyData")
            if certificate and key and self._trust is not None:
                load_certificate(self._trust, certificate.encode(), key.encode())
        except (AttributeError, ValueError, OSError, ssl.SSLError) as error:
            raise self._failed(f"what it printed cannot be used: {error}") from error
        if not token and not (certificate and key):
            raise self._failed("it printed neither a token nor a certificate with its key")
        self._token, self._has = token, True

    def _ask(self) -> Object:
        spec: dict[str, Any] = {"interactive": False}
        if self._program.get("provideClusterInfo"):
            spec["cluster"] = self._cluster_info()
        asked = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        environment = {**os.environ, **{entry["name"]: entry["value"] for entry in self._program.get("env") or ()}}
        command = [self._program["command"], *(self._program.get("args") or ())]
        try:
            ended = subprocess.run(
                command,
                env=environment | {"KUBERNETES_EXEC_INFO": json.dumps(asked)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROGRAM_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise self._failed("it is not installed, or not on PATH") from error
        except OSError as error:
            raise self._failed(f"it cannot be started: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise self._failed(f"it did not end within {PROGRAM_SECONDS:g} s") from error
        if ended.returncode != 0:
            said = ended.stderr.decode(errors="replace").strip()[-500:]
            raise self._failed(f"it ended with status {ended.returncode}" + (f": {said}" if said else ""))
        try:
            answer = json.loads(ended.stdout)
            status = answer["status"]
        except (ValueError, LookupError, TypeError) as error:
            raise self._failed("it did not print an ExecCredential with a status") from error
        if answer.get("apiVersion") != self._version or not isinstance(status, dict):
            raise self._failed(f"it printed {answer.get('apiVersion')}, and the kubeconfig says {self._version}")
        return status

    def _cluster_info(self) -> dict[str, Any]:
        info = {
            key: self._cluster[key]
            for key in ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
            if key in self._cluster
        }
        data = self._cluster.get("certificate-authority-data")
        if data is None and (path := self._cluster.get("certificate-authority")):
            data = base64.b64encode(Path(path).read_bytes()).decode()
        if data is not None:
            info["certificate-authority-data"] = data
        for extension in self._cluster.get("extensions") or ():
            if extension.get("name") == "client.authentication.k8s.io/exec":
                info["config"] = extension.get("extension")
        return info

    def _failed(self, why: str) -> Unauthorized:
        hint = str(self._program.get("installHint") or "").strip()
        return Unauthorized(
            f"The login program {self._program['command']} of the user {self._user} gave no credential: {why}."
            + (f" {hint}" if hint else "")
        )


class ProviderToken:
    """The old `auth-provider` of OpenID Connect, by the official package, which refreshes it."""

    def __init__(self, paths: list[Path], context: str) -> None:
        from kubernetes import client, config

        self._configuration = client.Configuration()
        try:
            config.load_kube_config(
                config_file=os.pathsep.join(map(str, paths)),
                context=context,
                client_configuration=self._configuration,
                persist_config=False,
            )
        except config.ConfigException as error:
            raise NoEndpoint(f"The context {context} cannot be used: {error}") from error

    async def token(self) -> str | None:
        # By its settings, not by the key's name: that changed between versions of the client. Asking refreshes a token that expired.
        settings: Any = await asyncio.to_thread(self._configuration.auth_settings)
        value: str | None = (settings.get("BearerToken") or {}).get("value")
        return value.removeprefix("Bearer ") if value else None

    async def renew(self, used: str | None) -> bool:
        return await self.token() != used


def load_certificate(trust: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Both are PEM. Raises `OSError`, `ssl.SSLError`."""
    with tempfile.TemporaryDirectory(prefix="jupyter-workspaces-") as folder:  # the ssl module reads files only; this one is ours alone
        file = Path(folder) / "pair.pem"
        file.touch(0o600)
        file.write_bytes(certificate.rstrip() + b"\n" + key)
        trust.load_cert_chain(file)
