"""Serves the validating admission webhook, which applies the rules of `resources/` to writes.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ describes
the protocol. `Rules` decides over caches of workspaces and kinds, `Webhook` is the HTTPS server.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable

import msgspec
from aiohttp import web

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.site import BoundedSite
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, NotFound
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.admission import Operation, Review, review
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.resources.views import MetadataView, WorkspaceView

from .workspaces.caches import WorkspacesByKind

log = logging.getLogger(__name__)


PATH = "/validate"
BODY_BYTES = 16 * 2**20
"""Largest request: an update holds an object twice, and etcd stores up to 1.5 MB of each."""

STOP_SECONDS = 5.0
LIMITS = Limits(connections=512, idle=120.0)
"""An API server keeps idle connections for 90 s."""


class AdmissionRequest(msgspec.Struct, rename="camel"):
    """The part of an `admission.k8s.io/v1` request that the rules need."""

    uid: str
    operation: str
    resource: dict[str, str]
    name: str = ""
    object: Object | None = None
    old_object: Object | None = None


class AdmissionReview(msgspec.Struct):
    """Body of a request of the API server."""

    request: AdmissionRequest


class Rules:
    """The admission rules over caches of workspaces and kinds; a `rule_lookup.Lookup`."""

    def __init__(
        self,
        cluster: Cluster,
        workspaces: Reflector,
        kinds: Reflector,
        is_disabled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Use existing caches.

        Args:
            cluster: API server that is asked for a kind which is not in the cache yet.
            workspaces: cache of all Workspaces.
            kinds: cache of all WorkspaceKinds.
            is_disabled: returns whether to allow all writes, because another webhook decides.
        """
        self._cluster, self._is_disabled = cluster, is_disabled
        self._workspaces, self._kinds = workspaces, kinds
        self._by_kind = WorkspacesByKind(workspaces)

    @property
    def ready(self) -> bool:
        """Whether both caches have their first list."""
        return self._workspaces.ready and self._kinds.ready

    async def review(self, request: AdmissionRequest) -> Review:
        """Return the decision about a write. Raises `ClusterError` if a kind cannot be read."""
        resource = _resource(request.resource)
        if resource is None or self._is_disabled():
            return Review()
        if resource == WORKSPACES and request.object is not None:
            await self._fetch_kind(WorkspaceView(request.object).kind_name)
        operation: Operation = "CREATE"
        if request.operation == "UPDATE":
            operation = "UPDATE"
        elif request.operation == "DELETE":
            operation = "DELETE"
        return review(resource, operation, request.old_object, request.object, self)

    async def _fetch_kind(self, name: str) -> None:
        """Add a kind to the cache that was created only a moment ago."""
        if not name or self.kind(name) is not None:
            return
        try:
            self._kinds.apply(await self._cluster.get(WORKSPACE_KINDS, name))
        except NotFound:
            log.debug("The kind %s does not exist", name)

    def kind(self, name: str) -> Object | None:
        """Return the WorkspaceKind, or None if it does not exist."""
        return self._kinds.get(name)

    def kind_names(self) -> list[str]:
        """Return the names of all WorkspaceKinds."""
        return [MetadataView(kind).name for kind in self._kinds.items()]

    def workspaces_of_kind(self, kind: str) -> Iterable[Object]:
        """Return the Workspaces of a kind in all namespaces, without malformed ones."""
        return (one for one in self._by_kind.of(kind) if MetadataView(one).has_spec)


class Webhook:
    """HTTPS server for AdmissionReviews."""

    def __init__(
        self,
        rules: Rules,
        on_review: Callable[[str, str, bool], None] = lambda resource, operation, allowed: None,
    ) -> None:
        """Create a server; `start` opens its port.

        Args:
            rules: decide about writes.
            on_review: called after each review with resource, operation and whether it is allowed.
        """
        self._rules, self._on_review = rules, on_review
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        """Listen at an address; `port` 0 chooses a free one. Raises `OSError` if it is taken."""
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_post(PATH, self._post_review)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        site = BoundedSite(self._runner, host, port, LIMITS, name="The webhook", ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _post_review(self, http: web.Request) -> web.Response:
        if not self._rules.ready:
            text = "the rules are not ready yet: workspaces and kinds have not been listed"
            return web.Response(status=503, text=text)
        try:
            request = msgspec.json.decode(await http.read(), type=AdmissionReview).request
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=f"not an AdmissionReview: {error}")
        try:
            found = await self._rules.review(request)
        except ClusterError as error:
            text = f"the workspace kind could not be read: {error}"
            return web.Response(status=503, text=text)
        response = to_response(request, found)
        resource = request.resource.get("resource", "")
        self._on_review(resource, request.operation, response["allowed"])
        document = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        }
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")


def to_response(request: AdmissionRequest, found: Review) -> Object:
    """Return the `response` of an AdmissionReview.

    Its status has the form of the API server's own errors, which passes reason, code and causes on
    to the client and puts the name of the webhook before the message.
    """
    response: Object = {"uid": request.uid, "allowed": not found.causes and found.conflict is None}
    if found.warnings:
        response["warnings"] = found.warnings
    resource = _resource(request.resource)
    if response["allowed"] or resource is None:
        return response
    metadata = (request.object or request.old_object or {}).get("metadata") or {}
    name = request.name or metadata.get("name") or metadata.get("generateName") or ""
    build = _conflict if found.conflict is not None else _invalid
    response["status"] = build(resource, name, found)
    return response


def _conflict(resource: Resource, name: str, found: Review) -> Object:
    qualified = f'{resource.plural}.{resource.group} "{name}"'
    return {
        "code": 409,
        "reason": "Conflict",
        "message": f"Operation cannot be fulfilled on {qualified}: {found.conflict}",
        "details": {"name": name, "group": resource.group, "kind": resource.plural},
    }


def _invalid(resource: Resource, name: str, found: Review) -> Object:
    texts = [f"{cause.field}: {cause.message}" for cause in found.causes]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    return {
        "code": 422,
        "reason": "Invalid",
        "message": f'{resource.kind}.{resource.group} "{name}" is invalid: {text}',
        "details": {
            "name": name,
            "group": resource.group,
            "kind": resource.kind,
            "causes": [_cause(cause) for cause in found.causes],
        },
    }


def _cause(cause: Cause) -> dict[str, str]:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}


def _resource(named: dict[str, str]) -> Resource | None:
    for resource in (WORKSPACES, WORKSPACE_KINDS):
        if (resource.group, resource.plural) == (named.get("group"), named.get("resource")):
            return resource
    return None
