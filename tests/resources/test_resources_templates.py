"""Templates in values of a kind: `{{ httpPathPrefix "PORT_ID" }}`."""

from __future__ import annotations

import time

import pytest

from jupyter_workspaces.resources.templates import TemplateError, connect_path, render


def prefix(port_id: str) -> str:
    return connect_path("ns", "dora", port_id) if port_id == "lab" else ""


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ('{{ httpPathPrefix "lab" }}', "/workspace/connect/ns/dora/lab/"),
        ("{{httpPathPrefix `lab`}}x", "/workspace/connect/ns/dora/lab/x"),
        (
            'a{{ httpPathPrefix "other" }}b{{ httpPathPrefix "lab" }}',
            "ab/workspace/connect/ns/dora/lab/",
        ),
        ('a  {{- httpPathPrefix "lab" -}}  b', "a/workspace/connect/ns/dora/lab/b"),
        ('{"a":{"b":{}}}', '{"a":{"b":{}}}'),
        ("}} alone is text", "}} alone is text"),
    ],
)
def test_a_template_is_rendered(text: str, rendered: str) -> None:
    assert render(text, prefix) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "{{ .Name }}",
        '{{ httpPathPrefix "lab"',
        "{{ httpPathPrefix }}",
        '{{ printf "x" }}',
        '{{-httpPathPrefix "lab"}}',
        "{{",
    ],
)
def test_other_template_actions_are_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, prefix)


def test_a_long_text_takes_linear_time() -> None:
    start = time.perf_counter()
    with pytest.raises(TemplateError):
        render(" " * 500_000 + "{{-" + " " * 500_000, prefix)
    render('{{ httpPathPrefix "lab" }}' * 20_000, prefix)
    assert time.perf_counter() - start < 1
