"""Who asks, by the headers of a proxy in front, and whether the cluster lets them (contracts/kubeflow-workspaces.md §5).

Only behind `serve --trusted-header-auth`: whoever reaches the port is believed, so nobody but the proxy may reach it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.auth.identity import IdentityProvider, User
from tornado import web
from tornado.httputil import HTTPHeaders
from traitlets import Unicode, default

from jupyter_workspaces.kube.catalog import SUBJECT_ACCESS_REVIEWS, Resource
from jupyter_workspaces.kube.errors import Forbidden, is_unavailable
from jupyter_workspaces.server.answer_cache import AnswerCache, Lifetime

if TYPE_CHECKING:
    from jupyter_workspaces.kube.client import Cluster

    from .base import DataHandler

ALLOWED_SECONDS = 10.0
DENIED_SECONDS = 2.0
STALE_SECONDS = 300.0
SIZE = 8192
SIGNED_IN = "__signed_in"

Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])


@dataclass(frozen=True)
class Identity:
    """A user and their groups, as Kubernetes' RBAC knows them."""

    user: str
    groups: tuple[str, ...] = ()


class CannotAsk(Exception):
    """The server itself may not ask what others may. The text says who can mend it."""


class HeaderIdentities(IdentityProvider):
    """Believes the headers that a proxy sets. Tokens, cookies and passwords count for nothing."""

    user_header = Unicode("kubeflow-userid", config=True, help="Header that names the user.")
    user_prefix = Unicode(":", config=True, help="Cut once from the front of the user's name.")
    groups_header = Unicode(
        "kubeflow-groups", config=True, help="Header that names a group; one line for each group."
    )
    groups_prefix = Unicode("", config=True, help="Cut once from the front of each group's name.")

    @default("token")
    def _token_default(self) -> str:
        return ""  # tokens are not accepted, so none is printed in a link

    @property
    def auth_enabled(self) -> bool:
        return True

    @property
    def login_available(self) -> bool:
        return False

    def identity(self, headers: HTTPHeaders) -> Identity | None:
        """The first user header counts; one that is missing or empty names nobody. A group's value is one name, commas and all."""
        users = headers.get_list(self.user_header)
        user = users[0].strip().removeprefix(self.user_prefix) if users else ""
        if not user:
            return None
        groups = (
            line.strip().removeprefix(self.groups_prefix)
            for line in headers.get_list(self.groups_header)
        )
        return Identity(user, tuple(group for group in groups if group))

    def get_user(self, handler: web.RequestHandler) -> User | None:
        found = self.identity(handler.request.headers)
        return None if found is None else User(username=found.user)

    def validate_security(self, app: Any, ssl_options: dict[str, Any] | None = None) -> None:
        self.log.warning(
            "--trusted-header-auth: whoever reaches this port is believed to be who %s says. Let only the proxy reach it.",
            self.user_header,
        )


class Access:
    """Authorizes users by SubjectAccessReview; keeps the cluster's answers for a few seconds.

    While the cluster does not answer, permission that it gave is used until `stale_seconds` after it was given (the same bound as the
    webhook authorizer of Kubernetes has for allowed requests). A refusal is never used for longer, and what has not been answered is
    not allowed: the error is raised.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        allowed_seconds: float = ALLOWED_SECONDS,
        denied_seconds: float = DENIED_SECONDS,
        stale_seconds: float = STALE_SECONDS,
        size: int = SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._lifetimes = {
            True: Lifetime(allowed_seconds, stale_seconds),
            False: Lifetime(denied_seconds, denied_seconds),
        }
        self._known: AnswerCache[tuple[Any, ...], bool] = AnswerCache(
            size=size, silent=is_unavailable, clock=clock
        )

    async def allowed(
        self,
        identity: Identity,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> bool:
        """An empty namespace means all of them. Raises `CannotAsk`, `ClusterError`; waits at most 5 s for the cluster."""
        key = (identity, verb, resource.group, resource.plural, namespace, name, subresource)

        def ask() -> Awaitable[bool]:
            return self._ask(identity, verb, resource, namespace, name, subresource)

        try:
            return await self._known.get(key, ask, self._lifetimes.__getitem__)
        except Forbidden as error:
            raise CannotAsk(
                f"This server may not ask the cluster what its users may: {error.message}. "
                "Whoever manages the cluster can give this server's account the verb `create` on `subjectaccessreviews`."
            ) from error

    async def stop(self) -> None:
        """Forget all answers and end the requests in flight."""
        await self._known.close()

    async def _ask(
        self,
        identity: Identity,
        verb: str,
        resource: Resource,
        namespace: str,
        name: str,
        subresource: str,
    ) -> bool:
        attributes = {
            "verb": verb,
            "group": resource.group,
            "version": resource.version,
            "resource": resource.plural,
        }
        attributes |= {
            key: value
            for key, value in (
                ("namespace", namespace),
                ("name", name),
                ("subresource", subresource),
            )
            if value
        }
        review = {
            "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
            "kind": SUBJECT_ACCESS_REVIEWS.kind,
            "spec": {
                "user": identity.user,
                "groups": list(identity.groups),
                "resourceAttributes": attributes,
            },
        }
        answer = await self._cluster.raw("POST", SUBJECT_ACCESS_REVIEWS.path(), body=review)
        return bool((answer.get("status") or {}).get("allowed"))


def refusal(
    identity: Identity,
    verb: str,
    resource: Resource,
    namespace: str = "",
    name: str = "",
    subresource: str = "",
) -> str:
    """What the cluster itself would answer the user (Kubernetes' `Forbidden`)."""
    plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
    title = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    named = f' "{name}"' if name else ""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    return f'{title}{named} is forbidden: User "{identity.user}" cannot {verb} resource "{plural}" in API group "{resource.group}" {where}'


def signed_in(method: Method) -> Method:
    """Mark a handler's method that only who is signed in may use; `DataHandler.prepare` decides, before the body is read."""

    @functools.wraps(method)
    async def asking(self: DataHandler, *args: Any, **kwargs: Any) -> None:
        await self.decide()  # nothing to do, unless a subclass left out `prepare`
        if not self._finished:
            await method(self, *args, **kwargs)

    # By this Jupyter knows that the handler asks by itself: its own look beforehand answers 403 where the dialect has 401, or another check first.
    setattr(asking, "__allow_unauthenticated", True)
    setattr(asking, SIGNED_IN, True)
    return asking  # type: ignore[return-value]


async def decide(handler: DataHandler) -> None:
    """Jupyter's own sign-in and authorizer for a request. Raises `web.HTTPError` 403."""

    async def nothing(self: DataHandler) -> None:
        pass

    answer = web.authenticated(authorized(nothing))(
        handler
    )  # anew for each: `authorized` keeps the first action that it sees
    if answer is not None:  # None: sent to the login page
        await answer
