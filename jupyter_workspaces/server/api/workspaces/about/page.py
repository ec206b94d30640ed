"""The OpenAPI document as a page without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from jupyter_workspaces.kube.types import ObjectView

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;"
    "color:#222;background:#fff}code,pre{font:13px/1.5 ui-monospace,monospace}"
    "pre{background:#f4f4f4;padding:.8rem;overflow:auto}"
    "summary{cursor:pointer;padding:.2rem 0}b{display:inline-block;width:5rem}"
)


def page(document: ObjectView) -> str:
    """Return HTML for an OpenAPI document."""
    title = f"{document['info']['title']} {document['info']['version']}"
    body = "\n".join([*_operations(document), "<h2>Schemas</h2>", *_schemas(document)])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>"
        '<p>The same as a document: <a href="doc.json">doc.json</a></p>'
        f"<h2>Operations</h2>{body}</html>"
    )


def _operations(document: ObjectView) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            summary = escape(operation["summary"])
            head = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {summary}"
            yield f"<details><summary>{head}</summary><pre>{_json(operation)}</pre></details>"


def _schemas(document: ObjectView) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        head = f"<summary><code>{escape(name)}</code></summary>"
        yield f"<details>{head}<pre>{_json(schema)}</pre></details>"


def _json(value: Any) -> str:
    return escape(json.dumps(value, indent=2))
