"""Converts workspaces to models and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.resources.templates import connect_path
from jupyter_workspaces.resources.unreadable import mapping, sentence, text
from jupyter_workspaces.resources.views import DIMENSIONS, WorkspaceKindView, WorkspaceView
from jupyter_workspaces.server.api.workspaces.audit import audit
from jupyter_workspaces.server.api.workspaces.kinds.views import asset

from . import models

UNKNOWN = {"imageConfig": "__UNKNOWN_IMAGE_CONFIG__", "podConfig": "__UNKNOWN_POD_CONFIG__"}


def revision(obj: ObjectView) -> str:
    """Return the revision of a workspace, which changes with its spec only."""
    metadata = obj["metadata"]
    return hashlib.sha256(
        f"{metadata['uid']}:{metadata['name']}:{metadata.get('generation', 0)}".encode()
    ).hexdigest()


def create_model(workspace: ObjectView) -> models.WorkspaceCreate:
    """Return the response to a created workspace."""
    view, spec = WorkspaceView(workspace), workspace["spec"]
    return models.WorkspaceCreate(
        name=view.name,
        display_name=spec.get("displayName") or UNSET,
        kind=spec["kind"],
        paused=bool(spec.get("paused")),
        defer_updates=spec.get("deferUpdates", UNSET),
        pod_template=_template(view.pod_template),
    )


def update_model(workspace: ObjectView) -> models.WorkspaceUpdate:
    """Return the update model of a workspace."""
    spec = workspace["spec"]
    return models.WorkspaceUpdate(
        revision=revision(workspace),
        display_name=spec.get("displayName") or UNSET,
        paused=bool(spec.get("paused")),
        defer_updates=spec.get("deferUpdates", UNSET),
        pod_template=_template(spec["podTemplate"]),
    )


def spec_of(model: models.WorkspaceCreate | models.WorkspaceUpdate, kind: str) -> dict[str, Any]:
    """Return the spec of a Workspace for a request."""
    spec: dict[str, Any] = {
        "kind": kind,
        "paused": model.paused,
        "podTemplate": msgspec.to_builtins(model.pod_template),
    }
    if model.display_name:
        spec["displayName"] = model.display_name
    if model.defer_updates is not UNSET:
        spec["deferUpdates"] = model.defer_updates
    volumes = spec["podTemplate"]["volumes"]
    if not volumes.get("home"):
        volumes.pop("home", None)
    for secret in volumes.get("secrets") or ():
        if not secret.get("defaultMode"):
            secret.pop("defaultMode", None)  # 0 means “as usual”, as on the original
    return spec


def list_item(
    workspace: ObjectView, kind: ObjectView | None, prefix: str
) -> models.WorkspaceListItem:
    """Return the list item of a workspace."""
    view, spec = WorkspaceView(workspace), workspace["spec"]
    status, activity = view.status, view.activity
    options = {
        dimension: {} if kind is None else WorkspaceKindView(kind).option_values(dimension)
        for dimension in DIMENSIONS
    }
    image = options["imageConfig"].get(view.options["imageConfig"])
    return models.WorkspaceListItem(
        name=view.name,
        namespace=view.namespace,
        display_name=spec.get("displayName") or UNSET,
        workspace_kind=models.KindRef(
            name=spec["kind"],
            missing=kind is None,
            icon=asset(kind, "icon", prefix),
            logo=asset(kind, "logo", prefix),
        ),
        paused=bool(spec.get("paused")),
        paused_time=status.get("pauseTime", 0),
        last_running_time=status.get("lastRunningTime", 0),
        state=status.get("state", ""),
        state_message=status.get("stateMessage", ""),
        defer_updates=spec.get("deferUpdates", UNSET),
        pod_template=models.ListedTemplate(
            models.ListedOptions(
                image_config=_option_state(view, options["imageConfig"], "imageConfig"),
                pod_config=_option_state(view, options["podConfig"], "podConfig"),
            )
        ),
        activity=models.Activity(
            last_activity=activity.get("lastActivity", 0),
            last_update=activity.get("lastUpdate", 0),
            last_probe=activity.get("lastProbe", UNSET),
            rules=activity.get("rules") or UNSET,
        ),
        services=_services(view, image, kind),
        audit=audit(view.metadata),
    )


def unreadable_item(workspace: ObjectView) -> models.WorkspaceListItem:
    """Return the list item of a malformed workspace: Unknown, with the reason."""
    metadata, spec, status = (
        mapping(workspace.get(part)) for part in ("metadata", "spec", "status")
    )
    unknown = {
        dimension: models.OptionState(option_info({}, "", dimension)) for dimension in UNKNOWN
    }
    return models.WorkspaceListItem(
        name=text(metadata.get("name")),
        namespace=text(metadata.get("namespace")),
        workspace_kind=models.KindRef(
            text(spec.get("kind")), True, asset(None, "icon", ""), asset(None, "logo", "")
        ),
        paused=spec.get("paused") is True,
        paused_time=_number(status.get("pauseTime")),
        last_running_time=_number(status.get("lastRunningTime")),
        state="Unknown",
        state_message=sentence(workspace),
        pod_template=models.ListedTemplate(
            models.ListedOptions(unknown["imageConfig"], unknown["podConfig"])
        ),
        activity=models.Activity(0, 0),
        services=[],
        audit=audit(metadata),
    )


def _number(value: Any) -> int:
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
        else 0
    )


def option_info(values: Mapping[str, ObjectView], option: str, dimension: str) -> models.OptionInfo:
    """Return an option for people; a placeholder if the kind does not have it."""
    value = values.get(option)
    if value is None:
        return models.OptionInfo(option, UNKNOWN[dimension], UNKNOWN[dimension], None)
    spawner = value["spawner"]
    return models.OptionInfo(
        option,
        spawner["displayName"],
        spawner.get("description", ""),
        list(spawner.get("labels") or ()),
    )


def _option_state(
    workspace: WorkspaceView, values: Mapping[str, ObjectView], dimension: str
) -> models.OptionState:
    reported = workspace.status.get("podTemplateOptions") or {}
    chain = (reported.get(dimension) or {}).get("redirectChain") or ()
    steps = []
    for step in chain:
        redirect = (values.get(step["source"]) or {}).get("redirect") or {}
        message = redirect.get("message") if redirect.get("to") == step["target"] else None
        shown = {"text": message["text"], "level": message["level"]} if message else UNSET
        steps.append(
            models.RedirectStep(
                option_info(values, step["source"], dimension),
                option_info(values, step["target"], dimension),
                shown,
            )
        )
    current = option_info(values, workspace.options[dimension], dimension)
    return models.OptionState(current, steps or UNSET)


def _services(
    workspace: WorkspaceView, image: ObjectView | None, kind: ObjectView | None
) -> list[models.Service]:
    if image is None or kind is None:
        return []  # the original sends null, which breaks its own page
    declared = {port["id"]: port for port in WorkspaceKindView(kind).pod_template["ports"]}
    found = []
    for port in image["spec"]["ports"]:
        title = (
            port.get("displayName")
            or (declared.get(port["id"]) or {}).get("defaultDisplayName")
            or port["id"]
        )
        found.append(
            models.Service(
                models.HttpService(
                    title, connect_path(workspace.namespace, workspace.name, port["id"])
                )
            )
        )
    return found


def _template(template: ObjectView) -> models.PodTemplate:
    metadata, volumes, options = (
        template.get("podMetadata") or {},
        template["volumes"],
        template["options"],
    )
    return models.PodTemplate(
        pod_metadata=models.PodMetadata(
            dict(metadata.get("labels") or {}), dict(metadata.get("annotations") or {})
        ),
        volumes=models.Volumes(
            home=volumes.get("home") or UNSET,
            data=[
                models.DataVolume(
                    data["pvcName"], data["mountPath"], True if data.get("readOnly") else UNSET
                )
                for data in volumes.get("data") or ()
            ],
            secrets=[
                models.SecretVolume(
                    secret["secretName"], secret["mountPath"], secret.get("defaultMode", UNSET)
                )
                for secret in volumes.get("secrets") or ()
            ]
            or UNSET,
        ),
        options=models.Options(options["imageConfig"], options["podConfig"]),
    )
