"""Names and texts of this project that the parts of the local cluster get as parameters.

`localkube` knows no workspaces. What it needs to know of them is collected here. Users have these
names in files, environments and objects of clusters that exist: do not change their values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_workspaces._version import __version__
from jupyter_workspaces.common.paths import home
from jupyter_workspaces.localkube.directory import Directory
from jupyter_workspaces.localkube.settings import NodeSettings
from jupyter_workspaces.resources.metadata_keys import (
    BASE_URL,
    LOCAL_PORT,
    TOKEN_ENV,
    WORKSPACE_NAME,
)
from jupyter_workspaces.resources.templates import connect_path

PROVISIONER = "jupyter-workspaces/local"
"""Provisioner of the storage class `standard`."""

CLUSTER_NAME = "jupyter-workspaces"
"""Name of the cluster in its kubeconfig, and the beginning of its certificates' names."""

WORKSPACE_VARIABLE = "JUPYTER_WORKSPACE"
"""Environment variable of programs in a workspace: its namespace and name."""

POD_VARIABLE = "JUPYTER_WORKSPACE_POD"
"""Environment variable of programs in a pod: its uid."""

NO_NAMESPACES = "JUPYTER_WORKSPACES_NO_NAMESPACES"
"""Set to 1, volumes appear as links although mount namespaces could be made."""

ONE_ADDRESS = "JUPYTER_WORKSPACES_ONE_ADDRESS"
"""Set to 1, pods share 127.0.0.1 on Linux as well."""


def cluster_directory(path: str | Path | None = None) -> Directory:
    """Return the directory of a local cluster; the user's own one without `path`."""
    return Directory(
        home() if path is None else Path(path).expanduser().absolute(),
        CLUSTER_NAME,
        "set JUPYTER_WORKSPACES_HOME to another directory",
    )


def node_settings() -> NodeSettings:
    """Return the settings of the node, with those that the environment can change."""
    return NodeSettings(
        version=__version__,
        name_label=WORKSPACE_NAME,
        request_path=_request_path,
        port_annotation=LOCAL_PORT,
        home_volume="home-volume",
        pod_variable=WORKSPACE_VARIABLE,
        uid_variable=POD_VARIABLE,
        root_variable="JUPYTER_WORKSPACE_ROOT",
        cgroup_prefix="jupyter-workspaces-",
        token_hint=(
            f"Add the annotation `{TOKEN_ENV}: JUPYTER_TOKEN` to the workspace kind, or use the "
            "kind jupyterlab."
        ),
        image_hint="Or use the workspace kind jupyterlab.",
        mount_namespaces=os.environ.get(NO_NAMESPACES) != "1",
        many_addresses=os.environ.get(ONE_ADDRESS) != "1",
    )


def _request_path(pod: Mapping[str, Any]) -> str | None:
    metadata = pod["metadata"]
    name = (metadata.get("labels") or {}).get(WORKSPACE_NAME)
    if name is None:
        return None
    base: str = (metadata.get("annotations") or {}).get(BASE_URL, "/")
    return base.rstrip("/") + connect_path(metadata["namespace"], name, "")[:-1]
