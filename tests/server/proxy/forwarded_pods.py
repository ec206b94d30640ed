"""Pods that can only be reached through the API server.

They are pods of the local cluster, or of a real control plane whose nodes kwok simulates.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from real_cluster import RealCluster

from jupyter_workspaces.kube.catalog import (
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import Endpoint
from jupyter_workspaces.kube.errors import AlreadyExists, NotFound
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http.server import ApiServer
from jupyter_workspaces.localkube.apiserver.store.store import Store
from jupyter_workspaces.localkube.node import PodAccess
from jupyter_workspaces.localkube.node.records import PodFiles, PodRecord
from jupyter_workspaces.resources.catalog import WORKSPACES

NAMESPACE = "team-a"
NAME = "ws-small-0"
LIMIT_SECONDS = 30.0
KEPT = "example.org/kept-by-a-test"


@dataclass
class ForwardedPod:
    """A pod whose program must listen at `address` and `port`."""

    cluster: Cluster
    pod: Object
    address: str
    port: int

    async def account(self, rules: list[Object]) -> Cluster:
        """The same cluster for a user who has only these permissions in the namespace."""
        kinds = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "somebody"}}
        subject = {"kind": "ServiceAccount", "name": "somebody", "namespace": NAMESPACE}
        binding = {
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "somebody",
            },
            "subjects": [subject],
        }
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "somebody"}}
        await self.cluster.create(SERVICE_ACCOUNTS, account, NAMESPACE)
        await self.cluster.raw(
            "POST", f"{roles}/roles", body={**kinds, "kind": "Role", "rules": rules}
        )
        await self.cluster.raw(
            "POST", f"{roles}/rolebindings", body={**kinds, "kind": "RoleBinding", **binding}
        )
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 600},
        }
        answer = await self.cluster.raw(
            "POST", SERVICE_ACCOUNTS.path(NAMESPACE, "somebody", "token"), body=request
        )
        bearer: str = answer["status"]["token"]

        async def token() -> str:
            return bearer

        return Cluster(
            replace(
                self.cluster.endpoint, token=token, ssl_context=_anonymous(self.cluster.endpoint)
            )
        )

    async def close(self) -> None:
        """Delete the created objects."""
        roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        paths = [
            SERVICE_ACCOUNTS.path(NAMESPACE, "somebody"),
            f"{roles}/roles/somebody",
            f"{roles}/rolebindings/somebody",
        ]
        await self.cluster.patch(
            SECRETS, "small-token", {"metadata": {"finalizers": None}}, NAMESPACE
        )
        for path in (*paths, SECRETS.path(NAMESPACE, "small-token")):
            try:
                await self.cluster.raw("DELETE", path)
            except NotFound:
                continue
        try:
            await self.cluster.delete(PODS, NAME, NAMESPACE, grace_seconds=0)
        except NotFound:
            return


def _anonymous(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Trust the same authority without a client certificate, which would precede a token."""
    if endpoint.ssl_context is None:
        return None
    made = ssl.create_default_context()
    for authority in endpoint.ssl_context.get_ca_certs(binary_form=True):
        made.load_verify_locations(cadata=authority)
    return made


@asynccontextmanager
async def embedded_pod(folder: Path, address: str, port: int) -> AsyncIterator[ForwardedPod]:
    """A pod of the local cluster, whose port 8888 is `port` at `address`."""

    async def token() -> str:
        return "a-token-for-tests"

    store = Store.open(folder / "cluster.db")
    server = ApiServer(store, await token())
    server.programs = PodAccess(folder)
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    try:
        async with Cluster(Endpoint(url, "a cluster", None, token)) as cluster:
            for resource, name in ((NAMESPACES, NAMESPACE), (NODES, "local")):
                await cluster.create(
                    resource,
                    {"apiVersion": "v1", "kind": resource.kind, "metadata": {"name": name}},
                )
            made = await cluster.create(PODS, _pod(nodeName="local"), NAMESPACE)
            files = PodFiles(folder, made["metadata"]["uid"])
            files.prepare()
            files.save(PodRecord(made["metadata"]["uid"], NAMESPACE, NAME, address, {"8888": port}))
            await cluster.patch(
                PODS, NAME, {"status": _running(address)}, NAMESPACE, subresource="status"
            )
            yield await _described(cluster, address, port)
    finally:
        await server.stop()
        store.close()


@asynccontextmanager
async def real_pod(real: RealCluster) -> AsyncIterator[ForwardedPod]:
    """A pod on a node of kwok, which forwards its ports to `forwarded`."""
    plane = real.require_own()
    plane.simulated_nodes()
    async with Cluster(real.endpoint()) as cluster:
        with contextlib.suppress(
            AlreadyExists
        ):  # it stays: to delete a namespace takes longer than all of these tests
            await cluster.create(
                NAMESPACES,
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            )
        await _account_made(cluster)
        await cluster.create(PODS, _pod(), NAMESPACE)
        found = ForwardedPod(cluster, {}, "127.0.0.1", plane.forwarded)
        try:
            deadline = time.monotonic() + LIMIT_SECONDS
            while (await cluster.get(PODS, NAME, NAMESPACE))["status"].get("phase") != "Running":
                assert time.monotonic() < deadline, "the pod does not run"
                await asyncio.sleep(0.05)
            yield await _described(cluster, "127.0.0.1", plane.forwarded)
        finally:
            await found.close()


async def _account_made(cluster: Cluster) -> None:
    """Wait for the service account of a namespace, which pods require."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            await cluster.get(SERVICE_ACCOUNTS, "default", NAMESPACE)
            return
        except NotFound:
            assert time.monotonic() < deadline, "the namespace has no service account"
        await asyncio.sleep(0.05)


async def _described(cluster: Cluster, address: str, port: int) -> ForwardedPod:
    data = {"token": base64.b64encode(b"the-token-of-the-workspace").decode()}
    owner = {
        "apiVersion": WORKSPACES.api_version,
        "kind": WORKSPACES.kind,
        "name": "small",
        "uid": "the-uid-of-small",
        "controller": True,
    }
    metadata = {
        "name": "small-token",
        "labels": {"notebooks.kubeflow.org/workspace-name": "small"},
        "ownerReferences": [owner],
        "finalizers": [
            KEPT
        ],  # its owner is only in the view: a garbage collector would take the Secret
    }
    await cluster.create(
        SECRETS,
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data},
        NAMESPACE,
    )
    return ForwardedPod(cluster, await cluster.get(PODS, NAME, NAMESPACE), address, port)


def _pod(**spec: Any) -> Object:
    metadata = {
        "name": NAME,
        "labels": {"notebooks.kubeflow.org/workspace-name": "small"},
        "annotations": {"jupyter-workspaces/token-secret": "small-token"},
    }
    described = {
        "containers": [{"name": "main", "image": "app", "ports": [{"containerPort": 8888}]}],
        **spec,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": described}


def _running(address: str) -> Object:
    return {
        "phase": "Running",
        "podIP": address,
        "conditions": [{"type": "Ready", "status": "True"}],
    }
