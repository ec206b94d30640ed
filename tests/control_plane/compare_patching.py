"""Exchanges about patches: merge, JSON, strategic merge, server-side apply with conflicts."""

from __future__ import annotations

from typing import Any

from exchange_objects import GADGETS, config_map, gadget, pod, stateful_set
from exchange_recorder import APPLY, JSON_PATCH, MERGE, STRATEGIC, Recorder, scenario, settled


@scenario
async def merge_patch(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")
    made = await ask.send("POST", maps, config_map("one", {"a": "1", "b": "2"}))
    await ask.send("POST", gadgets, gadget("one", parts=[{"name": "a"}, {"name": "b"}]))
    await ask.ask("changed", "PATCH", f"{maps}/one", {"data": {"a": None, "c": "3"}}, media=MERGE)
    old = {
        "metadata": {"resourceVersion": made.at("metadata", "resourceVersion")},
        "data": {"a": "4"},
    }
    await ask.ask("by an old version", "PATCH", f"{maps}/one", old, media=MERGE)
    await ask.ask("by another uid", "PATCH", f"{maps}/one", {"metadata": {"uid": "1"}}, media=MERGE)
    await ask.ask(
        "by another name", "PATCH", f"{maps}/one", {"metadata": {"name": "two"}}, media=MERGE
    )
    await ask.ask("other kind", "PATCH", f"{maps}/one", {"kind": "Secret"}, media=MERGE)
    await ask.ask(
        "list replaced",
        "PATCH",
        f"{gadgets}/one",
        {"spec": {"parts": [{"name": "c"}]}},
        media=MERGE,
    )
    await ask.ask(
        "default comes back", "PATCH", f"{gadgets}/one", {"spec": {"color": None}}, media=MERGE
    )
    await ask.ask("required goes", "PATCH", f"{gadgets}/one", {"spec": {"size": None}}, media=MERGE)
    await ask.ask("all goes", "PATCH", f"{gadgets}/one", {"spec": None}, media=MERGE)
    await ask.ask("missing", "PATCH", f"{maps}/nobody", {"data": {}}, media=MERGE)
    await ask.ask("not JSON", "PATCH", f"{maps}/one", "{", media=MERGE)
    await ask.ask("a list", "PATCH", f"{maps}/one", "[]", media=MERGE)
    await ask.ask("nothing", "PATCH", f"{maps}/one", {}, media=MERGE)
    await ask.ask("strange media type", "PATCH", f"{maps}/one", {}, media="application/json")
    await ask.ask("wrong type", "PATCH", f"{maps}/one", {"data": "x"}, media=MERGE)


@scenario
async def json_patch(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")
    await ask.send("POST", maps, config_map("one", {"a": "1"}))
    await ask.send("POST", gadgets, gadget("one", parts=[{"name": "a"}]))

    async def change(name: str, path: str, *operations: Any) -> None:
        await ask.ask(name, "PATCH", path, list(operations), media=JSON_PATCH)

    one = f"{maps}/one"
    await change("add", one, {"op": "add", "path": "/data/b", "value": "2"})
    await change("replace", one, {"op": "replace", "path": "/data/b", "value": "3"})
    await change("move", one, {"op": "move", "from": "/data/b", "path": "/data/c"})
    await change("copy", one, {"op": "copy", "from": "/data/c", "path": "/data/d"})
    await change(
        "test holds",
        one,
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "remove", "path": "/data/d"},
    )
    await change("test fails", one, {"op": "test", "path": "/data/a", "value": "9"})
    await change("remove what is not there", one, {"op": "remove", "path": "/data/x"})
    await change(
        "replace what is not there", one, {"op": "replace", "path": "/data/x", "value": "1"}
    )
    await change("into what is not there", one, {"op": "add", "path": "/x/y/z", "value": "1"})
    await change(
        "appended", f"{gadgets}/one", {"op": "add", "path": "/spec/parts/-", "value": {"name": "b"}}
    )
    await change("unknown operation", one, {"op": "strange", "path": "/data"})
    await change("no path", one, {"op": "add", "value": 1})
    await change("nothing", one)
    await ask.ask("an object", "PATCH", one, {"op": "add"}, media=JSON_PATCH)
    await ask.ask("not JSON", "PATCH", one, "[", media=JSON_PATCH)
    await change(
        "invalid after", f"{gadgets}/one", {"op": "replace", "path": "/spec/size", "value": 1000}
    )
    await change(
        "test a revision", one, {"op": "test", "path": "/metadata/resourceVersion", "value": "1"}
    )
    await change(
        "escaped", one, {"op": "add", "path": "/metadata/annotations", "value": {"a.b/c~d": "x"}}
    )
    await change(
        "escaped again",
        one,
        {"op": "replace", "path": "/metadata/annotations/a.b~1c~0d", "value": "y"},
    )


@scenario
async def strategic_merge_patch(ask: Recorder) -> None:
    pods, maps = ask.core("pods"), ask.core("configmaps")
    containers = [
        {
            "name": "main",
            "image": "one",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        },
        {"name": "side", "image": "one"},
    ]
    await ask.send("POST", maps, config_map("one", {"a": "1", "b": "2"}))
    await ask.send("POST", pods, pod("one", containers=containers))
    sets = ask.group("apps/v1", "statefulsets")
    body = stateful_set("one")
    body["spec"]["template"]["spec"]["containers"] = containers
    body["spec"]["template"]["spec"]["volumes"] = [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "emptyDir": {}},
    ]
    await ask.send("POST", sets, body)

    async def change(name: str, path: str, patch: Any) -> None:
        await ask.ask(name, "PATCH", path, patch, media=STRATEGIC, view=settled)

    def template(spec: Any) -> Any:
        return {"spec": {"template": {"spec": spec}}}

    await change("map", f"{maps}/one", {"data": {"a": None, "c": "3"}})
    await change(
        "container by name",
        f"{pods}/one",
        {"spec": {"containers": [{"name": "side", "image": "two"}]}},
    )
    await change("label", f"{pods}/one", {"metadata": {"labels": {"more": "x"}}})
    await change(
        "variable added",
        f"{sets}/one",
        template({"containers": [{"name": "main", "env": [{"name": "C", "value": "3"}]}]}),
    )
    gone = {"containers": [{"name": "main", "env": [{"name": "A", "$patch": "delete"}]}]}
    await change("variable deleted", f"{sets}/one", template(gone))
    await change(
        "container deleted",
        f"{sets}/one",
        template({"containers": [{"name": "side", "$patch": "delete"}]}),
    )
    await change(
        "volume turned",
        f"{sets}/one",
        template({"volumes": [{"name": "a", "secret": {"secretName": "s"}, "emptyDir": None}]}),
    )
    await change(
        "list replaced",
        f"{sets}/one",
        template({"volumes": [{"$patch": "replace"}, {"name": "z", "emptyDir": {}}]}),
    )
    order = {
        "$setElementOrder/containers": [{"name": "new"}, {"name": "main"}],
        "containers": [{"name": "new", "image": "n"}],
    }
    await change("ordered", f"{sets}/one", template(order))
    await change("map replaced", f"{maps}/one", {"data": {"$patch": "replace", "only": "1"}})
    finalizers = {"metadata": {"finalizers": ["example.org/a"]}}
    await change("finalizer", f"{maps}/one", finalizers)
    more = {
        "metadata": {
            "finalizers": ["example.org/b"],
            "$deleteFromPrimitiveList/finalizers": ["example.org/a"],
        }
    }
    await change("finalizer exchanged", f"{maps}/one", more)
    await change("without the key", f"{sets}/one", template({"containers": [{"image": "x"}]}))
    await change("unknown directive", f"{maps}/one", {"data": {"$patch": "strange"}})
    await change("not JSON", f"{maps}/one", "{")
    await change("wrong type", f"{maps}/one", {"data": []})
    await ask.send("POST", ask.group(GADGETS, "gadgets"), gadget("one"))
    await change("custom", ask.group(GADGETS, "gadgets", "one"), {"spec": {"size": 4}})
    await ask.ask(
        "yaml",
        "PATCH",
        f"{maps}/one",
        "data: {y: '1'}",
        media="application/strategic-merge-patch+yaml",
    )


