"""In a pod, the service account's mounted files authenticate the program."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from real_cluster import RealCluster

from jupyter_workspaces.kube import endpoint
from jupyter_workspaces.kube.catalog import CONFIG_MAPS, SERVICE_ACCOUNTS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import Forbidden, Unauthorized

ACCOUNT = "in-cluster"
RBAC = "rbac.authorization.k8s.io"


def token(real: RealCluster) -> str:
    spec = {"expirationSeconds": 600}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    code, answer = real.ask("POST", SERVICE_ACCOUNTS.path("default", ACCOUNT, "token"), request)
    assert code == 201, answer
    return str(answer["status"]["token"])


@pytest.mark.slow
async def test_the_mounted_files_are_used_and_read_again(
    real_cluster: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}],
    }
    bindings = f"/apis/{RBAC}/v1/namespaces/default/rolebindings"
    assert real_cluster.ask("POST", SERVICE_ACCOUNTS.path("default"), account)[0] == 201
    assert real_cluster.ask("POST", bindings, binding)[0] == 201
    try:
        where = urlsplit(real_cluster.endpoint().url)
        code, authority = real_cluster.ask("GET", CONFIG_MAPS.path("default", "kube-root-ca.crt"))
        assert code == 200
        for name, content in (
            ("token", "not a token"),
            ("ca.crt", authority["data"]["ca.crt"]),
            ("namespace", "default"),
        ):
            (tmp_path / name).write_text(content)
        monkeypatch.setattr(endpoint, "SERVICE_ACCOUNT", tmp_path)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(where.hostname))
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(where.port))
        found = endpoint.from_service_account()
        assert (found.in_cluster, found.namespace) == (True, "default")
        async with Cluster(found) as cluster:
            with pytest.raises(Unauthorized):
                await cluster.list(CONFIG_MAPS, "default")
            (tmp_path / "token").write_text(token(real_cluster))
            assert (await cluster.list(CONFIG_MAPS, "default")).items
            with pytest.raises(Forbidden, match=f"system:serviceaccount:default:{ACCOUNT}"):
                await cluster.list(CONFIG_MAPS)
    finally:
        real_cluster.ask("DELETE", SERVICE_ACCOUNTS.path("default", ACCOUNT))
        real_cluster.ask("DELETE", f"{bindings}/{ACCOUNT}")
