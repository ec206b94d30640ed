"""The OIDC auth-provider: refresh over verified TLS, new tokens written back as in kubectl."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import subprocess
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import control_plane_binaries
import pytest
import yaml
from guarded_api import guarded_api
from identity_echo import identity_echo, write_certificates
from oidc_issuer import SECRET, Issuer, id_token, oidc_issuer

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.errors import ClusterError, NoEndpoint, Unauthorized, Unreachable
from jupyter_workspaces.kube.kubeconfig import writing

KUBECTL = control_plane_binaries.find().get("kubectl")

FILE = """\
# of a tool: é
apiVersion: v1
kind: Config
current-context: x  # the only one
contexts:
- context: {{cluster: c, user: u}}
  name: x
clusters:
- cluster: {{server: "{server}"}}
  name: c
users:
- name: other
  user: {{token: CANARY-other}}
- name: u
  user:
    auth-provider:
      # signed in by hand
      config:
        client-id: 'client:id'
        client-secret: {secret}
        idp-certificate-authority-data: {authority}
        idp-issuer-url: {issuer_url}
        {tokens}
      name: oidc
"""


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    write_certificates(tmp_path)
    with oidc_issuer(tmp_path) as served:
        yield served


def write(
    folder: Path,
    issuer: Issuer,
    server: str = "http://127.0.0.1:1",
    tokens: dict[str, str] | None = None,
    **changes: str,
) -> Path:
    held = (
        {"id-token": id_token(-60), "refresh-token": issuer.refresh} if tokens is None else tokens
    )
    values = {
        "server": server,
        "secret": SECRET,
        "authority": base64.b64encode((folder / "ca.pem").read_bytes()).decode(),
        "issuer_url": issuer.url,
        "tokens": "\n        ".join(f"{key}: {value}" for key, value in held.items())
        or "extra-scopes: groups",
        **changes,
    }
    file = folder / "kubeconfig"
    file.write_text(FILE.format_map(values), encoding="utf-8")
    file.chmod(0o600)
    return file


def config(file: Path) -> dict[str, str]:
    users = yaml.safe_load(file.read_text(encoding="utf-8"))["users"]
    found: dict[str, str] = next(entry for entry in users if entry["name"] == "u")["user"][
        "auth-provider"
    ]["config"]
    return found


async def sent(file: Path) -> str:
    return (await from_kubeconfig(file).headers())["Authorization"].removeprefix("Bearer ")


async def test_a_token_that_expired_is_refreshed_once_for_all_requests(
    tmp_path: Path, issuer: Issuer
) -> None:
    async with (
        guarded_api() as api,
        Cluster(from_kubeconfig(write(tmp_path, issuer, api.url))) as cluster,
    ):
        await asyncio.gather(*(cluster.raw("GET", "/version") for _ in range(10)))
        assert issuer.asked == ["GET /.well-known/openid-configuration", "POST /token"]
        assert len({headers["Authorization"] for headers in api.seen}) == 1


async def test_a_token_that_is_valid_asks_nobody(tmp_path: Path, issuer: Issuer) -> None:
    token = id_token(600)
    assert await sent(write(tmp_path, issuer, tokens={"id-token": token})) == token
    assert issuer.asked == []


@pytest.mark.parametrize("tokens", [None, {"refresh-token": "CANARY-refresh-0"}])
async def test_new_tokens_are_written_back_and_nothing_else_changes(
    tmp_path: Path, issuer: Issuer, tokens: dict[str, str] | None
) -> None:
    file = write(tmp_path, issuer, tokens=tokens)
    before = file.read_text(encoding="utf-8").splitlines()
    token = await sent(file)
    assert (config(file)["id-token"], config(file)["refresh-token"]) == (token, issuer.refresh)
    after = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in before if "-token: " not in line]
    assert [line for line in after if "-token: " not in line] == kept
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.lock"))
    assert await sent(file) == token  # a later process goes on with it


async def test_a_rotated_refresh_token_works_again(tmp_path: Path, issuer: Issuer) -> None:
    issuer.seconds = 5  # counts as expired at once
    file = write(tmp_path, issuer)
    endpoint = from_kubeconfig(file)
    assert len({(await endpoint.headers())["Authorization"] for _ in range(3)}) == 3
    assert config(file)["refresh-token"] == issuer.refresh == "CANARY-refresh-3"


async def test_what_another_program_refreshed_meanwhile_is_used(
    tmp_path: Path, issuer: Issuer
) -> None:
    endpoint = from_kubeconfig(write(tmp_path, issuer))
    other = id_token(600, "other")
    write(tmp_path, issuer, tokens={"id-token": other, "refresh-token": "CANARY-next"})
    assert (await endpoint.headers())["Authorization"] == f"Bearer {other}"
    assert issuer.asked == []


async def test_a_secret_in_the_body_is_tried_for_issuers_that_want_it(
    tmp_path: Path, issuer: Issuer
) -> None:
    issuer.by_body = True
    await sent(write(tmp_path, issuer))
    assert issuer.asked.count("POST /token") == 2


async def test_kubectl_goes_on_with_what_was_written(tmp_path: Path, issuer: Issuer) -> None:
    if KUBECTL is None:
        pytest.skip(f"kubectl is {control_plane_binaries.missing()}")
    token = await sent(file := write(tmp_path, issuer))
    (served := tmp_path / "served").mkdir()
    with identity_echo(served) as echo:
        authority = base64.b64encode((served / "ca.pem").read_bytes()).decode()
        cluster = (
            f'cluster: {{server: "https://127.0.0.1:{echo.tls}", '
            f"certificate-authority-data: {authority}}}"
        )
        file.write_text(
            file.read_text(encoding="utf-8").replace(
                'cluster: {server: "http://127.0.0.1:1"}', cluster
            ),
            encoding="utf-8",
        )
        command = [str(KUBECTL), "--kubeconfig", str(file), "get", "--raw", "/whoami"]
        ended = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=30, check=False
        )
    assert f"Bearer {token}" in ended.stdout, ended.stderr


async def test_the_issuer_is_verified_before_it_gets_a_token(
    tmp_path: Path, issuer: Issuer
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_certificates(other)
    for authority in (base64.b64encode((other / "ca.pem").read_bytes()).decode(), '""'):
        with pytest.raises(Unreachable, match="certificate cannot be verified"):
            await sent(write(tmp_path, issuer, authority=authority))
    assert issuer.asked == []


@pytest.mark.parametrize("where", ["issuer", "token_endpoint"])
async def test_tokens_are_not_sent_without_tls(tmp_path: Path, issuer: Issuer, where: str) -> None:
    if where == "issuer":
        with pytest.raises(NoEndpoint, match="not https://"):
            from_kubeconfig(write(tmp_path, issuer, issuer_url="http://issuer.example"))
        return
    issuer.token_url = "http://issuer.example/token"
    with pytest.raises(Unauthorized, match="no token_endpoint of https://"):
        await sent(write(tmp_path, issuer))


ANSWERS: list[tuple[str, int, str]] = [
    ("/.well-known/openid-configuration", 500, "CANARY"),
    ("/.well-known/openid-configuration", 200, "CANARY {"),
    ("/.well-known/openid-configuration", 200, '{"token_endpoint": "CANARY"}'),
    ("/.well-known/openid-configuration", 200, '{"token_endpoint": ["CANARY"]}'),
    ("/token", 200, "CANARY"),
    ("/token", 200, '{"id_token": 5, "refresh_token": "CANARY"}'),
    ("/token", 200, '{"id_token": "CAN.ARY.x"}'),
    ("/token", 200, '["CANARY"]'),
    ("/token", 302, "CANARY"),
    ("/token", 400, '{"error": "CANARY", "error_description": "CANARY"}'),
    ("/token", 400, '{"error": "invalid_grant", "error_description": "CANARY"}'),
    ("/token", 401, '{"error": "invalid_client"}'),
    ("/token", 503, "CANARY"),
]


@pytest.mark.parametrize(("path", "status", "body"), ANSWERS)
async def test_no_answer_of_the_issuer_is_shown(
    tmp_path: Path,
    issuer: Issuer,
    path: str,
    status: int,
    body: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    issuer.answers[path] = (status, body)
    with pytest.raises(ClusterError) as raised:
        await sent(write(tmp_path, issuer))
    shown = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert "CANARY" not in shown
    assert "The issuer of The user u" not in shown
    assert "auth-provider oidc" in raised.value.message


async def test_a_failed_refresh_is_not_repeated_by_every_request(
    tmp_path: Path, issuer: Issuer
) -> None:
    issuer.answers["/token"] = (503, "")
    endpoint = from_kubeconfig(write(tmp_path, issuer))
    for _ in range(5):
        with pytest.raises(Unreachable):
            await endpoint.headers()
    assert issuer.asked.count("POST /token") == 1


async def test_tokens_that_cannot_be_written_back_are_used_and_it_is_said(
    tmp_path: Path,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(writing, "LOCK_SECONDS", 0.1)
    file = write(tmp_path, issuer)
    file.with_name("kubeconfig.lock").touch()  # kubectl's own lock
    before = file.read_bytes()
    endpoint = from_kubeconfig(file)
    first = (await endpoint.headers())["Authorization"]
    assert (await endpoint.headers())["Authorization"] == first
    assert file.read_bytes() == before
    assert "kubeconfig.lock exists" in caplog.text
    assert "sign in again" in caplog.text
    assert "CANARY" not in caplog.text


def test_writing_waits_for_kubectls_lock(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(
        "users: [{name: u, user: {auth-provider: {name: oidc, config: {id-token: old}}}}]\n"
    )
    lock = file.with_name("kubeconfig.lock")
    lock.touch()
    release = threading.Timer(0.3, lock.unlink)
    release.start()
    writing.save_provider(file, "u", {"id-token": "new", "refresh-token": "r"})
    release.join()
    assert config(file) == {"id-token": "new", "refresh-token": "r"}


@pytest.mark.parametrize(
    "text",
    [
        (
            'users:\n  - {"name": "u", "user": {"auth-provider": '
            '{"name": "oidc", "config": {"id-token": "old", "z": "é"}}}}\n'
        ),
        (
            '{"users": [{"name": "u", "user": {"auth-provider": '
            '{"name": "oidc", "config": {"id-token": "old"}}}}]}'
        ),
        (
            "users:\n- user:\n    auth-provider:\n      config:\n        id-token: >-\n"
            "          old\n        z: é # kept\n  name: u\n# end é\n"
        ),
        (
            "users:\r\n- user:\r\n    auth-provider:\r\n      config:\r\n"
            "        id-token: old # é\r\n  name: u\r\n"
        ),
        (
            "# é\nusers:\n- {name: a}\n- name: u\n"
            "  user: {auth-provider: {config: {id-token: 'o''ld', refresh-token: }}}\n"
        ),
    ],
)
def test_only_the_tokens_change_whatever_the_style(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_bytes(text.encode())
    expected = yaml.safe_load(text)
    changed = {"id-token": 'new: "x"', "refresh-token": "r"}
    entry: dict[str, Any] = next(found for found in expected["users"] if found["name"] == "u")
    entry["user"]["auth-provider"]["config"].update(changed)
    writing.save_provider(file, "u", changed)
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == expected
    assert text.count("é") == file.read_text(encoding="utf-8").count("é")


@pytest.mark.parametrize(
    "text",
    [
        "users: [",
        "users: []",
        "a: &a {id-token: old}\nusers: [{name: u, user: {auth-provider: {config: *a}}}]\n",
    ],
)
def test_what_cannot_be_edited_stays_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(writing.NotWritten):
        writing.save_provider(file, "u", {"id-token": "new"})
    assert file.read_text() == text
    assert os.listdir(tmp_path) == ["kubeconfig"]


def test_a_link_to_a_kubeconfig_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "kubeconfig", tmp_path / "link"
    file.write_text("users: [{name: u, user: {auth-provider: {config: {id-token: old}}}}]\n")
    link.symlink_to(file)
    writing.save_provider(link, "u", {"id-token": "new"})
    assert link.is_symlink()
    assert config(file) == {"id-token": "new"}
