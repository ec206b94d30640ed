"""Tokens, files, login programs and certificates that change while the process runs."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from guarded_api import connect_proxy, guarded_api, kubeconfig, login_program, runs
from waiting import until

from jupyter_workspaces.common import tls
from jupyter_workspaces.common.signing import Pair, make_authority, make_server
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.kube.errors import NoEndpoint, Unauthorized, Unreachable


def later(seconds: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_token_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old\n")
    async with guarded_api() as api:
        endpoint = from_kubeconfig(
            kubeconfig(tmp_path / "kubeconfig", {"tokenFile": "token"}, api.url)
        )
        async with Cluster(endpoint) as cluster:
            for token in ("old", "new"):
                (tmp_path / "token").write_text(token)
                api.accepts = token
                await cluster.raw("GET", "/version")


async def test_a_login_program_runs_once_for_many_requests_and_again_when_its_token_expires(
    tmp_path: Path,
) -> None:
    user = login_program(tmp_path, {"token": "first", "expirationTimestamp": later(12)})
    async with (
        guarded_api() as api,
        Cluster(from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user, api.url))) as cluster,
    ):
        api.accepts = "first"
        await asyncio.gather(*(cluster.raw("GET", "/version") for _ in range(20)))
        assert runs(tmp_path) == 1
        login_program(tmp_path, {"token": "second", "expirationTimestamp": later(3600)})
        api.accepts = None

        async def asked_again() -> bool:
            await asyncio.gather(*(cluster.raw("GET", "/version") for _ in range(20)))
            return runs(tmp_path) > 1

        await until(asked_again, "a second login", 10)  # it counts as expired ten seconds early
        assert runs(tmp_path) == 2
        assert {headers["Authorization"] for headers in api.seen} == {
            "Bearer first",
            "Bearer second",
        }


async def test_a_refused_token_is_asked_for_anew_once_for_all_requests(tmp_path: Path) -> None:
    user = login_program(tmp_path, {"token": "first"})
    async with (
        guarded_api() as api,
        Cluster(from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user, api.url))) as cluster,
    ):
        await cluster.raw("GET", "/version")
        login_program(tmp_path, {"token": "second"})
        api.accepts = "second"
        await asyncio.gather(*(cluster.raw("POST", "/version", body={}) for _ in range(10)))
        assert runs(tmp_path) == 2
        api.accepts = "third"
        with pytest.raises(Unauthorized):
            await cluster.raw("GET", "/version")


async def test_a_refused_token_is_asked_for_anew_for_a_websocket_too(tmp_path: Path) -> None:
    user = login_program(tmp_path, {"token": "first"})
    async with (
        guarded_api() as api,
        Cluster(from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user, api.url))) as cluster,
    ):
        await cluster.raw("GET", "/version")
        login_program(tmp_path, {"token": "second"})
        api.accepts = "second"
        socket = await cluster.websocket(
            "/api/v1/namespaces/x/pods/x/portforward", ["v4.channel.k8s.io"], query={"ports": "1"}
        )
        assert await socket.receive_str() == "let in"
        await socket.close()
        assert runs(tmp_path) == 2
        api.accepts = "third"
        with pytest.raises(Unauthorized):
            await cluster.websocket(
                "/api/v1/namespaces/x/pods/x/portforward",
                ["v4.channel.k8s.io"],
                query={"ports": "1"},
            )


async def test_a_new_login_in_the_kubeconfig_is_used(tmp_path: Path) -> None:
    async with (
        guarded_api() as api,
        Cluster(
            from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {"token": "old"}, api.url))
        ) as cluster,
    ):
        api.accepts = "new"
        with pytest.raises(Unauthorized):
            await cluster.raw("GET", "/version")
        kubeconfig(tmp_path / "kubeconfig", {"token": "new"}, api.url)
        await cluster.raw("GET", "/version")


async def test_a_login_program_that_fails_is_named_with_its_hint(tmp_path: Path) -> None:
    user = login_program(tmp_path, {}, fails="the session is over")
    user["exec"]["installHint"] = "Run `cloud login`."
    endpoint = from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user))
    with pytest.raises(
        Unauthorized,
        match=(
            r"status 3\. `kubectl --context there get --raw /version` shows its error\. "
            r"Run `cloud login`\."
        ),
    ):
        await endpoint.headers()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"command": "no-such-program"}, "not installed"),
        ({"command": "true"}, "did not print an ExecCredential"),
        (
            {"command": "sh", "args": ["-c", 'echo \'{"apiVersion": "v9", "status": {}}\'']},
            "another apiVersion",
        ),
    ],
)
async def test_a_login_program_that_is_of_no_use_is_told(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "true",
            "interactiveMode": "Never",
            **change,
        }
    }
    with pytest.raises(Unauthorized, match=told):
        await from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user)).headers()


def test_a_login_program_that_wants_a_terminal_is_refused(tmp_path: Path) -> None:
    user = login_program(tmp_path, {})
    user["exec"]["interactiveMode"] = "Always"
    with pytest.raises(NoEndpoint, match="terminal"):
        from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user))


async def test_a_login_program_hears_of_the_cluster_only_when_it_is_to(tmp_path: Path) -> None:
    user = login_program(tmp_path, {"token": "t"})
    await from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user)).headers()
    user["exec"]["provideClusterInfo"] = True
    await from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", user, "http://127.0.0.1:7")).headers()
    first, second = (tmp_path / "runs").read_text().splitlines()
    assert "127.0.0.1" not in first
    assert "http://127.0.0.1:7" in second


def test_several_files_are_one_and_the_first_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = kubeconfig(tmp_path / "one", {}, "http://one", "first")
    two = kubeconfig(tmp_path / "two", {}, "http://two", "second")
    monkeypatch.setenv("KUBECONFIG", f"{one}:{tmp_path / 'absent'}:{two}")
    assert from_kubeconfig().url == "http://one"
    assert from_kubeconfig(context="second").url == "http://two"
    with pytest.raises(NoEndpoint, match="first, second"):
        from_kubeconfig(context="third")


async def test_who_acts_as_somebody_else_says_so(tmp_path: Path) -> None:
    endpoint = from_kubeconfig(kubeconfig(tmp_path / "kubeconfig", {"token": "t", "as": "emil"}))
    assert await endpoint.headers() == {"Authorization": "Bearer t", "Impersonate-User": "emil"}


def served(authority: Pair, name: str = "127.0.0.1") -> ssl.SSLContext:
    general = (
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    )
    pair = make_server(authority, name, (general,), 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_pair(context, pair.certificate_pem, pair.key_pem)
    return context


async def test_an_authority_of_ones_own_and_another_server_name(tmp_path: Path) -> None:
    authority = make_authority("a test's authority", 1)
    data = base64.b64encode(authority.certificate_pem).decode()
    async with guarded_api(served(authority, "kubernetes.example")) as api:
        trusted = {"certificate-authority-data": data, "tls-server-name": "kubernetes.example"}
        async with Cluster(
            from_kubeconfig(kubeconfig(tmp_path / "good", {}, api.url, **trusted))
        ) as cluster:
            await cluster.raw("GET", "/version")
        for wrong in (
            {"certificate-authority-data": data},
            {"tls-server-name": "kubernetes.example"},
        ):
            async with Cluster(
                from_kubeconfig(kubeconfig(tmp_path / "wrong", {}, api.url, **wrong))
            ) as cluster:
                with pytest.raises(Unreachable, match="certificate"):
                    await cluster.raw("GET", "/version")


async def test_a_proxy_leads_to_the_server(tmp_path: Path) -> None:
    authority = make_authority("a test's authority", 1)
    trusted = {"certificate-authority-data": base64.b64encode(authority.certificate_pem).decode()}
    async with guarded_api(served(authority)) as api, connect_proxy() as proxy:
        file = kubeconfig(
            tmp_path / "kubeconfig", {}, api.url, **trusted, **{"proxy-url": proxy.url}
        )
        async with Cluster(from_kubeconfig(file)) as cluster:
            await cluster.raw("GET", "/version")
        assert proxy.targets == [api.url.removeprefix("https://")]


def test_a_kind_of_proxy_that_is_not_known_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoEndpoint, match="socks5"):
        from_kubeconfig(
            kubeconfig(tmp_path / "kubeconfig", {}, **{"proxy-url": "socks5://127.0.0.1:1"})
        )
