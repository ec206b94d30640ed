"""Credentials of a kubeconfig's user: tokens, token files, client certificates. All may rotate."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import Protocol

from jupyter_workspaces.common import tls
from jupyter_workspaces.kube.errors import NoEndpoint, Unauthorized

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # a tab is allowed in a header (RFC 9110 §5.5)


class Credentials(Protocol):
    """Credentials that `Endpoint` uses before each request, and after a 401 response."""

    async def token(self) -> str | None:
        """Return a valid bearer token, None without one. Raises `ClusterError`."""

    async def renew(self, used: str | None) -> bool:
        """Return whether a credential newer than `used`, which was refused, is available."""


class StaticToken:
    """A token that does not change, or none."""

    def __init__(self, token: str | None) -> None:
        """Use this token for all requests."""
        self._token = token

    async def token(self) -> str | None:
        """Return the token."""
        return self._token

    async def renew(self, used: str | None) -> bool:
        """Return False: there is no newer token."""
        return False


class FileToken:
    """Token in a file that another program renews."""

    def __init__(self, path: Path, fallback: str | None = None) -> None:
        """Use the token in a file.

        `fallback` is used while the file cannot be read, as kubectl does if a user has both.
        """
        self._path, self._fallback = path, fallback

    async def token(self) -> str | None:
        """Return the token in the file. Raises `Unauthorized` if it cannot be used."""
        try:
            return self._read()
        except Unauthorized:
            if self._fallback is None:
                raise
            return self._fallback

    async def renew(self, used: str | None) -> bool:
        """Return whether the file holds another token than the one that was refused."""
        return await self.token() != used

    def _read(self) -> str:
        """Read the token. Raises `Unauthorized`."""
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unauthorized(
                f"The token file {self._path} cannot be read: {error.strerror}."
            ) from None
        except ValueError:
            raise Unauthorized(f"The token file {self._path} is not text.") from None
        if not token:
            raise Unauthorized(f"The token file {self._path} is empty. Sign in again.")
        if not fits_header(token):
            raise Unauthorized(
                f"The token file {self._path} holds more than one line. It must contain only the "
                "token."
            )
        return token


class CertificateFiles:
    """Client certificate in files; connections that are opened after a renewal use the new one."""

    def __init__(self, context: ssl.SSLContext, certificate: Path, key: Path, user: str) -> None:
        """Load the files into a TLS context. Raises `NoEndpoint`."""
        self._context, self._files, self._user = context, (certificate, key), user
        self._seen = self._stamps()
        try:
            self._load()
        except Unauthorized as error:
            raise NoEndpoint(error.message) from None

    async def token(self) -> str | None:
        """Return None: the certificate authenticates."""
        return None

    async def renew(self, used: str | None) -> bool:
        """Return whether the files changed and were loaded again. Raises `Unauthorized`."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        await asyncio.to_thread(self._load)
        self._seen = stamps
        return True

    def _load(self) -> None:
        """Load the files into the TLS context. Raises `Unauthorized`."""
        try:
            tls.load_pair(self._context, *(path.read_bytes() for path in self._files))
        except OSError as error:
            raise Unauthorized(
                f"The file {error.filename} of the user {self._user} cannot be read: "
                f"{error.strerror}."
            ) from None
        except tls.BadCertificate as error:
            files = " or ".join(map(str, self._files))
            raise Unauthorized(
                f"The client certificate of the user {self._user} cannot be used: {error} "
                f"({files})."
            ) from None

    def _stamps(self) -> list[int]:
        try:
            return [path.stat().st_mtime_ns for path in self._files]
        except OSError:
            return []


def fits_header(value: str) -> bool:
    """Return whether a text can be the value of an HTTP header."""
    return _CONTROL.search(value) is None
