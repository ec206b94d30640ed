"""The shim: exit codes, logs, signals, orphans and mounts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import until_sync

from jupyter_workspaces.localkube.node.processes.mounts import SHIM

LIMIT_SECONDS = 15.0


class Shim:
    """One run of the shim in a directory of its own."""

    def __init__(
        self,
        work: Path,
        script: str,
        *,
        prefix: tuple[str, ...] = (),
        shim: Path = SHIM,
        python: str = sys.executable,
        **plan: Any,
    ):
        self.directory = work
        self.process = subprocess.Popen(
            [*prefix, python, "-I", "-S", str(shim)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        job = {
            "command": ["/bin/sh", "-c", script],
            "environment": {"PATH": "/usr/bin:/bin"},
            "directory": str(work),
            "log": str(work / "1.log"),
            "logBytes": 10**6,
            "logFiles": 3,
            "exit": str(work / "exit.json"),
            "namespace": None,
            "steps": [],
            "staging": str(work),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job | plan).encode())
        self.process.stdin.close()
        self.answer = self.process.stdout.readline().decode().strip()
        self.process.stdout.close()

    def wait(self) -> dict[str, Any]:
        self.process.wait(LIMIT_SECONDS)
        found: dict[str, Any] = json.loads((self.directory / "exit.json").read_text())
        return found

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """(stream, tag, text) of each line."""
        found = []
        for line in (self.directory / "1.log").read_text().splitlines():
            _, stream, tag, text = line.split(" ", 3)
            found.append((stream, tag, text))
        return found


@pytest.mark.parametrize(
    ("script", "code", "number"), [("exit 0", 0, None), ("exit 3", 3, None), ("kill -9 $$", 137, 9)]
)
def test_the_exit_code_is_written(
    tmp_path: Path, script: str, code: int, number: int | None
) -> None:
    shim = Shim(tmp_path, script)

    ended = shim.wait()

    assert shim.answer == "started"
    assert (ended["exitCode"], ended["signal"]) == (code, number)
    assert ended["finishedAt"] >= ended["startedAt"]


@pytest.mark.parametrize(
    ("script", "events", "killed"),
    [
        ("kill -9 $$", "low 0\noom 1\noom_kill 1\n", True),
        ("kill -9 $$", "low 0\noom 0\noom_kill 0\n", False),
        ("exit 0", "oom_kill 1\n", False),
        ("kill -9 $$", None, False),
    ],
)
def test_what_the_kernel_killed_for_its_memory_is_told(
    tmp_path: Path, script: str, events: str | None, killed: bool
) -> None:
    """The files are those of a control group; here a plain directory holds them."""
    group = tmp_path / "group"
    group.mkdir()
    (group / "cgroup.procs").touch()
    (group / "cgroup.kill").touch()
    if events is not None:
        (group / "memory.events").write_text(events)

    ended = Shim(tmp_path, script, cgroup=str(group)).wait()

    assert ended["outOfMemory"] is killed
    assert (group / "cgroup.procs").read_text() == "0"


def test_a_program_without_its_control_group_runs_and_its_log_tells(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()

    shim = Shim(tmp_path, "echo runs", cgroup=str(tmp_path / "group"))

    assert shim.wait()["exitCode"] == 0
    assert ("stdout", "F", "runs") in shim.lines
    assert any("could not be put into its control group" in text for _, _, text in shim.lines)


def test_a_program_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    shim = Shim(tmp_path, "", command=["/no/such/program"])

    ended = shim.wait()

    assert shim.answer == "failed No such file or directory: /no/such/program"
    assert ended["exitCode"] == 128
    assert "could not be started" in shim.lines[0][2]


def test_both_streams_are_kept_line_by_line_with_their_time(tmp_path: Path) -> None:
    Shim(tmp_path, "echo out; echo err >&2; printf 'no end'").wait()

    log = (tmp_path / "1.log").read_text().splitlines()

    assert sorted(line.split(" ", 1)[1] for line in log) == [
        "stderr F err",
        "stdout F no end",
        "stdout F out",
    ]
    assert all(len(line.split(" ")[0]) == len("2026-01-01T00:00:00.000000000Z") for line in log)


def test_a_long_line_is_kept_in_pieces(tmp_path: Path) -> None:
    shim = Shim(tmp_path, "head -c 40000 /dev/zero | tr '\\0' x; echo")
    shim.wait()

    assert "".join(text for _, _, text in shim.lines) == "x" * 40000
    assert [tag for _, tag, _ in shim.lines][-1] == "F"
    assert {tag for _, tag, _ in shim.lines[:-1]} == {"P"}


def test_logs_are_bounded(tmp_path: Path) -> None:
    Shim(tmp_path, "seq 1 20000", logBytes=50_000, logFiles=3).wait()

    files = sorted(tmp_path.glob("1.log*"))

    assert [file.name for file in files] == ["1.log", "1.log.1", "1.log.2"]
    assert all(file.stat().st_size <= 50_000 for file in files)
    assert (tmp_path / "1.log").read_text().endswith(" 20000\n")


def test_a_signal_reaches_the_program_and_all_of_its_group(tmp_path: Path) -> None:
    shim = Shim(tmp_path, "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.05; done")
    until_sync(lambda: ("stdout", "F", "up") in shim.lines)

    shim.process.send_signal(signal.SIGTERM)

    assert shim.wait()["exitCode"] == 5
    assert ("stdout", "F", "asked") in shim.lines


def test_what_the_program_leaves_behind_is_killed_and_reaped(tmp_path: Path) -> None:
    shim = Shim(
        tmp_path,
        "setsid sh -c 'sleep 300 & echo $! > child; wait' & "
        "while ! test -s child; do sleep 0.02; done; exit 0",
    )
    until_sync(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
    child = int((tmp_path / "child").read_text())

    shim.wait()

    assert not psutil.pid_exists(child), "not even a zombie is left"


def test_orphans_are_reaped_while_the_program_runs(tmp_path: Path) -> None:
    shim = Shim(
        tmp_path, "(sh -c 'echo $$ > orphan' &) ; while ! test -e stop; do sleep 0.02; done"
    )
    until_sync(lambda: (tmp_path / "orphan").exists() and (tmp_path / "orphan").read_text().strip())
    orphan = int((tmp_path / "orphan").read_text())

    until_sync(lambda: not psutil.pid_exists(orphan))

    (tmp_path / "stop").touch()
    shim.wait()


def test_the_program_dies_with_its_shim(tmp_path: Path) -> None:
    shim = Shim(tmp_path, "echo $$ > pid; exec sleep 300")
    until_sync(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    program = psutil.Process(int((tmp_path / "pid").read_text()))

    shim.process.kill()
    shim.process.wait(LIMIT_SECONDS)

    until_sync(lambda: not program.is_running() or program.status() == psutil.STATUS_ZOMBIE)


def test_nothing_of_the_shims_own_reaches_the_program(tmp_path: Path) -> None:
    shim = Shim(
        tmp_path,
        "env; ls /proc/self/fd | wc -l",
        environment={"PATH": "/usr/bin:/bin", "MINE": "1"},
    )
    shim.wait()

    names = {text.partition("=")[0] for _, _, text in shim.lines if "=" in text}
    assert names <= {"PATH", "MINE", "PWD", "OLDPWD", "SHLVL", "_"}
    assert shim.lines[-1][2].strip() in ("4", "5"), (
        "stdin, stdout, stderr and what ls itself opened"
    )


def test_volumes_are_mounted_for_a_user_without_rights(tmp_path: Path) -> None:
    """User namespaces: tried as `nobody` when the tests run as root."""
    prefix, python, shim, work = (), sys.executable, SHIM, tmp_path
    if os.geteuid() == 0:
        python = "/usr/bin/python3"
        if shutil.which("setpriv") is None or not os.access(python, os.X_OK):
            pytest.skip("there is no setpriv or no system Python to become another user with")
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        work = Path("/tmp") / f"jupyter-workspaces-test-{os.getpid()}"
        work.mkdir(mode=0o777)
        shim = work / "shim.py"
        shutil.copy(SHIM, shim)
    try:
        for name in ("home", "data", "staging"):
            (work / name).mkdir()
        if os.geteuid() == 0:
            for path in (work, *work.rglob("*")):
                os.chown(path, 65534, 65534)
        probe = subprocess.run(
            [*prefix, python, "-I", "-S", str(shim), "--probe", str(work / "staging")],
            capture_output=True,
            text=True,
        )
        if probe.stdout.strip() != "user":
            pytest.skip("this system gives its users no user namespaces")
        steps = [
            {"do": "shadow", "path": "/"},
            {"do": "shadow", "path": "/home"},
            {"do": "directory", "path": "/data-of-test"},
            {"do": "directory", "path": "/home/jovyan-of-test"},
            {"do": "bind", "path": "/data-of-test", "source": str(work / "data"), "readOnly": True},
            {
                "do": "bind",
                "path": "/home/jovyan-of-test",
                "source": str(work / "home"),
                "readOnly": False,
            },
        ]
        running = Shim(
            work,
            "pwd; echo 1 > notes; touch /data-of-test/made; id -u; "
            "mount -o remount,bind,rw /data-of-test",
            prefix=prefix,
            python=python,
            shim=shim,
            namespace="user",
            steps=steps,
            staging=str(work / "staging"),
            directory="/home/jovyan-of-test",
        )
        running.wait()

        said = [text for _, _, text in running.lines]
        assert "/home/jovyan-of-test" in said
        assert any("Read-only file system" in text for text in said)
        assert (work / "home" / "notes").read_text() == "1\n"
        assert not list((work / "data").iterdir())
        assert not Path("/data-of-test").exists()
    finally:
        if work != tmp_path:
            shutil.rmtree(work)
