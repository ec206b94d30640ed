from __future__ import annotations

import concurrent.futures
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import yaml

from jupyter_workspaces.local import launch
from jupyter_workspaces.local.launch import Keeper, LocalClusterError

pytestmark = pytest.mark.slow

LIMIT_SECONDS = 20.0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a cluster may run; it is stopped afterwards."""
    path = tmp_path / "cluster"
    yield path
    launch.stop(path)


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come about within {LIMIT_SECONDS:g} s")


def ask(directory: Path, method: str, path: str, body: Any = None, *, token: str | None = "") -> tuple[int, Any]:
    """One request as the kubeconfig says, or with another token, or none."""
    document = yaml.safe_load((directory / "kubeconfig").read_text())
    address = urlsplit(document["clusters"][0]["cluster"]["server"])
    bearer = document["users"][0]["user"]["token"] if token == "" else token
    trust = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    connection = http.client.HTTPSConnection(str(address.hostname), address.port, timeout=10, context=trust)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}}


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def test_what_start_gives_signs_in(directory: Path) -> None:
    kubeconfig = launch.start(directory)

    assert kubeconfig == directory / "kubeconfig"
    assert ask(directory, "GET", "/api/v1/namespaces/default")[0] == 200
    found = launch.status(directory)
    assert (found.running, found.pods) == (True, 0)
    assert found.url == yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]


def test_who_has_no_token_gets_nothing(directory: Path) -> None:
    launch.start(directory)

    assert ask(directory, "GET", CONFIG_MAPS, token=None)[0] == 401
    assert ask(directory, "GET", CONFIG_MAPS, token="guessed")[0] == 401
    assert ask(directory, "GET", "/apis", token="guessed")[1]["reason"] == "Unauthorized"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_nobody_else_can_read_what_opens_the_cluster(directory: Path) -> None:
    previous = os.umask(0)
    try:
        launch.start(directory)
    finally:
        os.umask(previous)

    assert directory.stat().st_mode & 0o777 == 0o700
    for name in ("kubeconfig", "token", "server.key", "ca.key", "cluster.db"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600, name


def test_a_second_start_finds_the_first(directory: Path) -> None:
    launch.start(directory)
    pid = launch.status(directory).pid

    launch.start(directory)

    assert launch.status(directory).pid == pid


def test_starts_that_race_end_with_one_process(directory: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: launch.start(directory), range(4)))

    assert set(found) == {directory / "kubeconfig"}
    winner = launch.status(directory).pid
    until(lambda: _processes_of(directory) == [winner], "the end of all others")


def test_port_token_and_authority_stay_over_a_restart(directory: Path) -> None:
    launch.start(directory)
    before = (directory / "kubeconfig").read_bytes()

    assert launch.stop(directory) is True
    launch.start(directory)

    assert (directory / "kubeconfig").read_bytes() == before


def test_stop_says_whether_there_was_something_to_stop(directory: Path) -> None:
    launch.start(directory)

    assert launch.stop(directory) is True
    assert launch.stop(directory) is False
    assert launch.status(directory).running is False


def test_after_kill_9_every_answered_write_is_there(directory: Path) -> None:
    launch.start(directory)
    names = [f"written-{number}" for number in range(50)]
    for name in names:
        assert ask(directory, "POST", CONFIG_MAPS, config_map(name))[0] == 201

    _kill(directory)
    launch.start(directory)

    there = {found["metadata"]["name"] for found in ask(directory, "GET", CONFIG_MAPS)[1]["items"]}
    assert set(names) <= there


def test_a_stale_lock_and_record_do_not_hinder_a_start(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    somebody = psutil.Process()  # alive, but not the one that was recorded
    stale = {"pid": somebody.pid, "createTime": somebody.create_time() - 1000, "url": "https://127.0.0.1:1", "version": "0"}
    (directory / "lock").write_text(json.dumps(stale))
    (directory / "process.json").write_text(json.dumps(stale))

    assert launch.stop(directory) is False
    launch.start(directory)

    assert launch.status(directory).pid != somebody.pid


def test_a_record_of_another_program_is_never_signalled(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        created = psutil.Process(bystander.pid).create_time()
        (directory / "process.json").write_text(json.dumps({"pid": bystander.pid, "createTime": created, "url": ""}))

        assert launch.stop(directory) is False

        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_taken_port_is_told_with_its_holder(directory: Path) -> None:
    launch.start(directory)
    launch.stop(directory)
    port = int((directory / "port").read_text())
    with socket.create_server(("127.0.0.1", port)), pytest.raises(LocalClusterError) as told:
        launch.start(directory)

    assert f"port {port} is taken by" in str(told.value)
    assert f"pid {os.getpid()}" in str(told.value)
    launch.start(directory)


def test_a_damaged_database_is_told_and_left_as_it_is(directory: Path) -> None:
    launch.start(directory)
    launch.stop(directory)
    damaged = b"this is not a database" * 1000
    (directory / "cluster.db").write_bytes(damaged)

    with pytest.raises(LocalClusterError, match="damaged"):
        launch.start(directory)

    assert (directory / "cluster.db").read_bytes() == damaged


def test_inside_a_workspace_no_cluster_is_started(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACE", "default/dora")

    with pytest.raises(LocalClusterError, match="default/dora"):
        launch.start(directory)

    assert not directory.exists()


def test_the_process_does_not_inherit_secrets(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", "hush")
    launch.start(directory)

    inherited = psutil.Process(launch.status(directory).pid).environ()

    assert "hush" not in inherited.values()
    assert inherited["PATH"] == os.environ["PATH"]


def test_the_process_has_a_session_of_its_own(directory: Path) -> None:
    launch.start(directory)
    pid = launch.status(directory).pid
    assert pid is not None

    assert os.getsid(pid) == pid != os.getsid(0)


def test_a_dead_cluster_is_brought_back_once_and_then_after_a_pause(directory: Path) -> None:
    launch.start(directory)
    keeper = Keeper(directory)
    first = launch.status(directory).pid

    _kill(directory)
    keeper.ensure()
    assert launch.status(directory).pid not in (first, None)
    _kill(directory)

    with pytest.raises(LocalClusterError, match="died again"):
        keeper.ensure()


def test_a_cluster_that_was_stopped_stays_stopped(directory: Path) -> None:
    launch.start(directory)
    launch.stop(directory)

    with pytest.raises(LocalClusterError, match="was stopped"):
        Keeper(directory).ensure()


def test_reset_leaves_nothing_and_the_next_start_is_a_new_cluster(directory: Path) -> None:
    launch.start(directory)
    token = (directory / "token").read_text()
    (directory / "volumes" / "pvc-1").mkdir(parents=True)
    (directory / "mine").write_text("not the cluster's")

    launch.reset(directory)

    assert sorted(found.name for found in directory.iterdir()) == ["lock", "mine"]
    launch.start(directory)
    assert (directory / "token").read_text() != token


def test_in_the_foreground_it_says_where_it_is_and_stops_at_a_signal(directory: Path) -> None:
    command = [sys.executable, "-m", "jupyter_workspaces.local", "--directory", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The local cluster answers at https://127.0.0.1:")
        assert launch.status(directory).pid == process.pid

        process.send_signal(signal.SIGINT)

        assert process.wait(LIMIT_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()
    assert not (directory / "process.json").exists()


def test_a_read_only_directory_is_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "read-only", "size=1m,mode=700") as place:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)

        with pytest.raises(LocalClusterError, match="may not write"):
            launch.start(place)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "full", "size=256k,mode=700") as place:
        with pytest.raises(LocalClusterError, match=r"full|space"):
            launch.start(place)

        launch.stop(place)


def test_a_disk_that_fills_up_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    with mounted(tmp_path / "filling", "size=6m,mode=700") as place:
        launch.start(place)
        try:
            written = []
            for number in range(1000):
                body = config_map(f"big-{number}") | {"data": {"key": "x" * 100_000}}
                status, answer = ask(place, "POST", CONFIG_MAPS, body)
                if status != 201:
                    break
                written.append(f"big-{number}")
            assert (status, answer["kind"]) == (507, "Status") or status >= 500, answer
            assert ask(place, "GET", f"{CONFIG_MAPS}/big-0")[0] == 200

            _kill(place)
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
            launch.start(place)

            there = {found["metadata"]["name"] for found in ask(place, "GET", CONFIG_MAPS)[1]["items"]}
            assert set(written) <= there
        finally:
            launch.stop(place)


def _processes_of(directory: Path) -> list[int]:
    return [process.pid for process in psutil.process_iter(["cmdline"]) if str(directory) in (process.info["cmdline"] or ())]


def _kill(directory: Path) -> None:
    pid = launch.status(directory).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not launch.status(directory).running, "the end of the process")


class mounted:
    """A small file system of its own; the test is skipped where none can be made."""

    def __init__(self, place: Path, options: str) -> None:
        self._place, self._options = place, options

    def __enter__(self) -> Path:
        if shutil.which("mount") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
            pytest.skip("only root can mount a small file system")
        self._place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", self._options, "tmpfs", str(self._place)], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.decode().strip()}")
        return self._place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self._place)], check=True)
