"""Exchanges about writes: errors, validation, defaults, dry run, names, generation, status."""

from __future__ import annotations

import itertools
import json

from exchange_objects import GADGETS, claim, config_map, gadget, pod, service, stateful_set
from exchange_recorder import APPLY, MERGE, Recorder, scenario


@scenario
async def create(ask: Recorder) -> None:
    maps = ask.core("configmaps")
    await ask.ask("created", "POST", maps, config_map("one", labels={"team": "a"}))
    await ask.ask("again", "POST", maps, config_map("one"))
    await ask.ask("read", "GET", f"{maps}/one")
    await ask.ask("missing", "GET", f"{maps}/nobody")
    await ask.ask("missing custom", "GET", ask.group(GADGETS, "gadgets", "nobody"))
    await ask.ask(
        "into a missing namespace",
        "POST",
        "/api/v1/namespaces/nowhere/configmaps",
        config_map("one"),
    )
    await ask.ask(
        "custom into a missing namespace",
        "POST",
        f"/apis/{GADGETS}/namespaces/nowhere/gadgets",
        gadget("one"),
    )
    await ask.ask("custom", "POST", ask.group(GADGETS, "gadgets"), gadget("one"))
    await ask.ask(
        "as YAML",
        "POST",
        maps,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: yaml}}",
        media="application/yaml",
    )
    await ask.ask("without a media type", "POST", maps, json.dumps(config_map("plain")), media="")
    await ask.ask(
        "without apiVersion and kind", "POST", maps, {"metadata": {"name": "untyped"}, "data": {}}
    )
    await ask.ask(
        "custom without apiVersion and kind",
        "POST",
        ask.group(GADGETS, "gadgets"),
        {"metadata": {"name": "u"}, "spec": {"size": 1}},
    )
    await ask.ask(
        "with a resourceVersion", "POST", maps, config_map("versioned", resourceVersion="1")
    )
    await ask.ask(
        "with server fields",
        "POST",
        maps,
        config_map("own", uid="1", creationTimestamp="2001-01-01T00:00:00Z", generation=7),
    )


