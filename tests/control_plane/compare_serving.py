"""Exchanges about the server: discovery, OpenAPI, reviews, CRDs, unknown paths and methods."""

from __future__ import annotations

from typing import Any

from exchange_objects import GADGETS, definition, gadget
from exchange_recorder import APPLY, MERGE, Recorder, scenario

from jupyter_workspaces.resources import catalog

GROUP, VERSION = GADGETS.split("/")
OURS = {(found.group, found.plural) for found in catalog.ALL} | {(GROUP, "gadgets")}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def _resources(group: str) -> Any:
    """Return the kinds of a resource list that a workspace's cluster needs, by name."""

    def view(found: Any) -> Any:
        kept = {
            one["name"]: one
            for one in found["resources"]
            if (group, one["name"].split("/")[0]) in OURS
        }
        return {**found, "resources": kept}

    return view


def _group(found: Any) -> Any:
    return {key: held for key, held in found.items() if key not in ("versions", "preferredVersion")}


def _groups(found: Any) -> Any:
    names = {group for group, _ in OURS}
    return {
        **found,
        "groups": {one["name"]: _group(one) for one in found["groups"] if one["name"] in names},
    }


def _aggregated(found: Any) -> Any:
    kept = {}
    for group in found["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            for resource in version.get("resources", ()):
                if (name, resource["resource"]) in OURS and version["version"] in ("v1", "v1beta1"):
                    kept[f"{name}/{version['version']}/{resource['resource']}"] = resource
    return {"kind": found["kind"], "apiVersion": found["apiVersion"], "resources": kept}


@scenario
async def discovery(ask: Recorder) -> None:
    await ask.ask("versions", "GET", "/api", view=lambda found: found["versions"])
    await ask.ask("groups", "GET", "/apis", view=_groups)
    for group in sorted({group for group, _ in OURS if group and group not in ("kubeflow.org",)}):
        version = VERSION if group == GROUP else "v1"
        await ask.ask(
            f"resources of {group}", "GET", f"/apis/{group}/{version}", view=_resources(group)
        )
        await ask.ask(f"group {group}", "GET", f"/apis/{group}", view=_group)
    await ask.ask("core resources", "GET", "/api/v1", view=_resources(""))
    await ask.ask(
        "aggregated core", "GET", "/api", accept=f"{AGGREGATED},application/json", view=_aggregated
    )
    await ask.ask(
        "aggregated", "GET", "/apis", accept=f"{AGGREGATED},application/json", view=_aggregated
    )
    await ask.ask("trailing slash", "GET", "/api/", view=lambda found: found["versions"])
    await ask.ask(
        "version",
        "GET",
        "/version",
        view=lambda found: (
            {key: held for key, held in found.items() if key in ("major", "platform")}
            | {"keys": sorted(found)}
        ),
    )
    for path in ("/healthz", "/livez", "/readyz"):
        await ask.ask(f"health {path}", "GET", path)
    await ask.ask("root", "GET", "/", view=lambda found: sorted(found))
    await ask.ask("unknown path", "GET", "/nothing")
    await ask.ask("unknown group", "GET", "/apis/nothing.example.org")
    await ask.ask("unknown version", "GET", "/apis/apps/v9")
    await ask.ask("unknown resource", "GET", ask.core("nothings"))
    await ask.ask(
        "unknown group's resource", "GET", ask.group("nothing.example.org/v1", "nothings")
    )


@scenario
async def methods_and_paths(ask: Recorder) -> None:
    maps = ask.core("configmaps")
    await ask.ask("replace a list", "PUT", maps, {})
    await ask.ask("patch a list", "PATCH", maps, {}, media=MERGE)
    await ask.ask("create at a name", "POST", f"{maps}/one", {})
    await ask.ask("strange method", "TRACE", f"{maps}/one")
    await ask.ask("options", "OPTIONS", maps)
    await ask.ask("cluster kind in a namespace", "GET", ask.core("nodes"))
    await ask.ask(
        "create in all namespaces", "POST", "/api/v1/configmaps", {"metadata": {"name": "x"}}
    )
    await ask.ask("named in all namespaces", "GET", "/api/v1/configmaps/x")
    await ask.ask(
        "status of a review", "GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    )
    await ask.ask("post to version", "POST", "/version", {})
    await ask.ask("post to discovery", "POST", "/api/v1", {})
    await ask.ask(
        "unknown parameter",
        "GET",
        f"{maps}?strange=1&labelSelector=nobody",
        view=lambda found: found["kind"],
    )
    await ask.ask(
        "bad flag",
        "GET",
        f"{maps}?watch=perhaps&timeoutSeconds=1&labelSelector=nobody",
        view=lambda found: "",
    )
    await ask.ask("bad escape", "GET", f"{maps}/%2e%2e")
    await ask.ask("strange name", "GET", f"{maps}/Not_A_Name")


def _operation(path: str, verb: str) -> Any:
    def view(found: Any) -> Any:
        operation = found["paths"][path][verb]
        kept = {
            key: held
            for key, held in operation.items()
            if key.startswith("x-kubernetes") or key == "operationId"
        }
        shared = found["paths"][path].get("parameters", ())
        names = sorted(
            one["name"] for one in (*operation.get("parameters", ()), *shared) if "name" in one
        )
        return kept | {
            "parameters": names,
            "media": sorted(operation.get("requestBody", {}).get("content", ())),
        }

    return view


def _schema(kind: str) -> Any:
    def view(found: Any) -> Any:
        for schema in found["components"]["schemas"].values():
            marks = schema.get("x-kubernetes-group-version-kind", ())
            if any(mark["kind"] == kind for mark in marks) and "metadata" in schema.get(
                "properties", {}
            ):
                return {
                    "marks": marks if len(marks) == 1 else "several",
                    "type": schema["type"],
                    "properties": sorted(schema["properties"]),
                }
        raise KeyError(kind)

    return view


@scenario
async def openapi(ask: Recorder) -> None:
    index = await ask.ask(
        "index",
        "GET",
        "/openapi/v3",
        view=lambda found: sorted(
            set(found["paths"]) & {"api/v1", "apis/apps/v1", "version", f"apis/{GADGETS}"}
        ),
    )
    for group_version, plural, kind in (
        ("api/v1", "configmaps", "ConfigMap"),
        ("apis/apps/v1", "statefulsets", "StatefulSet"),
        (f"apis/{GADGETS}", "gadgets", "Gadget"),
    ):
        url = (
            index.at("paths", group_version, "serverRelativeURL") or f"/openapi/v3/{group_version}"
        )
        listed, one = (
            f"/{group_version}/namespaces/{{namespace}}/{plural}",
            f"/{group_version}/namespaces/{{namespace}}/{plural}/{{name}}",
        )
        await ask.ask(f"{kind} schema", "GET", url, view=_schema(kind))
        for path, verbs in (
            (listed, ("get", "post", "delete")),
            (one, ("get", "put", "patch", "delete")),
        ):
            for verb in verbs:
                await ask.ask(
                    f"{kind} {verb} {'one' if path == one else 'all'}",
                    "GET",
                    url,
                    view=_operation(path, verb),
                )
    url = index.at("paths", f"apis/{GADGETS}", "serverRelativeURL") or f"/openapi/v3/apis/{GADGETS}"

    def spec(found: Any) -> Any:
        return next(
            one
            for one in found["components"]["schemas"].values()
            if "spec" in one.get("properties", {})
        )["properties"]["spec"]

    await ask.ask("custom spec", "GET", url, view=spec)
    await ask.ask("unknown group", "GET", "/openapi/v3/apis/nothing/v1")
    await ask.ask("v2", "GET", "/openapi/v2", view=lambda found: [found["swagger"], sorted(found)])
    await ask.ask(
        "v2 gadget",
        "GET",
        "/openapi/v2",
        view=lambda found: sorted(
            found["definitions"]["org.example.compare.v1.Gadget"]["properties"]
        ),
    )
    protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    await ask.ask("v2 as protobuf", "GET", "/openapi/v2", accept=protobuf, view=lambda found: "")
    await ask.ask("v2 as a page", "GET", "/openapi/v2", accept="text/html", view=lambda found: "")


@scenario
async def access_reviews(ask: Recorder) -> None:
    reviews = "/apis/authorization.k8s.io/v1"
    mine = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    pods = {"namespace": ask.namespace, "verb": "get", "resource": "pods"}

    def decided(found: Any) -> Any:
        return {
            **found,
            "status": {key: held for key, held in found["status"].items() if key != "reason"},
        }

    await ask.ask(
        "mine",
        "POST",
        f"{reviews}/selfsubjectaccessreviews",
        mine | {"spec": {"resourceAttributes": pods}},
        view=decided,
    )
    await ask.ask(
        "mine elsewhere",
        "POST",
        f"{reviews}/selfsubjectaccessreviews",
        mine | {"spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}},
        view=decided,
    )
    await ask.ask("empty", "POST", f"{reviews}/selfsubjectaccessreviews", mine | {"spec": {}})
    both = {"resourceAttributes": pods, "nonResourceAttributes": {"path": "/x", "verb": "get"}}
    await ask.ask("both", "POST", f"{reviews}/selfsubjectaccessreviews", mine | {"spec": both})
    theirs = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    await ask.ask(
        "nobody's",
        "POST",
        f"{reviews}/subjectaccessreviews",
        theirs | {"spec": {"resourceAttributes": pods}},
    )
    await ask.ask(
        "dora's",
        "POST",
        f"{reviews}/subjectaccessreviews",
        theirs | {"spec": {"user": "dora", "resourceAttributes": pods}},
        view=decided,
    )
    roles, bindings = (
        ask.group("rbac.authorization.k8s.io/v1", "roles"),
        ask.group("rbac.authorization.k8s.io/v1", "rolebindings"),
    )
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    await ask.send("POST", roles, {"metadata": {"name": "reader"}, "rules": rules})
    reference = {"kind": "Role", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
    subjects = [{"kind": "User", "name": "dora", "apiGroup": "rbac.authorization.k8s.io"}]
    await ask.send(
        "POST",
        bindings,
        {"metadata": {"name": "readers"}, "roleRef": reference, "subjects": subjects},
    )
    await _until_allowed(ask, "dora", pods)
    for verb, resource in (("list", "pods"), ("delete", "pods"), ("get", "secrets")):
        held = {"user": "dora", "resourceAttributes": pods | {"verb": verb, "resource": resource}}
        await ask.ask(
            f"dora's {verb} {resource}",
            "POST",
            f"{reviews}/subjectaccessreviews",
            theirs | {"spec": held},
            view=decided,
        )
    dora = {"Impersonate-User": "dora"}
    await ask.ask(
        "as dora, allowed", "GET", ask.core("pods"), headers=dora, view=lambda found: found["kind"]
    )
    await ask.ask("as dora, forbidden", "GET", ask.core("secrets"), headers=dora)
    await ask.ask(
        "as dora, forbidden to create",
        "POST",
        ask.core("configmaps"),
        {"metadata": {"name": "x"}},
        headers=dora,
    )
    await ask.ask("as dora, forbidden one", "GET", ask.core("secrets", "x"), headers=dora)
    await ask.ask("as dora, everywhere", "GET", "/api/v1/pods", headers=dora)
    await ask.ask("as dora, a node", "GET", "/api/v1/nodes/x", headers=dora)
    await ask.ask(
        "as dora, a path", "GET", "/metrics", headers=dora, view=lambda found: found["reason"]
    )
    rules_review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": ask.namespace},
    }
    await ask.ask(
        "rules",
        "POST",
        f"{reviews}/selfsubjectrulesreviews",
        rules_review,
        headers=dora,
        view=lambda found: found["status"]["resourceRules"],
    )
    local = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "LocalSubjectAccessReview",
        "metadata": {"namespace": ask.namespace},
    }
    path = f"{reviews}/namespaces/{ask.namespace}/localsubjectaccessreviews"
    await ask.ask(
        "local",
        "POST",
        path,
        local | {"spec": {"user": "dora", "resourceAttributes": pods}},
        view=decided,
    )
    who = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    await ask.ask(
        "who", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", who, headers=dora
    )
    await ask.send("POST", ask.core("serviceaccounts"), {"metadata": {"name": "robot"}})
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    asked = await ask.ask(
        "token",
        "POST",
        ask.core("serviceaccounts", "robot", "token"),
        token,
        view=lambda found: [sorted(found), sorted(found["spec"]), sorted(found["status"])],
    )
    bearer = asked.at("status", "token")
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": bearer or "x"},
    }
    await ask.ask(
        "token's review",
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        review,
        view=lambda found: {
            key: held for key, held in found["status"]["user"].items() if key != "extra"
        },
    )
    await ask.ask(
        "nonsense reviewed",
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        {"spec": {"token": "x"}},
        view=lambda found: sorted(found["status"]),
    )


async def _until_allowed(ask: Recorder, user: str, attributes: Any) -> None:
    """Wait until a rule applies: a real API server gets rules by a watch.

    Does not wait on a cluster that cannot evaluate them.
    """
    path, body = (
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {"spec": {"user": user, "resourceAttributes": attributes}},
    )
    for _ in range(40):
        answer = await ask.send("POST", path, body)
        if answer.at("status", "allowed") or answer.status >= 300:
            return
        await ask.until("/readyz", lambda found: found.status == 200, "a ready server")
    return


def _broken(found: Any) -> Any:
    """Return reasons and fields of an error, without duplicates."""
    return sorted(
        {
            f"{cause['reason']} {cause['field']}"
            for cause in (found.get("details") or {}).get("causes") or ()
        }
    )


_NOT_STRUCTURAL: dict[str, Any] = {
    "a list without items": {"type": "array"},
    "a list of anything": {"type": "array", "items": {}},
    "values without a type": {"type": "object", "additionalProperties": {"minimum": 1}},
    "fields and free keys": {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "additionalProperties": {"type": "string"},
    },
    "a type in a branch": {"type": "integer", "anyOf": [{"type": "integer"}, {"minimum": 3}]},
    "several in a branch": {
        "type": "string",
        "oneOf": [{"description": "x", "default": "y", "nullable": True}],
        "not": {"title": "z"},
    },
    "a field in a branch only": {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "allOf": [{"required": ["b"], "properties": {"b": {}}}],
    },
    "int or text with a type": {"type": "string", "x-kubernetes-int-or-string": True},
    "a list by keys of texts": {
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    },
    "a list by unknown keys": {
        "type": "array",
        "items": {"type": "object"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    },
    "a list by optional keys": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "port": {"type": "object"}},
        },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name", "port", "name"],
    },
    "keys of what is no list by keys": {
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-list-map-keys": ["name"],
    },
    "an atomic text": {
        "type": "string",
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-list-type": "atomic",
    },
    "an unknown map type": {"type": "object", "x-kubernetes-map-type": "set"},
    "text that keeps everything": {"type": "string", "x-kubernetes-preserve-unknown-fields": True},
    "an embedded text": {"type": "string", "x-kubernetes-embedded-resource": True},
    "an embedded object of nothing": {"type": "object", "x-kubernetes-embedded-resource": True},
    "a name for what is elsewhere": {"$ref": "#/definitions/a"},
    "a null default": {"type": "string", "default": None},
    "a list by keys without keys": {
        "type": "array",
        "items": {"type": "object"},
        "x-kubernetes-list-type": "map",
    },
    "a set of lists": {
        "type": "array",
        "items": {"type": "array", "items": {"type": "string"}},
        "x-kubernetes-list-type": "set",
    },
    "an unknown list type": {
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-list-type": "bag",
    },
    "a default of another type": {"type": "integer", "default": "x"},
    "unique items": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    "no more fields": {"type": "object", "additionalProperties": False},
    "a bad pattern": {"type": "string", "pattern": "("},
}


