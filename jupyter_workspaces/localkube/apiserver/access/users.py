"""Who asks the API: users, groups, service accounts, and the names that Kubernetes reserves for them."""

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
    """A user as RBAC and reviews know them. `extra` is what the sign-in knows besides, by key."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def account(self) -> tuple[str, str] | None:
        """Namespace and name, of a service account."""
        namespace, mark, name = self.name.removeprefix(_ACCOUNT).partition(":")
        return (
            (namespace, name)
            if self.name.startswith(_ACCOUNT) and mark and namespace and name and ":" not in name
            else None
        )

    def document(self) -> dict[str, object]:
        """As `UserInfo` in reviews: what is empty is left out."""
        found: dict[str, object] = {"username": self.name} if self.name else {}
        if self.uid:
            found["uid"] = self.uid
        if self.groups:
            found["groups"] = list(self.groups)
        if self.extra:
            found["extra"] = {key: list(values) for key, values in self.extra}
        return found


def account_name(namespace: str, name: str) -> str:
    return f"{_ACCOUNT}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, ...]:
    return (ACCOUNTS, f"{ACCOUNTS}:{namespace}")


current_user: ContextVar[User | None] = ContextVar("current_user", default=None)
"""Whose request is answered now. None: the server's own doing, which may everything."""
