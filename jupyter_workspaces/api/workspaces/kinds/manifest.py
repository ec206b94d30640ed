"""The manifest of a new kind: YAML, read strictly (contract operation 15)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from ....resources.catalog import WORKSPACE_KINDS
from ....resources.causes import Cause, invalid, required
from ... import problems
from ...checks import dns_subdomain
from .typed import Reading, kind_schema, part, written

Object = dict[str, Any]


def read_manifest(text: bytes) -> Object:
    """The first document as an object to create. Raises `Problem` 400 for what is no kind, 422 for what a kind does not have."""
    document, repeated = _document(text)
    metadata = document.get("metadata") if document.get("metadata") is not None else {}
    if not isinstance(metadata, dict) or not all(isinstance(document.get(key) or "", str) for key in ("apiVersion", "kind")):
        raise problems.bad_request("apiVersion and kind must be texts, metadata an object.")
    named = [document[key] for key in ("apiVersion", "kind") if document.get(key)]
    if len(named) == 2 and named != [WORKSPACE_KINDS.api_version, WORKSPACE_KINDS.kind]:
        wanted = f"{WORKSPACE_KINDS.kind} of {WORKSPACE_KINDS.api_version}"
        raise problems.bad_request(f"The manifest must be a {wanted}, not a {document['kind']} of {document['apiVersion']}.")
    reading = Reading()
    read: Object = reading.read(kind_schema(), document)
    if not isinstance(metadata.get("name") or "", str):
        reading.wrong.append("metadata.name must be of type string")
    if reading.wrong:
        raise problems.bad_request(f"The manifest cannot be understood: {'; '.join(reading.wrong[:5])}")
    if strict := [*(f'the key "{key}" stands twice' for key in repeated), *reading.unknown]:
        raise problems.invalid(Cause("FieldValueInvalid", f"Invalid value: {what}", "<nil>") for what in strict)
    if causes := _missing(document, metadata):
        raise problems.invalid(causes)
    read.pop("status", None)
    return read | {"metadata": dict(metadata), "spec": written(part("spec"), read.get("spec") or {})}


def _missing(document: Object, metadata: Object) -> list[Cause]:
    causes = [required(key) for key in ("apiVersion", "kind") if not document.get(key)]
    name = metadata.get("name") or ""
    if not name:
        causes.append(required("metadata.name"))
    elif problem := dns_subdomain(name):
        causes.append(invalid("metadata.name", name, problem))
    return causes


def _document(text: bytes) -> tuple[Object, list[str]]:
    """The first document, and the keys that stand twice in it. Raises `Problem` 400."""
    try:
        loader = _StrictLoader(text)
        document = next(_documents(loader), None)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise problems.bad_request(f"The body is not YAML: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise problems.bad_request("The body must be a manifest: an object with apiVersion, kind, metadata and spec.")
    return document or {}, loader.repeated


def _documents(loader: yaml.SafeLoader) -> Iterator[Any]:
    try:
        while loader.check_node():
            yield loader.construct_document(loader.get_node())
    finally:
        loader.dispose()


class _StrictLoader(yaml.SafeLoader):
    """Remembers keys that stand twice, and keeps what looks like a date a text, as JSON would."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key(self.construct_object(key_node, deep=True), key_node)
            if key in found:
                self.repeated.append(key)
            found[key] = self.construct_object(value_node, deep=deep)
        return found


def _key(key: Any, node: Any) -> str:
    """A key as JSON has it. Raises `yaml.YAMLError`."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, (int, float)):
        return str(key)
    if not isinstance(key, str):
        raise yaml.constructor.ConstructorError(None, None, f"a key must be a text, not {key!r}", node.start_mark)
    return key


_StrictLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
