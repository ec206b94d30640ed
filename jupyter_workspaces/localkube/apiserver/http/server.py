"""The API server: listens, authenticates and authorizes requests, and dispatches them.

Requests for resources go to `rest.Rest`, those for discovery and OpenAPI to
`descriptions.Descriptions`. Health checks, reviews and tokens are served here.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.site import BoundedSite
from jupyter_workspaces.common.supervision import Supervisor
from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.access import (
    authorization,
    default_roles,
    escalation,
    impersonation,
    token_requests,
)
from jupyter_workspaces.localkube.apiserver.access.authentication import Authenticator, bearer
from jupyter_workspaces.localkube.apiserver.access.authorization import Authorizer
from jupyter_workspaces.localkube.apiserver.access.rbac import Rbac
from jupyter_workspaces.localkube.apiserver.access.reviews import Reviews
from jupyter_workspaces.localkube.apiserver.access.tokens import Keys
from jupyter_workspaces.localkube.apiserver.access.users import (
    AUTHENTICATED,
    MASTERS,
    User,
    current_user,
)
from jupyter_workspaces.localkube.apiserver.definitions.finalizer import DefinitionFinalizer
from jupyter_workspaces.localkube.apiserver.objects import patches
from jupyter_workspaces.localkube.apiserver.objects.admission import Admission, Operation, Review
from jupyter_workspaces.localkube.apiserver.objects.engine import Engine
from jupyter_workspaces.localkube.apiserver.objects.rows import CREATE_ONLY, Row
from jupyter_workspaces.localkube.apiserver.openapi import discovery
from jupyter_workspaces.localkube.apiserver.pods import metrics
from jupyter_workspaces.localkube.apiserver.pods.logs import PodLogReader
from jupyter_workspaces.localkube.apiserver.pods.metrics import Metrics, UsageSource
from jupyter_workspaces.localkube.apiserver.pods.programs import PodPrograms
from jupyter_workspaces.localkube.apiserver.pods.subresources import CONNECTIONS
from jupyter_workspaces.localkube.apiserver.store.store import Store

from . import replies, requests, status
from .descriptions import Descriptions, no_page
from .requests import Target
from .rest import Rest
from .status import Refusal

log = logging.getLogger(__name__)


STOP_SECONDS = 2.0
HEADER_BYTES = 16 * 2**10
IDLE_SECONDS = 120.0
"""Longer than clients written in Go keep connections (90 s), so that they close them, not we."""
LIMITS = Limits(idle=IDLE_SECONDS)
_HEALTH = ("/healthz", "/livez", "/readyz")
_APPLY = "application/apply-patch+"


class ApiServer:
    """A Kubernetes API over a store."""

    def __init__(
        self,
        store: Store,
        token: str,
        admission: Admission | None = None,
        user: str = "local-admin",
        *,
        identities: Mapping[str, User] | None = None,
        keys: Keys | None = None,
        version: str = discovery.GIT_VERSION,
    ) -> None:
        """Create a server, which does not listen yet.

        Args:
            store: the objects.
            token: bearer token of `user`, who may do everything.
            admission: reviews each write.
            user: name of the user of `token`.
            identities: further users by their tokens.
            keys: keys of service account tokens; without them, tokens are valid until the server
                stops.
            version: version text of `/version`.
        """
        self._admission = admission
        self.engine = Engine(store, self._admit)
        self.address = ""
        self.keys = keys or Keys.generate()
        self.authorizer = Authorizer(Rbac(store))
        known = {token: User(user, (MASTERS, AUTHENTICATED)), **(identities or {})}
        self._authenticator = Authenticator(store, self.keys, known)
        self._reviews = Reviews(self._authenticator, self.authorizer)
        self._descriptions = Descriptions(self.engine.registry, self.keys, version)
        self._rest = Rest(self.engine)
        self._metrics = Metrics(store, self.engine.registry)
        self._runner: web.AppRunner | None = None
        self._tasks = Supervisor(log)
        self.problem: Callable[[], str | None] = lambda: None
        """Returns what fails in the cluster, for `/readyz`. Set by the process that runs it."""

    @property
    def logs(self) -> PodLogReader | None:
        """Reader of pods' logs. The node sets it."""
        return self._rest.pods.logs

    @logs.setter
    def logs(self, reader: PodLogReader | None) -> None:
        self._rest.pods.logs = reader

    def measure(self, usage: UsageSource | None) -> None:
        """Serve the metrics API from the measurements of a node; None stops that."""
        self._metrics.use(usage)

    @property
    def programs(self) -> PodPrograms | None:
        """Runs commands in pods and connects to their ports. The node sets it."""
        return self._rest.pods.programs

    @programs.setter
    def programs(self, programs: PodPrograms | None) -> None:
        self._rest.pods.programs = programs

    async def start(
        self,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None = None,
        *,
        limits: Limits = LIMITS,
        lost: Callable[[str], None] = lambda why: None,
    ) -> int:
        """Start to listen. Return the port.

        Args:
            host: address to listen at.
            port: port to listen at; 0 chooses a free one.
            ssl_context: for HTTPS; None for HTTP.
            limits: limits of connections.
            lost: called if the server no longer listens.

        Raises:
            OSError: if it cannot listen.
            Refusal: if the default roles cannot be stored.
        """
        default_roles.ensure(self.engine)
        application = web.Application(client_max_size=requests.BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.on_response_prepare.append(_keep_from_caches)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=STOP_SECONDS,
        )
        await self._runner.setup()
        # Without decompression, which would come before authentication.
        # Kubernetes accepts no compressed bodies either.
        lines = {
            "max_line_size": HEADER_BYTES,
            "max_field_size": HEADER_BYTES,
            "auto_decompress": False,
        }
        site = BoundedSite(
            self._runner,
            host,
            port,
            limits,
            name="The API server",
            ssl_context=ssl_context,
            lost=lost,
            **lines,
        )
        await site.start()
        self._tasks.start("end of definitions", DefinitionFinalizer(self.engine).run)
        bound: int = self._runner.addresses[0][1]
        self.address = f"{host}:{bound}"
        return bound

    async def stop(self) -> None:
        """End all watches and stop to listen."""
        self._rest.streams.end()
        await self._tasks.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def apply_manifest(self, manifest: Object) -> Object:
        """Create an object, or replace what differs, in process.

        Raises:
            Refusal: if the write is rejected.
        """
        row = self.engine.registry.by_kind(manifest["apiVersion"], manifest["kind"])
        if row is None:
            raise status.bad_request(f"no kind {manifest['kind']} in {manifest['apiVersion']}")
        body = msgspec.json.decode(msgspec.json.encode(manifest), type=dict[str, Any])
        namespace = (
            body.get("metadata", {}).get("namespace", "default") if row.resource.namespaced else ""
        )
        name = body["metadata"]["name"]
        if self.engine.store.get(row.name, namespace, name) is None:
            return self.engine.create(row, namespace, body).object
        if row.resource == catalog.CUSTOM_RESOURCE_DEFINITIONS:
            # A merge would keep what the new schema no longer has.
            return self.engine.patch(
                row, namespace, name, lambda held: patches.merge(held | {"spec": {}}, body)
            ).object
        return self.engine.patch(
            row, namespace, name, lambda held: patches.merge(held, body)
        ).object

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except Refusal as refusal:
            refused = refusal
        except web.HTTPRequestEntityTooLarge:
            refused = status.too_large(requests.BODY_LIMIT)
        except RecursionError:
            refused = status.bad_request("the body is nested too deeply")
        except Exception:  # boundary of a request: log the traceback, respond with a Status
            log.exception("%s %s failed", request.method, request.rel_url.raw_path)
            refused = status.internal()
        return replies.refused(refused)

    def _health(self, request: web.Request, path: str) -> web.Response:
        """Respond to health checks. `/readyz` fails while a part of the cluster does.

        Only authenticated requests get the reason, as in Kubernetes.
        """
        problem = (self._tasks.problem or self.problem()) if path.startswith("/readyz") else None
        if problem is None:
            return web.Response(text="ok")
        if "Authorization" in request.headers:
            self._authenticate(request)
            return web.Response(status=500, text=problem)
        return web.Response(
            status=500, text="[-]parts failed: reason withheld\nreadyz check failed\n"
        )

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path.rstrip("/") in _HEALTH:
            return self._health(request, path)
        user = self._authenticate(request)
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in (
            "identity",
            "",
        ):
            raise status.unsupported_encoding()
        parts = _segments(path)
        if (parts[0] == "api" and len(parts) >= 3) or (parts[0] == "apis" and len(parts) >= 4):
            return await self._resource(request, user, parts)
        self.authorizer.check(user, authorization.path_attributes(request.method, unquote(path)))
        return self._descriptions.answer(request, parts, self.address)

    def _authenticate(self, request: web.Request) -> User:
        """Return the user of a request.

        Raises:
            Refusal: 401 without a valid token, 403 for an impersonation that is not allowed.
        """
        headers = request.headers
        token = bearer(headers.get("Authorization", ""), headers.get("Sec-WebSocket-Protocol", ""))
        user = None if token is None else self._authenticator.user(token)
        if user is None:
            raise status.unauthorized()
        user = impersonation.impersonated(user, headers, self.authorizer)
        current_user.set(user)
        return user

    async def _resource(
        self, request: web.Request, user: User, parts: list[str]
    ) -> web.StreamResponse:
        target = requests.parse_path(parts)
        if target is None:
            raise status.page_not_found()
        attributes = authorization.resource_attributes(request.method, target, request.query)
        self.authorizer.check(user, attributes)
        row = self.engine.registry.get(target.group, target.version, target.plural)
        if row is None:
            return self._not_served(target)
        if self._needs_create(request, row, target):
            self.authorizer.check(user, replace(attributes, verb="create"))
        if row.verbs == CREATE_ONLY:
            return await self._review(request, user, row, target)
        if row.resource == catalog.SERVICE_ACCOUNTS and target.subresource == "token":
            return await self._token(request, target)
        if row.resource.group == metrics.GROUP:
            return self._metrics.answer(request, row, target)
        return await self._rest.answer(request, row, target)

    def _needs_create(self, request: web.Request, row: Row, target: Target) -> bool:
        """Return whether the request needs `create` besides its own verb.

        True for a server-side apply that creates, and for a WebSocket into a pod.
        """
        if request.method == "PATCH" and target.subresource is None:
            applies = requests.media_type(request.headers.get("Content-Type")).startswith(_APPLY)
            return (
                applies
                and self.engine.store.get(row.name, target.namespace or "", target.name or "")
                is None
            )
        into_pod = row.resource == catalog.PODS and target.subresource in CONNECTIONS
        return into_pod and request.headers.get("Upgrade", "").lower() == "websocket"

    def _not_served(self, target: Target) -> web.Response:
        """Respond with 404 to a path that no resource has.

        In a built-in group, the response is a Status as for any error.
        """
        if any(
            row.resource.group == target.group and not row.custom for row in self.engine.registry
        ):
            raise status.page_not_found()
        return no_page()

    async def _review(
        self, request: web.Request, user: User, row: Row, target: Target
    ) -> web.StreamResponse:
        if target.name or row.resource.namespaced is not (target.namespace is not None):
            raise status.page_not_found()
        if request.method != "POST":
            raise status.method_not_allowed()
        return replies.answer(
            self._reviews.answer(row, await _body(request), user, target.namespace), 201
        )

    async def _token(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.method != "POST" or target.namespace is None or target.name is None:
            raise status.method_not_allowed()
        document = token_requests.answer(
            self.engine.store, self.keys, target.namespace, target.name, await _body(request)
        )
        return replies.answer(document, 201)

    def _admit(
        self, resource: Resource, operation: Operation, old: Object | None, new: Object | None
    ) -> Review | None:
        if new is not None:
            escalation.check(self.authorizer, current_user.get(), resource, old, new)
        return None if self._admission is None else self._admission(resource, operation, old, new)


async def _keep_from_caches(request: web.Request, response: web.StreamResponse) -> None:
    """Forbid caching, because other users may not see the same."""
    response.headers.setdefault("Cache-Control", "no-cache, private")


async def _body(request: web.Request) -> Object:
    return await requests.read_body(await request.read(), request.headers.get("Content-Type"))


def _segments(path: str) -> list[str]:
    """Return the decoded segments of a path.

    Raises:
        Refusal: 400 if they are not valid text.
    """
    try:
        parts = [unquote(part, errors="strict") for part in path.strip("/").split("/")]
    except UnicodeDecodeError as error:
        raise status.bad_request("the path is not UTF-8") from error
    if any("\0" in part for part in parts):
        raise status.bad_request("the path cannot be read")
    return parts
