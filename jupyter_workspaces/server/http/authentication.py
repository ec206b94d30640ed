"""Authentication and authorization of requests by the Jupyter server."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from jupyter_server.auth.decorator import authorized
from tornado import web

SIGNED_IN = "__signed_in"

Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])


class DecidingHandler(Protocol):
    """Handler that authenticates and authorizes its requests in `decide`."""

    _finished: bool

    async def decide(self) -> None:
        """Authenticate and authorize the request, once."""
        ...


def signed_in(method: Method) -> Method:
    """Mark a handler's method that needs a signed-in user.

    `BaseHandler.prepare` authorizes the request before the body is read.
    """

    @functools.wraps(method)
    async def authorized_method(self: DecidingHandler, *args: Any, **kwargs: Any) -> None:
        await self.decide()  # does nothing unless a subclass skips `prepare`
        if not self._finished:
            await method(self, *args, **kwargs)

    # Jupyter's own check would answer 403 before ours, which answers 401 in compatibility mode.
    setattr(authorized_method, "__allow_unauthenticated", True)
    setattr(authorized_method, SIGNED_IN, True)
    return authorized_method  # type: ignore[return-value]


async def authenticate(handler: web.RequestHandler) -> None:
    """Authenticate and authorize a request with Jupyter. Raises `web.HTTPError` 403."""

    async def nothing(self: web.RequestHandler) -> None:
        pass

    # Decorated anew for each request: `authorized` keeps the first action that it sees.
    answer = web.authenticated(authorized(nothing))(handler)
    if answer is not None:  # None: redirected to the login page
        await answer
