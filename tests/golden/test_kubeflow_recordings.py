"""Recorded answers of Kubeflow's own backend, compared with ours.

Each recorded scenario is one test, on the embedded cluster and on a real one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import golden_servers
import pytest
from player import Objects, Player

pytestmark = pytest.mark.slow

RECORDINGS = Path(__file__).parent / "recordings" / "kubeflow"
CLUSTERS = {"embedded": golden_servers.embedded, "real": golden_servers.real}


def scenarios(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


@pytest.fixture(scope="module")
def backend_alone(cluster_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    folder = tmp_path_factory.mktemp("alone")
    with CLUSTERS[cluster_kind](folder) as kubeconfig:
        yield from played(kubeconfig, folder)


@pytest.fixture(scope="module")
def with_a_node(cluster_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    folder = tmp_path_factory.mktemp("logs")
    with CLUSTERS[cluster_kind](folder, node=True) as kubeconfig:
        yield from played(kubeconfig, folder)


@pytest.fixture(scope="module")
def with_a_controller(
    cluster_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Player]:
    folder = tmp_path_factory.mktemp("controller")
    with CLUSTERS[cluster_kind](folder, controller=True, node=True) as kubeconfig:
        yield from played(kubeconfig, folder)


def played(kubeconfig: Path, folder: Path) -> Iterator[Player]:
    objects = Objects(kubeconfig)
    with golden_servers.serving(kubeconfig, folder) as url:
        yield Player(url, objects)


def check(player: Player, scenario: Path) -> None:
    assert player.play(json.loads(scenario.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("scenario", scenarios(RECORDINGS), ids=lambda path: path.stem)
def test_the_backend_alone(backend_alone: Player, scenario: Path) -> None:
    check(backend_alone, scenario)


@pytest.mark.parametrize(
    "scenario", scenarios(RECORDINGS / "with-logs"), ids=lambda path: path.stem
)
def test_with_a_node_that_has_logs(with_a_node: Player, scenario: Path) -> None:
    check(with_a_node, scenario)


@pytest.mark.parametrize(
    "scenario", scenarios(RECORDINGS / "with-controller"), ids=lambda path: path.stem
)
def test_with_a_controller(with_a_controller: Player, scenario: Path) -> None:
    check(with_a_controller, scenario)


def test_no_recording_is_left_out() -> None:
    assert len(scenarios(RECORDINGS)) == 84
    assert len(sorted(RECORDINGS.rglob("*.json"))) == 94
