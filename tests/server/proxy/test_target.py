"""Targets of requests in a cluster: only the workspace's own pods, and only with its own token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.proxy.target import WorkspacePort, resolve
from jupyter_workspaces.server.proxy.unavailable import Unavailable

from .conftest import PORT, View

PLACE = WorkspacePort("team-a", "small", "web")


def service(*ports: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "team-a", "name": "ws-small-abcde"},
        "spec": {"ports": list(ports)},
    }


@pytest.fixture
def inside() -> View:
    """A view of a server in the cluster."""
    found = View(PORT)
    found.cluster.endpoint.embedded, found.cluster.endpoint.in_cluster = False, True
    return found


@pytest.mark.parametrize(
    "port", [{"port": PORT}, {"port": PORT, "targetPort": PORT, "protocol": "TCP"}]
)
def test_a_service_in_the_cluster_is_dialled_by_its_name(
    inside: View, port: dict[str, Any]
) -> None:
    inside.service = service(port)
    target = resolve(inside, PLACE)
    assert (target.host.partition(".svc.")[0], target.port) == ("ws-small-abcde.team-a", PORT)


@pytest.mark.parametrize(
    "port",
    [
        pytest.param({"port": PORT + 1}, id="another port"),
        pytest.param({"port": PORT, "targetPort": 22}, id="leads to another port of the pod"),
        pytest.param({"port": PORT, "targetPort": "http"}, id="leads to a port that the pod names"),
        pytest.param({"port": PORT, "protocol": "UDP"}, id="another protocol"),
    ],
)
def test_a_service_that_leads_to_another_port_is_not_dialled(
    inside: View, port: dict[str, Any]
) -> None:
    inside.service = service(port)
    with pytest.raises(Unavailable, match="Waiting for its Service"):
        resolve(inside, PLACE)


def test_a_service_that_leads_to_a_hand_made_pod_as_well_is_not_dialled(
    inside: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.service = service({"port": PORT})
    monkeypatch.setattr(
        inside, "strangers_of", lambda workspace, held: [{"metadata": {"name": "hand-made"}}]
    )
    assert inside.pod is not None
    assert resolve(inside, PLACE).host == inside.pod["status"]["podIP"]


@pytest.mark.parametrize(
    "spec", [None, "text", [], {}, {"kind": "jupyterlab", "podTemplate": None}]
)
def test_a_workspace_that_cannot_be_read_says_so(inside: View, spec: Any) -> None:
    assert inside.there is not None
    inside.there = {key: value for key, value in inside.there.items() if key != "spec"} | (
        {} if spec is None else {"spec": spec}
    )
    with pytest.raises(Unavailable, match="It cannot be read") as raised:
        resolve(inside, PLACE)
    assert raised.value.state == "failed"


def test_without_a_service_of_its_own_a_workspace_is_not_reached(inside: View) -> None:
    with pytest.raises(Unavailable, match="Waiting for its Service"):
        resolve(inside, PLACE)


async def test_a_secret_that_is_not_the_workspaces_is_not_sent(browser: Any, view: View) -> None:
    other = {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "metadata": {"name": "small", "uid": "another-uid"},
    }
    view.cluster.owners["small-token"] = other

    async with browser.request("GET", "") as answer:
        told = json.loads(await answer.read())

    assert (answer.status, told["reason"]) == (502, "NoToken")
    assert view.cluster.tokens["small-token"] not in json.dumps(told)


async def test_a_token_that_is_known_is_not_sent_to_another_workspace_whose_pod_names_its_secret(
    browser: Any, view: View
) -> None:
    async with browser.request("GET", "") as answer:
        assert answer.status == 200
    view.cluster.owners["small-token"] = view.there | {"metadata": dict(view.there["metadata"])}
    view.there["metadata"]["uid"] = "the-uid-of-a-later-one"  # made again under the same name

    async with browser.request("GET", "") as answer:
        assert answer.status == 502
