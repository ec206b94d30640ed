"""Images are mapped to programs of this computer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_workspaces.localkube.node import images, runtimes
from jupyter_workspaces.localkube.node.runtimes import Runtime, ServingAddress
from jupyter_workspaces.localkube.node.waiting import Waiting

PLACE = ServingAddress(
    "127.64.0.1", 8888, "/workspace/connect/default/dora/lab/", "/home/jovyan", "/private"
)


def resolve(image: str, directory: Path, container: dict[str, Any] | None = None) -> Runtime:
    return images.resolve(image, container or {}, {"NAME": "value"}, directory)


@pytest.mark.parametrize(
    "image",
    [
        "docker.io/kubeflownotebookswg/jupyter-scipy:v1.9.0",
        "jupyterlab",
        "quay.io/jupyter/base-notebook:2025-01-01",
        "ghcr.io/acme/jupyter@sha256:0123",
        "localhost:5000/jupyterlab:1",
    ],
)
def test_a_jupyter_image_is_the_lab_of_this_environment(tmp_path: Path, image: str) -> None:
    found = resolve(image, tmp_path)

    assert found.command_line(PLACE) == [
        sys.executable,
        str(runtimes.LAUNCHER),
        "/private/main.command.json",
    ]
    started = json.loads(found.private_files(PLACE)["/private/main.command.json"])
    assert started["module"] == "jupyterlab"
    assert "--ServerApp.base_url=/workspace/connect/default/dora/lab/" in started["arguments"]
    assert "--ServerApp.ip=127.64.0.1" in started["arguments"]
    assert "--ServerApp.root_dir=/home/jovyan" in started["arguments"]
    assert "JupyterLab of this Python environment" in found.description


def test_no_token_is_in_the_command(tmp_path: Path) -> None:
    found = resolve("jupyterlab", tmp_path)

    assert not [
        part for part in (*found.command_line(PLACE), *found.arguments) if "token" in part.lower()
    ]


def test_an_environment_is_named_by_its_path(tmp_path: Path) -> None:
    found = resolve(f"env:{sys.prefix}", tmp_path)

    assert found.command_line(PLACE)[0] == f"{sys.prefix}/bin/python"
    assert found.programs == (f"{sys.prefix}/bin",)


def test_an_environment_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Waiting, match=r"/no/such does not contain one") as waiting:
        resolve("env:/no/such", tmp_path)

    assert waiting.value.reason == "ImageNotAvailable"


def test_an_environment_without_lab_says_how_to_install_it(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "bare", with_pip=False)

    with pytest.raises(Waiting, match="-m pip install jupyterlab"):
        resolve(f"env:{tmp_path / 'bare'}", tmp_path)


@pytest.mark.parametrize(
    ("image", "title"),
    [("acme/codeserver-python:1", "code-server"), ("rocker/rstudio", "RStudio Server")],
)
def test_a_program_that_is_not_installed_is_named_with_where_to_get_it(
    tmp_path: Path, image: str, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    with pytest.raises(
        Waiting,
        match=f"needs {title}, which is not installed.*Install it",
    ):
        resolve(image, tmp_path)


def test_an_unknown_image_names_the_file_that_could_map_it(tmp_path: Path) -> None:
    with pytest.raises(Waiting, match=r"images\.yaml"):
        resolve("apache/spark:3", tmp_path)


def test_an_administrator_maps_images(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(
        "images:\n"
        "- {image: 'acme/dash:*', command: [sh, -c, 'serve {address} {port} {prefix}'], "
        "check: '{prefix}health'}\n"
        "- {image: 'acme/*', runtime: jupyterlab}\n"
    )

    dash, other = resolve("acme/dash:2", tmp_path), resolve("acme/anything", tmp_path)

    assert (
        dash.command_line(PLACE)[2] == "serve 127.64.0.1 8888 /workspace/connect/default/dora/lab/"
    )
    assert dash.check == "{prefix}health"
    assert other.module == "jupyterlab"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("images: [", "is not valid YAML"),
        ("images: {a: b}", "must contain a list"),
        (
            "images: [{image: '*', runtime: docker}]",
            "must be jupyterlab, code-server, rstudio or local",
        ),
        ("images: [{image: '*', command: text}]", "must be a list of strings"),
        ("images: [{image: '*', command: [no-such-program]}]", "no-such-program"),
    ],
)
def test_a_faulty_mapping_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "images.yaml").write_text(text)

    with pytest.raises(Waiting, match=complaint):
        resolve("acme/x", tmp_path)


def test_a_local_program_runs_as_its_container_says(tmp_path: Path) -> None:
    found = resolve("local", tmp_path, {"command": ["sh", "-c"], "args": ["echo $(NAME)"]})

    assert Path(found.command[0]).name == "sh"
    assert found.command[1:] == ("-c", "echo value")


def test_a_command_alone_does_not_make_an_image_local(tmp_path: Path) -> None:
    with pytest.raises(Waiting):
        resolve("apache/spark:3", tmp_path, {"command": ["/bin/sh"]})