@scenario
async def null_metadata(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")
    await ask.ask("label", "POST", maps, config_map("label", labels={"a": None, "b": "c"}))
    await ask.ask("annotation", "POST", maps, config_map("annotation", annotations={"a": None}))
    await ask.ask("replaced", "PUT", f"{maps}/label", config_map("label", labels={"b": None}))
    await ask.ask(
        "merged",
        "PATCH",
        f"{maps}/label",
        {"metadata": {"labels": {"b": None, "c": "d"}}},
        media=MERGE,
    )
    await ask.ask(
        "applied",
        "PATCH",
        f"{maps}/label?fieldManager=m",
        config_map("label", labels={"z": None}),
        media=APPLY,
    )
    await ask.ask(
        "custom label",
        "POST",
        gadgets,
        gadget("label") | {"metadata": {"name": "label", "labels": {"a": None}}},
    )
    await ask.ask(
        "custom annotation",
        "POST",
        gadgets,
        gadget("ann") | {"metadata": {"name": "ann", "annotations": {"a": None}}},
    )
    await ask.ask("number", "POST", maps, config_map("number", labels={"a": 1}))


@scenario
async def create_invalid(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")
    await ask.ask("no name", "POST", maps, {"apiVersion": "v1", "kind": "ConfigMap"})
    await ask.ask("bad name", "POST", maps, config_map("Not_A_Name"))
    await ask.ask(
        "bad label", "POST", maps, config_map("label", labels={"a/b/c": "d", "ok": "not ok"})
    )
    await ask.ask("bad annotation", "POST", maps, config_map("annotation", annotations={"-": "x"}))
    await ask.ask("bad key", "POST", maps, config_map("key", {"not a key": "x"}))
    await ask.ask("number as text", "POST", maps, config_map("number", {"color": 1}))
    await ask.ask(
        "other kind",
        "POST",
        maps,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kind"}},
    )
    await ask.ask("other version", "POST", maps, config_map("version") | {"apiVersion": "v2"})
    await ask.ask("other namespace", "POST", maps, config_map("place", namespace="elsewhere"))
    await ask.ask("not JSON", "POST", maps, "{")
    await ask.ask("a list", "POST", maps, "[]")
    await ask.ask("nothing", "POST", maps, "")
    await ask.ask("strange media type", "POST", maps, "x", media="text/plain")
    await ask.ask("custom too large", "POST", gadgets, gadget("large", 101))
    await ask.ask("custom wrong type", "POST", gadgets, gadget("type", "three"))
    await ask.ask(
        "custom missing",
        "POST",
        gadgets,
        {"apiVersion": GADGETS, "kind": "Gadget", "metadata": {"name": "m"}, "spec": {}},
    )
    await ask.ask(
        "custom without spec",
        "POST",
        gadgets,
        {"apiVersion": GADGETS, "kind": "Gadget", "metadata": {"name": "m"}},
    )
    parts = [{"name": "a"}, {"name": "a"}]
    await ask.ask(
        "custom several",
        "POST",
        gadgets,
        gadget("several", 0, color="blue", note="NOTE", tags=["a", "a"], parts=parts),
    )
    await ask.ask("custom other kind", "POST", gadgets, gadget("kind") | {"kind": "Other"})
    await ask.ask("custom bad name", "POST", gadgets, gadget("Not_A_Name"))
    await ask.ask("custom bad time", "POST", gadgets, gadget("time", when="yesterday"))
    await ask.ask("pod without containers", "POST", ask.core("pods"), pod("empty", containers=[]))
    await ask.ask(
        "pod with two of a name",
        "POST",
        ask.core("pods"),
        pod("two", containers=[{"name": "a", "image": "i"}] * 2),
    )
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "x"}}]
    mounts = [{"name": "a", "image": "i", "volumeMounts": [{"name": "other", "mountPath": "/x"}]}]
    await ask.ask(
        "pod with an unknown mount",
        "POST",
        ask.core("pods"),
        pod("mount", containers=mounts, volumes=volumes),
    )
    await ask.ask(
        "claim without a size",
        "POST",
        ask.core("persistentvolumeclaims"),
        claim("none", resources={}),
    )
    await ask.ask(
        "claim with a bad size",
        "POST",
        ask.core("persistentvolumeclaims"),
        claim("b", resources={"requests": {"storage": "x"}}),
    )
    await ask.ask("service without ports", "POST", ask.core("services"), service("none", ports=[]))
    await ask.ask(
        "service with a bad port",
        "POST",
        ask.core("services"),
        service("port", ports=[{"port": 70000}]),
    )
    other = stateful_set("other", selector={"matchLabels": {"app": "somebody-else"}})
    await ask.ask("set with another selector", "POST", ask.group("apps/v1", "statefulsets"), other)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"a": "not base64!"},
    }
    await ask.ask("secret that is no base64", "POST", ask.core("secrets"), secret)


@scenario
async def field_validation(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")
    twice = (
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"a":"1","a":"2"}}'
    )
    gadget_twice = twice.replace('"v1"', f'"{GADGETS}"').replace("ConfigMap", "Gadget")
    gadget_twice = gadget_twice.replace('"data":{"a":"1","a":"2"}', '"spec":{"size":1,"size":2}')
    for level in ("Strict", "Warn", "Ignore"):
        query, low = f"?fieldValidation={level}", level.lower()
        await ask.ask(
            f"{level} unknown",
            "POST",
            maps + query,
            config_map(f"unknown-{low}") | {"datum": {}, "mor": 1},
        )
        await ask.ask(f"{level} repeated", "POST", maps + query, twice % f"repeated-{low}")
        await ask.ask(
            f"{level} custom unknown",
            "POST",
            gadgets + query,
            gadget(
                f"unknown-{low}", sise=1, anything={"free": 1}, parts=[{"name": "a", "kount": 2}]
            ),
        )
        await ask.ask(
            f"{level} custom repeated", "POST", gadgets + query, gadget_twice % f"repeated-{low}"
        )
        await ask.ask(
            f"{level} custom metadata",
            "POST",
            gadgets + query,
            {**gadget("x"), "metadata": {"name": f"meta-{low}", "lables": {}}},
        )
        body = pod(f"deep-{low}")
        body["spec"]["containers"][0]["imagePullPolice"] = "Always"
        await ask.ask(f"{level} deep", "POST", ask.core("pods") + query, body)
        await ask.ask(
            f"{level} merge patch",
            "PATCH",
            f"{maps}/repeated-ignore{query}",
            {"datum": {"a": "b"}},
            media=MERGE,
        )
        await ask.ask(
            f"{level} custom merge patch",
            "PATCH",
            f"{gadgets}/repeated-ignore{query}",
            {"spec": {"sise": 1}},
            media=MERGE,
        )
    await ask.ask(
        "replace strict",
        "PUT",
        f"{maps}/repeated-ignore?fieldValidation=Strict",
        config_map("repeated-ignore") | {"datum": {}},
    )
    await ask.ask(
        "replace by default",
        "PUT",
        f"{maps}/repeated-ignore",
        config_map("repeated-ignore") | {"datum": {}},
    )
    await ask.ask("custom by default", "POST", gadgets, gadget("default", sise=1))
    await ask.ask("unknown level", "POST", maps + "?fieldValidation=Perhaps", config_map("perhaps"))
    applied = f"{gadgets}/applied?fieldManager=a&force=true&fieldValidation=Strict"
    await ask.ask("apply strict", "PATCH", applied, gadget("applied", sise=1), media=APPLY)


