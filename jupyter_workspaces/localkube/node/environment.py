"""Environment variables of a container's program.

They are built from the pod's spec and from what programs need, and are not inherited from the
node's process.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_workspaces.kube.catalog import CONFIG_MAPS, SECRETS
from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.errors import NotFound
from jupyter_workspaces.kube.types import ObjectView
from jupyter_workspaces.localkube.settings import NodeSettings

from .references import expand, field_value
from .volumes import content_of
from .waiting import CONFIG, Waiting

_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_MACOS_PATH = ("/opt/homebrew/bin", "/opt/local/bin")
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def base(
    pod: ObjectView,
    home: str,
    root: str,
    private: Path,
    temporary: Path,
    programs: tuple[str, ...],
    settings: NodeSettings,
) -> dict[str, str]:
    """Return the variables that every program gets.

    Args:
        pod: The pod.
        home: Home directory of the program.
        root: Directory below which volumes appear; empty with mount namespaces.
        private: Private directory of the pod, for connection files.
        temporary: Directory of the pod for temporary files.
        programs: Directories that come first in `PATH`.
        settings: Names of the node.
    """
    metadata = pod["metadata"]
    name = (metadata.get("labels") or {}).get(settings.name_label) or metadata["name"]
    language = _language()
    found = {
        "PATH": os.pathsep.join(
            dict.fromkeys(
                (*programs, *_SYSTEM_PATH, *(_MACOS_PATH if sys.platform == "darwin" else ()))
            )
        ),
        "LANG": language,
        "TERM": "xterm-256color",
        "HOME": home,
        "USER": (name_of_user := user_name()),
        "LOGNAME": name_of_user,
        "SHELL": next(
            (shell for shell in ("/bin/bash", "/bin/sh") if os.access(shell, os.X_OK)), "/bin/sh"
        ),
        "TMPDIR": str(temporary),
        # Connection files belong to this run and contain keys. Settings and data stay below HOME.
        "JUPYTER_RUNTIME_DIR": str(private),
        "HOSTNAME": pod["spec"].get("hostname") or metadata["name"],
        settings.pod_variable: f"{metadata['namespace']}/{name}",
        settings.root_variable: root,
        settings.uid_variable: metadata["uid"],
    }
    if zone := os.environ.get("TZ"):
        found["TZ"] = zone
    return found


def merged(
    needed: Mapping[str, str],
    runtime: Mapping[str, str],
    given: Mapping[str, str],
    home_path: str,
    fixed: Iterable[str],
) -> dict[str, str]:
    """Return the whole environment of a program. Later arguments take precedence.

    Search paths are joined, not replaced: `PATH` in a container's spec names directories of its
    image, which do not exist here, and must not hide the environment that runs the program.

    Args:
        needed: Variables that every program gets.
        runtime: Variables of the program that stands for the image.
        given: Variables of the container's spec.
        home_path: Mount path of the home volume. `HOME` with this value becomes the directory
            where the volume really is.
        fixed: Names of variables that the container's spec cannot change.
    """
    found = {**needed, **runtime, **given, **{kept: needed[kept] for kept in fixed}}
    if "PATH" in given:
        own, system = _split(needed["PATH"], _SYSTEM_PATH)
        found["PATH"] = _joined(
            *own, *given["PATH"].replace("$(PATH)", "").split(os.pathsep), *system
        )
    if "PYTHONPATH" in given and "PYTHONPATH" in runtime:
        found["PYTHONPATH"] = _joined(
            *runtime["PYTHONPATH"].split(os.pathsep), *given["PYTHONPATH"].split(os.pathsep)
        )
    if home_path and given.get("HOME", "").rstrip("/") == home_path.rstrip("/"):
        found["HOME"] = needed["HOME"]
    return found


def fixed(settings: NodeSettings) -> tuple[str, ...]:
    """Return the names of the variables that a container's own `env` cannot change."""
    return (settings.pod_variable, settings.root_variable, settings.uid_variable)


def _split(path: str, last: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the directories of a search path without those in `last`, and those in `last`."""
    parts = path.split(os.pathsep)
    return [part for part in parts if part not in last], [part for part in parts if part in last]


def _joined(*parts: str) -> str:
    return os.pathsep.join(dict.fromkeys(filter(None, parts)))


def api_server(url: str) -> dict[str, str]:
    """Return the variables by which programs in a pod find the API server.

    Source: Kubernetes docs, “Accessing the Kubernetes API from a Pod”.
    """
    found = urlsplit(url)
    host, port = str(found.hostname), found.port or (443 if found.scheme == "https" else 80)
    address = f"tcp://{host}:{port}"
    return {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": str(port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
        "KUBERNETES_PORT": address,
        f"KUBERNETES_PORT_{port}_TCP": address,
        f"KUBERNETES_PORT_{port}_TCP_PROTO": "tcp",
        f"KUBERNETES_PORT_{port}_TCP_PORT": str(port),
        f"KUBERNETES_PORT_{port}_TCP_ADDR": host,
    }


async def variables(
    cluster: Cluster, pod: ObjectView, container: ObjectView, address: str
) -> dict[str, str]:
    """Return the variables in `envFrom` and `env` of a container, with references resolved.

    `$(NAME)` may also refer to the API server's variables, which are not in the result.

    Raises:
        Waiting: A Secret, ConfigMap or key does not exist.
    """
    services = api_server(cluster.endpoint.url)
    namespace = pod["metadata"]["namespace"]
    held: dict[tuple[str, str], dict[str, bytes] | None] = {}

    async def content(resource: Any, name: str) -> dict[str, bytes] | None:
        key = (resource.kind, name)
        if key not in held:
            try:
                held[key] = content_of(await cluster.get(resource, name, namespace))
            except NotFound:
                held[key] = None
        return held[key]

    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for field, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
            if (reference := source.get(field)) is None:
                continue
            values = await content(resource, reference.get("name", ""))
            if values is None and not reference.get("optional"):
                raise Waiting(
                    CONFIG,
                    f"{resource.kind} '{reference.get('name')}' does not exist in namespace "
                    f"'{namespace}'. Create it.",
                    1.0,
                )
            for key, value in (values or {}).items():
                if _NAME.fullmatch(name := source.get("prefix", "") + key):
                    found[name] = value.decode(errors="replace")
    for entry in container.get("env") or ():
        origin = entry.get("valueFrom")
        if not origin:
            found[entry["name"]] = expand(entry.get("value") or "", {**services, **found})
            continue
        for field, resource in (("configMapKeyRef", CONFIG_MAPS), ("secretKeyRef", SECRETS)):
            if (reference := origin.get(field)) is None:
                continue
            chosen = (await content(resource, reference.get("name", "")) or {}).get(
                reference["key"]
            )
            if chosen is not None:
                found[entry["name"]] = chosen.decode(errors="replace")
            elif not reference.get("optional"):
                raise Waiting(
                    CONFIG,
                    f"{resource.kind} '{reference.get('name')}' with key '{reference['key']}' does "
                    "not exist. Create it.",
                    1.0,
                )
            break
        else:
            found[entry["name"]] = field_value(pod, origin, address, container)
    return found


def _language() -> str:
    """Return our locale if it is a Unicode one, so that file names are readable."""
    language = os.environ.get("LANG", "")
    return language if re.fullmatch(r"[\w@-]+\.(UTF-8|utf8)", language) else "C.UTF-8"


def user_name() -> str:
    """Return the name of the user who runs the node."""
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except (ImportError, KeyError):
        return "jovyan"
