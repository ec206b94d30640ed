"""A malformed workspace gets the state Unknown and does not affect others."""

from __future__ import annotations

from typing import Any

import pytest
from played_cluster import Play

from jupyter_workspaces.controller.workspaces.kind_reconciler import chosen_option
from jupyter_workspaces.resources import unreadable
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS, WORKSPACES
from jupyter_workspaces.resources.views import WorkspaceView

SPECS: list[Any] = [
    None,
    5,
    "text",
    [],
    {},
    {"kind": 5},
    {"kind": ["a"]},
    {"podTemplate": "text"},
    {"podTemplate": {"options": 1}},
]


async def test_a_workspace_without_spec_is_unknown_and_others_run(play: Play) -> None:
    async with play(admission=False) as played:
        body = {
            "apiVersion": WORKSPACES.api_version,
            "kind": WORKSPACES.kind,
            "metadata": {"name": "empty"},
        }
        await played.cluster.create(WORKSPACES, body, "default")
        await played.make()
        await played.run_pod()

        await played.state("Running")
        await played.state("Unknown", "empty", message="it has no spec")

        async def counted() -> bool:
            return bool(
                (await played.cluster.get(WORKSPACE_KINDS, "jupyterlab"))["status"]["workspaces"]
                == 1
            )

        await played.until(counted, "the kind to be counted")
        await played.cluster.delete(WORKSPACES, "empty", "default")


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_no_malformed_spec_makes_a_listener_fail(spec: Any) -> None:
    workspace = {
        "kind": "Workspace",
        "metadata": {"name": "odd", "namespace": "default"},
        "spec": spec,
    }
    assert isinstance(WorkspaceView(workspace).kind_name, str)
    assert chosen_option(workspace, "imageConfig") == ""
    assert unreadable.reason(workspace)
    assert len(unreadable.sentence(workspace)) < 500


def test_the_reason_names_the_field() -> None:
    workspace = {"kind": "Workspace", "metadata": {"name": "odd"}, "spec": {"kind": "jupyterlab"}}
    assert unreadable.reason(workspace).startswith("spec.podTemplate: Required value")
    assert unreadable.reason({"kind": "Secret", "metadata": {}}) == "it has no spec"
