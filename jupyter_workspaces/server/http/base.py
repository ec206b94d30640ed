"""What all handlers of the dialect share: who asks, what is asked, what is answered, what goes wrong."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from functools import cached_property, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from jupyter_server.base.handlers import APIHandler
from tornado import web

from jupyter_workspaces.common.documents.threads import aside
from jupyter_workspaces.kube.causes import Cause, invalid
from jupyter_workspaces.kube.errors import ClusterError
from jupyter_workspaces.server.api.workspaces import bodies

from . import (
    compression,
    origins,
    problems,
    queries,
)
from .checks import dns_label, dns_subdomain
from .identity import (
    SIGNED_IN,
    CannotAsk,
    HeaderIdentities,
    Identity,
    decide,
    refusal,
)
from .kernel_access import KernelAccess
from .lists import Selection, selection
from .problems import Problem, Stale
from .request_body import STRANGER_BYTES, Received
from .times import rfc3339

if TYPE_CHECKING:
    from jupyter_workspaces.kube.catalog import Resource
    from jupyter_workspaces.server.api.workspaces.services import Services

Model = TypeVar("Model", bound=msgspec.Struct)

JSON = "application/json"
STALE_SINCE = "Jupyter-Workspaces-Stale-Since"
OUR_HEADERS = ("If-None-Match", "If-Match")
OUR_PARAMETERS = frozenset(
    {"revision", "limit", "continue", "sort", "filter", "fields", "watch", "follow"}
)


@web.stream_request_body
class DataHandler(KernelAccess, APIHandler):
    """Answers `{"data": …}`, or `{"error": {"code", "message", "cause"?}}`. Decides who may before it takes in the body (`receiving`)."""

    auth_resource = "workspaces"
    _track_activity = False  # a panel that looks must not keep an idle server alive
    reads_cache = True  # a GET may be answered from a stale cache
    _permitted = False
    _decided = False
    _cut_off = False

    async def prepare(self) -> None:  # type: ignore[override]
        """Decide about the request while its body is still outside. Raises `web.HTTPError`, `Problem`, `ClusterError`."""
        origins.drop_unreadable_referer(self.request)
        self.received = Received(self.request)
        method = (self.request.method or "").lower()
        try:
            await super().prepare()
            if getattr(getattr(self, method), SIGNED_IN, False):
                await self.decide()
                if method in ("post", "put", "patch"):
                    self.received.take(bodies.BODY_LIMIT)
                    await self.before_body(*self.path_args)
        except (web.HTTPError, Problem, ClusterError, asyncio.TimeoutError) as error:
            refusal = error
        else:
            return
        if not self.received.soon_read:
            self._cut_off = True
            raise refusal
        self.received.drop()

        async def refuse(*_: str) -> None:
            raise refusal

        # Once the little that is sent has been read: a connection that is closed while the other side sends may lose the answer.
        setattr(self, method, refuse)

    async def decide(self) -> None:
        """Ask Jupyter's sign-in and authorizer, once; with trusted headers `permit` decides instead. Raises `web.HTTPError` 403."""
        if not self._decided and not self.trusts_headers:
            await decide(self)
        self._decided = True

    async def before_body(self, *parts: str) -> None:
        """Check the parts of the path of a POST, PUT or PATCH and ask `permit`, or `expect`, before the body is taken in."""

    def data_received(self, chunk: bytes) -> None:
        self.received.put(chunk)

    @property
    def services(self) -> Services:
        """With trusted headers only for a handler that has asked `permit`: one that forgot to ask reaches nothing."""
        if self.trusts_headers and not self._permitted:
            raise RuntimeError(
                f"{type(self).__name__} reached for the cluster before it asked `permit`"
            )
        return self._services

    @property
    def prefix(self) -> str:
        """Where the API is served."""
        return self._services.prefix

    @property
    def _services(self) -> Services:
        found: Services = self.settings["jupyter_workspaces"]
        return found

    # Who asks

    @property
    def trusts_headers(self) -> bool:
        """Whether `--trusted-header-auth` was given."""
        return isinstance(self.settings["identity_provider"], HeaderIdentities)

    @property
    def identity(self) -> Identity | None:
        """Who the trusted headers name; None without them."""
        provider = self.settings["identity_provider"]
        return (
            provider.identity(self.request.headers)
            if isinstance(provider, HeaderIdentities)
            else None
        )

    async def permit(
        self,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> None:
        """With trusted headers: whether the cluster lets who is named; an empty namespace means all. Otherwise `signed_in` has decided.

        A namespace is watched from then on, where the server may not see all of them.
        Raises `Problem` 401 when nobody is named, 403 in Kubernetes' own words, 500 when the server may not ask, 503 when nobody answers,
        and `Forbidden` where the server itself may not look.
        """
        if not await self.may(verb, resource, namespace, name, subresource):
            assert self.identity is not None
            why = refusal(self.identity, verb, resource, namespace, name, subresource)
            raise problems.forbidden(
                f"You may not do this: {why}. Ask whoever manages the cluster."
            )
        self._permitted = True
        if namespace:
            await (await self._services.ready()).cluster.reach(namespace)

    async def expect(
        self, verb: str, resource: Resource, namespace: str = "", name: str = ""
    ) -> None:
        """For a POST: whether more than a stranger's body is taken in. The method asks `permit` itself, once the body is read.

        The original reads the body first, and tells anybody what is wrong with it (contracts/kubeflow-workspaces.md §1.1): so does this, for
        bodies up to `STRANGER_BYTES`. A larger one is read only for who may do what the path says. Raises `Problem` 401, 403, 500, 503.
        """
        if not self.trusts_headers or self.received.announces_at_most(STRANGER_BYTES):
            return
        if not await self.may(verb, resource, namespace, name):
            assert self.identity is not None
            why = refusal(self.identity, verb, resource, namespace, name)
            raise problems.forbidden(
                f"You may not do this: {why}. Ask whoever manages the cluster."
            )

    async def may(
        self,
        verb: str,
        resource: Resource,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
    ) -> bool:
        """The answer to `permit`'s question for what only changes an answer. Raises `Problem` 401, 500, 503."""
        if not self.trusts_headers:
            return True
        if self.identity is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "Nobody is named as the user of this request. Reach this server through its sign-in.",
            )
        services = await self._services.ready()
        try:
            return await services.access.allowed(
                self.identity, verb, resource, namespace, name, subresource
            )
        except CannotAsk as why:
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(why)) from why

    @property
    def user(self) -> str | None:
        """A person's name where an identity provider vouches for it; a token server's own user name is random and names nobody."""
        if self.kernels is not None:
            return self.kernels.owner
        if self.settings.get("jupyter_workspaces_trusted_identity"):
            return str(self.current_user.username)
        return None

    # Which dialect

    @property
    def to_the_letter(self) -> bool:
        """Whether this request gets the original's headers: it came with trusted headers and asks for nothing of ours (docs/dialects.md)."""
        asks_ours = (
            any(name in self.request.headers for name in OUR_HEADERS)
            or OUR_PARAMETERS & self.query.keys()
        )
        return self.trusts_headers and not asks_ours

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Vary", "Accept-Encoding")
        if self.to_the_letter:
            self.clear_header("X-Content-Type-Options")
            self.set_header("Access-Control-Allow-Origin", "*")
        else:
            self.set_header("X-Content-Type-Options", "nosniff")

    def set_cors_headers(self) -> None:
        # Only as the server's settings say; Jupyter also lets in any origin that has a token.
        if (self.allow_origin or self.allow_origin_pat) and not self.trusts_headers:
            super().set_cors_headers()

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """Raise `Problem` 403 for a browser's request for a page of another site, reads included.

        With trusted headers the proxy in front may have changed `Host`: only what the browser
        says in `Sec-Fetch-Site` counts then.
        """
        knows_host = not self.trusts_headers
        if not self.skip_check_origin() and origins.is_cross_site(
            self.request, self.settings, knows_host=knows_host
        ):
            raise problems.forbidden("This page's origin may not use the API of this server.")
        return True

    # What is asked

    def named(self, **parts: str) -> None:
        """Parts of the path: a `namespace` is a DNS label, any other a subdomain. Raises `Problem` 422 naming all that are not."""
        causes: list[Cause] = []
        for field, value in parts.items():
            if (why := (dns_label if field == "namespace" else dns_subdomain)(value)) is not None:
                causes.append(invalid(field, value, why))
        if causes:
            raise problems.invalid(causes)

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Query parameters: values by name (`queries.parse`)."""
        return queries.parse(self.request.query or "")

    def parameter(self, name: str, wrong: Callable[[str], str | None]) -> str | None:
        """A checked query parameter, the first of its name; None when absent or empty. Raises `Problem` 422 naming it."""
        return self.parameters({name: wrong})[name]

    def parameters(
        self, checks: Mapping[str, Callable[[str], str | None]]
    ) -> dict[str, str | None]:
        """Return checked query parameters. Raises `Problem` 422 that names all invalid ones."""
        found: dict[str, str | None] = {}
        causes: list[Cause] = []
        for name, wrong in checks.items():
            value = next(iter(self.query.get(name, ())), "")
            if value and (why := wrong(value)) is not None:
                causes.append(invalid(name, value, why))
            found[name] = value or None
        if causes:
            raise problems.invalid(causes)
        return found

    def media(self, *wanted: str) -> str:
        """The body's media type. Raises `Problem` 415 for another one, 400 for none that can be read."""
        return bodies.media_type(self.request.headers.get("Content-Type", ""), *wanted)

    @property
    def body(self) -> bytes:
        """The body; what is beyond the limit of one is cut off behind its first byte."""
        return self.received.body

    async def data(self, model: type[Model]) -> Model:
        """The `data` of the body's envelope as a model that holds. Raises `Problem` 415, 400, 413, and 422 naming the fields."""
        self.media(JSON)
        found = await aside(self.body, partial(bodies.enveloped, model=model))
        if self.expected is not None and getattr(found, "revision", None) == "":
            found.revision = self.expected  # type: ignore[attr-defined]
        causes: Callable[[], list[Cause]] | None = getattr(found, "causes", None)
        if causes is not None and (wrong := causes()):
            raise problems.invalid(wrong)
        return found

    def selection(self) -> Selection | None:
        """What of a list is wanted, None for all of it. Raises `Problem` 422."""
        return selection(lambda name: self.query.get(name, []))

    @property
    def expected(self) -> str | None:
        """The revision that a write must find: of If-Match, else of `?revision`. None for any."""
        tag = self.request.headers.get("If-Match", "").strip()
        if tag and tag != "*":
            return tag.removeprefix("W/").strip('"')
        return next(iter(self.query.get("revision", ())), "").strip() or None

    # What is answered

    def answer(
        self, data: Any, status: HTTPStatus = HTTPStatus.OK, *, location: str | None = None
    ) -> None:
        if location is not None:
            self.set_header("Location", location)
        self.set_status(status)
        self.send(msgspec.json.encode({"data": data}))

    def answer_list(self, items: Sequence[Any], chosen: Selection | None) -> None:
        """A list of models, or what was chosen of it; a further page is named in `Link` (RFC 8288)."""
        if chosen is None:
            return self.answer(items)
        page, token = chosen.apply(msgspec.to_builtins(items))
        if token is not None:
            query = [
                (name, value)
                for name, values in self.query.items()
                for value in values
                if name != "continue"
            ]
            self.set_header(
                "Link",
                f'<{self.request.path}?{urlencode([*query, ("continue", token)])}>; rel="next"',
            )
        self.answer(page)

    def send(self, body: bytes, media: str = JSON) -> None:
        """A whole body, compressed where the client takes it and it pays."""
        name = compression.encoding(self.request.headers.get("Accept-Encoding", ""))
        if name is not None and len(body) >= compression.COMPRESS_BYTES:
            body = compression.packed(name, body)
            self.set_header("Content-Encoding", name)
        self.finish(body, set_content_type=media)

    async def pour(
        self, pieces: AsyncIterable[bytes], media: str, *, at_once: bool = False
    ) -> None:
        """A body as it comes, compressed as `send` would; `at_once` passes each piece on the moment that it is there."""
        name = (
            None
            if at_once
            else compression.encoding(self.request.headers.get("Accept-Encoding", ""))
        )
        self.set_header("Content-Type", media)
        if at_once:
            await self.flush()
        held, packer = b"", None
        async for piece in pieces:
            held += piece
            if packer is None and name is not None:
                if len(held) < compression.COMPRESS_BYTES:
                    continue
                packer = compression.packer(name)
                self.set_header("Content-Encoding", name)
            self.write(held if packer is None else packer.compress(held))
            held = b""
            await self.flush()
        self.finish(held if packer is None else packer.flush(), set_content_type=media)

    def none(self) -> None:
        """204."""
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish(set_content_type=JSON)

    def tag(self, revision: str, *, weak: bool = False) -> None:
        """Set the ETag of a revision."""
        if not self.to_the_letter:
            self.set_header("ETag", f'W/"{revision}"' if weak else f'"{revision}"')

    def unchanged(self, revision: str, *, weak: bool = False) -> bool:
        """Set the ETag of what is read; whether the client has that revision already (then 304 is answered)."""
        self.tag(revision, weak=weak)
        asked = [
            part.strip().removeprefix("W/")
            for part in self.request.headers.get("If-None-Match", "").split(",")
        ]
        if f'"{revision}"' not in asked and "*" not in asked:
            return False
        self.set_status(HTTPStatus.NOT_MODIFIED)
        self.finish()
        return True

    def tell_staleness(self) -> None:
        """Set the header `Jupyter-Workspaces-Stale-Since` if the answer is from a stale cache."""
        if self.reads_cache and self.request.method in ("GET", "HEAD") and self.get_status() < 400:
            since = self._services.stale_since
            if since is not None:
                self.set_header(STALE_SINCE, rfc3339(since))

    def finish(self, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self._headers_written:
            self.tell_staleness()
        return super().finish(*args, **kwargs)

    def compute_etag(self) -> str | None:
        """None: hashing every body costs more than it saves; revisions are compared instead (`unchanged`)."""
        return None

    # What goes wrong

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, ClusterError):
            error = problems.from_cluster(error)
        if isinstance(error, asyncio.TimeoutError):
            error = Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The cluster did not answer in time. Try again in a moment.",
            )
        if not isinstance(error, Problem):
            status = HTTPStatus(status_code)
            text = (
                error.log_message
                if isinstance(error, web.HTTPError) and error.log_message and status < 500
                else status.phrase
            )
            error = Problem(status, text.replace("%%", "%"))
        if isinstance(error, Stale) and "If-Match" in self.request.headers:
            error = error.as_precondition()
        self.set_status(error.status)
        if self._cut_off:
            self.set_header("Connection", "close")  # what is left of the body is not read
        self.send(msgspec.json.encode(error.document()))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, (Problem, ClusterError)):  # a refusal is an answer, not a fault
            super().log_exception(typ, value, tb)
