"""Steps that run kubectl as users do."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from typing import Any

from scenario_steps import (
    PLURAL,
    Scenario,
    Target,
    config_map,
    equal,
    owned,
    stateful_set,
    ticks,
    true,
    until,
    workspace,
)

SCENARIO = Scenario()
step = SCENARIO.step
HERE = Target.given()
NAMESPACE = HERE.namespace
COMMAND_SECONDS = 60


class Kubectl:
    """A kubectl with its own home directory for discovery caches."""

    def __init__(self, program: str) -> None:
        self.program = program

    def command(self, *arguments: str, namespaced: bool = True) -> list[str]:
        return [self.program, *(["--namespace", NAMESPACE] if namespaced else []), *arguments]

    def run(
        self, *arguments: str, stdin: Any = None, namespaced: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        given = stdin if isinstance(stdin, str) or stdin is None else json.dumps(stdin)
        return subprocess.run(
            self.command(*arguments, namespaced=namespaced),
            input=given,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def __call__(
        self, *arguments: str, stdin: Any = None, namespaced: bool = True, **environment: str
    ) -> str:
        done = self.run(*arguments, stdin=stdin, namespaced=namespaced, **environment)
        if done.returncode != 0:
            raise AssertionError(
                f"kubectl {' '.join(arguments)} ended with {done.returncode}: "
                f"{done.stdout} {done.stderr}"
            )
        return done.stdout

    def refused(self, *arguments: str, **options: Any) -> str:
        done = self.run(*arguments, **options)
        true(done.returncode != 0, f"kubectl {' '.join(arguments)} was done: {done.stdout}")
        return done.stderr

    def object(self, kind: str, name: str) -> Any:
        return json.loads(self("get", kind, name, "--output=json"))


@step("namespace")
def namespace(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", NAMESPACE, namespaced=False)
    until(lambda: kubectl.run("get", "serviceaccount", "default").returncode == 0, "the account")
    true(NAMESPACE in kubectl("get", "namespaces", namespaced=False), "it is not listed")
    true(
        "Active" in kubectl("describe", "namespace", NAMESPACE, namespaced=False),
        "it is not active",
    )


@step("create, get")
def create(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "made", "--from-literal=k=v")
    kubectl("create", "secret", "generic", "made", "--from-literal=k=v")
    kubectl("create", "--filename=-", stdin=config_map("labelled", {"x": "y"}))
    kubectl("create", "serviceaccount", "made")
    kubectl("create", "service", "clusterip", "made", "--tcp=80:8080")
    kubectl("create", "role", "made", "--verb=get", "--resource=pods")
    kubectl("create", "rolebinding", "made", "--role=made", "--user=dora")
    equal(kubectl("get", "configmap", "made", "--output=jsonpath={.data.k}"), "v")
    equal(kubectl("get", "configmap", "--selector=x=y", "--output=name"), "configmap/labelled\n")
    equal(
        kubectl("get", "configmap", "--field-selector=metadata.name=made", "--output=name"),
        "configmap/made\n",
    )
    lines = kubectl("get", "configmap", "made", "--output=wide").splitlines()
    equal([line.split()[:2] for line in lines], [["NAME", "DATA"], ["made", "1"]])
    listed = kubectl(
        "get",
        "configmap",
        "--no-headers",
        "--chunk-size=1",
        "--output=custom-columns=N:.metadata.name",
    ).split()
    true({"made", "labelled"} <= set(listed), f"listed: {listed}")
    kubectl("get", "all,secrets,roles,rolebindings,pvc,events,leases")
    kubectl("get", "nodes,pv,sc,crd,clusterroles", namespaced=False)
    true("already exists" in kubectl.refused("create", "configmap", "made"), "made twice")
    true("NotFound" in kubectl.refused("get", "configmap", "nobody"), "nobody was found")


@step("describe")
def describe(kubectl: Kubectl) -> None:
    for name in (
        "configmap/made",
        "secret/made",
        "serviceaccount/made",
        "service/made",
        "role/made",
        "rolebinding/made",
    ):
        true(re.search(r"Name:\s+made", kubectl("describe", *name.split("/"))), name)
    true(
        "Workspace" in kubectl("describe", "crd", "workspaces.kubeflow.org", namespaced=False),
        "crd",
    )
    true("Name:" in kubectl("describe", "nodes", namespaced=False), "nodes")


@step("apply")
def apply(kubectl: Kubectl) -> None:
    manifest = config_map("applied", a="1", b="2")
    true("created" in kubectl("apply", "--filename=-", stdin=manifest), "first")
    true("unchanged" in kubectl("apply", "--filename=-", stdin=manifest), "second")
    true(
        "configured" in kubectl("apply", "--filename=-", stdin=config_map("applied", a="3")),
        "third",
    )
    equal(kubectl.object("configmap", "applied")["data"], {"a": "3"})
    kubectl("apply", "--filename=-", stdin=stateful_set("applied"))
    changed = stateful_set("applied")
    changed["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "B", "value": "2"}]
    kubectl("apply", "--filename=-", stdin=changed)
    held = kubectl.object("statefulset", "applied")["spec"]["template"]["spec"]["containers"][0]
    equal(([one["name"] for one in held["env"]], held["image"]), (["B"], "lab"))
    kubectl("apply", "view-last-applied", "configmap", "applied")


@step("apply, server side")
def apply_server_side(kubectl: Kubectl) -> None:
    flag, manager, force = "--server-side", "--field-manager", "--force-conflicts"
    for manifest in (config_map("ssa", a="1", b="2"), config_map("ssa", a="1")):
        kubectl("apply", flag, f"{manager}=one", "--filename=-", stdin=manifest)
    equal(kubectl.object("configmap", "ssa")["data"], {"a": "1"})
    refused = kubectl.refused(
        "apply", flag, f"{manager}=two", "--filename=-", stdin=config_map("ssa", a="2")
    )
    true("onflict" in refused, refused)
    kubectl("apply", flag, force, f"{manager}=two", "--filename=-", stdin=config_map("ssa", a="2"))
    equal(kubectl.object("configmap", "ssa")["data"], {"a": "2"})


@step("diff, dry run")
def diff(kubectl: Kubectl) -> None:
    kubectl("apply", "--filename=-", stdin=config_map("compared", k="v"))
    equal(kubectl.run("diff", "--filename=-", stdin=config_map("compared", k="v")).returncode, 0)
    done = kubectl.run("diff", "--filename=-", stdin=config_map("compared", k="w"))
    equal(done.returncode, 1)
    true("-  k: v" in done.stdout and "+  k: w" in done.stdout, done.stdout + done.stderr)
    kubectl("apply", "--dry-run=server", "--filename=-", stdin=config_map("compared", k="w"))
    equal(kubectl.object("configmap", "compared")["data"], {"k": "v"})


@step("edit, replace")
def edit(kubectl: Kubectl) -> None:
    kubectl("apply", "--filename=-", stdin=config_map("edited", k="v"))
    kubectl("edit", "configmap", "edited", KUBE_EDITOR="sed -i s/k:.v/k:\\ changed/")
    equal(kubectl.object("configmap", "edited")["data"], {"k": "changed"})
    found = kubectl.object("configmap", "edited")
    found["data"] = {"k": "replaced"}
    kubectl("replace", "--filename=-", stdin=found)
    true(
        "onflict" in kubectl.refused("replace", "--filename=-", stdin=found),
        "a stale object replaced a new one",
    )
    kubectl("replace", "--force", "--filename=-", stdin=config_map("edited", k="new"))
    equal(kubectl.object("configmap", "edited")["data"], {"k": "new"})


@step("patch, label")
def patch(kubectl: Kubectl) -> None:
    kubectl("create", "--filename=-", stdin=config_map("patched", k="v", other="o"))
    kubectl("patch", "configmap", "patched", "--patch", '{"data": {"k": "strategic"}}')
    kubectl("patch", "configmap", "patched", "--type=merge", "--patch", '{"data": {"other": null}}')
    equal(kubectl.object("configmap", "patched")["data"], {"k": "strategic"})
    kubectl(
        "patch",
        "configmap",
        "patched",
        "--type=json",
        "--patch",
        '[{"op": "replace", "path": "/data/k", "value": "json"}]',
    )
    kubectl("label", "configmap", "patched", "x=y")
    true(
        "--overwrite" in kubectl.refused("label", "configmap", "patched", "x=z"),
        "a label was written over",
    )
    kubectl("label", "--overwrite", "configmap", "patched", "x=z")
    kubectl("annotate", "configmap", "patched", "note=n")
    found = kubectl.object("configmap", "patched")
    equal(
        (found["data"]["k"], found["metadata"]["labels"], found["metadata"]["annotations"]["note"]),
        ("json", {"x": "z"}, "n"),
    )
    kubectl("label", "configmap", "patched", "x-")
    true("labels" not in kubectl.object("configmap", "patched")["metadata"], "the label stays")
    kubectl("set", "image", "statefulset/applied", "main=other")
    equal(
        kubectl.object("statefulset", "applied")["spec"]["template"]["spec"]["containers"][0][
            "image"
        ],
        "other",
    )


@step("scale, rollout")
def scale(kubectl: Kubectl) -> None:
    manifest = {**HERE.pod, "metadata": {"labels": {"app": "scaled"}}}
    manifest = {key: manifest[key] for key in ("metadata", "spec")}
    owner = stateful_set("scaled")
    owner["spec"] |= {"replicas": 1, "template": manifest}
    kubectl("create", "--filename=-", stdin=owner)
    kubectl("rollout", "status", "statefulset/scaled", "--timeout=40s")
    kubectl("scale", "statefulset", "scaled", "--replicas=2")
    until(
        lambda: kubectl.object("statefulset", "scaled")["status"].get("readyReplicas") == 2,
        "two replicas",
    )
    kubectl("scale", "statefulset", "scaled", "--current-replicas=2", "--replicas=0")
    until(
        lambda: not kubectl("get", "pods", "--selector=app=scaled", "--output=name"),
        "the end of its pods",
    )
    equal(kubectl("get", "statefulset", "scaled", "--no-headers").split()[:2], ["scaled", "0/0"])


@step("wait, watch")
def wait(kubectl: Kubectl) -> None:
    kubectl(
        "wait",
        "--for=condition=Established",
        "crd/workspaces.kubeflow.org",
        "--timeout=10s",
        namespaced=False,
    )
    kubectl("create", "configmap", "awaited")
    gone = threading.Timer(0.5, lambda: kubectl("delete", "configmap", "awaited"))
    gone.start()
    kubectl("wait", "--for=delete", "configmap/awaited", "--timeout=20s")
    gone.join()
    kubectl("create", "configmap", "held", "--from-literal=k=v")
    kubectl("wait", "--for=jsonpath={.data.k}=v", "configmap/held", "--timeout=10s")
    watching = subprocess.Popen(
        kubectl.command("get", "configmaps", "--watch-only", "--output=name"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        seen: list[str] = []
        assert watching.stdout is not None
        reader = threading.Thread(
            target=lambda: seen.extend(iter(watching.stdout.readline, "")), daemon=True
        )  # type: ignore[union-attr]
        reader.start()

        def told() -> bool:
            kubectl.run(
                "annotate",
                "--overwrite",
                "configmap",
                "made",
                f"n={len(seen)}-{os.urandom(4).hex()}",
            )
            return "configmap/made\n" in seen

        until(told, "an event")
    finally:
        watching.kill()
        watching.wait()


@step("custom objects")
def custom(kubectl: Kubectl) -> None:
    true("created" in kubectl("apply", "--filename=-", stdin=workspace("desk")), "first")
    true("unchanged" in kubectl("apply", "--filename=-", stdin=workspace("desk")), "second")
    true(
        "configured" in kubectl("apply", "--filename=-", stdin=workspace("desk", displayName="A")),
        "third",
    )
    kubectl(
        "patch", "workspace", "desk", "--type=merge", "--patch", '{"spec": {"displayName": "B"}}'
    )
    equal(
        kubectl("get", f"{PLURAL}.kubeflow.org", "desk", "--output=jsonpath={.spec.displayName}"),
        "B",
    )
    equal(kubectl("get", PLURAL).splitlines()[0].split(), ["NAME", "STATE"])
    true("desk" in kubectl("describe", "workspace", "desk"), "describe")
    kubectl("label", "workspace", "desk", "x=y")
    kubectl("edit", "workspace", "desk", KUBE_EDITOR="sed -i s/displayName:.B/displayName:\\ C/")
    equal(kubectl.object("workspace", "desk")["spec"]["displayName"], "C")
    true(
        "spec.displayName"
        in kubectl.refused("apply", "--filename=-", stdin=workspace("wrong", displayName="")),
        "an empty name",
    )
    kubectl("apply", "--server-side", "--filename=-", stdin=workspace("ssa"))
    wrong = kubectl.refused("apply", "--filename=-", stdin=workspace("wrong", strange="x"))
    true("strange" in wrong, wrong)
    kubectl("delete", "workspaces", "--all", "--timeout=20s")


@step("pod, logs")
def logs(kubectl: Kubectl) -> None:
    kubectl("create", "--filename=-", stdin=HERE.pod)
    kubectl("wait", "--for=condition=Ready", f"pod/{HERE.pod_name}", "--timeout=40s")
    until(lambda: "ready" in kubectl("logs", HERE.pod_name), "its first words")
    equal(len(kubectl("logs", HERE.pod_name, "--tail=1").splitlines()), 1)
    true("T" in kubectl("logs", HERE.pod_name, "--timestamps", "--tail=1").split()[0], "no times")
    header, row = kubectl("get", "pods", "--selector=app=talker").splitlines()
    equal(
        (header.split()[:4], row.split()[:3]),
        (["NAME", "READY", "STATUS", "RESTARTS"], [HERE.pod_name, "1/1", "Running"]),
    )
    true("Running" in kubectl("describe", "pod", HERE.pod_name), "describe")


@step("logs, following")
def logs_following(kubectl: Kubectl) -> None:
    now = ticks(kubectl("logs", HERE.pod_name).splitlines())
    command = kubectl.command("logs", "--follow", HERE.pod_name, "--container=main")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as following:
        impatient = threading.Timer(30, following.kill)
        impatient.start()
        assert following.stdout is not None
        try:
            true(any(ticks([line.strip()]) > now + 3 for line in following.stdout), "the log ended")
        finally:
            impatient.cancel()
            following.kill()


@step("exec")
def execute(kubectl: Kubectl) -> None:
    equal(kubectl("exec", HERE.pod_name, "--container=main", "--", "echo", "hello"), "hello\n")
    equal(
        kubectl("exec", "--stdin", HERE.pod_name, "--", "head", "-n", "1", stdin="typed\n"),
        "typed\n",
    )
    failed = kubectl.run("exec", HERE.pod_name, "--", "sh", "-c", "echo err >&2; exit 3")
    true("err\n" in failed.stderr, failed.stderr)
    equal(failed.returncode, 3 if HERE.exit_codes else 1)


@step("port-forward")
def port_forward(kubectl: Kubectl) -> None:
    command = kubectl.command(
        "port-forward", f"pod/{HERE.pod_name}", f":{HERE.port}", "--address=127.0.0.1"
    )
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as forwarding:
        impatient = threading.Timer(30, forwarding.kill)
        impatient.start()
        assert forwarding.stdout is not None
        try:
            line = forwarding.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            true(found, line)
            assert found is not None
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", int(found[1])), 20) as connection:
                    connection.sendall(b"ping\n")
                    equal(connection.recv(100), b"ping\n")
        finally:
            impatient.cancel()
            forwarding.kill()


@step("top")
def top(kubectl: Kubectl) -> None:
    if not HERE.exit_codes:
        return  # nothing measures simulated pods on a real control plane
    until(lambda: HERE.pod_name in kubectl.run("top", "pods").stdout, "the pod's figures")
    header = kubectl("top", "nodes", namespaced=False).splitlines()[0].split()
    equal(header[0], "NAME")


@step("reviews")
def reviews(kubectl: Kubectl) -> None:
    equal(kubectl("auth", "can-i", "create", "pods").strip(), "yes")
    true("*.*" in kubectl("auth", "can-i", "--list"), "rights are missing")
    done = kubectl.run("auth", "can-i", "create", "pods", "--as=nobody")
    equal((done.stdout.strip().split("\n")[0].split(" ")[0], done.returncode), ("no", 1))
    equal(kubectl("auth", "can-i", "get", "pods", "--as=dora").strip(), "yes")
    true("Username" in kubectl("auth", "whoami"), "no name")
    true(kubectl("create", "token", "made").count(".") == 2, "no token")


@step("discovery")
def discovery(kubectl: Kubectl) -> None:
    names = kubectl("api-resources", "--output=name", namespaced=False).split()
    true(
        {"pods", "configmaps", "statefulsets.apps", "workspaces.kubeflow.org"} <= set(names),
        f"{names}",
    )
    true(
        "kubeflow.org/v1beta1" in kubectl("api-versions", namespaced=False), "the group is missing"
    )
    true("Server Version" in kubectl("version", namespaced=False), "no version")
    true(
        "FIELD" in kubectl("explain", "workspace.spec", namespaced=False),
        "explain of a custom kind",
    )
    true(
        "nodeName" in kubectl("explain", "pod.spec", namespaced=False), "explain of a built-in kind"
    )
    kubectl("cluster-info", namespaced=False)
    true(kubectl("get", "--raw=/readyz", namespaced=False).startswith("ok"), "not ready")


@step("delete")
def delete(kubectl: Kubectl) -> None:
    for name, options in (
        ("plain", []),
        ("orphan", ["--cascade=orphan"]),
        ("front", ["--cascade=foreground"]),
    ):
        kubectl("create", "--filename=-", stdin=config_map(name))
        child = owned(
            config_map(f"{name}-child"), name, kubectl.object("configmap", name)["metadata"]["uid"]
        )
        kubectl("create", "--filename=-", stdin=child)
        kubectl("delete", "configmap", name, "--timeout=20s", *options)

        def ended(name: str = name) -> bool:
            left = kubectl("get", "configmaps", "--output=name").split()
            return f"configmap/{name}" not in left and (f"configmap/{name}-child" in left) == (
                name == "orphan"
            )

        until(ended, f"the end of {name}")
    kubectl("delete", "pod", HERE.pod_name, "--now")
    kubectl("delete", "pod", HERE.pod_name, "--ignore-not-found")
    kubectl("delete", "--filename=-", stdin=config_map("made"))
    kubectl("delete", "configmap", "--selector=x=y")
    kubectl("delete", "secret", "made", "--grace-period=0", "--force")
    kubectl("delete", "namespace", NAMESPACE, "--timeout=40s", namespaced=False)


if __name__ == "__main__":
    sys.exit(SCENARIO.run(Kubectl(HERE.program)))
