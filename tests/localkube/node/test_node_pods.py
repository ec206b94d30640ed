"""The life of a pod: address, status, restarts, probes, init containers, volumes and end."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from node_cluster import NodeCluster, condition, node_cluster

from jupyter_workspaces.kube.catalog import CONFIG_MAPS, NODES, PODS


async def test_a_pod_runs_at_an_address_of_its_own_and_says_so(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("one", "echo hello; exec sleep 60")
        await nodes.program("two", "exec sleep 60")

        one, two = await nodes.ready("one"), await nodes.ready("two")

        assert one["status"]["phase"] == "Running"
        assert one["status"]["podIP"].startswith("127.")
        assert one["status"]["podIP"] != two["status"]["podIP"]
        assert {
            name: condition(one, name)
            for name in ("PodScheduled", "Initialized", "ContainersReady")
        } == {
            "PodScheduled": "True",
            "Initialized": "True",
            "ContainersReady": "True",
        }
        assert "startedAt" in one["status"]["containerStatuses"][0]["state"]["running"]
        assert await nodes.says("one", "hello") == "hello\n"
        for reason in ("Pulled", "Created", "Started"):
            assert await nodes.until(lambda reason=reason: nodes.events(reason))


async def test_the_node_tells_what_this_computer_has(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        found = await nodes.until(lambda: nodes.cluster.get(NODES, "local"))

        assert await nodes.until(lambda: ready_node(nodes))
        found = await nodes.cluster.get(NODES, "local")
        assert int(found["status"]["allocatable"]["cpu"]) >= 1
        assert found["status"]["allocatable"]["memory"].endswith("Ki")
        assert found["metadata"]["labels"]["kubernetes.io/hostname"] == "local"


async def ready_node(nodes: NodeCluster) -> bool:
    return condition(await nodes.cluster.get(NODES, "local") | {}, "Ready") == "True"


async def test_a_program_that_ends_is_started_again_and_its_exit_code_and_log_are_kept(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, first_pause=0.5) as nodes:
        await nodes.program(
            "crashing",
            f"echo run $(ls {tmp_path}/count* | wc -l); touch {tmp_path}/count$$$$; exit 3",
        )

        waiting = await nodes.state("crashing", "waiting", "CrashLoopBackOff")
        ended = await nodes.state("crashing", "terminated", "Error", last=True)
        await nodes.says("crashing", "run 2")

        assert "back-off" in waiting["message"]
        assert ended["exitCode"] == 3
        assert "run" in ended["message"]
        assert "run 1" in await nodes.log("crashing", previous="true")
        assert (await nodes.pod("crashing"))["status"]["phase"] == "Running"
        assert await nodes.until(lambda: nodes.events("BackOff"))


@pytest.mark.parametrize(
    ("code", "phase", "reason"), [(0, "Succeeded", "Completed"), (7, "Failed", "Error")]
)
async def test_a_pod_that_is_not_to_be_restarted_ends(
    tmp_path: Path, code: int, phase: str, reason: str
) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("once", f"echo oh no; exit {code}", restartPolicy="Never")

        ended = await nodes.state("once", "terminated")
        pod = await nodes.until(lambda: in_phase(nodes, "once", phase))

        assert (ended["exitCode"], ended["reason"]) == (code, reason)
        assert pod["status"].get("message", "") == (
            "main ended with exit code 7: oh no" if code else ""
        )
        assert condition(pod, "Ready") == "False"


async def in_phase(nodes: NodeCluster, name: str, phase: str) -> dict[str, Any] | None:
    pod = await nodes.pod(name)
    return pod if pod["status"]["phase"] == phase else None


async def test_a_deleted_pod_is_asked_to_end_first(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "polite",
            f"trap 'echo bye > {tmp_path}/said; exit 0' TERM; echo up; while :; do sleep 0.1; done",
        )
        await nodes.says("polite", "up")

        await nodes.delete("polite")
        await nodes.gone("polite")

        assert (tmp_path / "said").read_text() == "bye\n"
        assert not list((tmp_path / "pods").iterdir())


async def test_what_does_not_end_in_its_grace_is_killed_with_all_it_started(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        script = (
            f"trap '' TERM; setsid sleep 300 & echo $! > {tmp_path}/child; "
            "sh -c 'trap \"\" TERM; sleep 301' & echo up; wait; sleep 302"
        )
        await nodes.program("stubborn", script)
        await nodes.says("stubborn", "up")
        child = psutil.Process(int((tmp_path / "child").read_text()))
        began = time.monotonic()

        await nodes.delete("stubborn", grace_seconds=1)
        await nodes.gone("stubborn")

        assert 1.0 <= time.monotonic() - began < 6.0
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert not [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.info["cmdline"] in (["sleep", "301"], ["sleep", "302"])
        ]


async def test_nothing_of_our_environment_is_found_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_OURS", "not-for-workspaces")
    monkeypatch.setenv("JUPYTER_TOKEN", "not-for-workspaces")
    async with node_cluster(tmp_path) as nodes:
        await nodes.secret("token", token="the-workspace's-own")
        container = {
            "env": [
                {"name": "NB_PREFIX", "value": "/workspace/connect/default/dora/lab/"},
                {"name": "GREETING", "value": "$(NB_PREFIX)api $$(NB_PREFIX) $(UNKNOWN)"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}},
                {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "JUPYTER_WORKSPACE", "value": "somebody/else"},
            ]
        }
        await nodes.program(
            "dora-0",
            "env; tr '\\0' '\\n' < /proc/$PPID/environ; echo done; sleep 60",
            container=container,
            metadata={"labels": {"notebooks.kubeflow.org/workspace-name": "dora"}},
        )

        log = await nodes.says("dora-0", "done")
        found = dict(line.split("=", 1) for line in log.splitlines() if "=" in line)

        assert "not-for-workspaces" not in log
        assert found["JUPYTER_WORKSPACE"] == "default/dora"
        assert (
            found["GREETING"] == "/workspace/connect/default/dora/lab/api $(NB_PREFIX) $(UNKNOWN)"
        )
        assert found["TOKEN"] == "the-workspace's-own"
        assert found["WHERE"] == (await nodes.pod("dora-0"))["status"]["podIP"]
        assert str(tmp_path) in found["TMPDIR"] or Path(found["TMPDIR"]).name.startswith(
            "jw-"
        )  # where that is too long for sockets
        assert found["HOME"].startswith(str(tmp_path))
        assert {"PATH", "LANG", "TERM"} <= found.keys()


async def test_an_image_that_means_nothing_here_waits_and_says_what_to_do(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program(
            "strange", "", container={"image": "ghcr.io/acme/spark:3", "command": None}
        )

        waiting = await nodes.state("strange", "waiting", "ImageNotAvailable")

        assert "ghcr.io/acme/spark:3" in waiting["message"]
        assert "use the workspace kind jupyterlab" in waiting["message"]
        assert (await nodes.pod("strange"))["status"]["phase"] == "Pending"
        assert await nodes.until(lambda: nodes.events("Failed"))


async def test_a_missing_secret_is_waited_for(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        container = {"envFrom": [{"secretRef": {"name": "later"}, "prefix": "MY_"}]}
        await nodes.program("early", "echo got $MY_word; sleep 60", container=container)
        waiting = await nodes.state("early", "waiting", "CreateContainerConfigError")
        assert "Secret 'later' does not exist" in waiting["message"]

        await nodes.secret("later", word="it")

        assert "got it" in await nodes.says("early", "got")


async def test_starts_at_once_are_bounded(tmp_path: Path) -> None:
    probe = {
        "readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 100}
    }
    async with node_cluster(tmp_path, starts=1) as nodes:
        await nodes.program("first", "exec sleep 60", container=probe)
        await nodes.state("first", "running")
        await nodes.program("second", "exec sleep 60")

        waiting = await nodes.state("second", "waiting", "WaitingForRoom")
        await nodes.delete("first", grace_seconds=0)
        await nodes.ready("second")

        assert "Waiting for its turn" in waiting["message"]


async def test_a_program_that_needs_more_memory_than_it_may_is_killed_and_the_reason_told(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path, scan_seconds=0.2) as nodes:
        script = (
            f"exec {sys.executable} -c 'import time; kept = bytearray(200_000_000); time.sleep(60)'"
        )
        await nodes.program(
            "hungry", script, container={"resources": {"limits": {"memory": "100Mi"}}}
        )

        ended = await nodes.state("hungry", "terminated", "OOMKilled", last=True)

        assert ended["exitCode"] == 137
        assert "100Mi" in ended["message"]


async def test_usage_is_known(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, scan_seconds=0.2) as nodes:
        await nodes.program("busy", f"exec {sys.executable} -c 'while True: pass'")
        uid = (await nodes.ready("busy"))["metadata"]["uid"]
        assert nodes.agent is not None
        metrics = nodes.agent.metrics

        async def used() -> bool:
            usage = metrics.usage.get((uid, "main"))
            return usage is not None and usage.cpu > 0.1 and usage.memory > 1_000_000

        assert await nodes.until(used)


async def test_readiness_follows_the_probe(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "ok").touch()
        serve = f"cd {tmp_path}/site; exec {sys.executable} -m http.server --bind $ADDRESS 8080"
        container = {
            "ports": [{"containerPort": 8080, "name": "web"}],
            "env": [{"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "readinessProbe": {
                "httpGet": {"port": "web", "path": "/ok"},
                "periodSeconds": 1,
                "failureThreshold": 1,
            },
        }
        await nodes.program("web", serve, container=container)
        await nodes.ready("web")

        (tmp_path / "site" / "ok").unlink()
        await nodes.until(lambda: not_ready(nodes, "web"))
        unhealthy = await nodes.until(lambda: nodes.events("Unhealthy"))

        assert "HTTP 404" in unhealthy[0]["message"]
        (tmp_path / "site" / "ok").touch()
        await nodes.ready("web")


async def not_ready(nodes: NodeCluster, name: str) -> bool:
    return condition(await nodes.pod(name), "Ready") == "False"


async def test_a_program_that_fails_its_liveness_probe_is_started_again(tmp_path: Path) -> None:
    container = {
        "livenessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 1}
    }
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("stuck", "exec sleep 60", container=container)

        ended = await nodes.state("stuck", "terminated", last=True)

        assert ended["signal"] == 15
        assert await nodes.until(lambda: nodes.events("Killing"))


async def test_init_containers_run_first_and_in_order(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        volume = {"name": "scratch", "emptyDir": {}}
        mount = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
        write = 'echo {} >> "$JUPYTER_WORKSPACE_ROOT/scratch/order"'
        steps = [
            {
                "name": name,
                "image": "local",
                "command": ["/bin/sh", "-c", write.format(name)],
                **mount,
            }
            for name in ("first", "second")
        ]
        await nodes.program(
            "prepared",
            'cat "$JUPYTER_WORKSPACE_ROOT/scratch/order"; echo done; sleep 60',
            container=mount,
            initContainers=steps,
            volumes=[volume],
        )

        assert await nodes.says("prepared", "done") == "first\nsecond\ndone\n"
        pod = await nodes.ready("prepared")
        assert [
            found["state"]["terminated"]["exitCode"]
            for found in pod["status"]["initContainerStatuses"]
        ] == [0, 0]


async def test_a_pod_that_is_not_to_be_restarted_fails_with_its_init_container(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        step = {"name": "first", "image": "local", "command": ["/bin/sh", "-c", "exit 4"]}
        await nodes.program("unprepared", "sleep 60", restartPolicy="Never", initContainers=[step])

        pod = await nodes.until(lambda: in_phase(nodes, "unprepared", "Failed"))

        assert condition(pod, "Initialized") == "False"


@pytest.mark.parametrize("namespaces", [None, False])
async def test_files_of_secrets_and_config_maps_appear(
    tmp_path: Path, namespaces: bool | None
) -> None:
    async with node_cluster(tmp_path, namespaces=namespaces) as nodes:
        await nodes.secret("keys", **{"id": "private"})
        await nodes.make(CONFIG_MAPS, "settings", data={"a.conf": "x=1", "b.conf": "y=2"})
        volumes = [
            {"name": "keys", "secret": {"secretName": "keys"}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {
                            "configMap": {
                                "name": "settings",
                                "items": [{"key": "b.conf", "path": "deep/b"}],
                            }
                        },
                        {
                            "downwardAPI": {
                                "items": [
                                    {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}
                                ]
                            }
                        },
                    ]
                },
            },
        ]
        mounts = [
            {"name": "keys", "mountPath": "/etc/keys-of-test"},
            {"name": "all", "mountPath": "/opt/all-of-test"},
        ]
        script = (
            'cd "$JUPYTER_WORKSPACE_ROOT"/; cat etc/keys-of-test/id opt/all-of-test/deep/b '
            'opt/all-of-test/name; echo " done"; sleep 60'
        )
        await nodes.program("reading", script, container={"volumeMounts": mounts}, volumes=volumes)

        assert await nodes.says("reading", "done") == "privatey=2reading done\n"
        assert not Path("/etc/keys-of-test").exists()


async def test_pods_share_one_address_where_there_is_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACES_ONE_ADDRESS", "1")
    async with node_cluster(tmp_path) as nodes:
        container = {"ports": [{"containerPort": 8888}]}
        await nodes.program("one", "exec sleep 60", container=container)
        await nodes.program("two", "exec sleep 60", container=container)

        pods = [await nodes.ready("one"), await nodes.ready("two")]

        ports = {
            pod["metadata"]["annotations"]["jupyter-workspaces/local-port.8888"] for pod in pods
        }
        assert [pod["status"]["podIP"] for pod in pods] == ["127.0.0.1", "127.0.0.1"]
        assert len(ports) == 2


async def test_a_port_that_somebody_else_took_is_replaced_by_another(tmp_path: Path) -> None:
    async with node_cluster(tmp_path, first_pause=0.1) as nodes:
        container = {"ports": [{"containerPort": 8888}]}
        await nodes.program(
            "lab", f"while ! test -e {tmp_path}/end; do sleep 0.05; done", container=container
        )
        pod = await nodes.ready("lab")
        with socket.create_server((pod["status"]["podIP"], 8888)):
            (tmp_path / "end").touch()
            await nodes.state("lab", "terminated", last=True)
            (tmp_path / "end").unlink()

            async def moved() -> str | None:
                held: dict[str, str] = (await nodes.pod("lab"))["metadata"].get("annotations") or {}
                return held.get("jupyter-workspaces/local-port.8888")

            assert int(await nodes.until(moved) or 0) not in (0, 8888)


async def test_a_pod_deleted_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        for number in range(5):
            await nodes.program(f"short-{number}", f"echo $$$$ >> {tmp_path}/pids; exec sleep 300")
            await asyncio.sleep(0.02 * number)
            await nodes.delete(f"short-{number}", grace_seconds=1)
        for number in range(5):
            await nodes.gone(f"short-{number}")

        started = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
        assert not [
            pid
            for pid in started
            if psutil.pid_exists(int(pid))
            and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
        ]
        assert not list((tmp_path / "pods").glob("*"))


async def test_sockets_can_be_made_in_the_temporary_directory(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("sockets", 'echo "$TMPDIR"; echo done; sleep 60')

        temporary = (await nodes.says("sockets", "done")).splitlines()[0]

        assert len(temporary) - len(str(tmp_path)) < 20
        assert Path(temporary).is_dir()


async def test_a_pod_whose_object_is_torn_away_ends_too(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.program("torn", f"echo $$$$ > {tmp_path}/pid; exec sleep 300")
        await nodes.ready("torn")
        process = psutil.Process(int((tmp_path / "pid").read_text()))

        await nodes.cluster.delete(PODS, "torn", "default", grace_seconds=0)

        async def ended() -> bool:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

        await nodes.until(ended)
