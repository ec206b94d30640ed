"""Render an OpenAPI 3.1 document as Markdown: an overview, the operations, and the models.

`sphinxcontrib-openapi` 0.10 shows no models, and has no valid output for `default` responses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def markdown(document: Document) -> str:
    """Return the page's text, from headings of the second level on."""
    return "\n".join([*_overview(document), *_operations(document), *_models(document)]) + "\n"


def _operation_list(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            yield method.upper(), path, one


def _overview(document: Document) -> Iterator[str]:
    yield from ("## Operations", "", "| operation | |", "|---|---|")
    for method, path, one in _operation_list(document):
        yield f"| [`{method} {path}`](#{_anchor(method, path)}) | {_cell(one.get('summary', ''))} |"


def _operations(document: Document) -> Iterator[str]:
    yield from ("", "## Details of the operations", "")
    _, _, first = next(_operation_list(document))
    failed = first["responses"]["default"]["content"]
    yield (
        "Every operation may fail, with "
        + "; ".join(f"`{media}`: {_type(one['schema'])}" for media, one in failed.items())
        + "."
    )
    for method, path, one in _operation_list(document):
        yield from (
            "",
            f"({_anchor(method, path)})=",
            f"### `{method} {path}`",
            "",
            one.get("summary", "") + ".",
        )
        if "description" in one:
            yield from ("", one["description"])
        yield from _parameters(one.get("parameters", []))
        yield from _body(one.get("requestBody"))
        yield from _responses(one["responses"])


def _parameters(parameters: list[Document]) -> Iterator[str]:
    if not parameters:
        return
    yield from ("", "| parameter | in | type | |", "|---|---|---|---|")
    for one in parameters:
        kind, meaning = _type(one.get("schema", {})), _cell(one.get("description", ""))
        yield f"| `{one['name']}` | {one['in']} | {kind} | {meaning} |"


def _body(body: Document | None) -> Iterator[str]:
    if body is None:
        return
    yield ""
    for media, content in body["content"].items():
        yield f"- Request body, `{media}`: {_type(content.get('schema', {}))}"


def _responses(responses: Document) -> Iterator[str]:
    yield ""
    for code, response in responses.items():
        if code == "default":
            continue  # every operation has the same one, which the introduction describes
        contents = response.get("content") or {}
        types = "; ".join(
            f"`{media}`: {_type(content.get('schema', {}))}" for media, content in contents.items()
        )
        yield f"- Response {code}{', ' + types if types else ', no body'}"


def _models(document: Document) -> Iterator[str]:
    yield from ("", "## Models")
    for name, schema in document["components"]["schemas"].items():
        yield from (
            "",
            f"(model-{name.lower()})=",
            f"### {name}",
            "",
            schema.get("description", ""),
        )
        properties = schema.get("properties")
        if not properties:
            yield from (
                "",
                f"Type: {_type({key: schema[key] for key in schema if key != 'description'})}",
            )
            continue
        required = schema.get("required", [])
        yield from ("", "| field | type | default | |", "|---|---|---|---|")
        for field, one in properties.items():
            default = "required" if field in required else _default(one)
            yield f"| `{field}` | {_type(one)} | {default} | {_cell(one.get('description', ''))} |"


def _default(schema: Document) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else "absent"


def _type(schema: Document) -> str:
    """A schema in words, with links to models."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#model-{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(one) for one in schema[key])
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_type({**schema, "type": one}) for one in kind)
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    if kind == "object":
        return _object(schema)
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return " ".join([kind or "any JSON", *([f"({', '.join(bounds)})"] if bounds else [])])


_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "length at least",
    "maxLength": "length at most",
}


def _object(schema: Document) -> str:
    fields = schema.get("properties")
    if fields:
        return "{" + ", ".join(f"`{name}`: {_type(one)}" for name, one in fields.items()) + "}"
    values = schema.get("additionalProperties")
    return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(method: str, path: str) -> str:
    words = (
        path.replace("{", "")
        .replace("}", "")
        .replace(".", "-")
        .strip("/")
        .replace("/", "-")
        .lower()
    )
    return f"operation-{method.lower()}-{words}"
