"""References in a pod's spec: `$(NAME)`, and fields of the pod (“Downward API” in Kubernetes)."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from decimal import Decimal

import psutil

from jupyter_workspaces.common.quantities import parse
from jupyter_workspaces.kube.types import ObjectView

from .waiting import CONFIG, Waiting

_REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def field_value(
    pod: ObjectView, reference: ObjectView, address: str, container: ObjectView | None = None
) -> str:
    """Return the value of a `fieldRef` or `resourceFieldRef`.

    Args:
        pod: The pod.
        reference: The object that contains the reference.
        address: IP address of the pod.
        container: The container whose resources a reference without a container name means.

    Raises:
        Waiting: There is no such field.
    """
    if (resource := reference.get("resourceFieldRef")) is not None:
        return _resource(pod, resource, container)
    path = (reference.get("fieldRef") or {}).get("fieldPath", "")
    metadata, spec = pod["metadata"], pod["spec"]
    plain = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName") or "",
        "spec.serviceAccountName": spec.get("serviceAccountName") or "default",
        "status.podIP": address,
        "status.podIPs": address,
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
    }
    if path in plain:
        return str(plain[path])
    if (match := _KEYED.fullmatch(path)) is not None:
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        kept = metadata.get(path.partition(".")[2]) or {}
        return "\n".join(f'{key}="{_quoted(value)}"' for key, value in sorted(kept.items()))
    raise Waiting(
        CONFIG, f"The pod field '{path}' in a fieldRef does not exist. Change the reference.", 60.0
    )


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` in a text by values and `$$` by `$`.

    Unknown names stay unchanged (Kubernetes API reference, EnvVar.value).
    """

    def replaced(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return known.get(match[2], match[0])

    return _REFERENCE.sub(replaced, text)


def _resource(pod: ObjectView, reference: ObjectView, container: ObjectView | None) -> str:
    named = reference.get("containerName")
    found = next((held for held in pod["spec"]["containers"] if held["name"] == named), container)
    if found is None:
        raise Waiting(
            CONFIG,
            f"Container '{named}' of a resourceFieldRef does not exist in the pod.",
            60.0,
        )
    section, _, name = str(reference.get("resource", "")).partition(".")
    amount = ((found.get("resources") or {}).get(section) or {}).get(name)
    if amount is not None:
        value = parse(str(amount))
    elif section == "limits":  # without a limit, it is the capacity of the machine
        value = Decimal(
            {"cpu": os.cpu_count() or 1, "memory": psutil.virtual_memory().total}.get(name, 0)
        )
    else:
        value = Decimal(0)
    divisor = parse(str(reference.get("divisor") or "1")) or Decimal(1)
    return str(math.ceil(value / divisor))


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
