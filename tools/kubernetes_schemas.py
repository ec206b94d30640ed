"""Copy the schemas of built-in kinds from a running API server, for the local cluster.

`python tools/kubernetes_schemas.py --kubeconfig FILE` writes
`jupyter_workspaces/localkube/apiserver/objects/schemas/*.json`, one file for each package of types.
Run it again when the table of kinds (rows.py) grows, or for another Kubernetes version.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_workspaces.kube.client import Cluster
from jupyter_workspaces.kube.endpoint import from_kubeconfig
from jupyter_workspaces.localkube.apiserver.objects.rows import built_in
from jupyter_workspaces.localkube.apiserver.objects.schemas import FOLDER, REFERENCE

Object = dict[str, Any]

# What the table of kinds does not name: bodies of subresources, and what every kind's operations
# answer and take.
MORE = {
    ("", "v1"): {
        *(
            "APIGroup",
            "APIGroupList",
            "APIResourceList",
            "APIVersions",
            "Binding",
            "DeleteOptions",
            "Eviction",
            "Patch",
            "Status",
        ),
        *("TokenRequest", "WatchEvent"),
    },
    ("apps", "v1"): {"Scale"},
}
PROSE = ("description", "externalDocs", "title")


def wanted() -> dict[tuple[str, str], set[str]]:
    """Kinds by group and version."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for row in built_in():
        resource = row.resource
        kinds.setdefault((resource.group, resource.version), set()).update(
            (resource.kind, f"{resource.kind}List")
        )
    for key, names in MORE.items():
        kinds.setdefault(key, set()).update(names)
    return kinds


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(REFERENCE)
        for child in schema.values():
            yield from references(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from references(child)


def facts(schema: Any, *, names: bool = False) -> Any:
    """Return the schema without descriptions.

    With `names`, its keys are names of properties, one of which may be `description`.
    """
    if isinstance(schema, dict):
        return {
            key: facts(child, names=key == "properties" and not names)
            for key, child in schema.items()
            if names or key not in PROSE
        }
    return [facts(child) for child in schema] if isinstance(schema, list) else schema


def package(name: str) -> str:
    """The package of types that a schema's name stands in: `io.k8s.api.core.v1`."""
    return name.rpartition(".")[0]


async def collect(cluster: Cluster) -> dict[str, Object]:
    """Every wanted schema and what it refers to, by name."""
    found: dict[str, Object] = {}
    kinds = wanted()
    for (group, version), names in kinds.items():
        path = f"/openapi/v3/apis/{group}/{version}" if group else f"/openapi/v3/api/{version}"
        schemas = (await cluster.raw("GET", path))["components"]["schemas"]
        left = [name for name in schemas if name.rpartition(".")[2] in names]
        while left:
            name = left.pop()
            if name in found:
                continue
            found[name] = facts(schemas[name])
            left += references(found[name])
    for schema in found.values():
        held = schema.get("x-kubernetes-group-version-kind")
        if held is not None:
            schema["x-kubernetes-group-version-kind"] = [
                one for one in held if (one["group"], one["version"]) in kinds
            ]
    return found


def write(found: dict[str, Object], folder: Path) -> None:
    packages: dict[str, dict[str, Object]] = {}
    for name, schema in sorted(found.items()):
        packages.setdefault(package(name), {})[name] = schema
    for old in folder.glob("*.json"):
        old.unlink()
    for name, schemas in packages.items():
        lines = (
            f"{json.dumps(key)}: {json.dumps(schema, sort_keys=True, separators=(',', ':'))}"
            for key, schema in schemas.items()
        )
        (folder / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kubeconfig", type=Path, required=True)
    chosen = parser.parse_args()
    cluster = Cluster(from_kubeconfig(chosen.kubeconfig))
    try:
        found = await collect(cluster)
    finally:
        await cluster.close()
    write(found, FOLDER)
    size = sum(file.stat().st_size for file in FOLDER.glob("*.json"))
    print(f"{len(found)} schemas, {size // 1024} KiB, in {FOLDER}")


if __name__ == "__main__":
    asyncio.run(main())
