"""What a new cluster holds: our kinds of objects, namespaces, a storage class, the sample kinds. What people change or delete stays so."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    SERVICES,
    STORAGE_CLASSES,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, ClusterError, NotFound
from jupyter_workspaces.resources import bundled, metadata_keys
from jupyter_workspaces.resources.catalog import BY_KIND

log = logging.getLogger(__name__)

Object = dict[str, Any]

NAMESPACE_NAMES = ("default", "kube-system", "jupyter-workspaces")
RECORD = ("jupyter-workspaces-installed", "kube-system")
PROVISIONER = "jupyter-workspaces/local"

STANDARD: Object = {
    "apiVersion": STORAGE_CLASSES.api_version,
    "kind": STORAGE_CLASSES.kind,
    "metadata": {
        "name": "standard",
        "labels": {metadata_keys.CAN_USE: "true"},
        "annotations": {
            metadata_keys.DEFAULT_STORAGE_CLASS: "true",
            metadata_keys.DISPLAY_NAME: "This computer",
            metadata_keys.DESCRIPTION: "A folder on this computer, kept until its claim is deleted.",
        },
    },
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}


async def install(cluster: Cluster) -> None:
    """Bring a cluster up to this version of the package. Raises `ClusterError` where the cluster cannot work without what failed.

    A ConfigMap keeps of each sample which manifest it was made from and what it looked like then. So a sample is written when
    it is new, or when its manifest is and nobody has changed the object; one that was deleted does not come back.
    """
    for name in NAMESPACE_NAMES:
        await _create(
            cluster,
            NAMESPACES,
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        )
    record = await _read_record(cluster)
    written = dict(record)
    for manifest in bundled.crds():
        await _definition(cluster, manifest, written)
    for manifest in (STANDARD, *bundled.samples()):
        try:
            await _sample(cluster, manifest, written)
        except ClusterError as error:
            log.error("The sample %s could not be installed: %s", _key(manifest), error)
    if written != record:
        await _write_record(cluster, written)


async def publish_api(cluster: Cluster) -> None:
    """Write the Service `kubernetes` in `default`, by which clients find the API server. Raises `ClusterError`.

    Its address and port are the API server's own: no proxy of services stands between.
    """
    api = urlsplit(cluster.endpoint.url)
    host, port = str(api.hostname), api.port or 443
    name, namespace = "kubernetes", "default"
    ports = [{"name": "https", "port": port, "targetPort": port, "protocol": "TCP"}]
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {"type": "ClusterIP", "clusterIP": host, "ports": ports},
    }
    if await _create(cluster, SERVICES, manifest) is not None:
        return
    held = await cluster.get(SERVICES, name, namespace)
    if held["spec"].get("clusterIP") != host:
        await cluster.delete(
            SERVICES, name, namespace, uid=held["metadata"]["uid"]
        )  # an address cannot be changed
        await cluster.create(SERVICES, manifest, namespace)
    elif held["spec"].get("ports") != ports:
        await cluster.patch(SERVICES, name, {"spec": {"ports": ports}}, namespace)


async def _definition(cluster: Cluster, manifest: Object, record: dict[str, str]) -> None:
    """Our CRDs are the package's: brought back when deleted, replaced when the package has others."""
    key, digest = _key(manifest), _digest(manifest)
    if (
        await _create(cluster, CUSTOM_RESOURCE_DEFINITIONS, manifest) is None
        and record.get(key) != digest
    ):
        known = await cluster.get(CUSTOM_RESOURCE_DEFINITIONS, manifest["metadata"]["name"])
        metadata = {**manifest["metadata"], "resourceVersion": known["metadata"]["resourceVersion"]}
        await cluster.replace(CUSTOM_RESOURCE_DEFINITIONS, {**manifest, "metadata": metadata})
    record[key] = digest


async def _sample(cluster: Cluster, manifest: Object, record: dict[str, str]) -> None:
    key, digest = _key(manifest), _digest(manifest)
    made_from, _, looked = record.get(key, "").partition(".")
    if made_from == digest:
        return
    resource = BY_KIND[(manifest["apiVersion"], manifest["kind"])]
    name, namespace = manifest["metadata"]["name"], manifest["metadata"].get("namespace")
    try:
        known = await cluster.get(resource, name, namespace)
    except NotFound:
        if not made_from:
            created = await cluster.create(resource, manifest, namespace)
            record[key] = f"{digest}.{_digest(_content(created))}"
        return
    if made_from and _digest(_content(known)) == looked:
        kept = {
            field: known["metadata"][field]
            for field in ("resourceVersion", "finalizers")
            if field in known["metadata"]
        }
        known = await cluster.replace(
            resource, {**manifest, "metadata": {**manifest["metadata"], **kept}}
        )
        record[key] = f"{digest}.{_digest(_content(known))}"
    elif made_from:
        log.info("%s was changed here, so it is not replaced by the one of this version", key)


async def _create(cluster: Cluster, resource: Resource, manifest: Object) -> Object | None:
    """The new object, None when there was one of that name."""
    try:
        return await cluster.create(resource, manifest, manifest["metadata"].get("namespace"))
    except AlreadyExists:
        return None


async def _read_record(cluster: Cluster) -> dict[str, str]:
    try:
        return dict((await cluster.get(CONFIG_MAPS, *RECORD)).get("data") or {})
    except NotFound:
        return {}


async def _write_record(cluster: Cluster, record: dict[str, str]) -> None:
    name, namespace = RECORD
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": record,
    }
    if await _create(cluster, CONFIG_MAPS, manifest) is None:
        await cluster.patch(CONFIG_MAPS, name, {"data": record}, namespace)


def _key(manifest: Object) -> str:
    """Which object, in the letters that a ConfigMap's key may have."""
    metadata = manifest["metadata"]
    return ".".join(filter(None, (manifest["kind"], metadata.get("namespace"), metadata["name"])))


def _content(obj: Object) -> Object:
    """The part of an object that a person writes."""
    metadata = obj["metadata"]
    kept = {field: value for field, value in obj.items() if field not in ("metadata", "status")}
    return kept | {
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
    }


def _digest(value: Object | Iterable[Object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