@scenario
async def definitions(ask: Recorder) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    things = definition("things", "Thing", "things.example.org")
    await ask.ask(
        "created",
        "POST",
        path,
        things,
        view=lambda found: {"spec": sorted(found["spec"]), "names": found["spec"]["names"]},
    )

    def established(answer: Any) -> bool:
        conditions = answer.at("status", "conditions") or ()
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    name = "things.things.example.org"
    told = await ask.until(f"{path}/{name}", established, "an established definition")
    ask.note(
        "conditions",
        sorted(
            [one["type"], one["status"], one["reason"]] for one in told.at("status", "conditions")
        ),
    )
    ask.note(
        "status", {key: held for key, held in told.at("status").items() if key != "conditions"}
    )
    listed = ask.group("things.example.org/v1", "things")
    await ask.until(listed, lambda answer: answer.status == 200, "its list")
    await ask.ask("again", "POST", path, things)
    await ask.ask(
        "other name", "POST", path, {**things, "metadata": {"name": "others.example.org"}}
    )
    without = definition("nothings", "Nothing", "things.example.org")
    del without["spec"]["versions"][0]["schema"]
    await ask.ask("no schema", "POST", path, without)
    wrong = definition("wrongs", "Wrong", "things.example.org")
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][
        "size"
    ] = {"minimum": 1}
    await ask.ask("not structural", "POST", path, wrong)
    for title, schema in _NOT_STRUCTURAL.items():
        wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
            "properties"
        ]["size"] = schema
        await ask.ask(f"not structural: {title}", "POST", f"{path}?dryRun=All", wrong, view=_broken)
    scope = definition("scopes", "Scope", "things.example.org")
    scope["spec"]["scope"] = "Strange"
    await ask.ask("bad scope", "POST", path, scope)
    await ask.ask(
        "scope changed", "PATCH", f"{path}/{name}", {"spec": {"scope": "Cluster"}}, media=MERGE
    )
    thing = gadget("one") | {"apiVersion": "things.example.org/v1", "kind": "Thing"}
    await ask.ask("its object", "POST", listed, thing)
    await ask.ask(
        "applied",
        "PATCH",
        f"{path}/{name}?fieldManager=a&force=true",
        things,
        media=APPLY,
        view=lambda found: found["metadata"]["name"],
    )
    await ask.ask(
        "deleted",
        "DELETE",
        f"{path}/{name}",
        view=lambda found: [found["kind"], found["metadata"].get("finalizers")],
    )
    await ask.until(f"{path}/{name}", lambda answer: answer.status == 404, "its end")
    await ask.until(listed, lambda answer: answer.status == 404, "the end of its list")
    await ask.ask("list of the deleted", "GET", listed)
