"""Start, stop, reset and crash of the local cluster."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from running_cluster import LIMIT_SECONDS, ask, kill
from waiting import until_sync

from jupyter_workspaces.local import launch
from jupyter_workspaces.local.launch import Keeper, LocalClusterError

pytestmark = pytest.mark.slow


def config_map(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"key": "value"},
    }


CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def test_what_start_gives_signs_in(home: Path) -> None:
    kubeconfig = launch.start(home)

    assert kubeconfig == home / "kubeconfig"
    assert ask(home, "GET", "/api/v1/namespaces/default")[0] == 200
    found = launch.status(home)
    assert (found.running, found.pods) == (True, 0)
    assert found.url == yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]


def test_who_has_no_token_gets_nothing(home: Path) -> None:
    launch.start(home)

    assert ask(home, "GET", CONFIG_MAPS, token=None)[0] == 401
    assert ask(home, "GET", CONFIG_MAPS, token="guessed")[0] == 401
    assert ask(home, "GET", "/apis", token="guessed")[1]["reason"] == "Unauthorized"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
def test_nobody_else_can_read_what_opens_the_cluster(home: Path) -> None:
    previous = os.umask(0)
    try:
        launch.start(home)
    finally:
        os.umask(previous)

    assert home.stat().st_mode & 0o777 == 0o700
    for name in ("kubeconfig", "token", "server.key", "ca.key", "cluster.db"):
        assert (home / name).stat().st_mode & 0o777 == 0o600, name


def test_a_second_start_finds_the_first(home: Path) -> None:
    launch.start(home)
    pid = launch.status(home).pid

    launch.start(home)

    assert launch.status(home).pid == pid


def test_starts_that_race_end_with_one_process(home: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: launch.start(home), range(4)))

    assert set(found) == {home / "kubeconfig"}
    winner = launch.status(home).pid
    until_sync(lambda: _processes_of(home) == [winner], "the end of all others")


def test_port_token_and_authority_stay_over_a_restart(home: Path) -> None:
    launch.start(home)
    before = (home / "kubeconfig").read_bytes()

    assert launch.stop(home) is True
    launch.start(home)

    assert (home / "kubeconfig").read_bytes() == before


def test_stop_says_whether_there_was_something_to_stop(home: Path) -> None:
    launch.start(home)

    assert launch.stop(home) is True
    assert launch.stop(home) is False
    assert launch.status(home).running is False


def test_stop_does_not_wait_for_the_program_that_started_the_cluster(home: Path) -> None:
    program = (
        "import sys; from jupyter_workspaces.local import launch; "
        f"launch.start({str(home)!r}); print('started', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"

        assert (
            launch.stop(home, timeout=10) is True
        )  # the ended process is a zombie of the starter now
        assert launch.status(home).running is False


def test_after_kill_9_every_answered_write_is_there(home: Path) -> None:
    launch.start(home)
    names = [f"written-{number}" for number in range(50)]
    for name in names:
        assert ask(home, "POST", CONFIG_MAPS, config_map(name))[0] == 201

    kill(home)
    launch.start(home)

    there = {found["metadata"]["name"] for found in ask(home, "GET", CONFIG_MAPS)[1]["items"]}
    assert set(names) <= there


def test_a_stale_lock_and_record_do_not_hinder_a_start(home: Path) -> None:
    home.mkdir(mode=0o700)
    somebody = psutil.Process()  # alive, but not the one that was recorded
    stale = {
        "pid": somebody.pid,
        "createTime": somebody.create_time() - 1000,
        "url": "https://127.0.0.1:1",
        "version": "0",
    }
    (home / "lock").write_text(json.dumps(stale))
    (home / "process.json").write_text(json.dumps(stale))

    assert launch.stop(home) is False
    launch.start(home)

    assert launch.status(home).pid != somebody.pid


def test_a_record_of_another_program_is_never_signalled(home: Path) -> None:
    home.mkdir(mode=0o700)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        created = psutil.Process(bystander.pid).create_time()
        (home / "process.json").write_text(
            json.dumps({"pid": bystander.pid, "createTime": created, "url": ""})
        )

        assert launch.stop(home) is False

        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_taken_port_is_told_with_its_holder(home: Path) -> None:
    launch.start(home)
    launch.stop(home)
    port = int((home / "port").read_text())
    with socket.create_server(("127.0.0.1", port)), pytest.raises(LocalClusterError) as told:
        launch.start(home)

    assert f"port {port} is taken by" in str(told.value)
    assert f"pid {os.getpid()}" in str(told.value)
    launch.start(home)


def test_a_damaged_database_is_told_and_left_as_it_is(home: Path) -> None:
    launch.start(home)
    launch.stop(home)
    damaged = b"this is not a database" * 1000
    (home / "cluster.db").write_bytes(damaged)

    with pytest.raises(LocalClusterError, match="damaged"):
        launch.start(home)

    assert (home / "cluster.db").read_bytes() == damaged


def test_inside_a_workspace_no_cluster_is_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_WORKSPACE", "default/dora")

    with pytest.raises(LocalClusterError, match="default/dora"):
        launch.start(home)

    assert not home.exists()


def test_the_process_does_not_inherit_secrets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("JUPYTER_WORKSPACES_TOKEN", "hush")
    launch.start(home)

    inherited = psutil.Process(launch.status(home).pid).environ()

    assert "hush" not in inherited.values()
    assert inherited["PATH"] == os.environ["PATH"]


def test_the_process_has_a_session_of_its_own(home: Path) -> None:
    launch.start(home)
    pid = launch.status(home).pid
    assert pid is not None

    assert os.getsid(pid) == pid != os.getsid(0)


def test_a_dead_cluster_is_brought_back_once_and_then_after_a_pause(home: Path) -> None:
    launch.start(home)
    keeper = Keeper(home)
    first = launch.status(home).pid

    kill(home)
    keeper.ensure()
    assert launch.status(home).pid not in (first, None)
    kill(home)

    with pytest.raises(LocalClusterError, match="crashed again"):
        keeper.ensure()


def test_a_cluster_that_was_stopped_stays_stopped(home: Path) -> None:
    launch.start(home)
    launch.stop(home)

    with pytest.raises(LocalClusterError, match="was stopped"):
        Keeper(home).ensure()


def test_reset_leaves_nothing_and_the_next_start_is_a_new_cluster(home: Path) -> None:
    launch.start(home)
    token = (home / "token").read_text()
    (home / "volumes" / "pvc-1").mkdir(parents=True)
    (home / "mine").write_text("not the cluster's")

    launch.reset(home)

    assert sorted(found.name for found in home.iterdir()) == ["lock", "mine"]
    launch.start(home)
    assert (home / "token").read_text() != token


def test_in_the_foreground_it_says_where_it_is_and_stops_at_a_signal(home: Path) -> None:
    command = [sys.executable, "-m", "jupyter_workspaces.local", "--directory", str(home)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(
            "The local cluster is ready at https://127.0.0.1:"
        )
        assert launch.status(home).pid == process.pid

        process.send_signal(signal.SIGINT)

        assert process.wait(LIMIT_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()
    assert not (home / "process.json").exists()


def test_a_read_only_directory_is_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "read-only", "size=1m,mode=700") as place:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)

        with pytest.raises(LocalClusterError, match="cannot write"):
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

            kill(place)
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
            launch.start(place)

            there = {
                found["metadata"]["name"] for found in ask(place, "GET", CONFIG_MAPS)[1]["items"]
            }
            assert set(written) <= there
        finally:
            launch.stop(place)


def _processes_of(home: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(home) in (process.info["cmdline"] or ())
    ]


class mounted:
    """A small file system of its own; the test is skipped where none can be made."""

    def __init__(self, place: Path, options: str) -> None:
        self._place, self._options = place, options

    def __enter__(self) -> Path:
        if shutil.which("mount") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
            pytest.skip("only root can mount a small file system")
        self._place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", self._options, "tmpfs", str(self._place)],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.decode().strip()}")
        return self._place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self._place)], check=True)
