"""Options of a workspace, and their redirects."""

from __future__ import annotations

import pytest
from sample_objects import workspace

from jupyter_workspaces.controller.workspaces.options import OptionError, resolve
from jupyter_workspaces.kube.types import Object


def redirecting(redirects: dict[str, str]) -> Object:
    values = [
        {"id": name, "spec": {}}
        | ({"redirect": {"to": redirects[name]}} if name in redirects else {})
        for name in "abc"
    ]
    options = {
        "imageConfig": {"values": values},
        "podConfig": {"values": [{"id": "s", "spec": {}}]},
    }
    return {"metadata": {"name": "k"}, "spec": {"podTemplate": {"options": options}}}


def test_a_redirect_is_followed_to_its_end_and_the_current_option_stays() -> None:
    found = resolve(redirecting({"a": "b", "b": "c"}), workspace("a", "s"))["imageConfig"]
    assert found.current["id"] == "a"
    assert found.status() == {
        "desired": "c",
        "redirectChain": [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}],
    }
    assert resolve(redirecting({"a": "b"}), workspace("c", "s"))["imageConfig"].status() == {}


@pytest.mark.parametrize(
    ("redirects", "start", "words"),
    [
        ({}, "lost", "no longer offers the image “lost”. Choose another: a, b, c"),
        ({"a": "lost"}, "a", "leads to “lost”"),
        ({"a": "b", "b": "a"}, "a", "forms a cycle"),
        ({"a": "a"}, "a", "forms a cycle"),
    ],
)
def test_a_missing_option_or_redirect_target_is_an_error(
    redirects: dict[str, str], start: str, words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        resolve(redirecting(redirects), workspace(start, "s"))
