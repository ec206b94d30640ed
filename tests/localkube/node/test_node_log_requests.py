"""Requests for logs at the API server: options, following and errors."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from node_cluster import NodeCluster, node_cluster
from pod_sockets import LIMIT_SECONDS, Kubectl, kubectl_program

from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import PODS
from jupyter_workspaces.kube.errors import (
    BadRequest,
    ClusterError,
    Invalid,
    NotFound,
)

BOTH = "echo one; echo two >&2; echo three; echo ready; sleep 600"


async def refusal(nodes: NodeCluster, name: str, **query: str) -> ClusterError:
    with pytest.raises(ClusterError) as refused:
        await nodes.log(name, **query)
    return refused.value


async def test_one_stream_is_read_alone(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("p", BOTH)
        await nodes.says("p", "ready")

        assert await nodes.log("p", stream="Stderr") == "two\n"
        assert await nodes.log("p", stream="Stdout") == "one\nthree\nready\n"
        assert sorted((await nodes.log("p", stream="All")).split()) == [
            "one",
            "ready",
            "three",
            "two",
        ]


async def test_the_container_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        names = {"main": "echo from main; sleep 600", "side": "echo from side; sleep 600"}
        containers = [
            {"name": name, "image": "local", "command": ["sh", "-c", script]}
            for name, script in names.items()
        ]
        init = [{"name": "init", "image": "local", "command": ["sh", "-c", "echo from init"]}]
        await nodes.make(
            PODS,
            "p",
            spec={
                "nodeName": "local",
                "containers": containers,
                "initContainers": init,
                "terminationGracePeriodSeconds": 1,
            },
        )
        await nodes.ready("p")

        assert [await nodes.log("p", container=name) for name in ("init", "main", "side")] == [
            "from init\n",
            "from main\n",
            "from side\n",
        ]
        why = await refusal(nodes, "p")
        assert isinstance(why, BadRequest)
        assert (
            why.message
            == "a container name must be specified for pod p, choose one of: [init main side]"
        )
        assert (
            await refusal(nodes, "p", container="other")
        ).message == "container other is not valid for pod p"


async def test_the_run_before_is_read_and_told_when_there_is_none(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, first_pause=0.1) as nodes:
        await nodes.program(
            "p",
            "if [ -e $HOME/again ]; then echo second; sleep 600; fi; "
            "touch $HOME/again; echo first; exit 1",
        )
        await nodes.says("p", "second")

        assert await nodes.log("p", previous="true") == "first\n"
        await nodes.program("q", "echo only; sleep 600")
        await nodes.says("q", "only")
        assert (
            await refusal(nodes, "q", previous="true")
        ).message == 'previous terminated container "main" in pod "q" not found'


async def test_a_container_that_waits_says_for_what(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.make(
            PODS,
            "p",
            spec={
                "nodeName": "local",
                "containers": [{"name": "main", "image": "nothing-like-it"}],
            },
        )
        await nodes.state("p", "waiting", "ImageNotAvailable")
        why = await refusal(nodes, "p")

        assert isinstance(why, BadRequest)
        assert why.message.startswith('container "main" in pod "p" is waiting to start: ')


async def test_a_pod_without_a_node_has_an_empty_log_and_one_whose_node_is_gone_none(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        containers = [{"name": "main", "image": "local"}]
        await nodes.make(PODS, "unplaced", spec={"containers": containers})
        await nodes.make(PODS, "lost", spec={"nodeName": "elsewhere", "containers": containers})

        assert await nodes.log("unplaced") == ""
        assert isinstance(why := await refusal(nodes, "lost"), NotFound)
        assert "elsewhere" in why.message


async def test_lines_are_chosen_by_time_number_and_bytes(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "p", "echo early; sleep 2.2; echo late; echo later; echo ready; sleep 600"
        )
        await nodes.says("p", "ready")
        then = datetime.now(timezone.utc) - timedelta(seconds=1)

        assert await nodes.log("p", sinceSeconds="1") in ("late\nlater\nready\n", "")
        assert (
            await nodes.log("p", sinceTime=then.strftime("%Y-%m-%dT%H:%M:%S.%f789Z"))
            == "late\nlater\nready\n"
        )
        assert await nodes.log("p", tailLines="2") == "later\nready\n"
        assert await nodes.log("p", tailLines="0") == ""
        assert await nodes.log("p", limitBytes="8") == "early\nla"
        stamped = (await nodes.log("p", timestamps="true", tailLines="1")).split(" ")
        assert stamped[1] == "ready\n"
        assert datetime.fromisoformat(stamped[0][:26]).replace(
            tzinfo=timezone.utc
        ) > then - timedelta(seconds=10)
        why = await refusal(
            nodes, "p", sinceSeconds="5", sinceTime="2026-01-02T03:04:05Z", tailLines="-1"
        )
        assert isinstance(why, Invalid)
        assert [cause.field for cause in why.causes] == ["tailLines", "[]"]


async def test_kubectl_follows_a_log_to_its_end(tmp_path: Path) -> None:
    program = kubectl_program()
    if program is None:
        pytest.skip("no kubectl: set JW_TEST_BINARIES or JUPYTER_WORKSPACES_KUBECTL")
    script = "echo first; while [ ! -e $HOME/go ]; do sleep 0.05; done; echo last"
    async with node_cluster(tmp_path, secure=True) as nodes:
        await nodes.program("p", script, restartPolicy="Never")
        await nodes.says("p", "first")
        kubectl = Kubectl(program, nodes, tmp_path)
        following = await kubectl.start("logs", "-f", "p", "--tail=1")
        assert following.stdout is not None
        async with timeout(LIMIT_SECONDS):
            assert await following.stdout.readline() == b"first\n"
        assert (await kubectl("exec", "p", "--", "sh", "-c", "touch $HOME/go"))[0] == 0

        async with timeout(LIMIT_SECONDS):
            out, _ = await following.communicate()
        assert (out, following.returncode) == (b"last\n", 0)
        assert (await kubectl("logs", "p", "--all-containers", "--prefix"))[
            1
        ] == "[pod/p/main] first\n[pod/p/main] last\n"
