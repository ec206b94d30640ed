"""The YAML manifest of a new kind, read strictly."""

from __future__ import annotations

from jupyter_workspaces.common.documents import yaml_text
from jupyter_workspaces.common.documents.bounds import DocumentError, TooLarge
from jupyter_workspaces.kube.causes import Cause, invalid, required
from jupyter_workspaces.kube.types import Object
from jupyter_workspaces.resources.catalog import WORKSPACE_KINDS
from jupyter_workspaces.server.http import problems
from jupyter_workspaces.server.http.checks import dns_subdomain

from .typed import (
    Reading,
    kind_schema,
    part,
    written,
)


def read_manifest(text: bytes) -> Object:
    """Return the first document as an object to create.

    Raises `Problem` 400 if it is no kind, 413, and 422 for unknown fields.
    """
    document, repeated = _document(text)
    metadata = document.get("metadata") if document.get("metadata") is not None else {}
    if not isinstance(metadata, dict) or not all(
        isinstance(document.get(key) or "", str) for key in ("apiVersion", "kind")
    ):
        raise problems.bad_request("apiVersion and kind must be texts, metadata an object.")
    named = [document[key] for key in ("apiVersion", "kind") if document.get(key)]
    if len(named) == 2 and named != [WORKSPACE_KINDS.api_version, WORKSPACE_KINDS.kind]:
        wanted = f"{WORKSPACE_KINDS.kind} of {WORKSPACE_KINDS.api_version}"
        given = f"{document['kind']} of {document['apiVersion']}"
        raise problems.bad_request(f"The manifest must be a {wanted}, not a {given}.")
    reading = Reading()
    read: Object = reading.read(kind_schema(), document)
    if not isinstance(metadata.get("name") or "", str):
        reading.wrong.append("metadata.name must be of type string")
    if reading.wrong:
        raise problems.bad_request(
            f"The manifest cannot be understood: {'; '.join(reading.wrong[:5])}"
        )
    if strict := [*(f'the key "{key}" stands twice' for key in repeated), *reading.unknown]:
        raise problems.invalid(
            Cause("FieldValueInvalid", f"Invalid value: {what}", "<nil>") for what in strict
        )
    if causes := _missing(document, metadata):
        raise problems.invalid(causes)
    read.pop("status", None)
    return read | {
        "metadata": dict(metadata),
        "spec": written(part("spec"), read.get("spec") or {}),
    }


def _missing(document: Object, metadata: Object) -> list[Cause]:
    causes = [required(key) for key in ("apiVersion", "kind") if not document.get(key)]
    name = metadata.get("name") or ""
    if not name:
        causes.append(required("metadata.name"))
    elif problem := dns_subdomain(name):
        causes.append(invalid("metadata.name", name, problem))
    return causes


def _document(text: bytes) -> tuple[Object, list[str]]:
    """Return the first document, and the keys that it has twice. Raises `Problem` 400, 413."""
    try:
        found = next(yaml_text.read(text, yaml_text.BODY), yaml_text.Document(None))
    except TooLarge as error:
        raise problems.too_large(str(error)) from error
    except DocumentError as error:
        raise problems.bad_request(f"The body is not YAML: {error}") from error
    if found.value is not None and not isinstance(found.value, dict):
        raise problems.bad_request(
            "The body must be a manifest: an object with apiVersion, kind, metadata and spec."
        )
    return found.value or {}, found.repeated
