"""Reviews: who am I, may I, may they, whose token is this. Answered and not kept."""

from __future__ import annotations

from typing import Any

import msgspec

from ...resources.causes import Cause
from . import status
from .authentication import Authenticator
from .authorization import Attributes, Authorizer, aggregate
from .rows import Row
from .rules import Rule
from .tokens import ISSUER, InvalidToken
from .users import MASTERS, User

Object = dict[str, Any]


class _Resource(msgspec.Struct):
    """`ResourceAttributes`."""

    verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Path(msgspec.Struct):
    """`NonResourceAttributes`."""

    verb: str = ""
    path: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    """What all reviews ask, together."""

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
    """Answers reviews for whoever asks."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator, self._authorizer = authenticator, authorizer

    def answer(self, row: Row, body: Object, user: User, namespace: str | None) -> Object:
        """The review with its status filled in. Raises `Refusal` 400, 422."""
        kind = row.resource.kind
        spec = _read(row, body)
        body.setdefault("kind", kind)
        body.setdefault("apiVersion", row.resource.api_version)
        metadata = body.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise status.bad_request(f"{kind} cannot be read: metadata must be an object")
        body["metadata"] = metadata | {"creationTimestamp": None}
        body.setdefault("spec", {})
        match kind:
            case "SelfSubjectReview":
                body.pop("spec")
                body["status"] = {"userInfo": user.document()}
            case "SelfSubjectRulesReview":
                body["status"] = self._rules(row, spec, user)
            case "TokenReview":
                body["status"] = self._token(row, spec)
            case "SelfSubjectAccessReview":
                body["status"] = self._access(row, spec, user)
            case _:
                extra = tuple((key, tuple(values)) for key, values in sorted(spec.extra.items()))
                if kind == "LocalSubjectAccessReview":
                    _check_namespace(row, spec, namespace)
                if not spec.user and not spec.groups:
                    text = "at least one of user or group must be specified"
                    raise _invalid(row, [Cause("FieldValueInvalid", f'Invalid value: "": {text}', "spec.user")])
                body["status"] = self._access(row, spec, User(spec.user, tuple(spec.groups), spec.uid, extra))
        return body

    def _access(self, row: Row, spec: _Spec, user: User) -> Object:
        resource, path = spec.resource_attributes, spec.non_resource_attributes
        if (resource is None) == (path is None):
            text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            if resource is None:
                raise _invalid(row, [Cause("FieldValueInvalid", f"Invalid value: null: {text}", "spec.resourceAttributes")])
            text = "cannot be specified in combination with resourceAttributes"
            raise _invalid(row, [Cause("FieldValueInvalid", f"Invalid value: {text}", "spec.nonResourceAttributes")])
        if path is not None:
            asked = Attributes(path.verb, path=path.path or "/")
        else:
            assert resource is not None
            asked = Attributes(resource.verb, resource.group, resource.resource, resource.subresource, resource.namespace, resource.name)
        decision = self._authorizer.decide(user, asked)
        return {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})

    def _rules(self, row: Row, spec: _Spec, user: User) -> Object:
        if not spec.namespace:
            raise status.bad_request("no namespace on request")
        held = self._authorizer.rbac.held(user, spec.namespace)
        resources, paths = [], []
        for rule in _everything(user) + held.rules:
            document = rule.document()
            if rule.urls:
                paths.append(document)
            if rule.resources or rule.groups:
                resources.append(document)
        found: Object = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": bool(held.errors)}
        return found | ({"evaluationError": aggregate(held.errors)} if held.errors else {})

    def _token(self, row: Row, spec: _Spec) -> Object:
        if not spec.token:
            raise status.bad_request("token is required for TokenReview in authentication")
        try:
            user, audiences = self._authenticator.identify(spec.token, spec.audiences or (ISSUER,))
        except InvalidToken as why:
            return {"user": {}, "error": f"[invalid bearer token, {why}]"}
        return {"authenticated": True, "user": user.document(), "audiences": list(audiences)}


def _everything(user: User) -> list[Rule]:
    return [Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",))] if MASTERS in user.groups else []


def _read(row: Row, body: Object) -> _Spec:
    given = body.get("spec") or {}
    if isinstance(given, dict) and "group" in given and "groups" not in given:
        given = given | {"groups": given["group"]}  # as it was called in v1beta1
    try:
        return msgspec.convert(_without_nulls(given), _Spec)
    except msgspec.ValidationError as error:
        raise status.bad_request(f"{row.resource.kind} cannot be read: {error}") from error


def _without_nulls(value: Any) -> Any:
    return {key: _without_nulls(child) for key, child in value.items() if child is not None} if isinstance(value, dict) else value


def _check_namespace(row: Row, spec: _Spec, namespace: str | None) -> None:
    asked = spec.resource_attributes
    if asked is None or asked.namespace != namespace:
        value = asked.namespace if asked is not None else ""
        text = f'Invalid value: "{value}": must match metadata.namespace'
        raise _invalid(row, [Cause("FieldValueInvalid", text, "spec.resourceAttributes.namespace")])


def _invalid(row: Row, causes: list[Cause]) -> status.Refusal:
    return status.invalid(row.resource, "", causes)
