"""The rules of a PodSpec."""

from __future__ import annotations

from typing import Any

from ....resources.causes import Cause, invalid, required
from .. import names

Object = dict[str, Any]


def check_pod_spec(spec: Object, path: str) -> list[Cause]:
    """The few rules of a PodSpec without which a node could not run it."""
    containers = spec.get("containers")
    if not isinstance(containers, list) or not containers:
        return [required(f"{path}.containers")]
    causes, seen = [], set()
    volumes = {volume.get("name") for volume in spec.get("volumes") or () if isinstance(volume, dict)}
    for index, container in enumerate(containers):
        at = f"{path}.containers[{index}]"
        if not isinstance(container, dict) or not container.get("name"):
            causes.append(required(f"{at}.name"))
            continue
        if container["name"] in seen:
            causes.append(Cause("FieldValueDuplicate", f'Duplicate value: "{container["name"]}"', f"{at}.name"))
        seen.add(container["name"])
        if names.label(container["name"]):
            causes.append(invalid(f"{at}.name", container["name"], "must be a DNS-1123 label"))
        if not container.get("image"):
            causes.append(required(f"{at}.image"))
        for position, mount in enumerate(container.get("volumeMounts") or ()):
            if mount.get("name") not in volumes:
                causes.append(Cause("FieldValueNotFound", f'Not found: "{mount.get("name")}"', f"{at}.volumeMounts[{position}].name"))
    return causes