@scenario
async def apply(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")

    async def send(name: str, path: str, body: Any, manager: str = "a", more: str = "") -> None:
        query = f"?fieldManager={manager}{more}" if manager else more
        view = settled if "/statefulsets/" in path else None
        await ask.ask(name, "PATCH", path + query, body, media=APPLY, managed=True, view=view)

    await send("created", f"{maps}/one", config_map("one", {"a": "1", "b": "2"}))
    await send("again", f"{maps}/one", config_map("one", {"a": "1", "b": "2"}))
    await send("left out", f"{maps}/one", config_map("one", {"a": "1"}))
    await send("other manager shares", f"{maps}/one", config_map("one", {"a": "1", "c": "3"}), "b")
    await send("conflict", f"{maps}/one", config_map("one", {"a": "2"}), "c")
    await send("forced", f"{maps}/one", config_map("one", {"a": "2"}), "c", "&force=true")
    await send("conflict with two", f"{maps}/one", config_map("one", {"a": "3", "c": "4"}), "d")
    await ask.ask(
        "updated by another",
        "PATCH",
        f"{maps}/one?fieldManager=e",
        {"data": {"a": "5"}},
        media=MERGE,
        managed=True,
    )
    await send("conflict with an update", f"{maps}/one", config_map("one", {"a": "6"}), "c")
    await send("without a manager", f"{maps}/one", config_map("one"), "")
    await send("without a name", f"{maps}/one", {"apiVersion": "v1", "kind": "ConfigMap"})
    await send("without a kind", f"{maps}/one", {"metadata": {"name": "one"}})
    await send("other name", f"{maps}/one", config_map("two"))
    await send("with managed fields", f"{maps}/one", config_map("one", managedFields=[]))
    held = [
        {
            "manager": "x",
            "operation": "Apply",
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {},
        }
    ]
    await send(
        "with somebody's managed fields", f"{maps}/one", config_map("one", managedFields=held)
    )
    await send("not YAML", f"{maps}/one", "{")
    await send("by an old version", f"{maps}/one", config_map("one", resourceVersion="1"), "f")
    await send("with a uid", f"{maps}/new", config_map("new", uid="1"))
    await send("dry", f"{maps}/dry", config_map("dry"), "a", "&dryRun=All")
    await send(
        "custom created",
        f"{gadgets}/one",
        gadget("one", parts=[{"name": "a", "count": 2}], tags=["x"]),
    )
    await send(
        "custom by another",
        f"{gadgets}/one",
        {**gadget("one"), "spec": {"parts": [{"name": "b"}], "tags": ["y"]}},
        "b",
    )
    await send(
        "custom conflict in a list",
        f"{gadgets}/one",
        {**gadget("one"), "spec": {"parts": [{"name": "a", "count": 3}]}},
        "b",
    )
    await send("custom element left out", f"{gadgets}/one", gadget("one", parts=[], tags=["x"]))
    await send(
        "custom status", f"{gadgets}/one/status", {**gadget("one"), "status": {"state": "x"}}, "s"
    )
    await send(
        "custom spec by status",
        f"{gadgets}/one/status",
        gadget("one", 50) | {"status": {"state": "y"}},
        "s",
    )
    await send("custom invalid", f"{gadgets}/one", gadget("one", 1000))
    await send("custom wrong type", f"{gadgets}/one", gadget("one", "x"))
    await send(
        "custom element twice",
        f"{gadgets}/two",
        gadget("two", parts=[{"name": "a"}, {"name": "a"}]),
    )
    await send("set", ask.group("apps/v1", "statefulsets", "one"), stateful_set("one"))
    body = stateful_set("one")
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    await send("set by another", ask.group("apps/v1", "statefulsets", "one"), body, "b")
    await send("set forced", ask.group("apps/v1", "statefulsets", "one"), body, "b", "&force=true")


@scenario
async def managed_fields(ask: Recorder) -> None:
    maps, gadgets = ask.core("configmaps"), ask.group(GADGETS, "gadgets")
    await ask.ask(
        "created",
        "POST",
        f"{maps}?fieldManager=me",
        config_map("one", labels={"a": "b"}),
        managed=True,
    )
    await ask.ask(
        "merged",
        "PATCH",
        f"{maps}/one?fieldManager=you",
        {"data": {"b": "2"}},
        media=MERGE,
        managed=True,
    )
    await ask.ask(
        "same again",
        "PATCH",
        f"{maps}/one?fieldManager=third",
        {"data": {"b": "2"}},
        media=MERGE,
        managed=True,
    )
    await ask.ask(
        "replaced",
        "PUT",
        f"{maps}/one?fieldManager=me",
        config_map("one", {"z": "1"}),
        managed=True,
    )
    await ask.ask(
        "custom",
        "POST",
        f"{gadgets}?fieldManager=me",
        gadget("one", parts=[{"name": "a"}], tags=["t"]),
        managed=True,
    )
    status = {"status": {"state": "x", "conditions": [{"type": "Ready", "status": "True"}]}}
    await ask.ask(
        "custom status",
        "PATCH",
        f"{gadgets}/one/status?fieldManager=me",
        status,
        media=MERGE,
        managed=True,
    )
    await ask.ask("pod", "POST", f"{ask.core('pods')}?fieldManager=me", pod("one"), managed=True)
    agent = {"User-Agent": "robot/1.0 (linux)"}
    await ask.ask(
        "by the user agent", "POST", maps, config_map("agent"), headers=agent, managed=True
    )
    await ask.ask(
        "long manager", "POST", f"{maps}?fieldManager={'m' * 200}", config_map("long"), managed=True
    )
    await ask.ask(
        "cleared",
        "PATCH",
        f"{maps}/one",
        {"metadata": {"managedFields": [{}]}},
        media=MERGE,
        managed=True,
    )
