"""Converts workspace kinds to models and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.unreadable import mapping, sentence, text
from jupyter_workspaces.resources.views import WorkspaceKindView
from jupyter_workspaces.server.api.workspaces.workspaces.models import ImageRef

from . import models
from .filtering import Context, Effect, effects

_ERRORS = {
    "NotFound": "CONFIGMAP_MISSING",
    "KeyNotFound": "CONFIGMAP_KEY_MISSING",
    "Other": "CONFIGMAP_OTHER",
}


def asset(kind: ObjectView | None, name: str, prefix: str) -> ImageRef:
    """Return the URL of a kind's icon or logo: its own, or one below the API's `prefix`."""
    if kind is None:
        return ImageRef(f"__UNKNOWN_{name.upper()}_URL__")
    reference = WorkspaceKindView(kind).spawner[name]
    if "url" in reference:
        return ImageRef(reference["url"])
    status = (
        WorkspaceKindView(kind).status.get("spawnerIcon" if name == "icon" else "spawnerLogo") or {}
    )
    trouble = (status.get("configMap") or {}).get("errorType")
    digest = status.get("sha256")
    url = f"{prefix}/workspacekinds/{kind['metadata']['name']}/assets/{name}" + (
        f"?sha256={digest}" if digest else ""
    )
    return ImageRef(url, _ERRORS.get(trouble, "CONFIGMAP_UNKNOWN") if trouble else UNSET)


def revision(kind: ObjectView) -> str:
    """Return the revision of a kind."""
    metadata = kind["metadata"]
    return hashlib.sha256(
        f"{metadata['uid']}:{metadata['name']}:{metadata.get('generation', 0)}".encode()
    ).hexdigest()


def update_model(kind: ObjectView) -> models.KindUpdate:
    """Return the update model of a kind."""
    spec = kind["spec"]
    return models.KindUpdate(
        revision(kind), spec["spawner"], spec["podTemplate"], spec.get("activityRules") or UNSET
    )


def created_model(kind: ObjectView) -> models.KindCreated:
    """Return the response to a created kind."""
    view = WorkspaceKindView(kind)
    return models.KindCreated(view.name, dict(view.spawner), dict(view.pod_template))


def list_item(kind: ObjectView, prefix: str) -> models.KindListItem:
    """Return the list item of a kind."""
    view = WorkspaceKindView(kind)
    spawner, template = view.spawner, view.pod_template
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


def unreadable_item(kind: ObjectView) -> models.KindListItem:
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
    kind: ObjectView, effects: Mapping[tuple[str, str], Effect] | None = None
) -> models.KindOptions:
    """Return images and sizes; with `effects`, only those that it has, as the rules show them."""
    return models.KindOptions(
        _options(kind, "imageConfig", effects), _options(kind, "podConfig", effects)
    )


def _options(
    kind: ObjectView, dimension: str, effects: Mapping[tuple[str, str], Effect] | None
) -> models.OptionList:
    view = WorkspaceKindView(kind)
    found = view.pod_template["options"][dimension]
    counted = (view.status.get("podTemplateOptions") or {}).get(dimension) or ()
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


def _rule(rule: ObjectView) -> dict[str, Any]:
    """Return a rule without zero values in lists."""
    return {
        **rule,
        "config": {
            name: value
            for name, value in rule["config"].items()
            if value or name != "minRunningSeconds"
        },
    }


def _probe(probe: ObjectView | None) -> Any:
    """Return a probe without its script, which is long."""
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
