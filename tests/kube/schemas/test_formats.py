from __future__ import annotations

import pytest

from jupyter_workspaces.kube.schemas import formats, structural


@pytest.mark.parametrize(
    ("name", "fitting", "other"),
    [
        ("byte", "Yg==", "no base64!"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("date", "2026-02-28", "2026-02-30"),
        ("date-time", "2026-02-28T12:00:00.5Z", "yesterday"),
        ("date-time", "2026-02-28T12:00:00+01:00", "2026-02-28T25:00:00Z"),
        ("duration", "1h30m", "soon"),
        ("email", "dora@example.org", "dora"),
        ("hexcolor", "#fff", "white"),
        ("hostname", "a.example.org", "a_b"),
        ("ipv4", "10.9.8.7", "::1"),
        ("ipv6", "::1", "10.9.8.7"),
        ("mac", "00:00:5e:00:53:01", "00:00"),
        ("uri", "https://example.org/a", "example"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("uuid4", "9f0d4f9e-4a2b-4c1a-9d39-1f6e5d6f7a10", "123e4567-e89b-12d3-a456-426614174000"),
    ],
)
def test_texts_are_of_a_format_or_not(name: str, fitting: str, other: str) -> None:
    assert formats.fits(name, fitting)
    assert not formats.fits(name, other)


def test_a_format_that_is_not_known_asks_nothing() -> None:
    assert formats.fits("of-tomorrow", "anything")


def test_a_text_of_another_format_is_of_the_wrong_type() -> None:
    wanted = {"type": "object", "properties": {"when": {"type": "string", "format": "date-time"}}}

    (cause,) = structural.validate(wanted, {"when": "yesterday"})

    assert (cause.reason, cause.field) == ("FieldValueTypeInvalid", "when")


def test_nulls_that_are_not_allowed_are_as_if_they_were_not_there() -> None:
    text = {"type": "string"}
    properties = {
        "a": text,
        "b": text | {"nullable": True},
        "c": text | {"default": "x"},
        "free": {"type": "object"},
    }
    wanted = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": properties, "required": ["a"]}},
    }
    said = {"spec": {"a": None, "b": None, "c": None, "unknown": None}}

    kept = structural.without_nulls(wanted, said)

    assert kept == {"spec": {"b": None, "unknown": None}}
    assert structural.default(wanted, kept)["spec"]["c"] == "x"
    assert said["spec"]["a"] is None, "the value itself is not changed"
