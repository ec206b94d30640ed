"""Bodies are read as Go's encoding/json reads them."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from jupyter_workspaces.server.api.workspaces import bodies
from jupyter_workspaces.server.http.problems import Problem


class Inner(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    mount_path: str = ""
    count: int = 0


class Outer(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    display_name: str | msgspec.UnsetType = msgspec.UNSET
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    inner: Inner = msgspec.field(default_factory=Inner)
    many: list[Inner] = msgspec.field(default_factory=list)


def read(text: str) -> Outer:
    return bodies.enveloped(text.encode(), Outer)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"DATA":{"DISPLAYNAME":"a"}}', Outer(display_name="a")),
        ('{"data":{"displayName":null,"labels":null,"inner":null,"many":null}}', Outer()),
        ('{"data":{"many":[null,{"mountPath":"/x"}]}}', Outer(many=[Inner(), Inner("/x")])),
        ('{"data":{"labels":{"A":null,"a":"1"}}}', Outer(labels={"A": "", "a": "1"})),
        ('{"data":{"displayName":"a"}} and more', Outer(display_name="a")),
        (
            '{"data":{"displayName":"a"},"data":{"inner":{"count":1}}}',
            Outer("a", inner=Inner(count=1)),
        ),
        ('{"data":{"displayName":"a","displayName":"b"}}', Outer("b")),
        ('{"data":{"inner":{"count":1},"Inner":{"mountPath":"/x"}}}', Outer(inner=Inner("/x", 1))),
        ('{"data":{"displayName":"\\ud800"}}', Outer("\ufffd")),
    ],
)
def test_what_go_takes_is_taken(text: str, wanted: Outer) -> None:
    assert read(text) == wanted


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("  ", 400),
        ("{", 400),
        ("[]", 400),
        ("5", 400),
        ("\ufeff{}", 400),
        ('{"data":{"count":NaN}}', 400),
        ('{"data":{"unknown":null}}', 400),
        ('{"data":{"inner":{"count":1.0}}}', 400),
        ('{"data":{"inner":{"count":"1"}}}', 400),
        ('{"other":{}}', 400),
        ("{}", 422),
        ("null", 422),
        ('{"data":null}', 422),
        ("[" * 100_000, 400),
    ],
)
def test_what_go_refuses_is_refused(text: str, status: int) -> None:
    with pytest.raises(Problem) as refused:
        read(text)

    assert refused.value.status == status


def test_only_what_is_read_counts_for_the_limit() -> None:
    assert read('{"data":{}}' + " " * bodies.BODY_LIMIT) == Outer()
    for text in (
        " " * bodies.BODY_LIMIT + '{"data":{}}',
        '{"data":{"displayName":"' + "a" * bodies.BODY_LIMIT + '"}}',
    ):
        with pytest.raises(Problem) as refused:
            read(text)
        assert refused.value.status == 413


@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/json;", "application/json"),
        ("application/yaml", 415),
        ("", 415),
        (";", 400),
        ("application/json, text/plain", 400),
        ("application/json; charset", 400),
    ],
)
def test_media_types(header: str, outcome: Any) -> None:
    if isinstance(outcome, str):
        assert bodies.media_type(header, "application/json") == outcome
        return
    with pytest.raises(Problem) as refused:
        bodies.media_type(header, "application/json")
    assert refused.value.status == outcome


@pytest.mark.parametrize(
    "text",
    [
        "[" + "1," * 100_000 + "1]",
        '{"data":{"labels":{' + ",".join(f'"k{number}":"v"' for number in range(60_000)) + "}}}",
    ],
)
def test_bodies_of_too_many_values_are_refused(text: str) -> None:
    with pytest.raises(Problem) as refused:
        read(text)
    assert refused.value.status == 413


def test_names_that_stand_often_are_merged_in_linear_time() -> None:
    names = ",".join(f'"k{number}":"v"' for number in range(11_000))
    began = time.monotonic()

    found = read(
        '{"data":{"labels":{' + names + "}}" + ',"data":{"labels":{"a":"b"}}' * 3_500 + "}"
    )

    assert len(found.labels) == 11_001
    assert time.monotonic() - began < 10  # a copy of the labels for each of them takes a minute
