"""Workspace kinds of the cluster to what goes over the wire, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from jupyter_workspaces.resources.unreadable import mapping, sentence, text
from jupyter_workspaces.server.api.workspaces.workspaces.models import ImageRef

from . import models
from .filtering import Context, Effect, effects

Object = Mapping[str, Any]

_ERRORS = {
    "NotFound": "CONFIGMAP_MISSING",
    "KeyNotFound": "CONFIGMAP_KEY_MISSING",
    "Other": "CONFIGMAP_OTHER",
}


def asset(kind: Object | None, name: str, prefix: str) -> ImageRef:
    """Where a kind's icon or logo is: its own URL, or below the API's `prefix` when it is ours to serve."""
    if kind is None:
        return ImageRef(f"__UNKNOWN_{name.upper()}_URL__")
    reference = kind["spec"]["spawner"][name]
    if "url" in reference:
        return ImageRef(reference["url"])
    status = (kind.get("status") or {}).get(
        "spawnerIcon" if name == "icon" else "spawnerLogo"
    ) or {}
    trouble = (status.get("configMap") or {}).get("errorType")
    digest = status.get("sha256")
    url = f"{prefix}/workspacekinds/{kind['metadata']['name']}/assets/{name}" + (
        f"?sha256={digest}" if digest else ""
    )
    return ImageRef(url, _ERRORS.get(trouble, "CONFIGMAP_UNKNOWN") if trouble else UNSET)


def revision(kind: Object) -> str:
    metadata = kind["metadata"]
    return hashlib.sha256(
        f"{metadata['uid']}:{metadata['name']}:{metadata.get('generation', 0)}".encode()
    ).hexdigest()


def update_model(kind: Object) -> models.KindUpdate:
    spec = kind["spec"]
    return models.KindUpdate(
        revision(kind), spec["spawner"], spec["podTemplate"], spec.get("activityRules") or UNSET
    )


def created_model(kind: Object) -> models.KindCreated:
    return models.KindCreated(
        kind["metadata"]["name"], kind["spec"]["spawner"], kind["spec"]["podTemplate"]
    )


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
            pod_metadata={
                "labels": dict(metadata.get("labels") or {}),
                "annotations": dict(metadata.get("annotations") or {}),
            },
            volume_mounts={"home": template["volumeMounts"]["home"]},
            options=options(kind, effects(kind, Context())),
            activity_probe=_probe(template.get("activityProbe")),
        ),
        restrictions=models.Restrictions(),
        activity_rules=[_rule(rule) for rule in kind["spec"].get("activityRules") or ()] or UNSET,
    )


def unreadable_item(kind: Object) -> models.KindListItem:
    """Return the list item of a malformed kind: hidden, with the reason as description."""
    name = text(mapping(kind.get("metadata")).get("name"))
    return models.KindListItem(
        name=name,
        display_name=name,
        description=sentence(kind),
        deprecated=False,
        deprecation_message="",
        hidden=True,
        icon=asset(None, "icon", ""),
        logo=asset(None, "logo", ""),
        cluster_metrics=models.Count(0),
        pod_template=models.KindTemplate(
            pod_metadata={"labels": {}, "annotations": {}},
            volume_mounts={"home": ""},
            options=models.KindOptions(models.OptionList(""), models.OptionList("")),
        ),
        restrictions=models.Restrictions(),
    )


def options(
    kind: Object, effects: Mapping[tuple[str, str], Effect] | None = None
) -> models.KindOptions:
    """Images and sizes; with `effects` only those in it, by dimension and id, as their filter rules show them."""
    return models.KindOptions(
        _options(kind, "imageConfig", effects), _options(kind, "podConfig", effects)
    )


def _options(
    kind: Object, dimension: str, effects: Mapping[tuple[str, str], Effect] | None
) -> models.OptionList:
    found = kind["spec"]["podTemplate"]["options"][dimension]
    counted = ((kind.get("status") or {}).get("podTemplateOptions") or {}).get(dimension) or ()
    counts = {entry["id"]: entry["workspaces"] for entry in counted}
    values = []
    for value in found["values"]:
        effect = Effect() if effects is None else effects.get((dimension, value["id"]))
        if effect is None:
            continue
        shown = models.Option(
            id=value["id"],
            display_name=value["spawner"]["displayName"],
            description=value["spawner"].get("description", ""),
            labels=list(value["spawner"].get("labels") or ()) or UNSET,
            hidden=bool(value["spawner"].get("hidden")) or effect.hide,
            redirect=value.get("redirect") or UNSET,
            cluster_metrics=models.Count(counts.get(value["id"], 0)),
            restrictions=models.Restrictions(
                effect.deny, {"text": effect.deny_message} if effect.deny_message else UNSET
            ),
        )
        values.append(shown)
    return models.OptionList(found["spawner"]["default"], values or UNSET)


def _rule(rule: Object) -> dict[str, Any]:
    """Lists leave out what is zero."""
    return {
        **rule,
        "config": {
            name: value
            for name, value in rule["config"].items()
            if value or name != "minRunningSeconds"
        },
    }


def _probe(probe: Object | None) -> Any:
    """Without the script, for its size."""
    if probe is None:
        return UNSET
    shown: dict[str, Any] = {
        name: probe[name] for name in ("minProbeIntervalSeconds", "probeIntervalSeconds")
    }
    if "podExec" in probe:
        shown["podExec"] = {"timeoutSeconds": probe["podExec"].get("timeoutSeconds", 60)}
    if "jupyter" in probe:
        shown["jupyter"] = probe["jupyter"]
    return shown
