"""The API server: listens, learns who asks and whether they may, tells what it serves, hands resources to `rest`."""

from __future__ import annotations

import logging
import re
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
from jupyter_workspaces.localkube.apiserver.access.tokens import ALGORITHM, ISSUER, Keys
from jupyter_workspaces.localkube.apiserver.access.users import (
    AUTHENTICATED,
    MASTERS,
    User,
    asking,
)
from jupyter_workspaces.localkube.apiserver.definitions.ending import DefinitionEnding
from jupyter_workspaces.localkube.apiserver.objects import patches
from jupyter_workspaces.localkube.apiserver.objects.engine import Admission, Engine
from jupyter_workspaces.localkube.apiserver.objects.rows import CREATE_ONLY, Row
from jupyter_workspaces.localkube.apiserver.openapi import discovery
from jupyter_workspaces.localkube.apiserver.openapi.documents import Documents
from jupyter_workspaces.localkube.apiserver.pods import metrics
from jupyter_workspaces.localkube.apiserver.pods.logs import PodLogReader
from jupyter_workspaces.localkube.apiserver.pods.metrics import Metrics, Usage
from jupyter_workspaces.localkube.apiserver.pods.programs import PodPrograms
from jupyter_workspaces.localkube.apiserver.pods.subresources import CONNECTIONS
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.resources.admission import Operation, Review

from . import replies, requests, status
from .requests import Target
from .rest import Rest
from .status import Refusal

log = logging.getLogger(__name__)

Object = dict[str, Any]

STOP_SECONDS = 2.0
HEADER_BYTES = 16 * 2**10
IDLE_SECONDS = 120.0
"""Longer than clients written in Go keep a connection (90 s), so that they close it and not we."""
LIMITS = Limits(idle=IDLE_SECONDS)
_HEALTH = ("/healthz", "/livez", "/readyz")
_APPLY = "application/apply-patch+"
_OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_OPENAPI_V2_ASKED = "com.github.proto-openapi.spec.v2"
_AGGREGATED = re.compile(
    r"application/json;\s*g=apidiscovery\.k8s\.io;\s*v=(v2|v2beta1);\s*as=APIGroupDiscoveryList",
    re.IGNORECASE,
)


