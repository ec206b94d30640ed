"""Workspace kinds of the cluster to what goes over the wire, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from ..workspaces.models import ImageRef
from . import models

Object = Mapping[str, Any]

_ERRORS = {"NotFound": "CONFIGMAP_MISSING", "KeyNotFound": "CONFIGMAP_KEY_MISSING", "Other": "CONFIGMAP_OTHER"}


def asset(kind: Object | None, name: str, prefix: str) -> ImageRef:
    """Where a kind's icon or logo is: its own URL, or below the API's `prefix` when it is ours to serve."""
    if kind is None:
        return ImageRef(f"__UNKNOWN_{name.upper()}_URL__")
    reference = kind["spec"]["spawner"][name]
    if "url" in reference:
        return ImageRef(reference["url"])
    status = (kind.get("status") or {}).get("spawnerIcon" if name == "icon" else "spawnerLogo") or {}
    trouble = (status.get("configMap") or {}).get("errorType")
    digest = status.get("sha256")
    url = f"{prefix}/workspacekinds/{kind['metadata']['name']}/assets/{name}" + (f"?sha256={digest}" if digest else "")
    return ImageRef(url, _ERRORS.get(trouble, "CONFIGMAP_UNKNOWN") if trouble else UNSET)


def revision(kind: Object) -> str:
    metadata = kind["metadata"]
    return hashlib.sha256(f"{metadata['uid']}:{metadata['name']}:{metadata.get('generation', 0)}".encode()).hexdigest()


def update_model(kind: Object) -> models.KindUpdate:
    spec = kind["spec"]
    return models.KindUpdate(revision(kind), spec["spawner"], spec["podTemplate"], spec.get("activityRules") or UNSET)


def created_model(kind: Object) -> models.KindCreated:
    return models.KindCreated(kind["metadata"]["name"], kind["spec"]["spawner"], kind["spec"]["podTemplate"])


def list_item(kind: Object, prefix: str) -> models.KindListItem:
    spawner, template = kind["spec"]["spawner"], kind["spec"]["podTemplate"]
    metadata, status = template.get("podMetadata") or {}, kind.get("status") or {}
    return models.KindListItem(
        name=kind["metadata"]["name"],
        display_name=spawner["displayName"],
        description=spawner["description"],
        deprecated=bool(spawner.get("deprecated")),
        deprecation_message=spawner.get("deprecationMessage", ""),
        hidden=bool(spawner.get("hidden")),
        icon=asset(kind, "icon", prefix),
        logo=asset(kind, "logo", prefix),
        cluster_metrics=models.Count(status.get("workspaces", 0)),
        pod_template=models.KindTemplate(
            pod_metadata={"labels": dict(metadata.get("labels") or {}), "annotations": dict(metadata.get("annotations") or {})},
            volume_mounts={"home": template["volumeMounts"]["home"]},
            options=models.KindOptions(_options(kind, "imageConfig"), _options(kind, "podConfig")),
            activity_probe=_probe(template.get("activityProbe")),
        ),
        restrictions=models.Restrictions(),
        activity_rules=kind["spec"].get("activityRules") or UNSET,
    )


def _options(kind: Object, dimension: str) -> models.OptionList:
    options = kind["spec"]["podTemplate"]["options"][dimension]
    counted = ((kind.get("status") or {}).get("podTemplateOptions") or {}).get(dimension) or ()
    counts = {entry["id"]: entry["workspaces"] for entry in counted}
    values = [
        models.Option(
            id=value["id"],
            display_name=value["spawner"]["displayName"],
            description=value["spawner"].get("description", ""),
            labels=list(value["spawner"].get("labels") or ()) or UNSET,
            hidden=bool(value["spawner"].get("hidden")),
            redirect=value.get("redirect") or UNSET,
            cluster_metrics=models.Count(counts.get(value["id"], 0)),
            restrictions=models.Restrictions(),
        )
        for value in options["values"]
    ]
    return models.OptionList(options["spawner"]["default"], values or UNSET)


def _probe(probe: Object | None) -> Any:
    """Without the script, for its size."""
    if probe is None:
        return UNSET
    shown: dict[str, Any] = {name: probe[name] for name in ("minProbeIntervalSeconds", "probeIntervalSeconds")}
    if "podExec" in probe:
        shown["podExec"] = {"timeoutSeconds": probe["podExec"].get("timeoutSeconds", 60)}
    if "jupyter" in probe:
        shown["jupyter"] = probe["jupyter"]
    return shown
