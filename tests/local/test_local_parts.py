"""The local cluster runs with the parts that were selected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from running_cluster import ask, kill
from waiting import until_sync

from jupyter_workspaces.local import launch
from jupyter_workspaces.local.launch import Keeper, LocalClusterError
from jupyter_workspaces.local.parts import Parts, of_record, parse


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("", Parts()),
        ("--without-controller", Parts(controller=False, node="off")),
        ("--without-controller --node simulated", Parts(controller=False, node="simulated")),
        ("--controller off --node processes", Parts(controller=False)),
        (
            "--node simulated --ready-after 2.5 --pod-log /a/log",
            Parts(node="simulated", ready_after=2.5, pod_log="/a/log"),
        ),
    ],
)
def test_options_say_which_parts_run(words: str, parts: Parts) -> None:
    assert parse(words.split()) == parts
    assert parse(parts.arguments()) == parts
    assert of_record({"parts": parts.record()}) == parts


@pytest.mark.parametrize(
    "words",
    [
        "--node other",
        "--ready-after 3",
        "--node off --pod-log /a",
        "--node simulated --ready-after -1",
        "--nodes off",
    ],
)
def test_options_that_make_no_sense_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"--|not valid options"):
        parse(words.split())


def test_a_record_of_an_older_version_means_all_parts() -> None:
    assert of_record(None) == of_record({"pid": 1}) == Parts()


@pytest.mark.slow
def test_without_controller_nothing_acts_on_workspaces_and_no_pod_is_placed(home: Path) -> None:
    launch.start(home, parts=Parts(controller=False, node="off"))
    bad = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": "w"},
        "spec": {
            "kind": "nothing",
            "podTemplate": {"volumes": {}, "options": {"imageConfig": "a", "podConfig": "b"}},
        },
    }

    assert (
        ask(home, "POST", "/apis/kubeflow.org/v1beta1/namespaces/default/workspaces", bad)[0] == 201
    )
    assert ask(home, "GET", "/api/v1/nodes")[1]["items"] == []


@pytest.mark.slow
def test_a_cluster_that_runs_with_other_parts_is_not_taken_for_the_one_asked_for(
    home: Path,
) -> None:
    launch.start(home, parts=Parts(node="simulated"))

    assert launch.start(home) == home / "kubeconfig"
    assert launch.start(home, parts=Parts(node="simulated")) == home / "kubeconfig"
    with pytest.raises(
        LocalClusterError, match=r"runs with .*--node simulated.*start it with .*--node off"
    ):
        launch.start(home, parts=Parts(node="off"))


@pytest.mark.slow
def test_a_cluster_that_died_comes_back_with_the_parts_that_it_had(home: Path) -> None:
    launch.start(home, parts=Parts(node="simulated"))
    kill(home)
    Keeper(home).ensure()

    def ready() -> bool:
        nodes = ask(home, "GET", "/api/v1/nodes")[1]["items"]
        return [node["metadata"]["name"] for node in nodes] == ["simulated"]

    until_sync(ready, "the simulated node")


@pytest.mark.slow
def test_a_node_that_is_left_out_gets_no_pods(home: Path) -> None:
    def states() -> dict[str, str]:
        nodes = ask(home, "GET", "/api/v1/nodes")[1]["items"]
        return {
            node["metadata"]["name"]: node["status"]["conditions"][0]["status"]
            for node in nodes
            if node["status"].get("conditions")
        }

    launch.start(home, parts=Parts(node="simulated"))
    until_sync(lambda: states() == {"simulated": "True"}, "the simulated node")
    launch.stop(home)
    launch.start(home)

    until_sync(
        lambda: states() == {"simulated": "Unknown", "local": "True"}, "the node of processes alone"
    )


@pytest.mark.slow
def test_the_process_refuses_options_that_do_not_go_together(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "jupyter_workspaces.local",
        "--directory",
        str(tmp_path),
        "--node",
        "off",
        "--ready-after",
        "1",
    ]

    answer = subprocess.run(command, capture_output=True, text=True, check=False)

    assert answer.returncode == 2
    assert "--node simulated" in answer.stderr
