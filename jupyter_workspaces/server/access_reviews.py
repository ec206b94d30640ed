"""Authorization of users by the cluster, with SubjectAccessReviews.

Source: Kubernetes docs, "Authorization", "Checking API access".
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from jupyter_workspaces.kube.catalog import SUBJECT_ACCESS_REVIEWS, Resource
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import Forbidden, is_unavailable

from .answer_cache import AnswerCache, Lifetime

ALLOWED_SECONDS = 10.0
DENIED_SECONDS = 2.0
STALE_SECONDS = 300.0
SIZE = 8192


@dataclass(frozen=True)
class Identity:
    """A user and their groups in Kubernetes' RBAC."""

    user: str
    groups: tuple[str, ...] = ()


class CannotReviewAccess(Exception):
    """The server may not create SubjectAccessReviews. The message says how to allow it."""


class Access:
    """Authorizes users by SubjectAccessReview; caches the answers of the cluster for a few seconds.

    While the cluster does not answer, permission that it gave is used until `stale_seconds` after
    it was given, as in the webhook authorizer of Kubernetes. A denial is never used for longer, and
    a request without an answer is not allowed: the error is raised.
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
        """Return whether the cluster allows a request; an empty namespace means all.

        Waits at most 5 s for the cluster. Raises `CannotReviewAccess`, `ClusterError`.
        """
        key = (identity, verb, resource.group, resource.plural, namespace, name, subresource)

        def ask() -> Awaitable[bool]:
            return self._ask(identity, verb, resource, namespace, name, subresource)

        try:
            return await self._known.get(key, ask, self._lifetimes.__getitem__)
        except Forbidden as error:
            raise CannotReviewAccess(
                f"This server may not ask the cluster what its users may: {error.message}. "
                "The administrator of the cluster can give this server's account the verb `create` "
                "on `subjectaccessreviews`."
            ) from error

    async def stop(self) -> None:
        """Cancel requests and clear the cache."""
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


def forbidden_message(
    identity: Identity,
    verb: str,
    resource: Resource,
    namespace: str = "",
    name: str = "",
    subresource: str = "",
) -> str:
    """Return the message with which Kubernetes denies a user's request."""
    plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
    title = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    named = f' "{name}"' if name else ""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    return (
        f'{title}{named} is forbidden: User "{identity.user}" cannot {verb} resource "{plural}" '
        f'in API group "{resource.group}" {where}'
    )
