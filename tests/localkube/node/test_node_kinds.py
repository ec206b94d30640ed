"""Pods of other projects' kinds: commands, paths, hooks, working directories, the API."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import aiohttp
import pytest
from node_cluster import NodeCluster, node_cluster
from pod_sockets import Kubectl, kubectl_program

from jupyter_workspaces.kube.execution import ExecutionFailed, execute
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.node.processes import mounts

JUPYTER = "ghcr.io/kubeflow/kubeflow/notebook-servers/jupyter-scipy:v1.9.0"
PUBLIC = "/workspace/connect/default/dora/lab"
LABELS = {"notebooks.kubeflow.org/workspace-name": "dora"}
mounted = pytest.mark.skipif(
    mounts.namespaces() is None, reason="no mount namespaces can be made here"
)


async def told(nodes: NodeCluster, reason: str) -> str:
    async def found() -> str | None:
        events = await nodes.events(reason)
        return str(events[0]["message"]) if events else None

    return await nodes.until(found, f"an event {reason}")


async def waits(nodes: NodeCluster, name: str, reason: str, words: str) -> str:
    message = (await nodes.state(name, "waiting", reason))["message"]
    assert words in message
    return str(message)


# Commands


async def test_the_command_of_a_jupyter_image_runs(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        container = {
            "image": JUPYTER,
            "command": ["sh", "-c"],
            "args": ["echo $(WORD) from $(which python); sleep 600"],
        }
        await nodes.program(
            "p", "", container=container | {"env": [{"name": "WORD", "value": "hello"}]}
        )

        assert str(Path(sys.executable).parent) in await nodes.says("p", "hello from ")


async def test_a_command_that_is_not_here_is_named_on_the_pod(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", "", container={"image": JUPYTER, "command": ["start-notebook.sh"]})

        await waits(
            nodes,
            "p",
            "ImageNotAvailable",
            "'start-notebook.sh' of the container's own command is not installed on this computer",
        )


async def test_arguments_for_an_image_are_told_to_be_unused(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p",
            "",
            container={"image": JUPYTER, "command": None, "args": ["--ServerApp.ip=0.0.0.0"]},
        )

        assert "arguments are not used" in await told(nodes, "CommandNotUsed")


async def test_an_unknown_image_with_a_command_says_how_to_run_it(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p", "true", container={"image": "registry.example:5000/acme/tool@sha256:0123"}
        )

        await waits(nodes, "p", "ImageNotAvailable", "`runtime: local`")


async def test_a_side_car_says_on_its_pod_that_it_cannot_run(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        car = {
            "name": "car",
            "image": "local",
            "command": ["sleep", "600"],
            "restartPolicy": "Always",
        }
        await nodes.program("p", "sleep 600", initContainers=[car])

        async def said() -> str | None:
            for found in (await nodes.pod("p"))["status"].get("initContainerStatuses") or ():
                return str(found["state"].get("waiting", {}).get("message") or "") or None
            return None

        assert "Move it to `containers`" in await nodes.until(said, "what the side car waits for")


# The environment


async def test_a_path_of_the_kind_does_not_hide_the_environments_programs(tmp_path: Path) -> None:
    path = {"name": "PATH", "value": "/opt/conda/bin:/usr/bin:/bin"}
    async with node_cluster(tmp_path) as nodes:
        container = {
            "image": JUPYTER,
            "command": ["sh", "-c", "echo path=$PATH; sleep 600"],
            "env": [path],
        }
        await nodes.program("p", "", container=container)

        log = await nodes.says("p", "path=")

    found = log.partition("path=")[2].strip().split(":")
    assert found[:4] == [str(Path(sys.executable).parent), "/opt/conda/bin", "/usr/bin", "/bin"]


async def test_the_api_is_where_programs_in_pods_look_for_it(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, secure=True) as nodes:
        reference = {
            "name": "API",
            "value": "https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)",
        }
        script = (
            'echo "api=$API host=$KUBERNETES_SERVICE_HOST port=$KUBERNETES_SERVICE_PORT_HTTPS"; '
            "sleep 600"
        )
        await nodes.program("p", script, container={"env": [reference]})

        port = nodes.url.rpartition(":")[2]
        assert f"api={nodes.url} host=127.0.0.1 port={port}" in await nodes.says("p", "api=")


async def test_a_sub_path_may_be_made_of_variables(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        data = await nodes.claim("data")
        name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
        mount = {
            "name": "data",
            "mountPath": f"{tmp_path}/mounted",
            "subPathExpr": "runs/$(POD_NAME)",
        }
        await nodes.program(
            "p",
            "echo up; sleep 600",
            container={"env": [name], "volumeMounts": [mount]},
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        )
        await nodes.says("p", "up")

    assert (data / "runs" / "p").is_dir()


# Working directories


@pytest.mark.parametrize(
    "namespaces", [pytest.param(None, marks=mounted), False], ids=["mounted", "linked"]
)
async def test_commands_begin_in_the_working_directory(
    tmp_path: Path, namespaces: bool | None
) -> None:
    async with node_cluster(tmp_path, namespaces=namespaces) as nodes:
        home = await nodes.claim("home")
        mount = {"name": "home-volume", "mountPath": "/home/jovyan"}
        volumes = [{"name": "home-volume", "persistentVolumeClaim": {"claimName": "home"}}]
        await nodes.program(
            "p", "echo started; sleep 600", container={"volumeMounts": [mount]}, volumes=volumes
        )
        work = {"volumeMounts": [mount], "workingDir": "/home/jovyan/deep/work"}
        await nodes.program(
            "w", "touch here; echo started; sleep 600", container=work, volumes=volumes
        )
        await nodes.says("p", "started")
        await nodes.says("w", "started")

        for name in ("p", "w"):
            ended = await execute(
                nodes.cluster, "default", name, "main", ["sh", "-c", "echo text > of-" + name]
            )
            assert ended.exit_code == 0, ended.errors

    assert (home / "of-p").read_text() == "text\n"
    assert (home / "deep" / "work" / "of-w").exists()
    assert (home / "deep" / "work" / "here").exists()


async def test_a_command_beside_a_lab_begins_at_home(tmp_path: Path) -> None:
    program = kubectl_program()
    if program is None:
        pytest.skip("no kubectl: set JW_TEST_BINARIES or JUPYTER_WORKSPACES_KUBECTL")
    async with node_cluster(tmp_path, secure=True) as nodes:
        home = await nodes.claim("home")
        container = {"image": JUPYTER, "command": None, "ports": [{"containerPort": 8888}]}
        container |= {"volumeMounts": [{"name": "home-volume", "mountPath": "/home/jovyan"}]}
        await nodes.program(
            "p",
            "",
            container=container,
            volumes=[{"name": "home-volume", "persistentVolumeClaim": {"claimName": "home"}}],
        )
        await nodes.state("p", "running")
        (tmp_path / "notes.txt").write_text("mine")
        kubectl = Kubectl(program, nodes, tmp_path)

        assert (await kubectl("cp", str(tmp_path / "notes.txt"), "p:copied.txt"))[0] == 0
        assert (await kubectl("cp", "p:copied.txt", str(tmp_path / "back.txt")))[0] == 0

        assert (home / "copied.txt").read_text() == "mine"
        assert (tmp_path / "back.txt").read_text() == "mine"


async def test_a_working_directory_that_is_not_here_is_named_on_the_pod(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", "true", container={"workingDir": "/no/such/place"})

        await waits(
            nodes, "p", "VolumeNotPossible", "/no/such/place of container 'main' does not exist"
        )


# Labs without a token of ours


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the gate needs Linux")
@pytest.mark.parametrize("prefix", [PUBLIC, f"/team{PUBLIC}"], ids=["public path", "leading part"])
async def test_a_lab_without_a_token_opens_to_its_user_alone(tmp_path: Path, prefix: str) -> None:
    probe = {"httpGet": {"path": f"{prefix}/api", "port": 8888}, "periodSeconds": 1}
    env = [{"name": "NB_PREFIX", "value": f"{prefix}/"}, {"name": "JUPYTER_TOKEN", "value": ""}]
    container = {
        "image": JUPYTER,
        "command": None,
        "ports": [{"containerPort": 8888}],
        "env": env,
        "readinessProbe": probe,
    }
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("dora", "", container=container, metadata={"labels": LABELS})
        address = (await nodes.ready("dora"))["status"]["podIP"]

        async with aiohttp.ClientSession(f"http://{address}:8888") as session:
            async with session.get(f"{PUBLIC}/api/contents") as answer:
                assert answer.status == 200
            async with session.get(f"{PUBLIC}/lab") as answer:
                assert answer.status == 200
                assert "jupyter-config-data" in await answer.text()
        place = stat.S_IMODE(os.stat(next((tmp_path / "pods").glob(".*"))).st_mode)
        assert (
            not place & 0o077
        )  # what keeps others from the socket itself; test_node_gate.py has the gate
        if prefix != PUBLIC:
            assert "Remove /team from NB_PREFIX" in await told(nodes, "PrefixNotUsed")


async def test_the_base_url_of_the_server_that_started_a_workspace_is_no_leading_part(
    tmp_path: Path,
) -> None:
    env = [{"name": "NB_PREFIX", "value": f"/user/x{PUBLIC}/"}]
    metadata = {"labels": LABELS, "annotations": {"jupyter-workspaces/base-url": "/user/x/"}}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("dora", "sleep 600", container={"env": env}, metadata=metadata)
        await nodes.ready("dora")
        await told(nodes, "Started")

        assert not await nodes.events("PrefixNotUsed")


async def test_a_program_that_serves_at_a_prefix_with_a_leading_part_is_told_of_it(
    tmp_path: Path,
) -> None:
    env = [{"name": "NB_PREFIX", "value": f"/team{PUBLIC}/"}]
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "dora", "sleep 600", container={"env": env}, metadata={"labels": LABELS}
        )

        assert f"requests to this pod begin with {PUBLIC}/" in await told(nodes, "PrefixNotUsed")


# Hooks


async def test_hooks_run_after_the_start_and_before_the_end(tmp_path: Path) -> None:
    def hook(name: str) -> Object:
        return {"exec": {"command": ["sh", "-c", f"echo {name} >> {tmp_path}/hooks"]}}

    script = f"trap 'echo ended >> {tmp_path}/hooks; exit' TERM; sleep 600 & wait"
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p",
            script,
            container={"lifecycle": {"postStart": hook("started"), "preStop": hook("stopping")}},
        )
        await nodes.ready("p")
        await nodes.delete("p")
        await nodes.gone("p")

    assert (tmp_path / "hooks").read_text().split() == ["started", "stopping", "ended"]


async def test_a_hook_that_fails_is_told_and_ends_the_container(tmp_path: Path) -> None:
    lifecycle = {"postStart": {"exec": {"command": ["sh", "-c", "echo no >&2; exit 4"]}}}
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", "sleep 600", container={"lifecycle": lifecycle})

        assert "ended with exit code 4: no" in await told(nodes, "FailedPostStartHook")
        await nodes.state("p", "waiting", "CrashLoopBackOff")


# Long paths, and what a process cannot have


GATED = """
import socketserver, sys
class Says(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\
Connection: close\\r\\n\\r\\nhi")
socketserver.ThreadingUnixStreamServer(sys.argv[1], Says).serve_forever()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the gate needs Linux")
async def test_a_data_directory_longer_than_a_sockets_path_works(tmp_path: Path) -> None:
    directory = tmp_path / ("a-long-name-" * 8) / ("and-more-" * 8)
    directory.mkdir(parents=True)
    (tmp_path / "gated.py").write_text(GATED)
    mapping = {
        "images": [
            {
                "image": "acme/gated",
                "command": [sys.executable, str(tmp_path / "gated.py"), "{socket}"],
                "check": "/",
            }
        ]
    }
    (directory / "images.yaml").write_text(json.dumps(mapping))
    async with node_cluster(directory) as nodes:
        await nodes.program(
            "p",
            "",
            container={"image": "acme/gated", "command": None, "ports": [{"containerPort": 8888}]},
        )
        pod = await nodes.ready("p")
        link = next((directory / "pods").glob(".*"))
        place = Path(os.readlink(link))
        assert not stat.S_IMODE(place.stat().st_mode) & 0o077

        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{pod['status']['podIP']}:8888/") as answer,
        ):
            assert await answer.text() == "hi"
        await nodes.delete("p")
        await nodes.gone("p")

        assert not place.exists()
        assert not link.is_symlink()


