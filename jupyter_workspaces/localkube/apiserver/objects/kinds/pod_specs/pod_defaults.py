"""Defaults of pods and their containers (Kubernetes API reference, PodSpec).

Objects are normalized by `decoding` and changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator

from jupyter_workspaces.kube.types import Object

FILE_MODE = 0o644
TOKEN_SECONDS = 3600
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def containers_of(spec: Object, *, ephemeral: bool = False) -> Iterator[Object]:
    """Yield all containers, init containers first."""
    for field in ("initContainers", "containers", *(("ephemeralContainers",) if ephemeral else ())):
        yield from spec.get(field) or ()


def default_pod(spec: Object) -> None:
    """Fill in the defaults of a pod, including those that templates do not get."""
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in containers_of(spec):
        if limits := container["resources"].get("limits"):
            container["resources"]["requests"] = limits | (
                container["resources"].get("requests") or {}
            )
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port["containerPort"])


def default_pod_spec(spec: Object) -> None:
    """Fill in the defaults of a PodSpec, in a pod or a template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    # `serviceAccount` is the deprecated name of `serviceAccountName`.
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in containers_of(spec, ephemeral=True):
        _default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Object) -> None:
    container.setdefault(
        "imagePullPolicy", "Always" if _is_latest(container.get("image", "")) else "IfNotPresent"
    )
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        _default_reference(variable.get("valueFrom") or {})
    for name in PROBES:
        if (probe := container.get(name)) is not None:
            for key, value in (
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ):
                probe.setdefault(key, value)
            _default_handler(probe)
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _default_handler(handler)


def _is_latest(image: str) -> bool:
    return "@" not in image and (image.endswith(":latest") or ":" not in image.rpartition("/")[2])


def _default_handler(handler: Object) -> None:
    if (request := handler.get("httpGet")) is not None:
        request.setdefault("path", "/")
        request.setdefault("scheme", "HTTP")
    if (call := handler.get("grpc")) is not None:
        call.setdefault("service", "")


def _default_reference(source: Object) -> None:
    if (reference := source.get("fieldRef")) is not None:
        reference.setdefault("apiVersion", "v1")


def _default_volume(volume: Object) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        if (source := volume.get(kind)) is not None:
            source.setdefault("defaultMode", FILE_MODE)
    if (host := volume.get("hostPath")) is not None:
        host.setdefault("type", "")
    if (image := volume.get("image")) is not None:
        image.setdefault(
            "pullPolicy", "Always" if _is_latest(image.get("reference", "")) else "IfNotPresent"
        )
    if (ephemeral := (volume.get("ephemeral") or {}).get("volumeClaimTemplate")) is not None:
        ephemeral["spec"].setdefault("volumeMode", "Filesystem")
    sources = [volume, *((volume.get("projected") or {}).get("sources") or ())]
    for source in sources:
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _default_reference(item)
        if (token := source.get("serviceAccountToken")) is not None:
            token.setdefault("expirationSeconds", TOKEN_SECONDS)
