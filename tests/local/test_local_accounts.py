"""Service accounts and identities of the local cluster: tokens, certificates and roles."""

from __future__ import annotations

import base64
from pathlib import Path

import jwt
import pytest
from running_cluster import ask, kill
from small_cluster import AUTHORITY, SmallCluster, small_cluster
from waiting import until_sync

from jupyter_workspaces.kube.catalog import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import Forbidden, Unauthorized
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.local import accounts, launch
from jupyter_workspaces.localkube.directory import Directory

ACCOUNT = "kubernetes.io/service-account.name"
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def token_secret(account: str) -> Object:
    metadata = {"name": "kept", "annotations": {ACCOUNT: account}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/service-account-token",
    }


async def filled(small: SmallCluster) -> Object:
    async def has_token() -> Object | None:
        secret = await small.cluster.get(SECRETS, "kept", "default")
        return secret if (secret.get("data") or {}).get("token") else None

    found = await small.until(has_token, "a token")
    assert found is not None
    return found


def signed_in(small: SmallCluster, bearer: str) -> Cluster:
    async def token() -> str:
        return bearer

    return Cluster(Endpoint(small.cluster.endpoint.url, "test", None, token))


async def test_a_token_secret_gets_a_token_that_lasts_as_long_as_it(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        account = await small.make(SERVICE_ACCOUNTS, "robot", "default")
        await small.cluster.create(SECRETS, token_secret("robot"), "default")
        secret = await filled(small)
        data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        assert (data["namespace"], data["ca.crt"]) == ("default", AUTHORITY)
        assert (
            secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"]
            == account["metadata"]["uid"]
        )
        assert jwt.decode(data["token"], options={"verify_signature": False}) == {
            "iss": "kubernetes/serviceaccount",
            "kubernetes.io/serviceaccount/namespace": "default",
            "kubernetes.io/serviceaccount/secret.name": "kept",
            "kubernetes.io/serviceaccount/service-account.name": "robot",
            "kubernetes.io/serviceaccount/service-account.uid": account["metadata"]["uid"],
            "sub": "system:serviceaccount:default:robot",
        }
        async with signed_in(small, data["token"]) as robot:
            assert (await robot.raw("POST", SELF, body={}))["status"]["userInfo"][
                "username"
            ] == "system:serviceaccount:default:robot"
            with pytest.raises(
                Forbidden,
                match='User "system:serviceaccount:default:robot" cannot list resource "secrets"',
            ):
                await robot.list(SECRETS, "default")
            await small.cluster.delete(SECRETS, "kept", "default")
            with pytest.raises(Unauthorized):
                await robot.raw("POST", SELF, body={})


async def test_a_token_secret_goes_with_its_account(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(SERVICE_ACCOUNTS, "robot", "default")
        await small.cluster.create(SECRETS, token_secret("robot"), "default")
        await filled(small)
        await small.cluster.delete(SERVICE_ACCOUNTS, "robot", "default")
        await small.gone(SECRETS, "kept")


async def test_a_token_secret_of_nobody_goes(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:
        await small.cluster.create(SECRETS, token_secret("nobody"), "default")
        await small.gone(SECRETS, "kept")


async def test_each_namespace_has_the_authoritys_certificate_and_gets_it_back(
    tmp_path: Path,
) -> None:
    async with small_cluster(tmp_path) as small:
        await small.make(NAMESPACES, "team", None)

        async def is_true() -> bool:
            return bool(
                (await small.cluster.get(CONFIG_MAPS, "kube-root-ca.crt", "team"))["data"]
                == {"ca.crt": AUTHORITY}
            )

        await small.until(is_true)
        await small.cluster.patch(
            CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged", "more": "x"}}, "team"
        )
        await small.until(is_true)
        await small.cluster.delete(CONFIG_MAPS, "kube-root-ca.crt", "team")
        await small.until(is_true)


async def test_a_role_made_of_others_says_what_it_grants(tmp_path: Path) -> None:
    async with small_cluster(tmp_path) as small:

        async def rules(name: str) -> list[Object]:
            return list((await small.cluster.get(CLUSTER_ROLES, name)).get("rules") or ())

        added = {"apiGroups": ["kubeflow.org"], "resources": ["workspaces"], "verbs": ["get"]}
        part = {
            "apiVersion": CLUSTER_ROLES.api_version,
            "kind": "ClusterRole",
            "metadata": {
                "name": "workspaces-view",
                "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
            },
            "rules": [added],
        }
        await small.cluster.create(CLUSTER_ROLES, part)
        for name in ("view", "edit", "admin"):  # each is a part of the next

            async def has(name: str = name) -> bool:
                return added in await rules(name)

            await small.until(has, f"the rule in {name}")
        await small.cluster.delete(CLUSTER_ROLES, "workspaces-view")

        async def has_not() -> bool:
            return added not in await rules("admin")

        await small.until(has_not, "the end of the rule")
        assert await rules("view") == await rules("system:aggregate-to-view")


@pytest.mark.slow
def test_the_cluster_knows_its_parts_and_its_tokens_outlive_a_crash(tmp_path: Path) -> None:
    directory = tmp_path / "cluster"
    launch.start(directory)
    try:
        assert ask(directory, "POST", SELF, {})[1]["status"]["userInfo"] == {
            "username": "local-admin",
            "groups": ["system:masters", "system:authenticated"],
        }
        path = "/api/v1/namespaces/default/serviceaccounts/default/token"
        until_sync(lambda: ask(directory, "POST", path, {})[0] == 201, "the account")
        token = ask(directory, "POST", path, {})[1]["status"]["token"]
        certificate = ask(
            directory, "GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
        )[1]["data"]["ca.crt"]
        assert certificate == (directory / "ca.crt").read_text()
        kill(directory)
        launch.start(directory)
        status, review = ask(directory, "POST", SELF, {}, token=token)
        assert (status, review["status"]["userInfo"]["username"]) == (
            201,
            "system:serviceaccount:default:default",
        )
        assert (directory / "sa.key").stat().st_mode & 0o077 == 0
        assert token not in (directory / "log").read_text()
    finally:
        launch.stop(directory, pods=True)


def test_a_key_of_no_use_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = Directory(tmp_path)
    first = accounts.keys(directory)
    assert accounts.keys(directory).pem() == first.pem()
    directory.account_key.write_bytes(b"nonsense")
    assert accounts.keys(directory).pem() != first.pem()
    assert "nonsense" not in caplog.text
    assert "Creating a new one" in caplog.text