@scenario
async def defaults_and_pruning(ask: Recorder) -> None:
    gadgets = ask.group(GADGETS, "gadgets")
    full = {
        "anything": {"free": {"deep": [1]}},
        "parts": [{"name": "a", "unknown": 1}],
        "labels": {"a": "b"},
        "share": "10%",
    }
    await ask.ask("custom defaulted", "POST", gadgets, gadget("defaults", **full))
    await ask.ask(
        "custom null", "POST", gadgets, gadget("null", color=None, note=None, labels=None)
    )
    await ask.ask("custom unknown at the top", "POST", gadgets, gadget("top") | {"other": {"a": 1}})
    await ask.ask("pod", "POST", ask.core("pods"), pod("defaults"))
    probe = {"httpGet": {"path": "/", "port": 8888}}
    container = {
        "name": "main",
        "image": "lab",
        "readinessProbe": probe,
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
    }
    volumes = [
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "c", "configMap": {"name": "c"}},
        {"name": "e", "emptyDir": {}},
    ]
    await ask.ask(
        "pod with more",
        "POST",
        ask.core("pods"),
        pod("more", containers=[container], volumes=volumes),
    )
    await ask.ask("service", "POST", ask.core("services"), service("defaults"))
    await ask.ask(
        "headless service", "POST", ask.core("services"), service("headless", clusterIP="None")
    )
    await ask.ask("claim", "POST", ask.core("persistentvolumeclaims"), claim("defaults"))
    await ask.ask(
        "stateful set", "POST", ask.group("apps/v1", "statefulsets"), stateful_set("defaults")
    )
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "text"},
        "stringData": {"a": "b"},
    }
    await ask.ask("secret from text", "POST", ask.core("secrets"), secret)
    await ask.ask(
        "service account",
        "POST",
        ask.core("serviceaccounts"),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}},
    )
    await ask.ask(
        "namespace",
        "POST",
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "compare-made"}},
    )
    name = "compare-made-class"
    held = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "example.org/none",
    }
    await ask.ask("storage class", "POST", "/apis/storage.k8s.io/v1/storageclasses", held)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "happened"},
        "involvedObject": {"kind": "ConfigMap", "name": "one", "namespace": ask.namespace},
        "reason": "Happened",
        "message": "so it was",
        "type": "Normal",
    }
    await ask.ask("event", "POST", ask.core("events"), event)
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l"},
        "spec": {"holderIdentity": "me"},
    }
    await ask.ask("lease", "POST", ask.group("coordination.k8s.io/v1", "leases"), lease)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r"},
        "rules": rules,
    }
    await ask.ask("role", "POST", ask.group("rbac.authorization.k8s.io/v1", "roles"), role)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "dora"}],
    }
    await ask.ask(
        "role binding", "POST", ask.group("rbac.authorization.k8s.io/v1", "rolebindings"), binding
    )


@scenario
async def dry_run(ask: Recorder) -> None:
    maps = ask.core("configmaps")
    await ask.ask("create", "POST", maps + "?dryRun=All", config_map("ghost"))
    await ask.ask("is not there", "GET", f"{maps}/ghost")
    await ask.send("POST", maps, config_map("kept"))
    await ask.ask(
        "replace", "PUT", f"{maps}/kept?dryRun=All", config_map("kept", {"color": "blue"})
    )
    await ask.ask(
        "patch", "PATCH", f"{maps}/kept?dryRun=All", {"data": {"color": "green"}}, media=MERGE
    )
    await ask.ask("delete", "DELETE", f"{maps}/kept?dryRun=All")
    await ask.ask(
        "delete by body",
        "DELETE",
        f"{maps}/kept",
        {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]},
    )
    await ask.ask("is as it was", "GET", f"{maps}/kept")
    await ask.ask("unknown", "POST", maps + "?dryRun=Some", config_map("some"))
    await ask.ask("invalid", "POST", maps + "?dryRun=All", config_map("Not_A_Name"))
    await ask.ask(
        "generated",
        "POST",
        maps + "?dryRun=All",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g-"}},
    )


