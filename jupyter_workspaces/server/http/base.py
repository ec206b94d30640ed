"""Base handler of all HTTP APIs: authorization, query, conditional requests, responses, errors."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import AsyncIterable, Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import APIHandler
from tornado import web

from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.server.access_reviews import CannotReviewAccess, Identity, forbidden_message
from jupyter_workspaces.server.connection import ClusterConnection, NotReady

from . import compression, origins, problems, queries
from .authentication import SIGNED_IN, authenticate
from .checks import dns_label, dns_subdomain
from .identity import HeaderIdentities
from .kernel_access import KernelAccess
from .lists import Selection, selection
from .problems import Problem, StaleRevision
from .request_body import UNAUTHORIZED_BYTES, RequestBody
from .times import rfc3339

if TYPE_CHECKING:
    from jupyter_workspaces.kube.catalog import Resource

JSON = "application/json"
STALE_SINCE = "Jupyter-Workspaces-Stale-Since"
CONNECTION = "jupyter_workspaces_connection"
"""Setting of the web application: the `ClusterConnection`."""


@web.stream_request_body
class BaseHandler(KernelAccess, APIHandler):
    """Handler of an HTTP API.

    Authorizes a request before it keeps a byte of the body. Methods that need a user have the
    decorator `signed_in`. An API's own base handler defines the envelope of its errors.
    """

    auth_resource = "workspaces"
    body_limit = 4 * 2**20
    """Largest request body in bytes."""

    reads_cache = True
    """Whether a GET may be answered from a stale cache."""

    # A panel that reads in the background must not keep an idle server alive.
    _track_activity = False
    _permitted = False
    _decided = False
    _cut_off = False

    def encode_problem(self, problem: Problem) -> bytes:
        """Return the body of an error response in the envelope of the API."""
        raise NotImplementedError

    async def prepare(self) -> None:  # type: ignore[override]
        """Authorize the request before its body is read.

        Raises `web.HTTPError`, `Problem`, `ClusterError`.
        """
        origins.drop_unreadable_referer(self.request)
        self.request_body = RequestBody(self.request)
        method = (self.request.method or "").lower()
        try:
            await super().prepare()
            if getattr(getattr(self, method), SIGNED_IN, False):
                await self.decide()
                if method in ("post", "put", "patch"):
                    self.request_body.accept(self.body_limit)
                    await self.before_body(*self.path_args)
        except (web.HTTPError, Problem, ClusterError, NotReady, asyncio.TimeoutError) as error:
            refusal = error
        else:
            return
        if not self.request_body.is_short:
            self._cut_off = True
            raise refusal
        self.request_body.discard()

        async def refuse(*_: str) -> None:
            raise refusal

        # Respond after the short body was read: if a connection is closed while the client sends,
        # the client may not receive the response.
        setattr(self, method, refuse)

    async def decide(self) -> None:
        """Authenticate and authorize the user with Jupyter, once. Raises `web.HTTPError` 403.

        With trusted headers `permit` authorizes instead.
        """
        if not self._decided and not self.trusts_headers:
            await authenticate(self)
        self._decided = True

    async def before_body(self, *parts: str) -> None:
        """Check the path of a POST, PUT or PATCH, and authorize it, before the body is read."""

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, if it was accepted."""
        self.request_body.add(chunk)

    @property
    def connection(self) -> ClusterConnection:
        """The server's connection to its cluster."""
        found: ClusterConnection = self.settings[CONNECTION]
        return found

    # Identity and authorization

    @property
    def trusts_headers(self) -> bool:
        """Whether the server trusts identity headers (`--trusted-header-auth`)."""
        return isinstance(self.settings["identity_provider"], HeaderIdentities)

    @property
    def identity(self) -> Identity | None:
        """User of the trusted headers; None if there is none."""
        provider = self.settings["identity_provider"]
        if isinstance(provider, HeaderIdentities):
            return provider.identity(self.request.headers)
        return None

    @property
    def user(self) -> str | None:
        """Name of the user, if an identity provider authenticated it.

        The user name of a server with a token is random, so it is not returned.
        """
        if self.kernels is not None:
            return self.kernels.owner
        if self.settings.get("jupyter_workspaces_trusted_identity"):
            return str(self.current_user.username)
        return None

    async def permit(
        self,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> None:
        """Authorize a request with the cluster, if the server trusts headers.

        Otherwise `signed_in` has authorized it. An empty namespace means all. The namespace is
        watched from then on, if the server may not watch all.

        Raises:
            Problem: 401 without a user; 403 in the words of Kubernetes; 500 if the server may not
                create SubjectAccessReviews; 503 if the cluster does not answer.
            Forbidden: The server itself may not read the namespace.
        """
        await self._require(verb, resource, namespace, name, subresource)
        self._permitted = True
        if namespace:
            await self.connection.ready()
            await self.connection.cluster.reach(namespace)

    async def permit_long_body(
        self, verb: str, resource: Resource, namespace: str = "", name: str = ""
    ) -> None:
        """Authorize a POST whose body is longer than `UNAUTHORIZED_BYTES`, before it is read.

        For APIs whose original reads the body before it authorizes the user, and reports errors of
        the body first. The method calls `permit` itself after it has read the body.

        Raises `Problem` 401, 403, 500, 503.
        """
        if self.trusts_headers and not self.request_body.is_at_most(UNAUTHORIZED_BYTES):
            await self._require(verb, resource, namespace, name)

    async def may(
        self,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> bool:
        """Return whether `permit` would authorize the request. Raises `Problem` 401, 500, 503."""
        if not self.trusts_headers:
            return True
        if self.identity is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "This request has no user. Open this server through its sign-in page.",
            )
        await self.connection.ready()
        try:
            return await self.connection.access.allowed(
                self.identity, verb, resource, namespace, name, subresource
            )
        except CannotReviewAccess as why:
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(why)) from why

    async def _require(
        self,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> None:
        if not await self.may(verb, resource, namespace, name, subresource):
            assert self.identity is not None
            raise problems.not_allowed(
                forbidden_message(self.identity, verb, resource, namespace, name, subresource)
            )

    def check_permitted(self) -> None:
        """Raise `RuntimeError` if a handler uses the cluster's data before it called `permit`."""
        if self.trusts_headers and not self._permitted:
            raise RuntimeError(f"{type(self).__name__} must call `permit` before it reads data")

    # Compatibility

    @property
    def compatible(self) -> bool:
        """Whether this request gets the response of the original server (docs/dialects.md)."""
        return False

    def set_default_headers(self) -> None:
        """Set the headers of every response."""
        super().set_default_headers()
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("X-Content-Type-Options", "nosniff")

    def set_cors_headers(self) -> None:
        """Allow other origins only if the settings of the server name them.

        Jupyter also allows any origin that sends a token.
        """
        if (self.allow_origin or self.allow_origin_pat) and not self.trusts_headers:
            super().set_cors_headers()

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """Raise `Problem` 403 for a browser's request for a page of another site, reads included.

        With trusted headers the proxy in front may have changed `Host`: only what the browser
        sends in `Sec-Fetch-Site` counts then.
        """
        knows_host = not self.trusts_headers
        if not self.skip_check_origin() and origins.is_cross_site(
            self.request, self.settings, knows_host=knows_host
        ):
            raise problems.forbidden("This page's origin may not use the API of this server.")
        return True

    # Request

    def named(self, **parts: str) -> None:
        """Check parts of the path: `namespace` is a DNS label, any other a DNS subdomain.

        Raises `Problem` 422 that names all invalid parts.
        """
        causes: list[Cause] = []
        for field, value in parts.items():
            check = dns_label if field == "namespace" else dns_subdomain
            if (why := check(value)) is not None:
                causes.append(invalid(field, value, why))
        if causes:
            raise problems.invalid(causes)

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Query parameters: values by name (`queries.parse`)."""
        return queries.parse(self.request.query or "")

    def parameter(self, name: str, check: Callable[[str], str | None]) -> str | None:
        """Return a query parameter; None if it is missing or empty.

        `check` returns what is wrong with a value. Raises `Problem` 422.
        """
        return self.parameters({name: check})[name]

    def parameters(
        self, checks: Mapping[str, Callable[[str], str | None]]
    ) -> dict[str, str | None]:
        """Return checked query parameters. Raises `Problem` 422 that names all invalid ones."""
        found: dict[str, str | None] = {}
        causes: list[Cause] = []
        for name, check in checks.items():
            value = next(iter(self.query.get(name, ())), "")
            if value and (why := check(value)) is not None:
                causes.append(invalid(name, value, why))
            found[name] = value or None
        if causes:
            raise problems.invalid(causes)
        return found

    @property
    def body(self) -> bytes:
        """The body; one that is too long has one byte more than `body_limit`."""
        return self.request_body.content

    def selection(self) -> Selection | None:
        """Return filters, order, fields and page of a list; None for all. Raises `Problem` 422."""
        return selection(lambda name: self.query.get(name, []))

    @property
    def expected(self) -> str | None:
        """Revision that a write requires: of `If-Match`, else of `?revision`; None for any."""
        tag = self.request.headers.get("If-Match", "").strip()
        if tag and tag != "*":
            return tag.removeprefix("W/").strip('"')
        return next(iter(self.query.get("revision", ())), "").strip() or None

    # Response

    def send(self, body: bytes, media: str = JSON) -> None:
        """Send a whole body, compressed if the client accepts it and it is long enough."""
        name = compression.encoding(self.request.headers.get("Accept-Encoding", ""))
        if name is not None and len(body) >= compression.COMPRESS_BYTES:
            body = compression.compressed(name, body)
            self.set_header("Content-Encoding", name)
        self.finish(body, set_content_type=media)

    async def send_stream(
        self, pieces: AsyncIterable[bytes], media: str, *, at_once: bool = False
    ) -> None:
        """Send a body in pieces, compressed as in `send`.

        `at_once` sends each piece as soon as it exists, without compression.
        """
        name = None
        if not at_once:
            name = compression.encoding(self.request.headers.get("Accept-Encoding", ""))
        self.set_header("Content-Type", media)
        if at_once:
            await self.flush()
        held, compressor = b"", None
        async for piece in pieces:
            held += piece
            if compressor is None and name is not None:
                if len(held) < compression.COMPRESS_BYTES:
                    continue
                compressor = compression.compressor(name)
                self.set_header("Content-Encoding", name)
            self.write(held if compressor is None else compressor.compress(held))
            held = b""
            await self.flush()
        self.finish(held if compressor is None else compressor.flush(), set_content_type=media)

    def send_nothing(self) -> None:
        """Send 204."""
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish(set_content_type=JSON)

    def tag(self, revision: str, *, weak: bool = False) -> None:
        """Set the `ETag` of a revision."""
        if not self.compatible:
            self.set_header("ETag", f'W/"{revision}"' if weak else f'"{revision}"')

    def unchanged(self, revision: str, *, weak: bool = False) -> bool:
        """Set the `ETag`; send 304 and return true if the client has this revision."""
        self.tag(revision, weak=weak)
        known = [
            part.strip().removeprefix("W/")
            for part in self.request.headers.get("If-None-Match", "").split(",")
        ]
        if f'"{revision}"' not in known and "*" not in known:
            return False
        self.set_status(HTTPStatus.NOT_MODIFIED)
        self.finish()
        return True

    def set_staleness_header(self) -> None:
        """Set `Jupyter-Workspaces-Stale-Since` if the response is from a stale cache."""
        if self.reads_cache and self.request.method in ("GET", "HEAD") and self.get_status() < 400:
            since = self.connection.stale_since
            if since is not None:
                self.set_header(STALE_SINCE, rfc3339(since))

    def finish(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send the response."""
        if not self._headers_written:
            self.set_staleness_header()
        return super().finish(*args, **kwargs)

    def compute_etag(self) -> str | None:
        """Return None: a hash of every body is expensive; `unchanged` compares revisions."""
        return None

    # Errors

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send an error in the envelope of the API."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, ClusterError):
            error = problems.from_cluster(error)
        if isinstance(error, NotReady):
            error = Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        if isinstance(error, asyncio.TimeoutError):
            text = "The cluster did not answer in time. Try again in a moment."
            error = Problem(HTTPStatus.SERVICE_UNAVAILABLE, text)
        if not isinstance(error, Problem):
            status = HTTPStatus(status_code)
            text = status.phrase
            if isinstance(error, web.HTTPError) and error.log_message and status < 500:
                text = error.log_message
            error = Problem(status, text.replace("%%", "%"))
        if isinstance(error, StaleRevision) and "If-Match" in self.request.headers:
            error = error.as_precondition()
        self.set_status(error.status)
        if self._cut_off:
            self.set_header("Connection", "close")  # the rest of the body is not read
        self.send(self.encode_problem(error))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log only failures of the server, not error responses."""
        if not isinstance(value, (Problem, ClusterError, NotReady)):
            super().log_exception(typ, value, tb)
