"""The validating webhook: the rules of `resources/`, asked by a real API server before it writes our kinds.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import web

from jupyter_workspaces.common.listeners.connections import Limits
from jupyter_workspaces.common.listeners.site import BoundedSite
from jupyter_workspaces.kube.catalog import Resource
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError, NotFound
from jupyter_workspaces.kube.reflector import Reflector
from jupyter_workspaces.resources.admission import Operation, Review, review
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES

from .workspaces.cluster_views import ByKind, kind_of

log = logging.getLogger(__name__)

Object = dict[str, Any]

PATH = "/validate"
BODY_BYTES = 16 * 2**20
"""An update brings an object twice, and etcd holds up to 1.5 MB of each."""
STOP_SECONDS = 5.0
LIMITS = Limits(connections=512, idle=120.0)
"""An API server keeps idle connections for 90 s."""


class AdmissionRequest(msgspec.Struct, rename="camel"):
    """The part of a request that counts here (admission.k8s.io/v1)."""

    uid: str
    operation: str
    resource: dict[str, str]
    name: str = ""
    object: Object | None = None
    old_object: Object | None = None


class AdmissionReview(msgspec.Struct):
    """What the API server sends."""

    request: AdmissionRequest


class Rules:
    """The rules over caches of workspaces and kinds; a kind that is not cached yet is asked for.

    While `stands_back` says so everything is let through: another controller's webhook decides.
    """

    def __init__(
        self,
        cluster: Cluster,
        workspaces: Reflector,
        kinds: Reflector,
        stands_back: Callable[[], bool] = lambda: False,
    ) -> None:
        self._cluster, self._workspaces, self._kinds, self._stands_back = (
            cluster,
            workspaces,
            kinds,
            stands_back,
        )
        self._by_kind = ByKind(workspaces)

    @property
    def ready(self) -> bool:
        return self._workspaces.ready and self._kinds.ready

    async def review(self, request: AdmissionRequest) -> Review:
        """Raises `ClusterError` when a kind cannot be asked for."""
        resource = _resource(request.resource)
        if resource is None or self._stands_back():
            return Review()
        if (
            resource == WORKSPACES
            and request.object is not None
            and (kind := kind_of(request.object))
            and self.kind(kind) is None
        ):
            try:
                self._kinds.apply(await self._cluster.get(WORKSPACE_KINDS, kind))
            except NotFound:
                log.debug("The kind %s does not exist", kind)
        operation: Operation = "CREATE"
        if request.operation == "UPDATE":
            operation = "UPDATE"
        elif request.operation == "DELETE":
            operation = "DELETE"
        return review(resource, operation, request.old_object, request.object, self)

    def kind(self, name: str) -> Object | None:
        return self._kinds.get(name)

    def kind_names(self) -> list[str]:
        return [kind["metadata"]["name"] for kind in self._kinds.items()]

    def workspaces_of_kind(self, kind: str) -> Iterable[Object]:
        return (one for one in self._by_kind.of(kind) if one.get("spec"))


class Webhook:
    """An HTTPS server that answers AdmissionReviews. `decided` hears of each answer: resource, operation, allowed."""

    def __init__(
        self,
        rules: Rules,
        decided: Callable[[str, str, bool], None] = lambda resource, operation, allowed: None,
    ) -> None:
        self._rules, self._decided = rules, decided
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int, trust: ssl.SSLContext) -> None:
        """Raises `OSError` when it cannot listen there."""
        app = web.Application(client_max_size=BODY_BYTES)
        app.router.add_post(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        site = BoundedSite(self._runner, host, port, LIMITS, name="The webhook", ssl_context=trust)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, http: web.Request) -> web.Response:
        if not self._rules.ready:
            return web.Response(
                status=503,
                text="the rules are not ready yet: workspaces and kinds have not been listed",
            )
        try:
            request = msgspec.json.decode(await http.read(), type=AdmissionReview).request
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=f"not an AdmissionReview: {error}")
        try:
            found = await self._rules.review(request)
        except ClusterError as error:
            return web.Response(
                status=503, text=f"the workspace's kind could not be looked up: {error}"
            )
        response = answer(request, found)
        self._decided(request.resource.get("resource", ""), request.operation, response["allowed"])
        document = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        }
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")


def answer(request: AdmissionRequest, found: Review) -> Object:
    """The response to a review. Kubernetes puts its own words before the message and passes reason, code and causes on."""
    response: Object = {"uid": request.uid, "allowed": not found.causes and found.conflict is None}
    if found.warnings:
        response["warnings"] = found.warnings
    resource = _resource(request.resource)
    if response["allowed"] or resource is None:
        return response
    metadata = (request.object or request.old_object or {}).get("metadata") or {}
    name = request.name or metadata.get("name") or metadata.get("generateName") or ""
    details: Object = {"name": name, "group": resource.group, "kind": resource.plural}
    if found.conflict is not None:
        message = f'Operation cannot be fulfilled on {resource.plural}.{resource.group} "{name}": {found.conflict}'
        response["status"] = {
            "code": 409,
            "reason": "Conflict",
            "message": message,
            "details": details,
        }
        return response
    details |= {"kind": resource.kind, "causes": [_cause(cause) for cause in found.causes]}
    texts = [f"{cause.field}: {cause.message}" for cause in found.causes]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    message = f'{resource.kind}.{resource.group} "{name}" is invalid: {text}'
    response["status"] = {"code": 422, "reason": "Invalid", "message": message, "details": details}
    return response


def _cause(cause: Cause) -> dict[str, str]:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}


def _resource(named: dict[str, str]) -> Resource | None:
    for resource in (WORKSPACES, WORKSPACE_KINDS):
        if (resource.group, resource.plural) == (named.get("group"), named.get("resource")):
            return resource
    return None