async def test_what_a_process_cannot_have_is_told_in_events(tmp_path: Path) -> None:
    context = {
        "privileged": True,
        "capabilities": {"add": ["NET_ADMIN"]},
        "readOnlyRootFilesystem": True,
    }
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p",
            "sleep 600",
            container={
                "securityContext": context,
                "volumeMounts": [{"name": "shm", "mountPath": f"{tmp_path}/shm"}],
                "tty": True,
            },
            volumes=[{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}],
            securityContext={"runAsUser": 4711, "fsGroup": 100},
            hostAliases=[{"ip": "127.0.0.1", "hostnames": ["x"]}],
        )

        message = await told(nodes, "SecurityContextNotUsed")
        assert message.startswith(
            "runAsUser, fsGroup, capabilities, privileged, readOnlyRootFilesystem of the security "
            "context"
        )
        assert "medium and sizeLimit" in await told(nodes, "VolumeDiffersHere")
        reasons = [event["message"] for event in await nodes.events("NotSupportedHere")]
        assert any("hostAliases" in text for text in reasons)
        assert any("stdin and tty" in text for text in reasons)


async def test_a_command_that_cannot_run_is_an_error_of_the_execution(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", "echo up; sleep 600")
        await nodes.says("p", "up")

        assert (
            await execute(
                nodes.cluster,
                "default",
                "p",
                "main",
                ["sh", "-c", "echo out; echo err >&2; exit 7"],
            )
        ).exit_code == 7
        with pytest.raises(ExecutionFailed, match="no-such-program"):
            await execute(nodes.cluster, "default", "p", "main", ["no-such-program"])
