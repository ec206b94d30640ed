"""“Show as Python” of the form prints code that runs on a real server with a local cluster."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import jupyter_workspaces.client as jw
from jupyter_workspaces.client import Client, portal
from jupyter_workspaces.client.spawning import HOME_SIZE
from jupyter_workspaces.panel.form_data import Draft, Mount

pytestmark = pytest.mark.slow

HOMES = {
    "the usual new home": ("home-{name}", HOME_SIZE),
    "the usual new home in another size": ("home-{name}", "5Gi"),
    "a new home of another name": ("files-of-{name}", HOME_SIZE),
    "a home that is there": ("shared-home", ""),
    "no home": ("", ""),
}
DATA: dict[str, list[Mount]] = {
    "no data": [],
    "a volume that is there, read only": [Mount("sales", "/data/sales", True)],
    "two volumes, one of them new": [
        Mount("sales", "/data/sales"),
        Mount("new-{name}", '/data/it\'s "new"', False, "5Gi"),
    ],
}
NAMESPACES = ("default", "team")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A `serve` and a cluster whose pods are simulated."""
    from jupyter_workspaces.local import launch
    from jupyter_workspaces.local.parts import chosen

    home = tmp_path_factory.mktemp("cluster") / "home"
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "KUBECONFIG",
            "JUPYTER_WORKSPACES_URL",
            "JPY_PARENT_PID",
            "JUPYTERHUB_SERVICE_URL",
        ):
            patch.delenv(name, raising=False)
        patch.setenv("JUPYTER_WORKSPACES_HOME", str(home))
        launch.start(home, parts=chosen("on", "simulated", False, 0.0, ""))
        with Client() as client:
            assert client.url
            make_namespace(home, "team")
            for namespace in NAMESPACES:
                for name in ("shared-home", "sales"):
                    client.create_claim(name, namespace=namespace)
            yield client
        server = psutil.Process(json.loads((home / "serve.json").read_text())["pid"])
        server.terminate()
        server.wait(15)
        launch.reset(home)


def make_namespace(home: Path, name: str) -> None:
    from jupyter_workspaces.kube.catalog import NAMESPACES as RESOURCE
    from jupyter_workspaces.kube.client import Cluster
    from jupyter_workspaces.kube.endpoint import from_embedded

    async def make() -> None:
        async with Cluster(from_embedded(home / "kubeconfig")) as cluster:
            await cluster.create(RESOURCE, {"metadata": {"name": name}})

    portal.run(make(), 30)


@pytest.fixture
def in_a_cell(real: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(jw, "_default", real)
    return real


def plain(volumes: dict[str, Any]) -> dict[str, Any]:
    """Volumes with what is left out written out."""
    return {
        "home": volumes.get("home", ""),
        "data": [{"readOnly": False, **one} for one in volumes["data"]],
    }


@pytest.mark.parametrize(
    ("number", "home", "data"),
    [(i, *pair) for i, pair in enumerate(itertools.product(HOMES, DATA))],
)
def test_the_code_makes_what_the_form_would_make(
    in_a_cell: Client, number: int, home: str, data: str
) -> None:
    client, name = in_a_cell, f"dora-{number}"
    kind = client.kinds()[0]
    image, size = kind.images[number % len(kind.images)], kind.sizes[number % len(kind.sizes)]
    claim, create = HOMES[home]
    mounts = [
        Mount(one.claim.format(name=name), one.path, one.read_only, one.create)
        for one in DATA[data]
    ]
    draft = Draft(kind.name, name, image.id, size.id, claim.format(name=name), create, mounts)
    namespace = NAMESPACES[number % 2]
    sizes = dict(draft.new_claims())

    cell: dict[str, Any] = {}
    exec(draft.python(namespace, client.namespace), cell)

    made = portal.run(client.asynchronous.model(namespace, name), 30)["podTemplate"]
    wanted = draft.body()["podTemplate"]
    assert made["options"] == wanted["options"]
    assert plain(made["volumes"]) == plain(wanted["volumes"])
    assert (cell["ws"].name, cell["ws"].namespace) == (name, namespace)
    held = {one["name"]: one["pvcSpec"]["requests"]["storage"] for one in client.claims(namespace)}
    assert {created: held.get(created) for created in sizes} == sizes
    cell["ws"].delete(wait=False)


def test_a_refused_create_leaves_no_volume_in_the_cluster(in_a_cell: Client) -> None:
    before = {claim["name"] for claim in in_a_cell.claims()}
    labels = {"not a label": "x"}  # the cluster refuses it
    with pytest.raises(jw.WorkspaceError) as raised:
        in_a_cell.spawn("jupyterlab", "refused", labels=labels)
    assert raised.value.status == 422
    deadline = (
        time.monotonic() + 10
    )  # the cluster protects claims until it has seen that no pod uses them
    while {claim["name"] for claim in in_a_cell.claims()} != before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
