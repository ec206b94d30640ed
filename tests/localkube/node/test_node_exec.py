"""Commands in containers: streams, terminals, exit codes and their end (`kubectl exec`)."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from node_cluster import NodeCluster, node_cluster, processes
from pod_sockets import RESIZE, STDIN, Kubectl, command, kubectl_program, pod_socket

from jupyter_workspaces.common.listeners import descriptors
from jupyter_workspaces.common.timeouts import timeout
from jupyter_workspaces.kube.catalog import PODS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pods' commands need POSIX")

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"


@asynccontextmanager
async def with_pod(
    directory: Path, script: str = "echo ready; sleep 600", **settings: object
) -> AsyncIterator[NodeCluster]:
    """A pod `p` whose program runs."""
    async with node_cluster(directory, **settings) as nodes:
        await nodes.program("p", script, container={"env": [{"name": "COLOUR", "value": "blue"}]})
        await nodes.says("p", "ready")
        yield nodes


async def run(
    nodes: NodeCluster, *words: str, protocol: str = V5, method: str = "GET"
) -> tuple[str, str, dict]:
    """Standard output, standard error, status."""
    async with pod_socket(nodes, "p/exec", command(*words), (protocol,), method) as socket:
        assert socket.socket.protocol == protocol
        status = await socket.end()
        return socket.said.get(1, b"").decode(), socket.said.get(2, b"").decode(), status


@pytest.mark.parametrize(("protocol", "method"), [(V5, "GET"), (V4, "GET"), (V4, "POST")])
async def test_a_command_runs_and_tells_its_output_and_its_exit_code(
    tmp_path: Path, protocol: str, method: str
) -> None:
    async with with_pod(tmp_path) as nodes:
        out, err, status = await run(
            nodes, "sh", "-c", "echo out; echo err >&2; exit 3", protocol=protocol, method=method
        )

        assert (out, err) == ("out\n", "err\n")
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"] == {"causes": [{"reason": "ExitCode", "message": "3"}]}
        assert (await run(nodes, "true", protocol=protocol, method=method))[2] == {
            "metadata": {},
            "status": "Success",
        }


async def test_a_command_that_is_killed_ends_with_128_and_the_signal(tmp_path: Path) -> None:
    async with with_pod(tmp_path) as nodes:
        status = (await run(nodes, "sh", "-c", "kill -9 $$"))[2]

        assert status["details"]["causes"][0]["message"] == "137"


async def test_a_command_that_does_not_exist_says_so(tmp_path: Path) -> None:
    async with with_pod(tmp_path) as nodes:
        for word, why in (
            ("no-such-program", "executable file not found in $PATH"),
            ("/no/such/program", "No such file or directory"),
        ):
            status = (await run(nodes, word))[2]

            assert status["code"] == 500
            assert f'error executing command in container: "{word}": {why}' in status["message"]


async def test_a_command_has_the_programs_environment_and_directory(tmp_path: Path) -> None:
    async with with_pod(tmp_path, "pwd; echo ready; sleep 600") as nodes:
        where = (await nodes.log("p")).splitlines()[0]

        assert (await run(nodes, "sh", "-c", "echo $COLOUR $JUPYTER_WORKSPACE; pwd"))[
            0
        ] == f"blue default/p\n{where}\n"


async def test_programs_and_commands_have_the_limit_of_files_that_they_would_have_without_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setenv(descriptors.FORMER, "777")
    async with with_pod(tmp_path, "ulimit -n; ulimit -Hn; echo ready; sleep 600") as nodes:
        assert (await nodes.log("p")).splitlines()[:2] == ["777", str(hard)]
        assert (await run(nodes, "sh", "-c", "ulimit -n"))[0] == "777\n"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


async def test_a_command_sees_the_volumes_at_their_paths_and_cannot_change_read_only_ones(
    tmp_path: Path,
) -> None:
    async with node_cluster(tmp_path) as nodes:
        for name in ("data", "fixed"):
            (await nodes.claim(name) / "file").write_text(name)
        mounts = [
            {"name": "data", "mountPath": "/srv/data"},
            {"name": "fixed", "mountPath": "/srv/fixed", "readOnly": True},
        ]
        volumes = [
            {"name": name, "persistentVolumeClaim": {"claimName": name}}
            for name in ("data", "fixed")
        ]
        await nodes.program(
            "p", "echo ready; sleep 600", container={"volumeMounts": mounts}, volumes=volumes
        )
        await nodes.says("p", "ready")
        if (
            nodes.agent is None
            or not (tmp_path / "pods").exists()
            or "root" in os.listdir(next((tmp_path / "pods").glob("[0-9a-f]*")))
        ):
            pytest.skip("no mount namespace can be made here")

        assert (await run(nodes, "cat", "/srv/data/file", "/srv/fixed/file"))[0] == "datafixed"
        assert (await run(nodes, "sh", "-c", "echo more > /srv/data/new"))[2]["status"] == "Success"
        assert (tmp_path / "volumes" / "pv-data" / "new").read_text() == "more\n"
        script = (
            "echo x > /srv/fixed/new; mount -o remount,rw,bind /srv/fixed; echo x > /srv/fixed/new"
        )
        assert (await run(nodes, "sh", "-c", script))[2]["status"] == "Failure"
        assert not (tmp_path / "volumes" / "pv-fixed" / "new").exists()
        assert not Path("/srv/data").exists()


async def test_standard_input_ends_when_its_channel_is_closed(tmp_path: Path) -> None:
    async with (
        with_pod(tmp_path) as nodes,
        pod_socket(nodes, "p/exec", command("cat", stdin=True)) as socket,
    ):
        await socket.send(STDIN, b"some")
        await socket.until(1, b"some")
        await socket.send(STDIN, b" words")
        await socket.send(b"\xff", b"\0")

        assert (await socket.end())["status"] == "Success"
        assert socket.said[1] == b"some words"


async def test_standard_input_that_was_not_asked_for_is_empty(tmp_path: Path) -> None:
    async with with_pod(tmp_path) as nodes:
        assert await run(nodes, "cat") == ("", "", {"metadata": {}, "status": "Success"})


async def test_much_passes_both_ways_unchanged(tmp_path: Path) -> None:
    data = os.urandom(8 * 2**20)

    async with (
        with_pod(tmp_path) as nodes,
        pod_socket(nodes, "p/exec", command("cat", stdin=True)) as socket,
    ):

        async def give() -> None:
            for start in range(0, len(data), 2**16):
                await socket.send(STDIN, data[start : start + 2**16])
            await socket.send(b"\xff", b"\0")

        giving = asyncio.create_task(give())
        await socket.end()
        await giving
        assert socket.said[1] == data


async def test_a_client_that_does_not_read_holds_its_command_back(tmp_path: Path) -> None:
    process = psutil.Process()
    async with with_pod(tmp_path) as nodes, pod_socket(nodes, "p/exec", command("yes")):
        before = process.memory_info().rss
        await asyncio.sleep(1)  # what could pile up has time to
        assert process.memory_info().rss - before < 40 * 2**20


async def test_a_terminal_has_the_size_that_the_client_has(tmp_path: Path) -> None:
    script = (
        "test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; "
        "echo err >&2; read x; stty size"
    )
    query = command("sh", "-c", script, stdin=True, tty=True, stderr=False)

    async with with_pod(tmp_path) as nodes, pod_socket(nodes, "p/exec", query) as socket:
        await socket.send(RESIZE, json.dumps({"Width": 100, "Height": 30}).encode())
        await socket.until(1, b"err\r\n")
        await socket.send(RESIZE, json.dumps({"Width": 80, "Height": 25}).encode())
        await socket.send(RESIZE, b"nonsense")
        await socket.send(STDIN, b"\n")

        assert (await socket.end())["status"] == "Success"
        assert socket.said[1].startswith(b"terminal\r\n")
        assert b"25 80\r\n" in socket.said[1]
        assert 2 not in socket.said


async def test_a_terminals_keys_are_signals(tmp_path: Path) -> None:
    query = command(
        "sh",
        "-c",
        "trap 'echo interrupted; exit 5' INT; echo go; while :; do sleep 0.1; done",
        stdin=True,
        tty=True,
    )

    async with with_pod(tmp_path) as nodes, pod_socket(nodes, "p/exec", query) as socket:
        await socket.until(1, b"go")
        await socket.send(STDIN, b"\x03")

        assert (await socket.end())["details"]["causes"][0]["message"] == "5"
        assert b"interrupted" in socket.said[1]


@pytest.mark.parametrize("tty", [False, True])
async def test_a_command_ends_with_its_connection_and_so_does_all_that_it_started(
    tmp_path: Path, tty: bool
) -> None:
    mark = f"7{os.getpid()}{int(tty)}"
    script = (
        f"setsid sleep {mark} & sleep {mark} & echo go; trap '' HUP TERM; "
        f"sleep {mark}; sleep {mark}"
    )

    async with with_pod(tmp_path) as nodes:
        async with pod_socket(nodes, "p/exec", command("sh", "-c", script, tty=tty)) as socket:
            await socket.until(1, b"go")

            async def all_there() -> bool:
                return len(processes(mark)) >= 3

            await nodes.until(all_there, "all that the command starts")

        async def gone() -> bool:
            return not processes(mark)

        await nodes.until(gone, "the end of the command's processes")
        assert await nodes.state("p", "running")


async def test_a_command_ends_with_its_pod(tmp_path: Path) -> None:
    async with (
        with_pod(tmp_path) as nodes,
        pod_socket(nodes, "p/exec", command("sh", "-c", "echo go; sleep 600")) as socket,
    ):
        await socket.until(1, b"go")
        await nodes.delete("p", grace_seconds=0)

        assert (await socket.end())["details"]["causes"][0]["message"] == "137"


async def test_a_command_ends_with_the_server(tmp_path: Path) -> None:
    async with (
        with_pod(tmp_path) as nodes,
        pod_socket(nodes, "p/exec", command("sh", "-c", "echo go; sleep 600")) as socket,
    ):
        await socket.until(1, b"go")
        await nodes.server.stop()

        assert await socket.end() == {}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ([("stdout", "1")], 400),
        ([("command", "true")], 400),
        ([("command", "true"), ("stdout", "1"), ("container", "other")], 400),
    ],
)
async def test_what_makes_no_sense_is_refused(
    tmp_path: Path, query: list[tuple[str, str]], status: int
) -> None:
    async with with_pod(tmp_path) as nodes:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with pod_socket(nodes, "p/exec", query):
                pass

        assert refused.value.status == status


async def test_a_protocol_that_nobody_knows_is_refused_and_none_at_all_is_the_oldest(
    tmp_path: Path,
) -> None:
    async with with_pod(tmp_path) as nodes:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with pod_socket(nodes, "p/exec", command("true"), ("v9.channel.k8s.io",)):
                pass
        async with pod_socket(nodes, "p/exec", command("echo", "out"), ()) as socket:
            assert await socket.end() == {}

        assert refused.value.status == 403
        assert socket.said == {1: b"out\n"}


async def test_a_pod_that_does_not_run_yet_says_so(tmp_path: Path) -> None:
    async with node_cluster(tmp_path) as nodes:
        await nodes.make(
            PODS,
            "p",
            spec={
                "nodeName": "local",
                "containers": [{"name": "main", "image": "nothing-like-it"}],
            },
        )
        status = (await run(nodes, "true"))[2]

        assert "container 'main' of pod 'p' is not running" in status["message"]


async def test_attach_shows_what_the_program_writes_from_now_on(tmp_path: Path) -> None:
    script = (
        "echo ready; while [ ! -e $HOME/go ]; do sleep 0.05; done; echo out; echo err >&2; "
        "while [ ! -e $HOME/end ]; do sleep 0.05; done"
    )
    query = [("stdout", "1"), ("stderr", "1")]

    async with with_pod(tmp_path, script) as nodes, pod_socket(nodes, "p/attach", query) as socket:
        assert (await run(nodes, "sh", "-c", "touch $HOME/go"))[2]["status"] == "Success"
        await socket.until(1, b"out\n")
        await socket.until(2, b"err\n")
        assert (await run(nodes, "sh", "-c", "touch $HOME/end"))[2]["status"] == "Success"

        assert (await socket.end())["status"] == "Success"
        assert socket.said == {1: b"out\n", 2: b"err\n", 3: socket.said[3]}


# What people use


@pytest.fixture
def program() -> str:
    found = kubectl_program()
    if found is None:
        pytest.skip(
            "no kubectl that speaks WebSocket: set JW_TEST_BINARIES or JUPYTER_WORKSPACES_KUBECTL"
        )
    return found


async def test_kubectl_runs_commands(tmp_path: Path, program: str) -> None:
    async with with_pod(tmp_path, secure=True) as nodes:
        kubectl = Kubectl(program, nodes, tmp_path)

        assert await kubectl(
            "exec", "p", "--", "sh", "-c", "echo $COLOUR; echo err >&2; exit 7"
        ) == (
            7,
            "blue\n",
            "err\ncommand terminated with exit code 7\n",
        )
        assert await kubectl("exec", "-i", "p", "--", "tr", "a-z", "A-Z", stdin=b"loud") == (
            0,
            "LOUD",
            "",
        )
        code, _, complaint = await kubectl("exec", "p", "--", "no-such-program")
        assert code == 1
        assert "executable file not found in $PATH" in complaint


async def test_kubectl_opens_a_terminal(tmp_path: Path, program: str) -> None:
    async with with_pod(tmp_path, secure=True) as nodes:
        ours, theirs = os.openpty()
        kubectl = Kubectl(program, nodes, tmp_path)
        process = await kubectl.start(
            "exec", "-it", "p", "--", "sh", stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        os.write(ours, b"test -t 0 && echo it-is-$((40+2)); exit 4\n")
        said = b""

        def shown() -> bytes:
            try:
                return os.read(ours, 4096)
            except OSError:  # how a terminal ends
                return b""

        async with timeout(30):
            while piece := await asyncio.to_thread(shown):
                said += piece
            assert await process.wait() == 4
        os.close(ours)
        assert b"it-is-42" in said


async def test_kubectl_copies_files(tmp_path: Path, program: str) -> None:
    async with with_pod(tmp_path, secure=True) as nodes:
        kubectl = Kubectl(program, nodes, tmp_path)
        (tmp_path / "given").write_text("contents")

        assert (await kubectl("cp", str(tmp_path / "given"), f"p:{tmp_path}/there"))[0] == 0
        assert (await kubectl("cp", f"p:{tmp_path}/there", str(tmp_path / "back")))[0] == 0
        assert (tmp_path / "back").read_text() == "contents"


@pytest.mark.slow
async def test_the_official_client_runs_commands(tmp_path: Path) -> None:
    from kubernetes import client, config
    from kubernetes.stream import stream

    def ask(kubeconfig: Path) -> tuple[str, str, int, str]:
        with config.new_client_from_config(config_file=str(kubeconfig)) as api:
            core = client.CoreV1Api(api)
            plain = stream(
                core.connect_get_namespaced_pod_exec,
                "p",
                "default",
                command=["echo", "hello"],
                stdout=True,
                stderr=True,
            )
            words = ["sh", "-c", "read x; echo got $x; exit 3"]
            open_ = stream(
                core.connect_get_namespaced_pod_exec,
                "p",
                "default",
                command=words,
                stdin=True,
                stdout=True,
                stderr=True,
                _preload_content=False,
            )
            open_.write_stdin("it\n")
            open_.run_forever(timeout=10)
            said, code = open_.read_stdout(), open_.returncode
            open_.close()
            seen = stream(
                core.connect_post_namespaced_pod_exec,
                "p",
                "default",
                command=["tty"],
                stdout=True,
                stdin=True,
                stderr=True,
                tty=True,
            )
        return plain, said, code, seen

    async with with_pod(tmp_path, secure=True) as nodes:
        plain, said, code, seen = await asyncio.to_thread(ask, nodes.directory / "kubeconfig")

        assert (plain, said, code) == ("hello\n", "got it\n", 3)
        assert seen.startswith("/dev/")
