"""Errors never contain secrets of kubeconfigs, tokens, login programs, proxies or responses."""

from __future__ import annotations

import base64
import logging
import traceback
from pathlib import Path

import pytest
from aiohttp import web
from guarded_api import kubeconfig, login_program

from jupyter_workspaces.install.doctor import examine
from jupyter_workspaces.kube import endpoint
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.errors import ClusterError, NoEndpoint, Unauthorized
from jupyter_workspaces.kube.kubeconfig import exec_plugin as login_programs
from jupyter_workspaces.kube.kubeconfig.credentials import FileToken
from jupyter_workspaces.server.connection import ClusterConnection, NotReady

CANARY = "CANARY"
BROKEN = [
    "users:\n- name: u\n  user:\n    token: CANARY: x\n",
    'users:\n- name: u\n  user:\n    token: "CANARY\n',
    "users:\n- name: u\n  user:\n    token: !!CANARY x\n",
    "users:\n- name: u\n  user:\n    token: !!int CANARY\n",
    "users:\n- name: u\n  user:\n    token: *CANARY\n",
    "users:\n- name: u\n  user:\n   token: x\n  CANARY\n",
    "users:\n- name: u\n\tuser: {token: CANARY}\n",
    "users:\n- name: u\n  user: [CANARY]\n",
    "users:\n- name: u\n  user: CANARY\n",
    "users:\n- CANARY\n",
    "users: CANARY\n",
    "CANARY",
    "kind: CANARY\n",
    "users:\n- name: u\n  user: {client-key-data: CANARY!}\n",
    "users:\n- name: u\n  user: {exec: CANARY}\n",
    "users:\n- name: u\n  user: {exec: {env: [CANARY]}}\n",
    "users:\n- name: u\n  user: {auth-provider: {config: [CANARY]}}\n",
    "? [CANARY]\n: x\n",
    "users:\n- name: u\n  user: {token: .inf, CANARY: [}\n",
    "users: \x00CANARY\n",
    '{"users": [{"name": "u", "user": {"token": "CANARY\n',
]


