"""What can be done with workspace kinds. Knows the cluster, not HTTP."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal

import msgspec
import yaml
from msgspec import UNSET

from ....cluster.cache import Cache
from ....cluster.errors import ClusterError, Conflict, Invalid, NotFound
from ....cluster.reflector import key_of
from ....resources.catalog import WORKSPACE_KINDS
from ....resources.causes import Cause, invalid, required
from ... import audit, problems
from ...checks import dns_subdomain
from ...http import converted
from ..workspaces.service import patched
from . import models, views

Object = dict[str, Any]

WRITE_ATTEMPTS = 5


class Kinds:
    """Workspace kinds of the cluster."""

    def __init__(self, cache: Cache, prefix: str) -> None:
        self._cache, self._prefix = cache, prefix

    def list(self) -> list[models.KindListItem]:
        """By name."""
        return [views.list_item(kind, self._prefix) for kind in sorted(self._cache.kinds.items(), key=key_of)]

    async def get(self, name: str) -> models.KindUpdate:
        """Raises `Problem` 404."""
        return views.update_model(await self._find(name))

    async def create(self, user: str | None, manifest: bytes) -> models.KindCreated:
        """From a manifest in YAML or JSON. Raises `Problem` 400 for what is no kind, 409, 422."""
        body = read_manifest(manifest)
        metadata = body["metadata"]
        metadata["annotations"] = (metadata.get("annotations") or {}) | audit.created(user)
        body.setdefault("spec", {})
        body.pop("status", None)
        query = {"fieldValidation": "Strict"}
        try:
            made = await self._cache.cluster.raw("POST", WORKSPACE_KINDS.path(), body=body, query=query)
        except ClusterError as error:
            if error.status == 400 and "unknown field" in error.message:
                raise problems.invalid([invalid("<nil>", "…", error.message)]) from error
            raise problems.from_cluster(error, "workspace kind", metadata["name"]) from error
        self._cache.kinds.apply(made)
        return views.created_model(made)

    async def update(self, user: str | None, name: str, model: models.KindUpdate) -> models.KindUpdate:
        """Raises `Problem` 404, 409 for a stale revision, 422."""

        def change(kind: Object) -> Object:
            if model.revision != views.revision(kind):
                raise problems.stale()
            return _with(kind, model)

        return views.update_model(await self._write(user, name, change))

    async def patch(self, user: str | None, name: str, patch: Any) -> models.KindUpdate:
        """Change the update model: a mapping is a merge patch, a list a JSON patch. Raises `Problem` 400, 404, 409, 422."""

        def change(kind: Object) -> Object:
            present = msgspec.to_builtins(views.update_model(kind))
            model = converted(patched(present, patch), models.KindUpdate)
            if model.revision != present["revision"]:
                raise problems.stale()
            return _with(kind, model)

        return views.update_model(await self._write(user, name, change))

    async def delete(self, name: str) -> None:
        """Raises `Problem` 404, 409 while a workspace is of this kind."""
        try:
            gone = await self._cache.cluster.delete(WORKSPACE_KINDS, name)
        except ClusterError as error:
            raise problems.from_cluster(error, "workspace kind", name) from error
        self._cache.kinds.deleted(gone, name)

    async def picture(self, name: str, which: Literal["icon", "logo"]) -> bytes:
        """The bytes of an SVG. Raises `Problem` 404 when the kind is not there or has a URL, 500 when its ConfigMap is wrong."""
        kind = await self._find(name)
        reference = kind["spec"]["spawner"][which].get("configMap")
        if reference is None:
            raise problems.not_found(f"The {which} of {name} is not ours: it is at a URL.")
        found = self._cache.pictures.get(reference["name"], reference["namespace"]) or {}
        key = reference["key"]
        if (text := (found.get("data") or {}).get(key)) is not None:
            return str(text).encode()
        try:
            return base64.b64decode((found.get("binaryData") or {})[key], validate=True)
        except (KeyError, binascii.Error) as error:
            where = f"{reference['namespace']}/{reference['name']}"
            text = f"The ConfigMap {where} of the {which} has no usable key {key}; ask who manages the kind."
            raise problems.Problem(HTTPStatus.INTERNAL_SERVER_ERROR, text) from error

    async def _find(self, name: str) -> Object:
        found = self._cache.kinds.get(name)
        if found is not None:
            return found
        try:
            return await self._cache.cluster.get(WORKSPACE_KINDS, name)
        except NotFound:
            known = ", ".join(sorted(kind["metadata"]["name"] for kind in self._cache.kinds.items())) or "none yet"
            raise problems.not_found(f"There is no workspace kind {name}. There is: {known}.") from None

    async def _write(self, user: str | None, name: str, change: Callable[[Object], Object]) -> Object:
        for attempt in range(WRITE_ATTEMPTS):
            try:
                held = await self._cache.cluster.get(WORKSPACE_KINDS, name)
                wanted = change(held)
                if wanted["spec"] == held["spec"]:
                    return held
                metadata = dict(held["metadata"])
                metadata["annotations"] = (metadata.get("annotations") or {}) | audit.updated(user)
                stored = await self._cache.cluster.replace(WORKSPACE_KINDS, wanted | {"metadata": metadata})
            except Conflict as error:
                if attempt == WRITE_ATTEMPTS - 1:
                    raise problems.from_cluster(error) from error
                continue
            except (ClusterError, Invalid) as error:
                raise problems.from_cluster(error, "workspace kind", name) from error
            self._cache.kinds.apply(stored)
            return stored
        raise AssertionError("unreachable")


def read_manifest(text: bytes) -> Object:
    """The first document of a manifest, checked as far as a WorkspaceKind goes. Raises `Problem` 400, 422."""
    try:
        document = next(iter(yaml.load_all(text, Loader=_StrictLoader)), None)
    except _Repeated as error:
        raise problems.invalid([invalid("<nil>", error.key, "this key stands twice")]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise problems.bad_request(f"The body is not YAML: {error}") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise problems.bad_request("The body must be a manifest: an object with apiVersion, kind, metadata and spec.")
    metadata = document.get("metadata") if document.get("metadata") is not None else {}
    if not isinstance(metadata, dict) or not all(isinstance(document.get(key) or "", str) for key in ("apiVersion", "kind")):
        raise problems.bad_request("apiVersion and kind must be texts, metadata an object.")
    causes: list[Cause] = [required(key) for key in ("apiVersion", "kind") if not document.get(key)]
    name = metadata.get("name") or ""
    if not isinstance(name, str):
        raise problems.bad_request("metadata.name must be a text.")
    if not name:
        causes.append(required("metadata.name"))
    elif problem := dns_subdomain(name):
        causes.append(invalid("metadata.name", name, problem))
    if not causes and (document["apiVersion"], document["kind"]) != (WORKSPACE_KINDS.api_version, WORKSPACE_KINDS.kind):
        wanted = f"{WORKSPACE_KINDS.kind} of {WORKSPACE_KINDS.api_version}"
        raise problems.bad_request(f"The manifest must be a {wanted}, not a {document['kind']} of {document['apiVersion']}.")
    if causes:
        raise problems.invalid(causes)
    spec = document.get("spec")
    if spec is not None and not isinstance(spec, dict):
        raise problems.bad_request("spec must be an object.")
    return (
        {**document, "metadata": dict(metadata)}
        if spec is not None
        else {key: value for key, value in document.items() if key != "spec"} | {"metadata": dict(metadata)}
    )


class _Repeated(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class _StrictLoader(yaml.SafeLoader):
    """Refuses keys that stand twice, and keeps what looks like a date a text, as JSON would."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"a key must be a text, not {key!r}", key_node.start_mark)
            if key in seen:
                raise _Repeated(key)
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _with(kind: Object, model: models.KindUpdate) -> Object:
    spec = {**kind["spec"], "spawner": model.spawner, "podTemplate": model.pod_template}
    spec.pop("activityRules", None)
    if model.activity_rules is not UNSET and model.activity_rules:
        spec["activityRules"] = model.activity_rules
    return kind | {"spec": spec}
