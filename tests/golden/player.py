"""Play a recorded scenario against a server and its cluster, and report differences.

`recordings/README.md` describes the format.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plain_http
from masks import Comparison, brief

from jupyter_workspaces.kube.endpoint import from_kubeconfig

Object = dict[str, Any]

GONE_SECONDS = 20.0
WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.1


class Objects:
    """The Kubernetes API in which scenarios put their objects, by a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        endpoint = from_kubeconfig(kubeconfig)
        self._url, self._context = endpoint.url.rstrip("/"), endpoint.ssl_context
        self._headers = dict(asyncio.run(endpoint.headers()))
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def get(self, manifest: Object) -> tuple[int, Object]:
        return self._ask("GET", "/".join(self._place(manifest)))

    def apply(self, manifest: Object) -> None:
        """Create, or merge into what is there; a status goes to `/status`."""
        body = {key: value for key, value in manifest.items() if key != "status"}
        folder, name = self._place(manifest)
        code, answer = self._ask("POST", folder, body)
        if code == 409 and answer.get("reason") == "AlreadyExists":
            code, answer = self._ask("PATCH", f"{folder}/{name}", body)
        if code < 300 and "status" in manifest:
            code, answer = self._ask(
                "PATCH", f"{folder}/{name}/status", {"status": manifest["status"]}
            )
        if code >= 300:
            raise AssertionError(
                f"{manifest['kind']} {name} could not be made: {code} {answer.get('message')}"
            )

    def delete(self, manifest: Object) -> None:
        """Delete, again where that is refused for now, and wait until it is gone."""
        path = "/".join(self._place(manifest))
        code, _ = self._ask("DELETE", path)
        end = time.monotonic() + GONE_SECONDS
        while self._ask("GET", path)[0] != 404:
            if time.monotonic() > end:
                raise AssertionError(
                    f"{manifest['kind']} {manifest['metadata']['name']} "
                    f"is still there after {GONE_SECONDS:g} s"
                )
            time.sleep(PAUSE_SECONDS)
            if code >= 400:
                code, _ = self._ask("DELETE", path)

    def _place(self, manifest: Object) -> tuple[str, str]:
        version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._plurals:
            for found in self._ask("GET", root)[1].get("resources", []):
                if "/" not in found["name"]:
                    self._plurals[version, found["kind"]] = (found["name"], found["namespaced"])
        plural, namespaced = self._plurals[version, kind]
        return (
            f"{root}/namespaces/{metadata.get('namespace', 'default')}/{plural}"
            if namespaced
            else f"{root}/{plural}",
            metadata["name"],
        )

    def _ask(self, method: str, path: str, body: Any = None) -> tuple[int, Object]:
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body).encode()
        status, _, raw = plain_http.ask(
            self._url, method, path, self._headers | {"Content-Type": media}, data, self._context
        )
        try:
            found: Object = json.loads(raw or b"{}")
        except ValueError:
            found = {"message": raw.decode(errors="replace")[:300]}
        return status, found


class Player:
    """One server under test and its cluster."""

    def __init__(self, url: str, objects: Objects) -> None:
        self._url, self._objects = url, objects

    def play(self, scenario: Object) -> list[str]:
        """Return all differences with the number of their step, and delete what was created."""
        comparison = Comparison()
        found: list[str] = []
        try:
            for number, step in enumerate(scenario["steps"], 1):
                found += [
                    f"step {number} {difference}" for difference in self._step(step, comparison)
                ]
        finally:
            for manifest in scenario.get("cleanup", ()):
                self._objects.delete(filled(manifest, comparison.captured))
        return found

    def _step(self, step: Object, comparison: Comparison) -> list[str]:
        if "apply" in step:
            self._objects.apply(filled(step["apply"], comparison.captured))
        elif "delete" in step:
            self._objects.delete(filled(step["delete"], comparison.captured))
        elif "wait" in step:
            self._wait(step["wait"])
        else:
            asked = filled(step["request"], comparison.captured)
            end = time.monotonic() + step.get("within", 0)
            while (
                wrong := self._compare(asked, step["response"], comparison)
            ) and time.monotonic() < end:
                time.sleep(PAUSE_SECONDS)
            return [
                f"{asked.get('method', 'GET')} {asked['path']}: {difference}"
                for difference in wrong
            ]
        return []

    def _wait(self, wanted: Object) -> None:
        end = time.monotonic() + wanted.get("seconds", WAIT_SECONDS)
        while (got := pointed(self._objects.get(wanted["object"])[1], wanted["pointer"])) != wanted[
            "equals"
        ]:
            if time.monotonic() > end:
                raise AssertionError(
                    f"{wanted['pointer']} stayed {brief(got)}, wanted {brief(wanted['equals'])}"
                )
            time.sleep(PAUSE_SECONDS)

    def _compare(self, asked: Object, wanted: Object, comparison: Comparison) -> list[str]:
        status, headers, body = self._ask(asked)
        wrong = (
            []
            if status == wanted["status"]
            else [f"status {status}, wanted {wanted['status']} ({brief(body)})"]
        )
        for name, value in wanted.get("headers", {}).items():
            wrong += comparison.differences(value, headers.get(name), f"header {name}")
        if "body" in wanted and not wrong:
            wrong += comparison.differences(filled(wanted["body"], comparison.captured), body)
        return wrong

    def _ask(self, asked: Object) -> tuple[int, Mapping[str, str], Any]:
        headers = {
            name: value for name, value in asked.get("headers", {}).items() if value is not None
        }
        data: bytes | None = None
        if "text" in asked:
            data = asked["text"].encode()
        elif asked.get("body") is not None:
            data = json.dumps(asked["body"]).encode()
            if "content-type" not in {name.lower() for name in headers}:
                headers["Content-Type"] = "application/json"
        status, got, raw = plain_http.ask(
            self._url, asked.get("method", "GET"), asked["path"], headers, data
        )
        if "json" in got.get("Content-Type", "") and "Content-Encoding" not in got and raw:
            return status, got, json.loads(raw)
        return status, got, raw.decode(errors="replace")


def filled(value: Any, captured: Mapping[str, Any]) -> Any:
    """Replace `{{name}}` by a captured value, and `{{a*1000}}` by that many letters."""
    if isinstance(value, dict):
        return {key: filled(child, captured) for key, child in value.items()}
    if isinstance(value, list):
        return [filled(child, captured) for child in value]
    if not isinstance(value, str):
        return value
    if whole := re.fullmatch(r"\{\{(\w+)\}\}", value):
        return captured[whole[1]]
    value = re.sub(r"\{\{(\w+)\}\}", lambda match: str(captured[match[1]]), value)
    return re.sub(r"\{\{(.)\*(\d+)\}\}", lambda match: match[1] * int(match[2]), value)


def pointed(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) names, None for nothing."""
    for part in filter(None, pointer.split("/")):
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return document
