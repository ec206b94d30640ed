"""Users of the API: names, groups, service accounts, and the names that Kubernetes reserves."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
ACCOUNTS = "system:serviceaccounts"
_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True)
class User:
    """A user as RBAC and reviews see it.

    Attributes:
        name: user name.
        groups: groups of the user.
        uid: uid of a service account.
        extra: further attributes of the authentication, by key.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def account(self) -> tuple[str, str] | None:
        """Namespace and name of a service account; None for other users."""
        namespace, mark, name = self.name.removeprefix(_ACCOUNT).partition(":")
        return (
            (namespace, name)
            if self.name.startswith(_ACCOUNT) and mark and namespace and name and ":" not in name
            else None
        )

    def document(self) -> dict[str, object]:
        """Return the user as `UserInfo` of a review, without empty fields."""
        found: dict[str, object] = {"username": self.name} if self.name else {}
        if self.uid:
            found["uid"] = self.uid
        if self.groups:
            found["groups"] = list(self.groups)
        if self.extra:
            found["extra"] = {key: list(values) for key, values in self.extra}
        return found


def account_name(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"{_ACCOUNT}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    """Return the groups of all service accounts of a namespace."""
    return (ACCOUNTS, f"{ACCOUNTS}:{namespace}")


current_user: ContextVar[User | None] = ContextVar("current_user", default=None)
"""User of the current request. None for writes of the server itself, which are not restricted."""
