"""What all handlers of the dialect share: envelopes, errors, bodies, who asks, conditional and compressed answers."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from jupyter_server.base.handlers import APIHandler
from tornado import web

from ..cluster.errors import ClusterError
from . import problems
from .checks import dns_label
from .identity import CannotAsk, HeaderIdentities, Identity, refusal, signed_in
from .problems import Problem

if TYPE_CHECKING:
    from ..resources.catalog import Resource
    from .services import Services

Model = TypeVar("Model", bound=msgspec.Struct)

BODY_LIMIT = 4 * 2**20
COMPRESS_BYTES = 1024
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class DataHandler(APIHandler):
    """Answers `{"data": …}`, or `{"error": {"code", "message", "cause"?}}`."""

    auth_resource = "workspaces"
    _track_activity = False  # a panel that looks must not keep an idle server alive
    _permitted = False

    @property
    def services(self) -> Services:
        """With trusted headers only for a handler that has asked `permit`: one that forgot to ask reaches nothing."""
        if self.trusts_headers and not self._permitted:
            raise RuntimeError(f"{type(self).__name__} reached for the cluster before it asked `permit`")
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
        return isinstance(self.identity_provider, HeaderIdentities)

    @property
    def identity(self) -> Identity | None:
        """Who the trusted headers name; None without them."""
        provider = self.identity_provider
        return provider.identity(self.request.headers) if isinstance(provider, HeaderIdentities) else None

    async def permit(self, verb: str, resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> None:
        """With trusted headers: whether the cluster lets who is named; an empty namespace means all. Otherwise `signed_in` has decided.

        Raises `Problem` 401 when nobody is named, 403 in Kubernetes' own words, 500 when the server may not ask, 503 when nobody answers.
        """
        if not await self.may(verb, resource, namespace, name, subresource):
            assert self.identity is not None
            why = refusal(self.identity, verb, resource, namespace, name, subresource)
            raise problems.forbidden(f"You may not do this: {why}. Ask whoever manages the cluster.")
        self._permitted = True

    async def may(self, verb: str, resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> bool:
        """The answer to `permit`'s question for what only changes an answer. Raises `Problem` 401, 500, 503."""
        if not self.trusts_headers:
            return True
        if self.identity is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "Nobody is named as the user of this request. Reach this server through its sign-in.")
        services = await self._services.ready()
        try:
            return await services.access.allowed(self.identity, verb, resource, namespace, name, subresource)
        except CannotAsk as why:
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(why)) from why

    @property
    def user(self) -> str | None:
        """A person's name where an identity provider vouches for it; a token server's own user name is random and names nobody."""
        if self.settings.get("jupyter_workspaces_trusted_identity"):
            return str(self.current_user.username)
        return None

    async def prepare(self) -> None:  # type: ignore[override]
        await super().prepare()
        if not self._finished:
            self.set_header("X-Content-Type-Options", "nosniff")

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        allowed: bool = super().check_origin(origin_to_satisfy_tornado)
        if not allowed:
            raise problems.forbidden("This page's origin may not use the API of this server.")
        return allowed

    # What is asked

    def parameter(self, name: str, wrong: Callable[[str], str | None]) -> str | None:
        """A checked query parameter, None when absent or empty. Raises `Problem` 422 naming it."""
        value = self.get_query_argument(name, "", strip=False) or None
        return value if value is None else self.checked(name, value, wrong)

    def checked(self, name: str, value: str, wrong: Callable[[str], str | None] = dns_label) -> str:
        """A part of the path that passes a rule. Raises `Problem` 422 naming it."""
        from ..resources.causes import invalid

        if (why := wrong(value)) is not None:
            raise problems.invalid([invalid(name, value, why)])
        return value

    def media(self, *wanted: str) -> str:
        """The body's media type. Raises `Problem` 415 for another one."""
        given = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if given not in wanted:
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the body as {' or '.join(wanted)}.")
        return given

    def json(self) -> Any:
        """The decoded JSON body. Raises `Problem` 400, 413."""
        body = self.request.body
        if len(body) > BODY_LIMIT:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {BODY_LIMIT} bytes.")
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise problems.bad_request(f"The body is not JSON: {error}") from error

    def data(self, model: type[Model]) -> Model:
        """The `data` of the body's envelope as a model; absent and null fields have their zero values.

        Raises `Problem` 415, 400 (no JSON, a wrong type, an unknown field), 413, and 422 at `data` when there is none.
        """
        from ..resources.causes import required

        self.media("application/json")
        body = self.json()
        if not isinstance(body, dict):
            raise problems.bad_request('The body must be an object {"data": …}.')
        unknown = [key for key in body if key.lower() != "data"]
        if unknown:
            raise problems.bad_request(f"The body has an unknown field: {unknown[0]}")
        data = next(iter(body.values()), None)
        if data is None:
            raise problems.invalid([required("data")])
        return converted(data, model)

    # What is answered

    def answer(self, data: Any, status: HTTPStatus = HTTPStatus.OK, *, location: str | None = None) -> None:
        if location is not None:
            self.set_header("Location", location)
        self.set_status(status)
        self.send(msgspec.json.encode({"data": data}))

    def send(self, body: bytes) -> None:
        """A JSON body, compressed where the client takes gzip and it pays."""
        self.set_header("Vary", "Accept-Encoding")
        if len(body) >= COMPRESS_BYTES and self._takes_gzip():
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            self.set_header("Content-Encoding", "gzip")
        self.finish(body)

    def none(self) -> None:
        """204."""
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish(set_content_type="application/json")

    def unchanged(self, revision: str) -> bool:
        """Set the ETag of a revision; whether the client has that revision already (then 304 is answered)."""
        tag = f'W/"{revision}"'
        self.set_header("ETag", tag)
        asked = [part.strip() for part in self.request.headers.get("If-None-Match", "").split(",")]
        if tag not in asked and "*" not in asked:
            return False
        self.set_status(HTTPStatus.NOT_MODIFIED)
        self.finish()
        return True

    def compute_etag(self) -> str | None:
        """None: hashing every body costs more than it saves; revisions are compared instead (`unchanged`)."""
        return None

    def _takes_gzip(self) -> bool:
        for part in self.request.headers.get("Accept-Encoding", "").lower().split(","):
            coding, _, weight = part.strip().partition(";")
            if coding.strip() == "gzip":
                return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
        return False

    # What goes wrong

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, ClusterError):
            error = problems.from_cluster(error)
        if isinstance(error, asyncio.TimeoutError):
            error = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The cluster did not answer in time. Try again in a moment.")
        if not isinstance(error, Problem):
            status = HTTPStatus(status_code)
            text = error.log_message if isinstance(error, web.HTTPError) and error.log_message and status < 500 else status.phrase
            error = Problem(status, text.replace("%%", "%"))
        if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(method for method in _METHODS if method in self._implemented()))
        self.set_status(error.status)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(error.document()))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, (Problem, ClusterError)):  # a refusal is an answer, not a fault
            super().log_exception(typ, value, tb)

    @classmethod
    def _implemented(cls) -> list[str]:
        return [method for method in _METHODS if method.lower() in vars(cls)]


class NoSuchRoute(DataHandler):
    """Everything below the API that is not routed: 404 in the envelope."""

    @signed_in
    async def get(self) -> None:
        raise problems.not_found("There is nothing at this address.")

    head = post = put = patch = delete = options = get  # type: ignore[assignment]


def converted(data: Any, model: type[Model]) -> Model:
    """A model from decoded JSON; nulls count as absent. Raises `Problem` 400."""
    try:
        return msgspec.convert(_without_nulls(data), model)
    except (msgspec.ValidationError, RecursionError) as error:
        raise problems.bad_request(f"The body cannot be understood: {error}") from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
