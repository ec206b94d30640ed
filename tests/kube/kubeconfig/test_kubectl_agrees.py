"""Kubeconfigs have the same meaning as in kubectl, and no error shows a secret."""

from __future__ import annotations

import json
import os
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import control_plane_binaries
import pytest
from identity_echo import Echo, identity_echo
from kubeconfig_cases import Cases

from jupyter_workspaces.kube import endpoint
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import ClusterError

SECONDS = 30
KUBECTL = control_plane_binaries.find().get("kubectl")  # before tests change HOME

# Where we differ on purpose, and how: "refused" by us though kubectl goes on, or what we send
# although kubectl does not.
REFUSED = {
    "server with a user": "a password in a URL would be in logs",
    "no current context": "kubectl asks localhost:8080, which nobody means",
    "context that is absent": "as above",
}
SENT: dict[str, Any] = {
    # We treat an empty entry as anonymous; kubectl asks for a password at the terminal.
    "no credentials": None,
    "null": None,
    # kubectl sends no credentials without TLS; we send them within this machine.
    "server without scheme, plain": "Bearer CANARY-token",
    "server of plain HTTP": "Bearer CANARY-token",
}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    with identity_echo(tmp_path_factory.mktemp("kubeconfigs")) as served:
        yield served


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, echo: Echo) -> None:
    for name in (
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "https_proxy",
        "http_proxy",
        "KUBERNETES_SERVICE_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(echo.folder))


async def ours(files: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any] | Exception:
    """What the server was told, or the error."""
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(files))
    try:
        async with Cluster(endpoint.from_kubeconfig()) as cluster:
            return await cluster.raw("GET", "/whoami")
    except (endpoint.NoEndpoint, ClusterError) as error:
        return error


def kubectls(files: list[str], home: Path) -> dict[str, Any] | None:
    """What the server was told by kubectl, None if kubectl refuses."""
    if KUBECTL is None:
        pytest.skip(f"kubectl is {control_plane_binaries.missing()}")
    environment = os.environ | {"KUBECONFIG": os.pathsep.join(files), "HOME": str(home)}
    command = [str(KUBECTL), "get", "--raw", "/whoami"]
    ended = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return json.loads(ended.stdout) if ended.returncode == 0 else None


def compare(
    title: str, told: dict[str, Any] | Exception, oracle: dict[str, Any] | None
) -> str | None:
    """What is wrong, if anything is."""
    if isinstance(told, Exception):
        shown = "".join(traceback.format_exception(told)) + repr(told)
        if "CANARY" in shown or "12345" in str(told):
            return f"a secret is shown: {told}"
        if oracle is not None and title not in REFUSED:
            return f"refused ({told}), and kubectl sends {oracle}"
        return None
    if title in SENT:
        return None if told["authorization"] == SENT[title] else f"{told} is sent"
    if oracle is None:
        return f"kubectl refuses, and {told} is sent"
    if told != oracle:
        return f"{told} is sent, and by kubectl {oracle}"
    return None


@pytest.mark.slow
@pytest.mark.parametrize("group", ["users", "clusters", "files"])
async def test_every_form_means_what_it_means_to_kubectl(
    group: str, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {}
    for title, files in getattr(Cases(echo), group)().items():
        if (
            found := compare(title, await ours(files, monkeypatch), kubectls(files, echo.folder))
        ) is not None:
            wrong[title] = found
    assert wrong == {}


@pytest.mark.slow
async def test_no_error_about_a_kubeconfig_shows_a_secret(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = Cases(echo)
    errors = {}
    for title, files in (cases.users() | cases.clusters() | cases.files()).items():
        told = await ours(files, monkeypatch)
        if isinstance(told, Exception):
            errors[title] = told
            assert compare(title, told, None) is None
    assert len(errors) > 60


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("certificate inline, key as file", ("person", None)),
        ("certificate as file, key inline", ("person", None)),
        ("basic", (None, "Basic YWRtaW46Q0FOQVJZLXBhc3N3b3Jk")),
        ("login program with env without value", (None, "Bearer CANARY-plugged")),
        ("empty file in the list", (None, "Bearer CANARY-token")),
        ("authority with a comment in UTF-8", (None, "Bearer CANARY-token")),
        ("JSON indented by tabs", (None, "Bearer CANARY-token")),
    ],
)
async def test_forms_that_were_not_understood(
    title: str, expected: tuple[Any, Any], echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = Cases(echo)
    told = await ours((cases.users() | cases.clusters() | cases.files())[title], monkeypatch)
    assert isinstance(told, dict), told
    assert (told["certificate"], told["authorization"]) == expected


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("certificate without key", "client-key"),
        ("password alone", "no credentials"),
        ("unknown key", "no credentials"),
        ("empty texts", "no credentials"),
        ("azure", "kubelogin"),
        ("gcp", "gke-gcloud-auth-plugin"),
        ("provider that is unknown", "login program"),
        ("token with a newline", "line break"),
        ("proxy of SOCKS", "forward a local port"),
        ("context without user", "names the user"),
    ],
)
async def test_what_is_not_supported_is_refused_with_what_to_do(
    title: str, words: str, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = Cases(echo)
    told = await ours((cases.users() | cases.clusters() | cases.files())[title], monkeypatch)
    assert isinstance(told, endpoint.NoEndpoint)
    assert words in str(told)


def test_credentials_do_not_cross_a_network_in_the_clear(echo: Echo) -> None:
    file = Cases(echo).file({"server": "http://api.example:8080"})
    with pytest.raises(endpoint.NoEndpoint, match="https://"):
        endpoint.from_kubeconfig(Path(file[0]))
