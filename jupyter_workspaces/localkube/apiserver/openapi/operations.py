"""Operations of a kind in OpenAPI: paths, parameters, bodies, responses.

Source: OpenAPI 3.0, Paths Object; names of operations as Kubernetes has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects.rows import Row
from jupyter_workspaces.localkube.apiserver.objects.schemas import REFERENCE

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
STATUS, DELETE_OPTIONS, PATCH = f"{META}.Status", f"{META}.DeleteOptions", f"{META}.Patch"

_TYPES = {
    **dict.fromkeys(
        (
            "allowWatchBookmarks",
            "force",
            "follow",
            "previous",
            "timestamps",
            "sendInitialEvents",
            "watch",
        ),
        "boolean",
    ),
    **dict.fromkeys(("stdin", "stdout", "stderr", "tty", "orphanDependents"), "boolean"),
    **dict.fromkeys(
        (
            "limit",
            "timeoutSeconds",
            "gracePeriodSeconds",
            "limitBytes",
            "sinceSeconds",
            "tailLines",
            "ports",
        ),
        "integer",
    ),
}
_SELECT = (
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
)
_LIST = ("allowWatchBookmarks", *_SELECT, "timeoutSeconds", "watch")
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_LOG = (
    "container",
    "follow",
    "limitBytes",
    "previous",
    "sinceSeconds",
    "stream",
    "tailLines",
    "timestamps",
)
_STREAMS = ("command", "container", "stderr", "stdin", "stdout", "tty")
_CONNECT = {"attach": _STREAMS[1:], "exec": _STREAMS, "portforward": ("ports",)}
_BODIES = {
    "binding": "io.k8s.api.core.v1.Binding",
    "eviction": "io.k8s.api.policy.v1.Eviction",
    "token": "io.k8s.api.authentication.v1.TokenRequest",
    "scale": "io.k8s.api.autoscaling.v1.Scale",
}
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
)
_STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class KindOperations:
    """Operations of a kind.

    Attributes:
        row: the kind.
        kind: name of its schema.
        list_kind: name of the schema of its list; None if it cannot be listed.
    """

    row: Row
    kind: str
    list_kind: str | None

    def paths(self) -> Iterator[tuple[str, Object]]:
        """Yield each path with its Path Item."""
        resource, verbs = self.row.resource, self.row.verbs
        start = (
            f"/apis/{resource.group}/{resource.version}"
            if resource.group
            else f"/api/{resource.version}"
        )
        scoped = (
            f"{start}/namespaces/{{namespace}}/{resource.plural}"
            if resource.namespaced
            else f"{start}/{resource.plural}"
        )
        place = ("namespace",) if resource.namespaced else ()
        if resource.namespaced and "list" in verbs:
            yield (
                f"{start}/{resource.plural}",
                {"get": self._list(everywhere=True), "parameters": _parameters(_LIST)},
            )
        yield scoped, {**self._collection_operations(), "parameters": _path_parameters(place)}
        if one := self._object_operations():
            yield f"{scoped}/{{name}}", {**one, "parameters": _path_parameters((*place, "name"))}
        for name in self.row.subresources:
            yield (
                f"{scoped}/{{name}}/{name}",
                {**self._subresource(name), "parameters": _path_parameters((*place, "name"))},
            )

    def _collection_operations(self) -> Object:
        verbs, found = self.row.verbs, {}
        if "list" in verbs:
            found["get"] = self._list()
        if "create" in verbs:
            found["post"] = self._operation(
                "create", "post", _WRITE, self.kind, self.kind, (200, 201, 202)
            )
        if "deletecollection" in verbs:
            found["delete"] = self._operation(
                "delete",
                "deletecollection",
                (*_DELETE, *_SELECT),
                DELETE_OPTIONS,
                STATUS,
                middle="Collection",
            )
        return found

    def _object_operations(self) -> Object:
        verbs, found = self.row.verbs, {}
        if "get" in verbs:
            found["get"] = self._operation("read", "get", (), None, self.kind)
        found |= self._update_operations(self.kind)
        if "delete" in verbs:
            found["delete"] = self._operation(
                "delete", "delete", _DELETE, DELETE_OPTIONS, STATUS, (200, 202)
            )
        return found

    def _update_operations(self, kind: str, end: str = "") -> Object:
        verbs, found = self.row.verbs, {}
        if "update" in verbs:
            found["put"] = self._operation(
                "replace", "put", _WRITE, kind, kind, (200, 201), end=end
            )
        if "patch" in verbs:
            media = _PATCHES if self.row.custom else (*_PATCHES, _STRATEGIC)
            found["patch"] = self._operation(
                "patch", "patch", (*_WRITE, "force"), PATCH, kind, (200, 201), end=end, media=media
            )
        return found

    def _subresource(self, name: str) -> Object:
        end = name.capitalize()
        if name in _CONNECT:
            return {
                method: self._operation(
                    f"connect{method.capitalize()}", "connect", _CONNECT[name], None, None, end=end
                )
                for method in ("get", "post")
            }
        if name == "log":
            return {"get": self._operation("read", "get", _LOG, None, None, end=end)}
        kind = _BODIES.get(name, self.kind)
        if name in ("binding", "eviction", "token"):
            return {
                "post": self._operation(
                    "create", "post", _WRITE, kind, kind, (200, 201, 202), end=end
                )
            }
        return {
            "get": self._operation("read", "get", (), None, kind, end=end),
            **self._update_operations(kind, end),
        }

    def _list(self, everywhere: bool = False) -> Object:
        end = "ForAllNamespaces" if everywhere else ""
        return self._operation(
            "list",
            "list",
            () if everywhere else _LIST,
            None,
            self.list_kind,
            end=end,
            everywhere=everywhere,
        )

    def _operation(
        self,
        verb: str,
        action: str,
        parameters: tuple[str, ...],
        body: str | None,
        answer: str | None,
        codes: tuple[int, ...] = (200,),
        *,
        middle: str = "",
        end: str = "",
        everywhere: bool = False,
        media: tuple[str, ...] = (),
    ) -> Object:
        resource = self.row.resource
        scope = "Namespaced" if resource.namespaced and not everywhere else ""
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        if (subject := _BODIES.get(end.lower())) is not None:
            package, _, name = subject.rpartition(".")
            group = package.removeprefix("io.k8s.api.").rpartition(".")[0]
            kind = {
                "group": "" if group == "core" else _FULL_GROUPS.get(group, group),
                "version": "v1",
                "kind": name,
            }
        group_version = f"{_camel(resource.group)}{resource.version.capitalize()}"
        described: Object = {
            "tags": [f"{_camel(resource.group, lower=True)}_{resource.version}"],
            "operationId": f"{verb}{group_version}{middle}{scope}{resource.kind}{end}",
            "responses": {
                **{str(code): _response(answer) for code in codes},
                "401": {"description": "Unauthorized"},
            },
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        }
        if parameters:
            described["parameters"] = _parameters(parameters)
        if body is not None:
            accepted = media or (
                ("application/json", "application/yaml") if self.row.custom else ("*/*",)
            )
            schema = {"$ref": REFERENCE + body}
            described["requestBody"] = {
                "content": {kind: {"schema": schema} for kind in accepted},
                "required": action in ("post", "put", "patch"),
            }
        return described


_FULL_GROUPS = {"authentication": "authentication.k8s.io"}


def _camel(group: str, lower: bool = False) -> str:
    """Return a group as in operation ids: `Core` for the core group, without `.k8s.io`."""
    parts = (group.removesuffix(".k8s.io") or "core").replace("-", ".").split(".")
    camel = "".join(part.capitalize() for part in parts)
    return camel[0].lower() + camel[1:] if lower else camel


def _response(answer: str | None) -> Object:
    schema: Object = {"type": "string"} if answer is None else {"$ref": REFERENCE + answer}
    media = "*/*" if answer is None else "application/json"
    return {"description": "OK", "content": {media: {"schema": schema}}}


def _parameters(names: tuple[str, ...]) -> list[Object]:
    return [
        {
            "name": name,
            "in": "query",
            "schema": {"type": _TYPES.get(name, "string"), "uniqueItems": True},
        }
        for name in names
    ]


def _path_parameters(names: tuple[str, ...]) -> list[Object]:
    found: list[Object] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "uniqueItems": True},
        }
        for name in names
    ]
    return [*found, *_parameters(("pretty",))]
