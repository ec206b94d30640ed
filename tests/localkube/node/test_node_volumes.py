"""Volumes appear at their mount paths, in mount namespaces or as links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from node_cluster import NodeCluster, node_cluster

from jupyter_workspaces.kube.catalog import CONFIG_MAPS, SERVICE_ACCOUNTS
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.node.processes import mounts
from jupyter_workspaces.localkube.node.processes.mounts import HidesProgram, Mount
from jupyter_workspaces.localkube.node.waiting import Waiting

KIND = mounts.namespaces()
needs_namespaces = pytest.mark.skipif(
    KIND is None, reason="this user can make no mount namespace here"
)


@pytest.fixture
def namespaces(request: pytest.FixtureRequest) -> bool:
    if request.param and KIND is None:
        pytest.skip("this user can make no mount namespace here")
    return bool(request.param)


def claims(**paths: str) -> tuple[Object, list[Object]]:
    """Return mounts and volumes for claims by name; `,ro` after a path makes it read-only."""
    mounted, volumes = [], []
    for name, described in paths.items():
        path, _, mode = described.partition(",")
        volume = "home-volume" if name == "home" else name
        mounted.append(
            {"name": volume, "mountPath": path} | ({"readOnly": True} if mode == "ro" else {})
        )
        volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": name}})
    return {"volumeMounts": mounted}, volumes


async def run(nodes: NodeCluster, script: str, **paths: str) -> str:
    container, volumes = claims(**paths)
    await nodes.program(
        "pod", script + "; echo done; sleep 60", container=container, volumes=volumes
    )
    return await nodes.says("pod", "done")


@pytest.mark.parametrize("namespaces", [True, False], ids=["mounted", "linked"], indirect=True)
async def test_claims_appear_and_what_is_written_stays(tmp_path: Path, namespaces: bool) -> None:
    async with node_cluster(tmp_path, namespaces=namespaces) as nodes:
        home, data = await nodes.claim("home"), await nodes.claim("data")
        (data / "given").write_text("from outside\n")

        log = await run(
            nodes,
            'cat "$JUPYTER_WORKSPACE_ROOT/data-of-test/deep/given"; echo 1 > "$HOME/notes"; '
            'echo 2 > "$JUPYTER_WORKSPACE_ROOT/data-of-test/deep/made"; pwd',
            home="/home/jovyan-of-test",
            data="/data-of-test/deep",
        )

        assert log.splitlines()[0] == "from outside"
        assert log.splitlines()[1] == ("/home/jovyan-of-test" if namespaces else str(home))
        assert (home / "notes").read_text() == "1\n"
        assert (data / "made").read_text() == "2\n"
        assert sorted(os.listdir(home)) == ["notes"], "nothing of ours is in the claim"
        assert not Path("/home/jovyan-of-test").exists()
        assert not Path("/data-of-test").exists()


@needs_namespaces
async def test_a_read_only_claim_cannot_be_written_by_the_workspace_itself(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        data = await nodes.claim("data")
        (data / "given").write_text("from outside\n")

        log = await run(
            nodes,
            "cd /data-of-test; cat given; touch made; echo more >> given; rm given; "
            "mount -o remount,bind,rw /data-of-test && touch made",
            data="/data-of-test,ro",
        )

        assert "from outside" in log
        assert log.count("Read-only file system") == 3
        assert (data / "given").read_text() == "from outside\n"
        assert os.listdir(data) == ["given"]


async def test_without_namespaces_a_read_only_claim_waits_and_says_why(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, namespaces=False) as nodes:
        await nodes.claim("data")
        container, volumes = claims(data="/data-of-test,ro")
        await nodes.program("pod", "sleep 60", container=container, volumes=volumes)

        waiting = await nodes.state("pod", "waiting", "ReadOnlyVolumeNotPossible")

        assert (
            "/data-of-test is read-only, which this computer cannot enforce" in waiting["message"]
        )


async def test_without_mount_namespaces_a_variable_names_the_directory_of_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_NO_NAMESPACES", "1")
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("links", 'echo "root=$JUPYTER_WORKSPACE_ROOT."; sleep 60')

        assert f"root={tmp_path}" in await nodes.says("links", "root=")


@needs_namespaces
async def test_a_claim_inside_the_home_appears_there_and_its_mount_point_goes_again(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        home, data = await nodes.claim("home"), await nodes.claim("data")
        await run(
            nodes,
            "echo 1 > data/deep/made",
            home="/home/jovyan-of-test",
            data="/home/jovyan-of-test/data/deep",
        )
        assert (data / "made").exists()
        assert os.listdir(home) == ["data"]

        await nodes.delete("pod", grace_seconds=1)
        await nodes.gone("pod")

        assert os.listdir(home) == []


@needs_namespaces
async def test_a_part_of_a_claim_can_be_mounted_over_a_directory_that_is_there(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        data = await nodes.claim("data")
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        container = {
            "volumeMounts": [{"name": "data", "mountPath": "/media", "subPath": "inner/part"}]
        }
        await nodes.program(
            "pod", "echo 1 > /media/made; echo done; sleep 60", container=container, volumes=volumes
        )
        await nodes.says("pod", "done")

        assert (data / "inner" / "part" / "made").exists()
        assert not Path("/media/made").exists()


@needs_namespaces
async def test_a_home_that_would_hide_the_cluster_itself_is_used_where_it_is(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        home = await nodes.claim("home")

        log = await run(nodes, "pwd; touch made", home=str(tmp_path))

        assert log.splitlines()[0] == str(home)
        assert (home / "made").exists()


async def test_a_claim_that_does_not_exist_is_waited_for(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        container, volumes = claims(data="/data-of-test")
        await nodes.program("pod", "echo done; sleep 60", container=container, volumes=volumes)
        waiting = await nodes.state("pod", "waiting", "VolumeNotPossible")
        assert "claim 'data' does not exist" in waiting["message"]

        await nodes.claim("data")

        await nodes.says("pod", "done")


def test_a_mount_that_would_hide_what_the_program_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        HidesProgram, match="cannot be mounted at /opt, because the program needs /opt/python"
    ):
        mounts.plan([Mount("/opt", tmp_path)], [Path("/opt/python")])


@pytest.mark.parametrize("path", ["relative", "/", "/proc/1", "/sys"])
def test_a_mount_path_that_makes_no_sense_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Waiting, match="cannot be mounted at"):
        mounts.plan([Mount(path, tmp_path)], [])


def test_a_mount_point_is_not_made_through_a_link_out_of_a_claim(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(Waiting, match="leads out of it"):
        mounts.plan([Mount("/home/x", tmp_path / "claim"), Mount("/home/x/link/y", tmp_path)], [])

    assert not list((tmp_path / "outside").iterdir())


async def test_a_program_finds_its_accounts_token_the_authority_and_its_namespace(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        folder = '"${JUPYTER_WORKSPACE_ROOT:-}/var/run/secrets/kubernetes.io/serviceaccount"'
        await nodes.program(
            "pod",
            f"cd {folder}; ls; cat ca.crt namespace; echo; "
            "cut -c1-3 token; echo; echo done; sleep 60",
        )

        log = await nodes.says("pod", "done")

        assert log.split() == [
            "ca.crt",
            "namespace",
            "token",
            *["a", "certificate", "for", "testsdefault"],
            "eyJ",
            "done",
        ]


async def test_a_pod_starts_as_soon_as_its_namespaces_account_and_authority_are_there(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, agent=False) as nodes:
        await nodes.cluster.delete(SERVICE_ACCOUNTS, "default", "default")
        await nodes.cluster.delete(CONFIG_MAPS, "kube-root-ca.crt", "default")
        nodes.start_agent()
        await nodes.program("pod", "echo done; sleep 60")
        waits = await nodes.state("pod", "waiting", "CreateContainerConfigError")
        assert "default" in waits["message"] or "kube-root-ca.crt" in waits["message"]

        await nodes.make(SERVICE_ACCOUNTS, "default")
        await nodes.make(CONFIG_MAPS, "kube-root-ca.crt", data={"ca.crt": "a certificate"})

        assert await nodes.says("pod", "done")
        assert await nodes.events("Failed") == [], (
            "nobody is told of what comes by itself in a moment"
        )
