"""Exchanges about reading: lists, selectors, pages, watches, 410, tables, other forms."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from exchange_objects import GADGETS, config_map, gadget, pod, service
from exchange_recorder import MERGE, TABLE, Recorder, scenario

PARTIAL = "application/json;as={};v=v1;g=meta.k8s.io"


def _names(found: Any) -> Any:
    return found if "items" not in found else [item["metadata"]["name"] for item in found["items"]]


async def _labelled(ask: Recorder) -> str:
    maps = ask.core("configmaps")
    await ask.until(
        f"{maps}/kube-root-ca.crt", lambda answer: answer.status in (200, 404), "an answer"
    )
    for name, labels in (
        ("a", {"team": "x", "size": "1"}),
        ("b", {"team": "y"}),
        ("c", {"size": "2"}),
        ("d", {}),
    ):
        await ask.send("POST", maps, config_map(name, labels={**labels, "ours": "yes"}))
    return maps


@scenario
async def selectors(ask: Recorder) -> None:
    maps = await _labelled(ask)
    labels = {
        "equal": "team=x",
        "double equal": "team==x",
        "unequal": "team!=x,ours",
        "in": "team in (x,y)",
        "not in": "team notin (x),ours=yes",
        "exists": "team,ours",
        "does not exist": "!team,ours",
        "greater": "size>1",
        "both": "team=x,size=1",
        "empty value": "team=,ours",
        "spaces": " team = x ",
        "malformed": "team in x",
        "bad key": "a/b/c=d",
        "bad value": "team=not ok",
        "bad number": "size>x",
    }
    for name, text in labels.items():
        await ask.ask(f"label {name}", "GET", f"{maps}?labelSelector={quote(text)}", view=_names)
    fields = {
        "name": "metadata.name=a",
        "not the name": "metadata.name!=a,metadata.name!=kube-root-ca.crt",
        "namespace": "metadata.namespace=elsewhere",
        "unknown": "data.color=red",
        "malformed": "metadata.name",
    }
    for name, text in fields.items():
        await ask.ask(f"field {name}", "GET", f"{maps}?fieldSelector={quote(text)}", view=_names)
    await ask.send("POST", ask.core("pods"), pod("one"))
    for name, text in {
        "phase": "status.phase=Pending",
        "node": "spec.nodeName=x",
        "unknown": "spec.hostname=x",
    }.items():
        await ask.ask(
            f"pod field {name}",
            "GET",
            f"{ask.core('pods')}?fieldSelector={quote(text)}",
            view=_names,
        )
    await ask.send("POST", ask.group(GADGETS, "gadgets"), gadget("one"))
    for name, text in {"name": "metadata.name=one", "unknown": "spec.size=3"}.items():
        await ask.ask(
            f"custom field {name}",
            "GET",
            f"{ask.group(GADGETS, 'gadgets')}?fieldSelector={quote(text)}",
            view=_names,
        )


@scenario
async def lists_and_pages(ask: Recorder) -> None:
    maps = await _labelled(ask)
    ours = f"{maps}?labelSelector=ours"
    await ask.ask("all", "GET", ours)
    await ask.ask("none", "GET", f"{maps}?labelSelector=nobody")
    await ask.ask("custom none", "GET", ask.group(GADGETS, "gadgets"))
    gadgets = ask.group(GADGETS, "gadgets")
    for number in range(5):
        await ask.send("POST", gadgets, gadget(f"g{number}"))
    first = await ask.ask("first page", "GET", f"{gadgets}?limit=2")
    token = quote(first.at("metadata", "continue"))
    await ask.send("DELETE", f"{gadgets}/g2")
    await ask.send("POST", gadgets, gadget("g9"))
    second = await ask.ask("second page", "GET", f"{gadgets}?limit=2&continue={token}")
    await ask.ask(
        "last page", "GET", f"{gadgets}?limit=2&continue={quote(second.at('metadata', 'continue'))}"
    )
    await ask.ask(
        "page of a selection",
        "GET",
        f"{gadgets}?limit=1&labelSelector=!nobody",
        view=lambda found: sorted(found["metadata"]),
    )
    await ask.ask(
        "exact page", "GET", f"{gadgets}?limit=5", view=lambda found: sorted(found["metadata"])
    )
    await ask.ask("bad token", "GET", f"{gadgets}?limit=2&continue=nonsense")
    await ask.ask(
        "token and revision", "GET", f"{gadgets}?limit=2&continue={token}&resourceVersion=1"
    )
    await ask.ask("bad limit", "GET", f"{gadgets}?limit=x")
    await ask.ask("negative limit", "GET", f"{gadgets}?limit=-1", view=_names)
    await ask.ask("any revision", "GET", f"{gadgets}?resourceVersion=0", view=_names)
    await ask.ask(
        "future revision", "GET", f"{gadgets}?resourceVersion=999999999", view=lambda found: found
    )
    await ask.ask("bad revision", "GET", f"{gadgets}?resourceVersion=x")
    await ask.ask("bad match", "GET", f"{gadgets}?resourceVersionMatch=Exact")
    await ask.ask(
        "strange match", "GET", f"{gadgets}?resourceVersion=1&resourceVersionMatch=Strange"
    )
    revision = first.at("metadata", "resourceVersion")
    await ask.ask(
        "exact revision",
        "GET",
        f"{gadgets}?resourceVersion={revision}&resourceVersionMatch=Exact",
        view=_names,
    )
    await ask.ask("in no namespace", "GET", "/api/v1/namespaces/nowhere/configmaps")


@scenario
async def watch(ask: Recorder) -> None:
    gadgets = ask.group(GADGETS, "gadgets")
    await ask.send("POST", gadgets, gadget("old"))
    start = (await ask.send("GET", gadgets)).at("metadata", "resourceVersion")
    async with ask.watching("changes", f"{gadgets}?watch=true&resourceVersion={start}", events=4):
        await ask.send("POST", gadgets, gadget("new"))
        await ask.send("PATCH", f"{gadgets}/new", {"spec": {"size": 9}}, media=MERGE)
        await ask.send("PATCH", f"{gadgets}/new/status", {"status": {"state": "x"}}, media=MERGE)
        await ask.send("DELETE", f"{gadgets}/new")
    async with ask.watching("from no revision", f"{gadgets}?watch=true", events=1):
        pass
    async with ask.watching(
        "from any revision", f"{gadgets}?watch=true&resourceVersion=0", events=1
    ):
        pass
    streamed = (
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        "&allowWatchBookmarks=true"
    )
    async with ask.watching("initial events", f"{gadgets}?{streamed}", events=2):
        pass
    async with ask.watching(
        "initial events without match", f"{gadgets}?watch=true&sendInitialEvents=true", events=1
    ):
        pass
    start = (await ask.send("GET", gadgets)).at("metadata", "resourceVersion")
    selected = f"{gadgets}?watch=true&resourceVersion={start}&labelSelector=chosen%3Dyes"
    async with ask.watching("into and out of a selection", selected, events=3):
        await ask.send(
            "PATCH", f"{gadgets}/old", {"metadata": {"labels": {"chosen": "yes"}}}, media=MERGE
        )
        await ask.send("PATCH", f"{gadgets}/old", {"spec": {"size": 5}}, media=MERGE)
        await ask.send(
            "PATCH", f"{gadgets}/old", {"metadata": {"labels": {"chosen": "no"}}}, media=MERGE
        )
    start = (await ask.send("GET", gadgets)).at("metadata", "resourceVersion")
    one = f"{gadgets}?watch=true&resourceVersion={start}&fieldSelector=metadata.name%3Dtwo"
    async with ask.watching("one by name", one, events=1):
        await ask.send("POST", gadgets, gadget("three"))
        await ask.send("POST", gadgets, gadget("two"))
    async with ask.watching(
        "by the old path", f"/apis/{GADGETS}/watch/namespaces/{ask.namespace}/gadgets/old", events=1
    ):
        pass
    async with ask.watching(
        "as tables", f"{gadgets}?watch=true&resourceVersion={start}", events=2, accept=TABLE
    ):
        pass
    async with ask.watching(
        "as metadata",
        f"{gadgets}?watch=true&resourceVersion={start}",
        events=1,
        accept=PARTIAL.format("PartialObjectMetadata"),
    ):
        pass
    async with ask.watching(
        "ended by time",
        f"{gadgets}?watch=true&resourceVersion={start}&timeoutSeconds=1"
        "&fieldSelector=metadata.name%3Dx",
        events=1,
    ):
        pass
    start = (await ask.send("GET", gadgets)).at("metadata", "resourceVersion")
    async with ask.watching(
        "last finalizer", f"{gadgets}?watch=true&resourceVersion={start}", events=3
    ):
        await ask.send(
            "POST",
            gadgets,
            gadget("held") | {"metadata": {"name": "held", "finalizers": ["example.org/hold"]}},
        )
        await ask.send("DELETE", f"{gadgets}/held")
        await ask.send("PATCH", f"{gadgets}/held", {"metadata": {"finalizers": None}}, media=MERGE)


@scenario
async def watch_refused(ask: Recorder) -> None:
    gadgets = ask.group(GADGETS, "gadgets")
    for name, query in {
        "too old": "resourceVersion=1",
        "bad revision": "resourceVersion=x",
        "in the future": "resourceVersion=999999999&timeoutSeconds=1",
        "bad timeout": "timeoutSeconds=x",
        "bad selector": "labelSelector=a%20in",
        "with pages": "limit=1&continue=abc",
    }.items():
        async with ask.watching(name, f"{gadgets}?watch=true&{query}", events=1):
            pass


@scenario
async def tables(ask: Recorder) -> None:
    gadgets = ask.group(GADGETS, "gadgets")
    await ask.send("POST", gadgets, gadget("one", note="hello"))
    await ask.send("POST", ask.core("configmaps"), config_map("one", labels={"ours": "yes"}))
    await ask.send("POST", ask.core("pods"), pod("one"))
    await ask.send("POST", ask.core("services"), service("one"))
    maps = f"{ask.core('configmaps')}?labelSelector=ours"

    def columns(found: Any) -> Any:
        keys = ("name", "type", "format", "priority")
        names = [{key: column.get(key) for key in keys} for column in found["columnDefinitions"]]
        return {
            "columns": names,
            "keys": sorted(found),
            "cells": [row["cells"][:-1] for row in found["rows"] or ()],
        }

    await ask.ask("list", "GET", maps, accept=TABLE, view=columns)
    await ask.ask(
        "rows",
        "GET",
        maps,
        accept=TABLE,
        view=lambda found: [sorted(row["object"]) for row in found["rows"]],
    )
    await ask.ask("one", "GET", f"{ask.core('configmaps')}/one", accept=TABLE, view=columns)
    await ask.ask(
        "whole objects",
        "GET",
        f"{maps}&includeObject=Object",
        accept=TABLE,
        view=lambda found: found["rows"][0]["object"],
    )
    await ask.ask(
        "no objects",
        "GET",
        f"{maps}&includeObject=None",
        accept=TABLE,
        view=lambda found: found["rows"][0].get("object"),
    )
    await ask.ask("bad include", "GET", f"{maps}&includeObject=Some", accept=TABLE)
    await ask.ask("custom", "GET", gadgets, accept=TABLE, view=columns)
    await ask.ask(
        "custom descriptions",
        "GET",
        gadgets,
        accept=TABLE,
        view=lambda found: found["columnDefinitions"],
    )
    for plural in ("pods", "services", "secrets", "persistentvolumeclaims", "events"):
        await ask.ask(plural, "GET", ask.core(plural), accept=TABLE, view=columns)
    await ask.ask(
        "stateful sets", "GET", ask.group("apps/v1", "statefulsets"), accept=TABLE, view=columns
    )
    await ask.ask("nodes", "GET", "/api/v1/nodes", accept=TABLE, view=columns)
    await ask.ask(
        "persistent volumes", "GET", "/api/v1/persistentvolumes", accept=TABLE, view=columns
    )
    classes = "/apis/storage.k8s.io/v1/storageclasses?labelSelector=nobody"
    await ask.ask("storage classes", "GET", classes, accept=TABLE, view=columns)
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?labelSelector=nobody"
    await ask.ask("definitions", "GET", definitions, accept=TABLE, view=columns)
    await ask.ask("deleted", "DELETE", f"{gadgets}/one", accept=TABLE)
    await ask.ask("missing", "GET", f"{gadgets}/nobody", accept=TABLE)


@scenario
async def other_forms(ask: Recorder) -> None:
    await ask.send("POST", ask.core("configmaps"), config_map("one", labels={"ours": "yes"}))
    one = ask.core("configmaps", "one")
    await ask.ask("metadata", "GET", one, accept=PARTIAL.format("PartialObjectMetadata"))
    ours = f"{ask.core('configmaps')}?labelSelector=ours"
    await ask.ask(
        "list of metadata", "GET", ours, accept=PARTIAL.format("PartialObjectMetadataList")
    )
    await ask.ask("any", "GET", one, accept="*/*")
    await ask.ask(
        "protobuf or JSON",
        "GET",
        one,
        accept="application/vnd.kubernetes.protobuf,application/json",
        view=lambda found: "",
    )
    await ask.ask("not offered", "GET", one, accept="text/html")
    await ask.ask(
        "table of another version",
        "GET",
        one,
        accept="application/json;as=Table;v=v9;g=meta.k8s.io",
    )
    await ask.ask("pretty", "GET", f"{one}?pretty=true")
    await ask.ask("head", "HEAD", one)
    await ask.ask("head of nobody", "HEAD", ask.core("configmaps", "nobody"))
    await ask.ask("trailing slash", "GET", f"{one}/")