def shown(error: BaseException, log: str = "") -> str:
    """All that a person or a log may see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + log


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_kubeconfig(tmp_path: Path, text: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(NoEndpoint) as raised:
        from_kubeconfig(tmp_path / "kubeconfig")
    assert CANARY not in shown(raised.value)
    assert str(tmp_path / "kubeconfig") in str(raised.value)


def test_a_syntax_error_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(BROKEN[0])
    with pytest.raises(NoEndpoint, match=r"kubeconfig is neither YAML nor JSON \(line 4\)"):
        from_kubeconfig(tmp_path / "kubeconfig")


def test_a_wrong_type_names_entry_and_key(tmp_path: Path) -> None:
    with pytest.raises(NoEndpoint, match=r"token of user 'there' must be a text"):
        from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {"token": 12345}))


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfeCANARY", b"CANARY\nCANARY"])
async def test_a_token_file_that_is_of_no_use(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(Unauthorized, match=str(tmp_path / "token")) as raised:
        await FileToken(tmp_path / "token").token()
    assert CANARY not in shown(raised.value)


@pytest.mark.parametrize(
    "authority",
    [None, b"CANARY", b"-----BEGIN CERTIFICATE-----\nCANARY\n-----END CERTIFICATE-----\n"],
)
def test_the_files_of_a_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: bytes | None
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setattr(endpoint, "SERVICE_ACCOUNT", tmp_path)
    (tmp_path / "token").write_text(CANARY)
    if authority is not None:
        (tmp_path / "ca.crt").write_bytes(authority)
    with pytest.raises(NoEndpoint, match=r"ca\.crt") as raised:
        endpoint.from_service_account()
    assert CANARY not in shown(raised.value)


async def test_a_login_program_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_programs, "PROGRAM_SECONDS", 0.2)
    script = tmp_path / "slow"
    script.write_text("#!/bin/sh\necho CANARY; echo CANARY >&2; exec sleep 30\n")
    script.chmod(0o700)
    user = login_program(tmp_path, {})
    user["exec"] |= {
        "command": str(script),
        "args": [CANARY],
        "env": [{"name": "SECRET", "value": CANARY}],
    }
    with pytest.raises(Unauthorized, match=r"did not end within 0\.2 s") as raised:
        await from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user)).headers()
    assert CANARY not in shown(raised.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:CANARY@127.0.0.1:{port}",
        "http://me:CANARY@127.0.0.1:1",
        "http://me:CANARY@no-such-host.invalid:1",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_with_a_password(tmp_path: Path, proxy: str, scheme: str) -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        return web.Response(status=407, reason="CANARY", text=f"CANARY {request.headers}")

    runner = web.ServerRunner(web.Server(refuse))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = proxy.format(port=runner.addresses[0][1])
        file = kubeconfig(
            tmp_path / "kubeconfig", {}, f"{scheme}://cluster.invalid", **{"proxy-url": url}
        )
        async with Cluster(from_kubeconfig(file)) as cluster:
            with pytest.raises(ClusterError) as raised:
                await cluster.raw("GET", "/version")
            with pytest.raises(ClusterError) as socket:
                await cluster.websocket("/api/v1", [], query={})
    finally:
        await runner.cleanup()
    assert "CANARY" not in f"{raised.value.message} {socket.value.message}"
    assert "me:" not in f"{raised.value.message} {socket.value.message} {cluster.endpoint!r}"


@pytest.mark.parametrize(
    "variable",
    ["http://me:CANARY@[::1", "socks5://me:CANARY@127.0.0.1:1", "http://me:CANARY@h:port"],
)
def test_a_proxy_of_the_environment_that_is_of_no_use(
    tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", variable)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(NoEndpoint, match="HTTPS_PROXY") as raised:
        from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {}, "https://cluster.invalid"))
    assert CANARY not in shown(raised.value)


async def test_a_gateway_that_quotes_the_request(tmp_path: Path) -> None:
    async def quote(request: web.Request) -> web.Response:
        return web.Response(status=403, text=f"you sent {request.headers['Authorization']}")

    url, runner = await _serve(quote)
    try:
        async with Cluster(
            from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {"token": "CANARY-token"}, url))
        ) as cluster:
            with pytest.raises(ClusterError, match="you sent Bearer …") as raised:
                await cluster.raw("GET", "/version")
    finally:
        await runner.cleanup()
    assert CANARY not in shown(raised.value)


async def _serve(handler: object) -> tuple[str, web.AppRunner]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}", runner


OIDC = {
    "auth-provider": {
        "name": "oidc",
        "config": {
            "client-id": "k",
            "idp-issuer-url": "https://127.0.0.1:1/",
            "refresh-token": CANARY,
            "client-secret": CANARY,
        },
    }
}


async def test_the_doctor_shows_no_refresh_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Cluster(from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", OIDC))) as cluster:
        lines = [line async for line in examine(cluster)]
    assert lines[0].state == "bad"
    assert CANARY not in f"{lines}" + caplog.text


async def test_a_503_of_the_api_and_its_log_show_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def known() -> endpoint.Endpoint:
        (tmp_path / "kubeconfig").write_text(BROKEN[0])
        return from_kubeconfig(tmp_path / "kubeconfig")

    def silent() -> endpoint.Endpoint:
        return from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", OIDC))

    def foreign() -> endpoint.Endpoint:
        raise RuntimeError("refresh token CANARY was refused")

    for choose, words in (
        (known, "neither YAML"),
        (silent, "not ready"),
        (foreign, "RuntimeError"),
    ):
        connection = ClusterConnection(choose)
        try:
            with pytest.raises(NotReady) as raised:
                await connection.ready(2)
        finally:
            await connection.stop()
        assert words in str(raised.value)
        assert CANARY not in str(raised.value) + caplog.text
    assert "foreign" in caplog.text  # the place of the fault is logged


def test_secrets_of_a_kubeconfig_are_not_in_representations(tmp_path: Path) -> None:
    user = {"token": CANARY, "as": "emil"}
    found = from_kubeconfig(
        kubeconfig(
            tmp_path / "kubeconfig", user, **{"proxy-url": f"http://me:{CANARY}@127.0.0.1:1"}
        )
    )
    assert CANARY not in repr(found)
    basic = from_kubeconfig(
        kubeconfig(tmp_path / "kubeconfig", {"username": "me", "password": CANARY})
    )
    assert base64.b64encode(b"me:CANARY").decode() not in repr(basic)
