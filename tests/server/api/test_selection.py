"""What of a list is wanted: filters, order, fields, pages."""

from __future__ import annotations

import time
from typing import Any

import pytest
from requests_and_objects import Ask, workspace

from jupyter_workspaces.server.api.workspaces.workspaces.service import Workspaces
from jupyter_workspaces.server.http.lists import Selection, selection
from jupyter_workspaces.server.http.problems import InvalidObject, Problem

ITEMS = [
    {
        "namespace": "a",
        "name": "one",
        "state": "Running",
        "paused": False,
        "activity": {"last": 3},
        "services": [{"id": "x"}],
    },
    {
        "namespace": "a",
        "name": "two",
        "state": "Paused",
        "paused": True,
        "activity": {"last": 1},
        "services": [],
    },
    {
        "namespace": "b",
        "name": "three",
        "state": "Running",
        "paused": False,
        "activity": {"last": 2},
        "services": [{"id": "y"}],
    },
]


def chosen(**parameters: str | list[str]) -> Selection:
    asked = {
        name.removesuffix("_"): [value] if isinstance(value, str) else value
        for name, value in parameters.items()
    }
    found = selection(lambda name: asked.get(name, []))
    assert found is not None
    return found


def names(**parameters: str | list[str]) -> list[Any]:
    return [item.get("name") for item in chosen(**parameters).apply(ITEMS)[0]]


def test_a_name_is_known_only_where_it_is_the_only_one() -> None:
    assert chosen(filter="name=one").name == "one"
    for other in (
        "name!=one",
        "name=o*",
        "name=o?e",
        "name=[o]ne",
        "state=one",
        "workspaceKind.name=one",
    ):
        assert chosen(filter=other).name is None


async def test_one_workspace_of_many_is_listed_without_looking_at_the_others(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        await ask("POST", "workspaces/default", workspace(name))
    await ask("GET", "workspaces")
    listed = []
    whole, item = Workspaces.list, Workspaces.encoded

    def counted(
        self: Workspaces, namespace: str | None = None, name: str | None = None
    ) -> list[bytes]:
        # only within the listing, which is one step: the event stream encodes changes at any time
        with monkeypatch.context() as within:
            within.setattr(
                Workspaces,
                "encoded",
                lambda self, one: listed.append(one["metadata"]["name"]) or item(self, one),
            )
            return whole(self, namespace, name)

    monkeypatch.setattr(Workspaces, "list", counted)

    code, body = await ask("GET", "workspaces/default", params={"filter": "name=two"})
    assert (code, [item["name"] for item in body["data"]], listed) == (200, ["two"], ["two"])
    assert (await ask("GET", "workspaces/default", params={"filter": "name=four"}))[1]["data"] == []


def test_without_parameters_nothing_is_chosen() -> None:
    assert selection(lambda name: [""]) is None


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ("state=Running", ["one", "three"]),
        ("state!=Running", ["two"]),
        ("name=t*", ["two", "three"]),
        ("name=t?o", ["two"]),
        ("name=[t]*", []),
        ("paused=true", ["two"]),
        ("services.id=y", ["three"]),
        ("services.id!=y", ["one", "two"]),
        ("absent=x", []),
        (["state=Running", "namespace=b"], ["three"]),
    ],
)
def test_filters(filters: str | list[str], wanted: list[str]) -> None:
    assert names(filter=filters) == wanted


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("activity.last", ["two", "three", "one"]),
        ("-activity.last", ["one", "three", "two"]),
        ("state,-name", ["two", "three", "one"]),
    ],
)
def test_order(sort: str, wanted: list[str]) -> None:
    assert names(sort=sort) == wanted


def test_fields_keep_their_place() -> None:
    page, _ = chosen(fields="name,activity.last,absent.more").apply(ITEMS)

    assert page[0] == {"name": "one", "activity": {"last": 3}}


def test_pages_have_everything_once_also_when_the_last_of_a_page_goes() -> None:
    page, token = chosen(limit="2").apply(ITEMS)
    rest, end = chosen(limit="2", continue_=str(token)).apply([ITEMS[0], ITEMS[2]])

    assert ([item["name"] for item in page], [item["name"] for item in rest], end) == (
        ["one", "two"],
        [],
        None,
    )
    assert [item["name"] for item in chosen(limit="2", continue_=str(token)).apply(ITEMS)[0]] == [
        "three"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "0"},
        {"limit": "many"},
        {"limit": "99999"},
        {"continue_": "?"},
        {"continue_": "e30"},
        {"filter": "state"},
        {"filter": "=x"},
    ],
)
def test_what_cannot_be_read_is_named(wrong: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        chosen(**wrong)

    assert isinstance(refused.value, InvalidObject)
    assert [cause.field for cause in refused.value.causes] == [next(iter(wrong)).removesuffix("_")]


async def test_a_list_of_workspaces_is_paged_by_its_links(ask: Ask, raw: Any) -> None:
    for name in ("a", "b", "c"):
        assert (await ask("POST", "workspaces/default", workspace(name)))[0] == 201

    first = await raw("GET", "workspaces/default", params={"limit": "2", "fields": "name"})
    assert first.body == b'{"data":[{"name":"a"},{"name":"b"}]}'
    token = first.headers["Link"].partition("continue=")[2].partition(">")[0]
    second = await raw(
        "GET", "workspaces/default", params={"limit": "2", "fields": "name", "continue": token}
    )
    assert (second.body, "Link" in second.headers) == (b'{"data":[{"name":"c"}]}', False)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"filter": "name=" + "a" * 257}, id="a long text"),
        pytest.param({"filter": "name=" + "?" * 9}, id="many single letters"),
        pytest.param({"filter": "n" * 257 + "=a"}, id="a long path"),
        pytest.param({"filter": ["name!=x"] * 17}, id="many filters"),
        pytest.param({"sort": ",".join(["name"] * 9)}, id="many orders"),
        pytest.param({"fields": ",".join(["name"] * 65)}, id="many fields"),
    ],
)
def test_what_is_chosen_is_bounded(parameters: dict[str, Any]) -> None:
    with pytest.raises(Problem) as refused:
        chosen(**parameters)
    assert refused.value.status == 422


def test_filters_take_linear_time() -> None:
    items = [{"name": "a" * 100_000}] * 20
    start = time.perf_counter()
    assert chosen(filter="name=" + "*a" * 60 + "?b").apply(items)[0] == []
    assert time.perf_counter() - start < 3
