"""Reviews: access of the user or of others, the user's identity, validity of tokens.

A review is answered and not stored. Source: Kubernetes docs, "Authorization" and the API reference
of authentication.k8s.io and authorization.k8s.io.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jupyter_workspaces.kube.causes import Cause
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.localkube.apiserver.http import status
from jupyter_workspaces.localkube.apiserver.http.options import now
from jupyter_workspaces.localkube.apiserver.objects.rows import Row

from .authentication import Authenticator
from .authorization import Attributes, Authorizer, aggregate
from .policy_rules import quoted
from .tokens import ISSUER, InvalidToken
from .users import User


class _Resource(msgspec.Struct):
    """ResourceAttributes."""

    verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Path(msgspec.Struct):
    """NonResourceAttributes."""

    verb: str = ""
    path: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    """Fields of the specs of all reviews."""

    resource_attributes: _Resource | None = None
    non_resource_attributes: _Path | None = None
    user: str = ""
    groups: list[str] = []
    uid: str = ""
    extra: dict[str, list[str]] = {}
    namespace: str = ""
    token: str = ""
    audiences: list[str] = []


class Reviews:
    """Answers reviews."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        """Create it with the authenticator and authorizer that reviews ask."""
        self._authenticator, self._authorizer = authenticator, authorizer

    def answer(self, row: Row, body: Object, user: User, namespace: str | None) -> Object:
        """Return the review with its status.

        Raises:
            Refusal: 400, 422.
        """
        kind = row.resource.kind
        spec = _read(row, body)
        body.setdefault("kind", kind)
        body.setdefault("apiVersion", row.resource.api_version)
        metadata = body.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise status.bad_request(f"{kind} cannot be read: metadata must be an object")
        if row.resource.group == "authorization.k8s.io" and (
            causes := _wrong(kind, spec, metadata, namespace)
        ):
            raise _invalid(row, causes)
        body["metadata"] = {key: value for key, value in metadata.items() if value is not None}
        body.setdefault("spec", {})
        match kind:
            case "SelfSubjectReview":
                body.pop("spec")
                body["metadata"]["creationTimestamp"] = now()
                body["status"] = {"userInfo": user.document()}
            case "SelfSubjectRulesReview":
                body["spec"] = {}
                body["status"] = self._rules(row, spec, user)
            case "TokenReview":
                body["status"] = self._token(row, spec)
            case "SelfSubjectAccessReview":
                body["status"] = self._access(row, spec, user)
            case _:
                extra = tuple((key, tuple(values)) for key, values in sorted(spec.extra.items()))
                if kind == "LocalSubjectAccessReview":
                    body["metadata"].setdefault("namespace", namespace)
                body["status"] = self._access(
                    row, spec, User(spec.user, tuple(spec.groups), spec.uid, extra)
                )
        return body

    def _access(self, row: Row, spec: _Spec, user: User) -> Object:
        resource, path = spec.resource_attributes, spec.non_resource_attributes
        if path is not None:
            attributes = Attributes(path.verb, path=path.path or "/")
        else:
            assert resource is not None
            attributes = Attributes(
                resource.verb,
                resource.group,
                resource.resource,
                resource.subresource,
                resource.namespace,
                resource.name,
            )
        decision = self._authorizer.decide(user, attributes)
        return {"allowed": decision.allowed} | (
            {"reason": decision.reason} if decision.reason else {}
        )

    def _rules(self, row: Row, spec: _Spec, user: User) -> Object:
        if not spec.namespace:
            raise status.bad_request("no namespace on request")
        held = self._authorizer.rbac.rules_of(user, spec.namespace)
        resources, paths = [], []
        for rule in held.rules:
            document = rule.document()
            if rule.urls:
                paths.append(document)
            if rule.resources or rule.groups:
                resources.append(document)
        found: Object = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
        return found | ({"evaluationError": aggregate(held.errors)} if held.errors else {})

    def _token(self, row: Row, spec: _Spec) -> Object:
        if not spec.token:
            raise status.bad_request("token is required for TokenReview in authentication")
        try:
            user, audiences = self._authenticator.identify(spec.token, spec.audiences or (ISSUER,))
        except InvalidToken as why:
            return {
                "user": {},
                "error": f"[invalid bearer token, {why}]" if str(why) else "invalid bearer token",
            }
        return {"authenticated": True, "user": user.document(), "audiences": list(audiences)}


def _read(row: Row, body: Object) -> _Spec:
    given = body.get("spec") or {}
    if isinstance(given, dict) and "group" in given and "groups" not in given:
        given = given | {"groups": given["group"]}  # its name in v1beta1
    try:
        return msgspec.convert(_without_nulls(given), _Spec)
    except msgspec.ValidationError as error:
        raise status.bad_request(f"{row.resource.kind} cannot be read: {error}") from error


def _without_nulls(value: Any) -> Any:
    return (
        {key: _without_nulls(child) for key, child in value.items() if child is not None}
        if isinstance(value, dict)
        else value
    )


def _wrong(kind: str, spec: _Spec, metadata: Object, namespace: str | None) -> list[Cause]:
    """Return what is invalid in a review of authorization.k8s.io, in the order of Kubernetes."""
    if kind == "SelfSubjectRulesReview":
        return []
    causes: list[Cause] = []
    resource, path = spec.resource_attributes, spec.non_resource_attributes
    if resource is None and path is None:
        text = "null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        causes.append(_cause("spec.resourceAttributes", text))
    elif resource is not None and path is not None:
        causes.append(
            _cause(
                "spec.nonResourceAttributes",
                f"{_shown(path)}: cannot be specified in combination with resourceAttributes",
            )
        )
    if not kind.startswith("Self") and not spec.user and not spec.groups:
        causes.append(_cause("spec.user", '"": at least one of user or group must be specified'))
    local = kind == "LocalSubjectAccessReview"
    if given := {
        key: value
        for key, value in metadata.items()
        if value and not (local and key == "namespace")
    }:
        causes.append(_cause("metadata", f"{msgspec.json.encode(given).decode()}: must be empty"))
    if local and resource is not None and resource.namespace != namespace:
        causes.append(
            _cause(
                "spec.resourceAttributes.namespace",
                f"{quoted(resource.namespace)}: must match metadata.namespace",
            )
        )
    if local and path is not None:
        causes.append(
            _cause(
                "spec.nonResourceAttributes", f"{_shown(path)}: disallowed on this kind of request"
            )
        )
    return causes


def _shown(path: _Path) -> str:
    return msgspec.json.encode({"Path": path.path, "Verb": path.verb}).decode()


def _cause(field: str, text: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {text}", field)


def _invalid(row: Row, causes: list[Cause]) -> status.Refusal:
    """Return 422 as the real API server does: without the kind."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    group = row.resource.group
    return status.Refusal(
        422,
        "Invalid",
        f'.{group} "" is invalid: {text}',
        details={"group": group},
        causes=tuple(causes),
    )