@scenario
async def generate_name(ask: Recorder) -> None:
    maps = ask.core("configmaps")
    await ask.ask(
        "made",
        "POST",
        maps,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"}},
    )
    await ask.ask(
        "beside a name",
        "POST",
        maps,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"generateName": "made-", "name": "own"},
        },
    )
    long = await ask.send(
        "POST",
        maps,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a" * 300 + "-"}},
    )
    ask.note("long", [long.status, len(long.at("metadata", "name"))])
    await ask.ask(
        "bad",
        "POST",
        maps,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "Not_"}},
        view=lambda found: found["reason"],
    )


@scenario
async def replace(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")
    made = await ask.send("POST", maps, config_map("one"))
    await ask.ask("without a version", "PUT", f"{maps}/one", config_map("one", {"color": "blue"}))
    await ask.ask(
        "by an old version",
        "PUT",
        f"{maps}/one",
        config_map("one", resourceVersion=made.at("metadata", "resourceVersion")),
    )
    await ask.ask(
        "by another uid",
        "PUT",
        f"{maps}/one",
        config_map("one", uid="00000000-0000-0000-0000-000000000000"),
    )
    await ask.ask("by another name", "PUT", f"{maps}/one", config_map("two"))
    await ask.ask(
        "without a name",
        "PUT",
        f"{maps}/one",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}},
    )
    await ask.ask("what is not there", "PUT", f"{maps}/new", config_map("new"))
    await ask.ask("custom that is not there", "PUT", f"{gadgets}/new", gadget("new"))
    await ask.send("POST", gadgets, gadget("one"))
    await ask.ask("custom without a version", "PUT", f"{gadgets}/one", gadget("one", 4))
    await ask.ask("immutable map", "POST", maps, config_map("fixed") | {"immutable": True})
    await ask.ask(
        "immutable changed",
        "PUT",
        f"{maps}/fixed",
        config_map("fixed", {"color": "blue"}) | {"immutable": True},
    )
    await ask.send("POST", ask.core("pods"), pod("one"))
    image = [{"name": "main", "image": "other"}]
    await ask.ask(
        "pod's command",
        "PATCH",
        ask.core("pods", "one"),
        {"spec": {"nodeName": "x", "restartPolicy": "Never"}},
        media=MERGE,
    )
    await ask.ask(
        "pod's containers",
        "PATCH",
        ask.core("pods", "one"),
        {"spec": {"containers": image}},
        media=MERGE,
    )
    await ask.send("POST", ask.group("apps/v1", "statefulsets"), stateful_set("one"))
    await ask.ask(
        "set's service",
        "PATCH",
        ask.group("apps/v1", "statefulsets", "one"),
        {"spec": {"serviceName": "x"}},
        media=MERGE,
    )
    await ask.send("POST", ask.core("persistentvolumeclaims"), claim("one"))
    await ask.ask(
        "claim's class",
        "PATCH",
        ask.core("persistentvolumeclaims", "one"),
        {"spec": {"storageClassName": "x"}},
        media=MERGE,
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}, "data": {}}
    await ask.send("POST", ask.core("secrets"), secret)
    await ask.ask("secret's type", "PUT", ask.core("secrets", "one"), secret | {"type": "other"})


