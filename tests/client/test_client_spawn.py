"""Making workspaces: options by name, volumes found or made, names, and answers that get lost."""

from __future__ import annotations

import pytest
from served_workspaces import Served, claim, kind, option, workspace

from jupyter_workspaces.client import Client, WorkspaceError
from jupyter_workspaces.client.names import check_name, readable_name

CREATE = "workspaces/default"


def created(server: Served) -> dict:
    return next(
        body["data"] for method, path, body in server.asked if (method, path) == ("POST", CREATE)
    )


def test_only_a_kind_is_needed(client: Client, server: Served) -> None:
    made = client.spawn("jupyterlab")
    body = created(server)
    assert made.name.startswith("jupyterlab-")
    assert made.namespace == "default"
    assert body["podTemplate"]["options"] == {
        "imageConfig": "scipy_190",
        "podConfig": "tiny_cpu",
    }  # where the default moved on to
    assert body["podTemplate"]["volumes"] == {"home": f"home-{made.name}", "data": []}
    assert f"home-{made.name}" in server.claims


def test_a_home_of_its_name_is_taken_again(client: Client, server: Served) -> None:
    server.claims["home-dora"] = claim("home-dora")
    client.spawn("jupyterlab", "dora")
    assert created(server)["podTemplate"]["volumes"]["home"] == "home-dora"
    assert server.count("POST", "persistentvolumeclaims/default") == 0


def test_no_home_when_it_is_not_wanted(client: Client, server: Served) -> None:
    client.spawn("jupyterlab", "dora", home="")
    assert "home" not in created(server)["podTemplate"]["volumes"]
    assert server.claims == {}


def test_names_stand_for_ids_in_any_case(client: Client, server: Served) -> None:
    client.spawn("JUPYTERLAB", "dora", image="scipy 1.9", size="tiny", home="")
    assert created(server)["kind"] == "jupyterlab"
    assert created(server)["podTemplate"]["options"] == {
        "imageConfig": "scipy_190",
        "podConfig": "tiny_cpu",
    }


def test_what_is_asked_for_by_id_is_not_second_guessed(client: Client, server: Served) -> None:
    client.spawn("jupyterlab", "dora", image="scipy_180", home="")
    assert created(server)["podTemplate"]["options"]["imageConfig"] == "scipy_180"


def test_data_volumes_and_their_paths(client: Client, server: Served) -> None:
    server.claims |= {name: claim(name) for name in ("sales", "ledger", "raw")}
    data = {"sales": "/data/sales", "ledger": ("/data/ledger", "ro"), "raw": "raw"}
    client.spawn(
        "jupyterlab", "dora", data=data, read_only=["raw"], labels={"team": "risk"}, home=""
    )
    template = created(server)["podTemplate"]
    assert template["volumes"]["data"] == [
        {"pvcName": "sales", "mountPath": "/data/sales"},
        {"pvcName": "ledger", "mountPath": "/data/ledger", "readOnly": True},
        {"pvcName": "raw", "mountPath": "/home/jovyan/raw", "readOnly": True},
    ]
    assert template["podMetadata"]["labels"] == {"team": "risk"}


@pytest.mark.parametrize(
    ("asked", "said", "hint", "field"),
    [
        (
            {"kind": "jupytrlab"},
            "Workspace kind 'jupytrlab' not found.",
            "Did you mean jupyterlab?",
            "kind",
        ),
        (
            {"image": "scipy"},
            "Image 'scipy' not found in workspace kind 'jupyterlab'.",
            "Did you mean scipy_190?",
            "image",
        ),
        (
            {"image": "PyTorch"},
            "“PyTorch” matches 2 images of workspace kind 'jupyterlab'.",
            "Use an id: torch_cpu, torch_gpu.",
            "image",
        ),
        (
            {"size": "Big"},
            "You cannot use the size 'Big': ask for GPU access.",
            "Available: tiny_cpu.",
            "size",
        ),
        (
            {"home": "home-bela"},
            "Volume 'home-bela' not found in namespace 'default'.",
            'jw.create_claim("home-bela") creates it. Did you mean home-bella?',
            "home",
        ),
        (
            {"data": {"sales": "/d"}},
            "Volume 'sales' not found in namespace 'default'.",
            'jw.create_claim("sales") creates it.',
            "data",
        ),
        (
            {"name": "Dora!"},
            "“Dora!” is not a valid workspace name.",
            "Use at most 63 lower-case letters",
            "name",
        ),
    ],
)
def test_what_cannot_be_is_said_with_a_way_out(
    client: Client, server: Served, asked: dict, said: str, hint: str, field: str
) -> None:
    server.claims["home-bella"] = claim("home-bella")
    with pytest.raises(WorkspaceError) as raised:
        client.spawn(**{"kind": "jupyterlab", "name": "dora"} | asked)
    assert raised.value.message == said
    assert raised.value.hint.startswith(hint)
    assert field in raised.value.fields
    assert server.items == {}
    assert list(server.claims) == ["home-bella"]


def test_a_lost_answer_does_not_make_two(client: Client, server: Served) -> None:
    server.lose[f"POST {CREATE}"] = 1
    made = client.spawn("jupyterlab", "dora", home="")
    assert made.name == "dora"
    assert server.count("POST", CREATE) == 2
    assert len(server.items) == 1


def test_somebody_elses_workspace_of_that_name_is_not_taken_for_ours(
    client: Client, server: Served
) -> None:
    server.add(workspace("dora"))
    with pytest.raises(WorkspaceError, match="already") as raised:
        client.spawn("jupyterlab", "dora", home="")
    assert raised.value.status == 409


def test_after_a_lost_answer_another_one_of_that_name_is_not_taken_for_ours(
    client: Client, server: Served
) -> None:
    server.add(workspace("dora"))
    server.models[("default", "dora")] = {
        "podTemplate": {
            "podMetadata": {"labels": {}},
            "volumes": {"home": "home-anna", "data": []},
            "options": {"imageConfig": "scipy_190", "podConfig": "tiny_cpu"},
        }
    }
    server.lose[f"POST {CREATE}"] = 1
    with pytest.raises(WorkspaceError, match="already"):
        client.spawn("jupyterlab", "dora", home="")


def test_a_refused_workspace_leaves_no_new_volume_behind(client: Client, server: Served) -> None:
    cause = {
        "validation_errors": [
            {"field": "spec.podTemplate.options.podConfig", "message": "no longer offered"}
        ]
    }
    server.refuse[f"POST {CREATE}"] = (422, {"message": "The cluster refused it.", "cause": cause})
    with pytest.raises(WorkspaceError, match="refused") as raised:
        client.spawn("jupyterlab", "dora")
    assert raised.value.fields == {"spec.podTemplate.options.podConfig": "no longer offered"}
    assert server.claims == {}


def test_wait_is_part_of_it_when_wanted(client: Client) -> None:
    assert client.spawn("jupyterlab", "dora", home="", wait=True).state == "Running"


def test_an_option_without_anything_allowed_says_whom_to_ask(
    client: Client, server: Served
) -> None:
    denied = option("only", "Only", restrictions={"deny": True})
    server.kinds = [kind()]
    server.kinds[0]["podTemplate"]["options"]["podConfig"] = {"default": "only", "values": [denied]}
    with pytest.raises(WorkspaceError, match="has no size that you can use"):
        client.spawn("jupyterlab")


def test_free_names_can_be_read_and_are_names() -> None:
    taken = {readable_name("jupyterlab", set()) for _ in range(30)}
    name = readable_name("jupyterlab", taken)
    assert name not in taken
    check_name(name)
    check_name(readable_name("a" * 63 + ".b", set()))
