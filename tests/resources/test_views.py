"""Views read objects as the API server returns them, complete or without their optional parts."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_workspaces.resources import metadata_keys
from jupyter_workspaces.resources.views import (
    PodView,
    WorkspaceKindView,
    WorkspaceView,
    container_state,
)


def pod(**changes: Any) -> dict[str, Any]:
    return {"metadata": {"name": "ws-a-0"}, "spec": {"containers": []}} | changes


def kind(**template: Any) -> dict[str, Any]:
    ports = [{"id": "lab", "port": 8888}, {"id": "tensorboard", "port": 6006}]
    values = [{"id": "small", "spec": {"ports": ports}}]
    options = {"imageConfig": {"values": values}}
    return {"metadata": {"name": "lab"}, "spec": {"podTemplate": {"options": options, **template}}}


@pytest.mark.parametrize("spec", [None, "none", [], {}, {"kind": 5}])
def test_a_malformed_workspace_has_no_kind_and_is_not_paused(spec: Any) -> None:
    view = WorkspaceView({"metadata": {}, "spec": spec})
    assert (view.kind_name, view.is_paused) == ("", False)


def test_a_new_workspace_has_an_empty_status() -> None:
    view = WorkspaceView({"metadata": {"name": "a"}, "spec": {}})
    assert (view.state, view.state_message, view.activity, view.named_pod) == ("", "", {}, "")


def test_required_fields_raise_what_readers_of_malformed_objects_catch() -> None:
    with pytest.raises(LookupError):
        _ = WorkspaceView({"metadata": {"name": "a"}}).options


def test_ports_of_an_image_are_found_by_its_id() -> None:
    view = WorkspaceKindView(kind())
    assert view.image_ports("small") == {"lab": 8888, "tensorboard": 6006}
    assert view.image_ports("large") == {}


def test_proxy_settings_are_those_of_the_port() -> None:
    ports = [{"id": "lab"}, {"id": "studio", "httpProxy": {"removePathPrefix": True}}]
    view = WorkspaceKindView(kind(ports=ports))
    assert view.http_proxy("studio") == {"removePathPrefix": True}
    assert (view.http_proxy("lab"), view.http_proxy("other")) == ({}, {})
    assert WorkspaceKindView(kind()).http_proxy("lab") == {}


@pytest.mark.parametrize(("value", "port"), [("9001", 9001), ("", 8888), ("x", 8888)])
def test_a_program_may_listen_at_another_port(value: str, port: int) -> None:
    annotations = {f"{metadata_keys.LOCAL_PORT}8888": value}
    assert PodView(pod(metadata={"annotations": annotations})).listening_port(8888) == port


def test_a_pod_without_a_status_is_not_ready() -> None:
    view = PodView(pod())
    assert (view.ip, view.phase, view.is_ready, view.main_status) == ("", None, False, None)


def test_the_state_of_the_main_container_is_read_among_others() -> None:
    statuses = [{"name": "proxy"}, {"name": "main", "state": {"waiting": {"reason": "x"}}}]
    main = PodView(pod(status={"containerStatuses": statuses})).main_status
    assert container_state(main, "waiting") == {"reason": "x"}
    assert container_state(main, "running") is None
    assert container_state(None, "running") is None