class ApiServer:
    """A Kubernetes API over a store.

    Nobody comes in without a token. `token` is `user`'s, who may everything; `identities` are more of that kind, by their tokens.
    Service accounts come in by tokens that `keys` signed; without keys, tokens last as long as this object.
    """

    def __init__(
        self,
        store: Store,
        token: str,
        admission: Admission | None = None,
        user: str = "local-admin",
        *,
        identities: Mapping[str, User] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._admission = admission
        self.engine = Engine(store, self._admit)
        self.address = ""
        self.keys = keys or Keys.generate()
        self.authorizer = Authorizer(Rbac(store))
        known = {token: User(user, (MASTERS, AUTHENTICATED)), **(identities or {})}
        self._authenticator = Authenticator(store, self.keys, known)
        self._reviews = Reviews(self._authenticator, self.authorizer)
        self._openapi = Documents(self.engine.registry)
        self._rest = Rest(self.engine)
        self._metrics = Metrics(store, self.engine.registry)
        self._runner: web.AppRunner | None = None
        self._tasks = Supervisor(log)
        self.problem: Callable[[], str | None] = lambda: None
        """What fails in the whole cluster, for `/readyz`. Set by the process that runs its parts."""

    @property
    def logs(self) -> PodLogReader | None:
        """Who answers for pods' logs; a node sets it."""
        return self._rest.pods.logs

    @logs.setter
    def logs(self, reader: PodLogReader | None) -> None:
        self._rest.pods.logs = reader

    def measure(self, usage: Usage | None) -> None:
        """Serve what pods and the node use (`metrics.k8s.io`), as a node measures it; None: nobody does."""
        self._metrics.use(usage)

    @property
    def programs(self) -> PodPrograms | None:
        """Who runs commands in pods and reaches their ports; a node sets it."""
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
        """Listen and return the port; port 0 chooses a free one. `lost` is called if it no longer listens.

        Raises `OSError`, `Refusal` when the default roles cannot be stored.
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
        # Without decompression, which would come before authentication; Kubernetes takes no compressed bodies either.
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
        self._tasks.start("end of definitions", DefinitionEnding(self.engine).run)
        bound: int = self._runner.addresses[0][1]
        self.address = f"{host}:{bound}"
        return bound

    async def stop(self) -> None:
        """End all watches and stop listening."""
        self._rest.streams.end()
        await self._tasks.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def apply_manifest(self, manifest: Object) -> Object:
        """Create the object, or replace what differs of it, in process. Raises `Refusal`."""
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
            # What a newer schema no longer has must go, which a merge would keep.
            return self.engine.patch(
                row, namespace, name, lambda held: patches.merge(held | {"spec": {}}, body)
            ).object
        return self.engine.patch(
            row, namespace, name, lambda held: patches.merge(held, body)
        ).object

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refusal as refusal:
            refused = refusal
        except web.HTTPRequestEntityTooLarge:
            refused = status.too_large(requests.BODY_LIMIT)
        except RecursionError:
            refused = status.bad_request("the body is nested too deeply")
        except (
            Exception
        ):  # the edge of a request: a fault of ours is told as a Status, and the traceback kept
            log.exception("%s %s failed", request.method, request.rel_url.raw_path)
            refused = status.internal()
        return replies.refused(refused)

    def _health(self, request: web.Request, path: str) -> web.Response:
        """`/readyz` fails while a part of the cluster does. Only authenticated requests see which, as in Kubernetes."""
        problem = (self._tasks.problem or self.problem()) if path.startswith("/readyz") else None
        if problem is None:
            return web.Response(text="ok")
        if "Authorization" in request.headers:
            self._who(request)
            return web.Response(status=500, text=problem)
        return web.Response(
            status=500, text="[-]parts failed: reason withheld\nreadyz check failed\n"
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path.rstrip("/") in _HEALTH:
            return self._health(request, path)
        user = self._who(request)
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in (
            "identity",
            "",
        ):
            raise status.unsupported_encoding()
        parts = _segments(path)
        if (parts[0] == "api" and len(parts) >= 3) or (parts[0] == "apis" and len(parts) >= 4):
            return await self._resource(request, user, parts)
        self.authorizer.check(user, authorization.of_path(request.method, unquote(path)))
        return self._about(request, parts)

    def _who(self, request: web.Request) -> User:
        """Raises `Refusal` 401 without a good token, 403 for an impersonation that is not allowed."""
        headers = request.headers
        token = bearer(headers.get("Authorization", ""), headers.get("Sec-WebSocket-Protocol", ""))
        user = None if token is None else self._authenticator.user(token)
        if user is None:
            raise status.unauthorized()
        user = impersonation.impersonated(user, headers, self.authorizer)
        asking.set(user)
        return user

    async def _resource(
        self, request: web.Request, user: User, parts: list[str]
    ) -> web.StreamResponse:
        target = requests.target(parts)
        if target is None:
            raise status.page_not_found()
        asked = authorization.of_resource(request.method, target, request.query)
        self.authorizer.check(user, asked)
        row = self.engine.registry.get(target.group, target.version, target.plural)
        if row is None:
            return self._nothing_there(target)
        if self._would_create(request, row, target):
            self.authorizer.check(user, replace(asked, verb="create"))
        if row.verbs == CREATE_ONLY:
            return await self._review(request, user, row, target)
        if row.resource == catalog.SERVICE_ACCOUNTS and target.subresource == "token":
            return await self._token(request, target)
        if row.resource.group == metrics.GROUP:
            return self._metrics.answer(request, row, target)
        return await self._rest.answer(request, row, target)

    def _would_create(self, request: web.Request, row: Row, target: Target) -> bool:
        """Whether it asks for `create` besides its own verb: a server-side apply of what is not there yet, a WebSocket into a pod."""
        if request.method == "PATCH" and target.subresource is None:
            applies = requests.media_type(request.headers.get("Content-Type")).startswith(_APPLY)
            return (
                applies
                and self.engine.store.get(row.name, target.namespace or "", target.name or "")
                is None
            )
        into_pod = row.resource == catalog.PODS and target.subresource in CONNECTIONS
        return into_pod and request.headers.get("Upgrade", "").lower() == "websocket"

    def _nothing_there(self, target: Target) -> web.Response:
        """404: a `Status` in a built-in group that has no such resource, else what serves no API at all."""
        if any(
            row.resource.group == target.group and not row.custom for row in self.engine.registry
        ):
            raise status.page_not_found()
        return _no_page()

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
    ) -> Review:
        if new is not None:
            escalation.check(self.authorizer, asking.get(), resource, old, new)
        return (
            Review() if self._admission is None else self._admission(resource, operation, old, new)
        )

    def _about(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise status.method_not_allowed()
        accept, registry = request.headers.get("Accept", ""), self.engine.registry
        aggregated = _AGGREGATED.search(accept)
        match parts:
            case ["version"]:
                return replies.answer(discovery.VERSION)
            case [".well-known", "openid-configuration"]:
                return replies.answer(_openid(self.address))
            case ["openid", "v1", "jwks"]:
                return replies.answer(self.keys.public())
            case ["api"] | ["apis"] if aggregated:
                document = discovery.aggregated(registry, parts[0] == "api", aggregated[1])
                media = f"application/json;g=apidiscovery.k8s.io;v={aggregated[1]};as=APIGroupDiscoveryList"
                return replies.tagged(request, document, media)
            case ["api"]:
                return replies.answer(discovery.api_versions(self.address))
            case ["apis"]:
                return replies.answer(discovery.group_list(registry))
            case ["api", "v1"]:
                return replies.answer(discovery.resource_list(registry, "", "v1"))
            case ["apis", group] if group in registry.group_versions():
                return replies.answer(discovery.group(registry, group))
            case ["apis", group, version] if version in registry.group_versions().get(group, ()):
                return replies.answer(discovery.resource_list(registry, group, version))
            case ["openapi", "v2"] if _OPENAPI_V2_ASKED in accept:
                return replies.document(request, *self._openapi.v2_protobuf(), _OPENAPI_V2)
            case ["openapi", "v2"] if accept and not any(
                media in accept for media in ("json", "*/*")
            ):
                return web.Response(status=406)
            case ["openapi", "v2"]:
                return replies.answer(self._openapi.v2())
            case ["openapi", "v3"]:
                return replies.answer(self._openapi.index())
            case ["openapi", "v3", *rest] if (
                described := self._openapi.document("/".join(rest))
            ) is not None:
                return replies.document(request, *described)
            case ["openapi", "v3", *_]:
                return web.Response(status=404)
        if (
            parts[0] == "apis"
            and len(parts) == 3
            and any(row.resource.group == parts[1] and not row.custom for row in registry)
        ):
            raise status.page_not_found()
        return _no_page()


async def _keep_from_caches(request: web.Request, response: web.StreamResponse) -> None:
    """What one user may see is kept for nobody else."""
    response.headers.setdefault("Cache-Control", "no-cache, private")


def _no_page() -> web.Response:
    return web.Response(
        status=404, text="404 page not found\n", headers={"X-Content-Type-Options": "nosniff"}
    )


async def _body(request: web.Request) -> Object:
    return await requests.read(await request.read(), request.headers.get("Content-Type"))


def _openid(address: str) -> Object:
    """How to check service accounts' tokens without asking us (OpenID Connect Discovery 1.0)."""
    return {
        "issuer": ISSUER,
        "jwks_uri": f"https://{address}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }


def _segments(path: str) -> list[str]:
    """The decoded segments of a path. Raises `Refusal` 400 for what is no text."""
    try:
        parts = [unquote(part, errors="strict") for part in path.strip("/").split("/")]
    except UnicodeDecodeError as error:
        raise status.bad_request("the path is not UTF-8") from error
    if any("\0" in part for part in parts):
        raise status.bad_request("the path cannot be read")
    return parts
