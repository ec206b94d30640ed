"""The subresource `serviceaccounts/NAME/token`: issues tokens for service accounts.

A token has a lifetime and audiences, and may be bound to an object.
"""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec

from jupyter_workspaces.kube import catalog
from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.objects.kinds.pod_specs import pod_admission
from jupyter_workspaces.localkube.apiserver.store.store import Store, Stored

from .policy_rules import quoted
from .tokens import (
    DEFAULT_SECONDS,
    ISSUER,
    MAX_SECONDS,
    MIN_SECONDS,
    Bound,
    Keys,
)

EXTENDED_SECONDS = 365 * 24 * 3600
RESOURCE = catalog.Resource("authentication.k8s.io", "v1", "tokenrequests", "TokenRequest")
_HOLDERS = {
    ("v1", "Pod"): catalog.PODS,
    ("v1", "Secret"): catalog.SECRETS,
    ("v1", "Node"): catalog.NODES,
}


class _Reference(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    name: str = ""
    uid: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    audiences: list[str] = []
    expiration_seconds: int | None = None
    bound_object_ref: _Reference | None = None


def answer(store: Store, keys: Keys, namespace: str, name: str, body: Object) -> Object:
    """Return the TokenRequest with the token in its status.

    Raises:
        Refusal: 400, 404, 409, 422.
    """
    kind, version = body.get("kind", RESOURCE.kind), body.get("apiVersion", RESOURCE.api_version)
    if (kind, version) != (RESOURCE.kind, RESOURCE.api_version):
        raise status.bad_request(
            f'{kind} in version "{version}" cannot be handled as a TokenRequest: '
            f"it must be {RESOURCE.api_version}, Kind=TokenRequest"
        )
    account = store.get(catalog.SERVICE_ACCOUNTS.plural, namespace, name)
    if account is None:
        raise status.not_found(catalog.SERVICE_ACCOUNTS, name)
    spec, metadata = _read(body), _metadata(body)
    if metadata.get("namespace") not in (None, "", namespace):
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if metadata.get("name") not in (None, "", name):
        text = (
            f"Invalid value: {quoted(str(metadata['name']))}: "
            "must match the service account name if specified"
        )
        raise status.invalid(RESOURCE, name, [Cause("FieldValueInvalid", text, "metadata.name")])
    seconds = DEFAULT_SECONDS if spec.expiration_seconds is None else spec.expiration_seconds
    _check(seconds)
    audiences = spec.audiences or [ISSUER]
    bound = [] if spec.bound_object_ref is None else _bound(store, account, spec.bound_object_ref)
    # The tokens that admission mounts into pods are valid longer than they say, for programs that
    # read them only once. They become invalid with their pod.
    extended = (
        seconds == pod_admission.TOKEN_SECONDS
        and audiences == [ISSUER]
        and any(held.key == "pod" for held in bound)
    )
    lasting = EXTENDED_SECONDS if extended else seconds
    token, end = keys.issue(
        namespace, name, account.uid, audiences=audiences, seconds=lasting, bound=bound
    )
    requested = body.get("spec") or {}
    return {
        "kind": RESOURCE.kind,
        "apiVersion": RESOURCE.api_version,
        "metadata": {
            **metadata,
            "name": name,
            "namespace": namespace,
            "uid": account.uid,
            "creationTimestamp": _time(datetime.now(timezone.utc).timestamp()),
        },
        "spec": {
            "audiences": audiences,
            "expirationSeconds": seconds,
            "boundObjectRef": requested.get("boundObjectRef"),
        },
        "status": {"token": token, "expirationTimestamp": _time(end - lasting + seconds)},
    }


def _metadata(body: Object) -> Object:
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise status.bad_request("TokenRequest cannot be read: metadata must be an object")
    return {
        key: value
        for key, value in metadata.items()
        if key != "managedFields" and value is not None
    }


def _read(body: Object) -> _Spec:
    try:
        spec = {key: value for key, value in (body.get("spec") or {}).items() if value is not None}
        return msgspec.convert(spec, _Spec)
    except (msgspec.ValidationError, AttributeError) as error:
        raise status.bad_request(f"TokenRequest cannot be read: {error}") from error


def _check(seconds: int) -> None:
    text = ""
    if seconds < MIN_SECONDS:
        text = "may not specify a duration less than 10 minutes"
    elif seconds > MAX_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
    if text:
        cause = Cause(
            "FieldValueInvalid", f"Invalid value: {seconds}: {text}", "spec.expirationSeconds"
        )
        raise status.invalid(RESOURCE, "", [cause])


def _bound(store: Store, account: Stored, reference: _Reference) -> list[Bound]:
    resource = _HOLDERS.get((reference.api_version, reference.kind))
    if resource is None:
        group, _, version = reference.api_version.rpartition("/")
        raise status.bad_request(
            f"cannot bind token to object of type {group}/{version}, Kind={reference.kind}"
        )
    if not reference.name:
        raise status.bad_request("Name parameter required.")
    found = store.get(
        resource.plural, account.namespace if resource.namespaced else "", reference.name
    )
    if found is None:
        raise status.not_found(resource, reference.name)
    if reference.uid and reference.uid != found.uid:
        text = (
            f'Operation cannot be fulfilled on {reference.kind} "{reference.name}": '
            f"the UID in the bound object reference ({reference.uid}) does not match the UID in "
            "record. The object might have been deleted and then recreated"
        )
        raise status.Refusal(
            409, "Conflict", text, details={"name": reference.name, "kind": reference.kind}
        )
    bound = [Bound(reference.kind.lower(), found.name, found.uid)]
    if resource == catalog.PODS:
        spec = found.decode().get("spec") or {}
        if spec.get("serviceAccountName", "default") != account.name:
            raise status.bad_request(
                f"cannot bind token for serviceaccount {quoted(account.name)} "
                "to pod running with different serviceaccount name."
            )
        node = store.get(catalog.NODES.plural, "", spec.get("nodeName", ""))
        if node is not None:
            bound.append(Bound("node", node.name, node.uid))
    return bound


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
