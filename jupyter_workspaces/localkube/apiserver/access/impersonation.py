"""Impersonation by the headers `Impersonate-User`, `-Group`, `-Uid` and `-Extra-KEY`.

Source: Kubernetes docs, "User Impersonation".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from urllib.parse import unquote

from jupyter_workspaces.localkube.apiserver.http.status import bad_request

from .authorization import Attributes, Authorizer
from .users import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    account_groups,
)

USER, GROUP, UID, EXTRA = (
    "Impersonate-User",
    "Impersonate-Group",
    "Impersonate-Uid",
    "impersonate-extra-",
)
_AUTHENTICATION = "authentication.k8s.io"


class Headers(Protocol):
    """Headers of a request, with names in any case."""

    def __contains__(self, name: object) -> bool:
        """Return whether there is a header of this name."""

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""

    def getall(self, name: str) -> list[str]:
        """Return all values of a header."""


def impersonated(user: User, headers: Headers, authorizer: Authorizer) -> User:
    """Return the impersonated user of a request, or else its own user.

    Raises:
        Refusal: 403 if the user may not impersonate, 400 without a user name.
    """
    if not any(name.lower().startswith("impersonate-") for name in headers):
        return user
    name = headers.getall(USER)[0] if USER in headers else ""
    groups = tuple(headers.getall(GROUP)) if GROUP in headers else ()
    uid = headers.getall(UID)[0] if UID in headers else ""
    extra = _extra(headers)
    if not name:
        if not (groups or uid or extra):
            return user
        raise bad_request(
            "a group, uid or extra was to be impersonated without impersonating a user name"
        )
    other = User(name, groups, uid, extra)
    for attributes in _required_permissions(other):
        authorizer.check(user, attributes)
    if other.account and not groups:
        groups = account_groups(other.account[0])
    if name == ANONYMOUS:
        groups += () if UNAUTHENTICATED in groups else (UNAUTHENTICATED,)
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups += (AUTHENTICATED,)
    return User(name, groups, uid, extra)


def _required_permissions(other: User) -> Iterator[Attributes]:
    if other.account:
        yield Attributes(
            "impersonate", "", "serviceaccounts", namespace=other.account[0], name=other.account[1]
        )
    else:
        yield Attributes("impersonate", "", "users", name=other.name)
    for group in other.groups:
        yield Attributes("impersonate", "", "groups", name=group)
    for key, values in other.extra:
        for value in values:
            yield Attributes("impersonate", _AUTHENTICATION, "userextras", key, name=value)
    if other.uid:
        yield Attributes("impersonate", _AUTHENTICATION, "uids", name=other.uid)


def _extra(headers: Headers) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(name.lower() for name in headers):
        if name.startswith(EXTRA):
            found.setdefault(unquote(name[len(EXTRA) :]), []).extend(headers.getall(name))
    return tuple((key, tuple(values)) for key, values in sorted(found.items()))
