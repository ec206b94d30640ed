"""A real cluster with the interface that the API's tests use of the embedded one."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from real_cluster import RealCluster

from jupyter_workspaces.kube.catalog import (
    CUSTOM_RESOURCE_DEFINITIONS,
    PERSISTENT_VOLUME_CLAIMS,
    Resource,
)
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.catalog import BY_KIND, WORKSPACES

MERGE = "application/merge-patch+json"


class RealApi:
    """What tests of both clusters may do to one."""

    def __init__(self, real: RealCluster) -> None:
        self._real = real

    @property
    def kubeconfig(self) -> Path:
        return self._real.kubeconfig

    @property
    def engine(self) -> NoReturn:
        pytest.skip("reaches into the embedded cluster's engine")

    def apply_manifest(self, manifest: Object) -> None:
        """Create it, or leave what is there; a definition can be used afterwards."""
        resource, metadata = (
            BY_KIND[(manifest["apiVersion"], manifest["kind"])],
            manifest["metadata"],
        )
        namespace = metadata.get("namespace", "default") if resource.namespaced else None
        plane = self._real.require_own()
        code, answer = self._real.ask("POST", resource.path(namespace), manifest)
        assert code in (201, 409), answer
        if resource == CUSTOM_RESOURCE_DEFINITIONS:
            names, group = manifest["spec"]["names"], manifest["spec"]["group"]
            served = Resource(
                group, manifest["spec"]["versions"][0]["name"], names["plural"], names["kind"]
            )
            plane.wait(
                lambda: self._real.ask("GET", served.path())[0] == 200,
                f"a list of {names['plural']}",
            )

        if resource == PERSISTENT_VOLUME_CLAIMS:
            path = resource.path(namespace, metadata["name"])
            plane.wait(
                lambda: self._real.ask("GET", path)[1]["status"]["phase"] == "Bound",
                f"a volume for {metadata['name']}",
            )

    def write_status(self, name: str, status: Object) -> None:
        """Of a Workspace in `default`."""
        code, answer = self._real.ask(
            "PATCH", WORKSPACES.path("default", name, "status"), {"status": status}, media=MERGE
        )
        assert code == 200, answer
