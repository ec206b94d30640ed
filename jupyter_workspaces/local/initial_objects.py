"""Objects of a new local cluster: CRDs, namespaces, a storage class and sample workspace kinds.

Samples that a user changed or deleted stay as they are; a newer version of the package only
replaces samples that are unchanged.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from jupyter_workspaces.kube.catalog import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEFAULT_STORAGE_CLASS,
    NAMESPACES,
    SERVICES,
    STORAGE_CLASSES,
    Resource,
)
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import AlreadyExists, ClusterError, NotFound
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources import bundled, metadata_keys
from jupyter_workspaces.resources.catalog import BY_KIND

from .settings import PROVISIONER

log = logging.getLogger(__name__)

NAMESPACE_NAMES = ("default", "kube-system", "jupyter-workspaces")
RECORD = ("jupyter-workspaces-installed", "kube-system")

STANDARD: Object = {
    "apiVersion": STORAGE_CLASSES.api_version,
    "kind": STORAGE_CLASSES.kind,
    "metadata": {
        "name": "standard",
        "labels": {metadata_keys.CAN_USE: "true"},
        "annotations": {
            DEFAULT_STORAGE_CLASS: "true",
            metadata_keys.DISPLAY_NAME: "This computer",
            metadata_keys.DESCRIPTION: (
                "A folder on this computer, kept until its claim is deleted."
            ),
        },
    },
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}


async def install(cluster: Cluster) -> None:
    """Create or update the initial objects of this version of the package.

    A ConfigMap records for each sample a hash of its manifest and one of the object as it was
    created. A sample is written if it is new, or if its manifest has changed and the object has
    not. A sample that was deleted is not created again.

    Raises:
        ClusterError: An object that the cluster needs could not be written. Failures of samples
            are only logged.
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
            log.error("Cannot install the sample %s: %s", _key(manifest), error)
    if written != record:
        await _write_record(cluster, written)


async def publish_api(cluster: Cluster) -> None:
    """Create or update the Service `kubernetes` in the namespace `default`.

    Clients find the API server by it. Its address and port are the API server's own, because the
    local cluster has no service proxy.

    Raises:
        ClusterError: The Service could not be written.
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
    """Create a CRD, or replace it if this version of the package has another manifest."""
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
    manifest_digest, _, object_digest = record.get(key, "").partition(".")
    if manifest_digest == digest:
        return
    resource = BY_KIND[(manifest["apiVersion"], manifest["kind"])]
    name, namespace = manifest["metadata"]["name"], manifest["metadata"].get("namespace")
    try:
        known = await cluster.get(resource, name, namespace)
    except NotFound:
        if not manifest_digest:
            created = await cluster.create(resource, manifest, namespace)
            record[key] = f"{digest}.{_digest(_content(created))}"
        return
    if manifest_digest and _digest(_content(known)) == object_digest:
        kept = {
            field: known["metadata"][field]
            for field in ("resourceVersion", "finalizers")
            if field in known["metadata"]
        }
        known = await cluster.replace(
            resource, {**manifest, "metadata": {**manifest["metadata"], **kept}}
        )
        record[key] = f"{digest}.{_digest(_content(known))}"
    elif manifest_digest:
        log.info(
            "%s was changed in this cluster, so it is not replaced by the sample of this version",
            key,
        )


async def _create(cluster: Cluster, resource: Resource, manifest: Object) -> Object | None:
    """Create an object and return it; return None if one of that name exists."""
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
    """Return a key for an object that a ConfigMap accepts."""
    metadata = manifest["metadata"]
    return ".".join(filter(None, (manifest["kind"], metadata.get("namespace"), metadata["name"])))


def _content(obj: Object) -> Object:
    """Return the part of an object that users write."""
    metadata = obj["metadata"]
    kept = {field: value for field, value in obj.items() if field not in ("metadata", "status")}
    return kept | {
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
    }


def _digest(value: Object | Iterable[Object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
