"""Rules of probes and lifecycle handlers."""

from __future__ import annotations

from jupyter_workspaces.kube.causes import forbidden, invalid, required
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.objects import name_rules
from jupyter_workspaces.localkube.apiserver.objects.kinds.values import (
    Causes,
    at_least,
    one_of,
    port,
    port_or_name,
    required_value,
    valid_name,
)

_PROBES = ("exec", "httpGet", "tcpSocket", "grpc")
_ACTIONS = ("exec", "httpGet", "tcpSocket", "sleep")


def check_probe(probe: Object | None, path: str, *, once: bool) -> Causes:
    """Check a probe.

    Args:
        probe: the probe; None is valid.
        path: path of the field.
        once: whether its success threshold must be 1, as for liveness and startup.
    """
    if probe is None:
        return
    yield from _check_handler(probe, _PROBES, path)
    for field in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        yield from at_least(f"{path}.{field}", probe.get(field))
    if once and probe["successThreshold"] > 1:
        yield invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    if once:
        if (seconds := probe.get("terminationGracePeriodSeconds")) is not None and seconds <= 0:
            yield invalid(
                f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0"
            )
    elif "terminationGracePeriodSeconds" in probe:
        yield invalid(
            f"{path}.terminationGracePeriodSeconds",
            probe["terminationGracePeriodSeconds"],
            "must not be set for a readinessProbe",
        )


def check_lifecycle(lifecycle: Object | None, path: str) -> Causes:
    """Check the lifecycle handlers of a container."""
    for event in ("postStart", "preStop"):
        if (handler := (lifecycle or {}).get(event)) is not None:
            yield from _check_handler(handler, _ACTIONS, f"{path}.{event}")


def _check_handler(handler: Object, kinds: tuple[str, ...], path: str) -> Causes:
    """Require exactly one handler."""
    first, *more = [kind for kind in kinds if kind in handler] or [""]
    if not first:
        yield required(path, "must have a handler")
    for kind in more:
        yield forbidden(f"{path}.{kind}", "may not have more than one handler")
    held = handler[first] if first else {}
    match first:
        case "exec":
            yield from required_value(f"{path}.exec.command", held.get("command"))
        case "httpGet":
            yield from required_value(f"{path}.httpGet.path", held["path"])
            yield from port_or_name(f"{path}.httpGet.port", held["port"])
            yield from one_of(f"{path}.httpGet.scheme", held["scheme"], ["HTTP", "HTTPS"])
            for header in held.get("httpHeaders") or ():
                yield from valid_name(
                    f"{path}.httpGet.httpHeaders", header["name"], name_rules.header
                )
        case "tcpSocket":
            yield from port_or_name(f"{path}.tcpSocket.port", held["port"])
        case "grpc":
            yield from port(f"{path}.grpc.port", held["port"])
        case "sleep":
            yield from at_least(f"{path}.sleep", held["seconds"])
