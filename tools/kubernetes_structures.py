"""Read from Kubernetes' Go types how built-in kinds are encoded, for the local cluster.

That is JSON names, field numbers in protobuf, and which fields are omitted when empty. `python
tools/kubernetes_structures.py` (needs Go) writes
`jupyter_workspaces/localkube/apiserver/objects/structures/kubernetes.json`, and for the tests an
object of each kind with all fields set, in JSON and as Go encodes it in protobuf. Run it again
when the table of kinds (rows.py) grows, or for another version of Kubernetes
(kubernetes_structures/go.mod).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from jupyter_workspaces.localkube.apiserver.objects.rows import built_in
from jupyter_workspaces.localkube.apiserver.objects.structures import FILE

PROGRAM = Path(__file__).with_name("kubernetes_structures")
EXAMPLES = Path(__file__).parents[1] / "tests/localkube/apiserver/protobuf_examples.json"

# Bodies of subresources, and of requests that are not about an object.
MORE = (
    *(
        "/v1/Binding",
        "/v1/DeleteOptions",
        "policy/v1/Eviction",
        "autoscaling/v1/Scale",
        "authentication.k8s.io/v1/TokenRequest",
    ),
    *("/v1/Status", "/v1/List"),
)


def wanted() -> list[str]:
    """Kinds as group/version/Kind."""
    resources = (row.resource for row in built_in())
    return sorted(
        {*MORE, *(f"{resource.group}/{resource.version}/{resource.kind}" for resource in resources)}
    )


def _run(*arguments: str) -> dict[str, Any]:
    ran = subprocess.run(
        ["go", "run", ".", *arguments, *wanted()],
        cwd=PROGRAM,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def main() -> None:
    found = _run()
    lines = [
        f"{json.dumps(name)}:{json.dumps(fields, separators=(',', ':'))}"
        for name, fields in sorted(found["types"].items())
    ]
    kinds = json.dumps(found["kinds"], sort_keys=True, indent=0, separators=(",", ":"))
    FILE.write_text(
        f'{{"kinds":{kinds},\n"types":{{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8"
    )
    examples = [
        f"{json.dumps(name)}:{json.dumps(one, separators=(',', ':'))}"
        for name, one in sorted(_run("-examples").items())
    ]
    EXAMPLES.write_text("{" + ",\n".join(examples) + "}\n", encoding="utf-8")
    print(
        f"{len(lines)} types of {len(found['kinds'])} kinds, "
        f"{FILE.stat().st_size // 1024} KiB, in {FILE}"
    )


if __name__ == "__main__":
    main()