@scenario
async def generation_and_no_op(ask: Recorder) -> None:
    gadgets = ask.group(GADGETS, "gadgets")
    versions: list[str] = []

    async def step(
        name: str, body: object, path: str = f"{gadgets}/one", media: str = MERGE
    ) -> None:
        answer = await ask.ask(
            name,
            "PATCH",
            path,
            body,
            media=media,
            view=lambda found: found["metadata"].get("generation"),
        )
        versions.append(answer.at("metadata", "resourceVersion"))

    made = await ask.ask(
        "created",
        "POST",
        gadgets,
        gadget("one"),
        view=lambda found: found["metadata"].get("generation"),
    )
    versions.append(made.at("metadata", "resourceVersion"))
    await step("same spec", {"spec": {"size": 3}})
    await step("other spec", {"spec": {"size": 4}})
    await step("label", {"metadata": {"labels": {"a": "b"}}})
    await step("same label", {"metadata": {"labels": {"a": "b"}}})
    await step("status", {"status": {"state": "x"}}, f"{gadgets}/one/status")
    await step("same status", {"status": {"state": "x"}}, f"{gadgets}/one/status")
    await step("finalizer", {"metadata": {"finalizers": ["example.org/hold"]}})
    await step("owner", {"metadata": {"ownerReferences": []}})
    held = await ask.send("GET", f"{gadgets}/one")
    replaced = await ask.ask(
        "same replaced",
        "PUT",
        f"{gadgets}/one",
        held.body,
        view=lambda found: found["metadata"].get("generation"),
    )
    versions.append(replaced.at("metadata", "resourceVersion"))
    ask.note("new versions", [later != earlier for earlier, later in itertools.pairwise(versions)])
    maps = ask.core("configmaps")
    first = await ask.send("POST", maps, config_map("one"))
    same = await ask.send("PUT", f"{maps}/one", config_map("one"))
    other = await ask.send("PUT", f"{maps}/one", config_map("one", {"color": "blue"}))
    revisions = [answer.at("metadata", "resourceVersion") for answer in (first, same, other)]
    ask.note("map's new versions", [revisions[0] != revisions[1], revisions[1] != revisions[2]])
    ask.note("map's generation", other.at("metadata", "generation"))
    await ask.ask(
        "set",
        "POST",
        ask.group("apps/v1", "statefulsets"),
        stateful_set("one"),
        view=lambda found: found["metadata"]["generation"],
    )


@scenario
async def status_and_spec(ask: Recorder) -> None:
    gadgets = ask.group(GADGETS, "gadgets")
    await ask.ask("status at creation", "POST", gadgets, gadget("one") | {"status": {"state": "x"}})
    await ask.ask(
        "spec by status",
        "PATCH",
        f"{gadgets}/one/status",
        {"spec": {"size": 9}, "status": {"state": "y"}},
        media=MERGE,
    )
    await ask.ask(
        "status by spec",
        "PATCH",
        f"{gadgets}/one",
        {"spec": {"size": 8}, "status": {"state": "z"}},
        media=MERGE,
    )
    await ask.ask(
        "label by status",
        "PATCH",
        f"{gadgets}/one/status",
        {"metadata": {"labels": {"a": "b"}}},
        media=MERGE,
    )
    await ask.ask(
        "replaced status",
        "PUT",
        f"{gadgets}/one/status",
        gadget("one", 50) | {"status": {"state": "w"}},
    )
    held = (await ask.send("GET", f"{gadgets}/one")).body
    await ask.ask(
        "replaced status by version",
        "PUT",
        f"{gadgets}/one/status",
        held | {"status": {"state": "v"}},
    )
    await ask.ask(
        "replaced spec", "PUT", f"{gadgets}/one", held | {"status": {}, "spec": {"size": 7}}
    )
    await ask.ask(
        "invalid status", "PATCH", f"{gadgets}/one/status", {"status": {"state": 1}}, media=MERGE
    )
    await ask.ask("read status", "GET", f"{gadgets}/one/status")
    await ask.ask("delete status", "DELETE", f"{gadgets}/one/status")
    await ask.ask("create status", "POST", f"{gadgets}/one/status", gadget("one"))
    await ask.ask("unknown subresource", "GET", f"{gadgets}/one/nothing")
    await ask.ask("scale of what has none", "GET", f"{gadgets}/one/scale")
    await ask.ask("set's scale", "GET", ask.group("apps/v1", "statefulsets", "nobody", "scale"))
    await ask.ask(
        "pod with a status",
        "POST",
        ask.core("pods"),
        pod("one") | {"status": {"phase": "Running", "podIP": "1.2.3.4"}},
    )
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    await ask.ask("pod's status", "PATCH", ask.core("pods", "one", "status"), status, media=MERGE)
    await ask.ask(
        "pod's status by spec",
        "PATCH",
        ask.core("pods", "one"),
        {"status": {"phase": "Failed"}},
        media=MERGE,
    )
    await ask.ask("map has none", "GET", ask.core("configmaps", "kube-root-ca.crt", "status"))
