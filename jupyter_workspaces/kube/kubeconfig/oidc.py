"""The OpenID Connect `auth-provider` of a kubeconfig: an ID token and a refresh token.

As in kubectl, the token endpoint is found by discovery, over TLS that is verified with
`idp-certificate-authority(-data)` or the system's authorities. New tokens are written back into the
kubeconfig, because issuers may accept a refresh token only once. No text of the issuer's responses
gets into errors or logs.

The official client does not verify the TLS certificate of an issuer without an authority in the
kubeconfig. oauthlib and Authlib would do the two requests, which are the smaller part.

Sources: OpenID Connect Discovery 1.0 §4; OpenID Connect Core 1.0 §12; RFC 6749 §2.3.1, §5.2, §6.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlsplit

from jupyter_workspaces.common import tls
from jupyter_workspaces.kube.errors import ClusterError, NoEndpoint, Unauthorized, Unreachable
from jupyter_workspaces.kube.proxies import is_this_machine, proxy_for
from jupyter_workspaces.kube.unreachable import why_unreachable

from . import loading
from .credentials import fits_header
from .loading import Context
from .writing import NotWritten, save_provider

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

EARLY_SECONDS = 10.0
ANSWER_SECONDS = 30.0
ANSWER_BYTES = 1024 * 1024
RETRY_SECONDS = 5.0
"""Seconds for which a failed refresh is not repeated, so that the issuer is not flooded."""
_REASONS = frozenset(
    (
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    )
)


class ProviderToken:
    """ID token that is refreshed when it expires; one refresh at a time."""

    def __init__(self, context: Context) -> None:
        """Read the tokens of a context's user. Raises `NoEndpoint` if they cannot be used."""
        self._context, self._who = context, f"the user {context.user_name} (auth-provider oidc)"
        self._subject = f"T{self._who[1:]}"
        self._config: dict[str, str] = dict(context.user["auth-provider"].get("config", {}))
        for key in ("idp-issuer-url", "client-id"):
            if not self._config.get(key):
                raise NoEndpoint(
                    f"{self._subject} has no {key} in its config. Sign in again with the tool "
                    "that wrote the kubeconfig."
                )
        if not _is_safe(self._config["idp-issuer-url"]):
            raise NoEndpoint(
                f"{self._subject} has an idp-issuer-url that is not https://: tokens would be "
                "readable on the network."
            )
        self._tls = self._trust()
        self._lock = asyncio.Lock()
        self._failed: tuple[float, ClusterError] | None = None

    async def token(self) -> str | None:
        """Return the ID token, refreshed if it expired. Raises `Unauthorized`, `Unreachable`."""
        async with self._lock:
            token = self._config.get("id-token", "")
            if token and self._is_fresh(token):
                return token
            if self._failed is not None and time.monotonic() < self._failed[0]:
                raise type(self._failed[1])(self._failed[1].message)
            try:
                return await self._refreshed()
            except ClusterError as error:
                self._failed = (time.monotonic() + RETRY_SECONDS, error)
                raise

    async def renew(self, used: str | None) -> bool:
        """Return whether there is a newer token.

        Like kubectl, this does not refresh a token before it expires.
        """
        return await self.token() != used

    async def _refreshed(self) -> str:
        """Return a new ID token. Raises `Unauthorized`, `Unreachable`."""
        # kubectl, or another process of ours, may have refreshed the token.
        self._take(await asyncio.to_thread(self._stored))
        token = self._config.get("id-token", "")
        if token and self._is_fresh(token):
            return token
        refresh = self._config.get("refresh-token", "")
        if not refresh:
            raise Unauthorized(
                f"{self._subject} has an ID token that expired, and no refresh-token. Sign in "
                "again."
            )
        try:
            answer = await self._ask(refresh)
        except Unauthorized:
            # Another process may have used the refresh token at the same time.
            self._take(await asyncio.to_thread(self._stored))
            if self._config.get("refresh-token") == refresh or not self._is_fresh(
                self._config.get("id-token", "")
            ):
                raise
            return self._config["id-token"]
        self._config["id-token"] = answer["id_token"]
        changed = {"id-token": answer["id_token"]}
        if answer.get("refresh_token", refresh) != refresh:
            changed["refresh-token"] = self._config["refresh-token"] = answer["refresh_token"]
        await self._save(changed)
        return answer["id_token"]

    async def _save(self, changed: Mapping[str, str]) -> None:
        """Write new tokens into the kubeconfig.

        If that fails, they are used as long as this process runs.
        """
        try:
            await asyncio.to_thread(
                save_provider, self._context.user_file, self._context.user_name, changed
            )
        except NotWritten as error:
            lost = "refresh-token" in changed
            advice = (
                "Its old refresh-token may be invalid now: after a restart, and for "
                "kubectl, sign in again."
                if lost
                else ""
            )
            log.warning(
                "New tokens of the user %s are not written back: %s. %s",
                self._context.user_name,
                error,
                advice,
            )

    def _stored(self) -> Mapping[str, str]:
        """Return the current config in the file, or the known one if it cannot be read. Blocks."""
        try:
            user = loading.user_entry(self._context.user_file, self._context.user_name) or {}
        except NoEndpoint:
            return self._config
        return user.get("auth-provider", {}).get("config") or self._config

    def _take(self, stored: Mapping[str, str]) -> None:
        """Use newer tokens of the file.

        A changed issuer or client is a new login, which `KubeconfigUser` notices.
        """
        if (
            stored.get("id-token")
            and stored["id-token"] != self._config.get("id-token")
            and self._is_fresh(stored["id-token"])
        ):
            self._config["id-token"] = stored["id-token"]
        if stored.get("refresh-token"):
            self._config["refresh-token"] = stored["refresh-token"]

    def _is_fresh(self, token: str) -> bool:
        """Return whether an ID token has not expired. Raises `Unauthorized` if it is invalid."""
        expires = _expiry(token)
        if expires is None or not fits_header(token):
            raise Unauthorized(
                f"{self._subject} has an invalid id-token (not a JWT with exp). Sign in again."
            )
        return expires > time.time() + EARLY_SECONDS

    # The issuer

    async def _ask(self, refresh: str) -> dict[str, str]:
        """Refresh the ID token at the issuer. Raises `Unauthorized`, `Unreachable`."""
        import aiohttp

        issuer = self._config["idp-issuer-url"]
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with aiohttp.ClientSession(
                timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                endpoint, methods = await self._discover(session, issuer)
                return await self._exchange(session, endpoint, methods, refresh)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise Unreachable(
                f"The issuer of {self._who} does not answer: {why_unreachable(error)}."
            ) from None

    async def _discover(self, session: aiohttp.ClientSession, issuer: str) -> tuple[str, list[str]]:
        """Return the token endpoint, and the supported ways to authenticate there."""
        url = issuer.rstrip("/") + "/.well-known/openid-configuration"
        async with session.get(url, ssl=self._tls, proxy=proxy_for(url), max_redirects=5) as answer:
            if answer.url.scheme != "https" and not is_this_machine(answer.url.host or ""):
                raise Unauthorized(
                    f"The issuer of {self._who} leads to an address that is not https://."
                )
            if answer.status != 200:
                raise Unreachable(
                    f"The issuer of {self._who} answered {answer.status} to discovery. Check "
                    "idp-issuer-url."
                )
            found = await _json(answer)
        endpoint, methods = (
            found.get("token_endpoint"),
            found.get("token_endpoint_auth_methods_supported"),
        )
        if not isinstance(endpoint, str) or not _is_safe(endpoint):
            raise Unauthorized(f"The issuer of {self._who} names no token_endpoint of https://.")
        return endpoint, methods if isinstance(methods, list) else ["client_secret_basic"]

    async def _exchange(
        self, session: aiohttp.ClientSession, endpoint: str, methods: list[str], refresh: str
    ) -> dict[str, str]:
        client, secret = self._config["client-id"], self._config.get("client-secret", "")
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        pair = base64.b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()
        by_header = (form, {"Authorization": f"Basic {pair}"})
        by_body: tuple[dict[str, str], dict[str, str]] = (
            form | {"client_id": client} | ({"client_secret": secret} if secret else {}),
            {},
        )
        ways = (
            [by_body]
            if not secret
            else [by_header, by_body]
            if "client_secret_basic" in methods
            else [by_body, by_header]
        )
        status, found = 0, {}
        for body, headers in ways:
            async with session.post(
                endpoint,
                data=body,
                headers=headers,
                ssl=self._tls,
                proxy=proxy_for(endpoint),
                allow_redirects=False,
            ) as answer:
                status, found = answer.status, await _json(answer)
            if status == 200:
                break
            if status != 401 and found.get("error") not in ("invalid_client", "invalid_request"):
                break  # the client is known; another way would use the refresh token a second time
        if status >= 500:
            raise Unreachable(
                f"The issuer of {self._who} answered {status} to a refresh. Try again later."
            )
        if status != 200:
            reason = found.get("error")
            named = f" ({reason})" if isinstance(reason, str) and reason in _REASONS else ""
            raise Unauthorized(
                f"The issuer of {self._who} refused to refresh its token: status {status}{named}. "
                "Sign in again."
            )
        token = found.get("id_token")
        if not isinstance(token, str) or _expiry(token) is None or not fits_header(token):
            raise Unauthorized(
                f"The issuer of {self._who} answered without an ID token. Sign in with the scope "
                "openid."
            )
        rotated = found.get("refresh_token")
        return {"id_token": token} | (
            {"refresh_token": rotated} if isinstance(rotated, str) and rotated else {}
        )

    def _trust(self) -> ssl.SSLContext:
        """Return the TLS settings for the issuer. Raises `NoEndpoint`."""
        data, file = (
            self._config.get("idp-certificate-authority-data"),
            self._config.get("idp-certificate-authority"),
        )
        key = "idp-certificate-authority-data" if data else "idp-certificate-authority"
        try:
            if data:
                return tls.client_context(base64.b64decode(data, validate=True))
            return tls.client_context(
                (self._context.user_file.parent / file).read_bytes() if file else None
            )
        except tls.BadCertificate as error:
            raise NoEndpoint(f"The {key} of {self._who} cannot be used: {error}.") from None
        except binascii.Error:
            raise NoEndpoint(f"The {key} of {self._who} is not base64.") from None
        except OSError as error:
            raise NoEndpoint(
                f"The {key} of {self._who} cannot be read: {error.strerror}."
            ) from None


def _is_safe(url: str) -> bool:
    """Return whether tokens may be sent to a URL: over TLS, or within this machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https"
            or (parts.scheme == "http" and is_this_machine(parts.hostname or ""))
        )
    except ValueError:
        return False


async def _json(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the body if it is a JSON object of at most 1 MiB, else an empty dict."""
    body = await answer.content.read(ANSWER_BYTES)
    while len(body) < ANSWER_BYTES and (
        more := await answer.content.read(ANSWER_BYTES - len(body))
    ):
        body += more
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _expiry(token: str) -> float | None:
    """Return `exp` of a JWT in seconds since 1970, None if it is no JWT or has none.

    The API server verifies the signature, not the client.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
