"""Authentication by bearer token: fixed identities of the cluster, and service accounts."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256

from cachetools import LRUCache

from jupyter_workspaces.kube.catalog import (
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from jupyter_workspaces.localkube.apiserver.store.store import Store, Stored

from .tokens import (
    ISSUER,
    SECRET_TYPE,
    Bound,
    Claims,
    InvalidToken,
    Keys,
    wrong_audience,
)
from .users import (
    AUTHENTICATED,
    User,
    account_groups,
    account_name,
)

KNOWN_TOKENS = 1_024
INVALIDATED = "service account token has been invalidated"
_WEBSOCKET = "base64url.bearer.authorization.k8s.io."
_HOLDERS: Mapping[str, Resource] = {"pod": PODS, "secret": SECRETS, "node": NODES}
_EXTRA = "authentication.kubernetes.io/"


class Authenticator:
    """Finds the user of a token.

    A token of a service account is verified once; that the account and the objects that the token
    is bound to still exist is checked for each request.
    """

    def __init__(self, store: Store, keys: Keys, identities: Mapping[str, User]) -> None:
        """Create it.

        Args:
            store: has the service accounts.
            keys: verify their tokens.
            identities: users by their tokens.
        """
        self._store, self._keys = store, keys
        self._identities = {_digest(token): user for token, user in identities.items()}
        self._known: LRUCache[tuple[bytes, tuple[str, ...]], Claims] = LRUCache(KNOWN_TOKENS)

    def user(self, token: str) -> User | None:
        """Return the user of a token; None if it is not valid."""
        try:
            return self.identify(token, (ISSUER,))[0]
        except InvalidToken:
            return None

    def identify(self, token: str, audiences: Sequence[str]) -> tuple[User, tuple[str, ...]]:
        """Return user and accepted audiences of a token.

        Raises:
            InvalidToken: if it is not valid for any of the audiences.
        """
        digest = _digest(token)
        if (user := self._identities.get(digest)) is not None:
            if ISSUER not in audiences:
                raise InvalidToken
            return user, (ISSUER,)
        key = (digest, tuple(audiences))
        claims = self._known.get(key)
        if claims is None:
            claims = self._keys.read(token, audiences)
            if claims.legacy_secret and ISSUER not in audiences:
                raise InvalidToken(wrong_audience((ISSUER,), audiences))
            self._known[key] = claims
        return self._account(claims, token), claims.audiences

    def _account(self, claims: Claims, token: str) -> User:
        if claims.expires is not None and claims.expires <= time.time():
            raise InvalidToken("service account token has expired")
        self._same(SERVICE_ACCOUNTS, claims.namespace, claims.account, claims.account_uid)
        extra: list[tuple[str, tuple[str, ...]]] = []
        if claims.identifier:
            extra.append((f"{_EXTRA}credential-id", (f"JTI={claims.identifier}",)))
        for bound in claims.bound:
            self._holder(claims, bound)
            if bound.key != "secret":
                extra += [
                    (f"{_EXTRA}{bound.key}-name", (bound.name,)),
                    (f"{_EXTRA}{bound.key}-uid", (bound.uid,)),
                ]
        if claims.legacy_secret:
            self._still_in_secret(claims, token)
        name, groups = (
            account_name(claims.namespace, claims.account),
            (*account_groups(claims.namespace), AUTHENTICATED),
        )
        return User(name, groups, claims.account_uid, tuple(sorted(extra)))

    def _holder(self, claims: Claims, bound: Bound) -> None:
        if bound.key == "node" and any(other.key == "pod" for other in claims.bound):
            return  # a pod's token names its node, but stays valid without it
        resource = _HOLDERS[bound.key]
        self._same(resource, claims.namespace if resource.namespaced else "", bound.name, bound.uid)

    def _same(self, resource: Resource, namespace: str, name: str, uid: str) -> Stored:
        stored = self._store.get(resource.plural, namespace, name)
        if stored is None and resource == SERVICE_ACCOUNTS:
            raise InvalidToken(f'serviceaccounts "{name}" not found')
        if stored is None or stored.uid != uid:
            raise InvalidToken(INVALIDATED)
        return stored

    def _still_in_secret(self, claims: Claims, token: str) -> None:
        stored = self._store.get(SECRETS.plural, claims.namespace, claims.legacy_secret)
        held = {} if stored is None else stored.decode()
        kept = (held.get("data") or {}).get("token", "")
        if held.get("type") != SECRET_TYPE or kept != base64.b64encode(token.encode()).decode():
            raise InvalidToken(INVALIDATED)


def bearer(authorization: str, protocols: str = "") -> str | None:
    """Return the token of an Authorization header or WebSocket subprotocol, or None."""
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return token.split(" ")[0] or None
    for protocol in protocols.split(","):
        if (encoded := protocol.strip()).startswith(_WEBSOCKET):
            text = encoded.removeprefix(_WEBSOCKET)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() or None
            except (binascii.Error, ValueError):
                return None
    return None


def _digest(token: str) -> bytes:
    """Return a hash to compare instead of the token, so that timing reveals nothing about it."""
    return sha256(token.encode(errors="surrogateescape")).digest()
