"""Headers and cookies of reverse proxies in front of this server, to keep out of workspaces. Pure.

Authenticating proxies (oauth2-proxy, Istio with an auth service, identity-aware load balancers, web
servers with single sign-on) identify the user by headers, bearer tokens and cookies. Each uses its
own names. So these headers are dropped:

1. Headers that describe the user or the authentication: their name contains a word of `_IDENTITY`,
   or begins with one of `_PREFIXES`, which only proxies write.
2. Headers that contain a signed token (JWT, RFC 7519), whatever their name.
3. Headers that `--trusted-header-auth` reads.

`AllowedNames` has the administrator's exceptions. Cookies of reverse proxies are recognized by name
(`COOKIES`). With `--trusted-header-auth`, a workspace gets only cookies that it has set itself
(`credentials`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

SETTING = "jupyter_workspaces_allowed_names"
"""Name of the web application's setting that holds `AllowedNames`."""

_PREFIXES = (
    "impersonate-",  # Kubernetes
    "remote-",
    "x-appengine-",
    "x-arr-",
    "x-envoy-",
    "x-forwarded-",
    "x-istio-",
    "x-jupyterhub-",
    "x-ms-token-",
    "x-original-",
    "x-rewrite-",
    "x-ssl-",
)
_IDENTITY = re.compile(
    r"(?:^|[-_.])(?:"
    r"users?(?!-agent)|user-?(?:id|info|name|principal)|uid|upn|eppn|preferred-?username|"
    r"e-?mail|groups?|roles?|(?:client-?)?principal|subject|"
    r"auth[a-z0-9]*|[a-z]*oauth2?|oidc|saml|sso|idp|shib[a-z]*|mellon|kerberos|ldap|"
    r"identity|assertion|claims?|jwt|(?:id|access|refresh|session|bearer)-?token|consumer|"
    r"credentials?|"
    r"(?:client-?)?cert(?:ificate)?|clientcert|(?:client-?)?ip"
    r")(?=$|[-_.])"
)
_STANDARD = frozenset(("user-agent", "authorization"))
# Only browsers write names with this prefix (Fetch, forbidden request-headers).
_BROWSER_PREFIX = "sec-"
_JWT = re.compile(r"(?<![\w-])(eyJ[\w-]{8,})\.[\w-]+\.[\w-]*")

COOKIES = re.compile(
    r"_?oauth2?[-_]?proxy|authservice|oidc_state_csrf|(?:aws|gcp|__host-gcp|app)?[-_]?iap_|gcp_|"
    r"awselbauth|cf_authorization|cf_appsession|appserviceauthsession|authelia_|authentik_|"
    r"vouchcookie|_vouch|_pomerium|_forward_auth|mod_auth_openidc|_shibsession_|mellon-|"
    r"keycloak_|kc_|auth_session_id|_gap_|_dex|jupyterhub",
    re.IGNORECASE,
)
"""Prefixes of the session cookies of reverse proxies."""


@dataclass(frozen=True)
class AllowedNames:
    """Names that the administrator allows in addition (traits of `app.JupyterWorkspaces`).

    A name that ends with `*` is a prefix. Case is ignored.
    """

    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrontProxy:
    """The reverse proxy of `--trusted-header-auth`; without headers if that is not set.

    `headers` are the lower-case names of its identity headers, `user` is the user in them.
    """

    headers: frozenset[str] = frozenset()
    user: str = ""

    @property
    def trusted(self) -> bool:
        """Whether there is such a proxy."""
        return bool(self.headers)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name matches a pattern, in which a final `*` is a wildcard."""
    lower = name.lower()
    return any(
        lower.startswith(known[:-1]) if known.endswith("*") else lower == known
        for known in map(str.lower, patterns)
    )


def is_identity(name: str, value: str, front: FrontProxy) -> bool:
    """Return whether a request header identifies a user, by the rules above."""
    if name in front.headers:
        return True
    if name in _STANDARD or name.startswith(_BROWSER_PREFIX):
        return False
    return name.startswith(_PREFIXES) or _IDENTITY.search(name) is not None or _has_jwt(value)


def _has_jwt(value: str) -> bool:
    """Return whether a value contains a signed token, whose header has `alg` (RFC 7515 §4.1.1)."""
    for found in _JWT.finditer(value):
        try:
            if b'"alg"' in base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)):
                return True
        except (binascii.Error, ValueError):
            continue
    return False


def is_authorization_of_front(value: str, front: FrontProxy) -> bool:
    """Return whether the reverse proxy may have set this `Authorization` header.

    Such proxies send `Bearer` with their access token, or `Basic` with the user name and a password
    of their own.
    """
    if not front.trusted:
        return False
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() in ("bearer", "negotiate", "ntlm"):
        return True
    if scheme.lower() != "basic":
        return False
    try:
        name = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")[0]
    except (binascii.Error, ValueError):
        return False
    return name.lower() in (front.user.lower(), front.user.lower().partition("@")[0])
