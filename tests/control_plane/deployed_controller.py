"""The controller as a process on a real control plane, with the permissions of `deploy/`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import yaml
from control_plane import HOST, ControlPlane, free_port
from waiting import until_sync

from jupyter_workspaces.install import manifests
from jupyter_workspaces.kube.types import Object

ACCOUNT = "jupyter-workspaces-controller"
APPLY = "application/apply-patch+yaml"


def apply(plane: ControlPlane, obj: Object) -> None:
    path = manifests.resource(obj).path(obj["metadata"].get("namespace"), obj["metadata"]["name"])
    code, answer = plane.ask("PATCH", f"{path}?fieldManager=test&force=true", obj, media=APPLY)
    assert code in (200, 201), (obj["kind"], obj["metadata"]["name"], answer)


def definitions_and_rights() -> list[Object]:
    """Return the manifests of `deploy/`, except those that run something."""
    running = ("Deployment", "Service", "PodDisruptionBudget", "ValidatingWebhookConfiguration")
    return [obj for obj in manifests.all_objects() if obj["kind"] not in running]


def install(plane: ControlPlane, kinds: Iterable[Object] = ()) -> None:
    """Install CRDs and permissions, then the kinds."""
    for obj in definitions_and_rights():
        apply(plane, obj)
    until_sync(
        lambda: plane.ask("GET", "/apis/kubeflow.org/v1beta1/workspacekinds")[0] == 200,
        "served definitions",
    )
    for obj in kinds:
        apply(plane, obj)


def account_kubeconfig(plane: ControlPlane, account: str = ACCOUNT, seconds: int = 3600) -> Path:
    """Return a kubeconfig that authenticates as our service account, by a token file."""
    path = f"/api/v1/namespaces/{manifests.NAMESPACE}/serviceaccounts/{account}/token"
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    code, answer = plane.ask("POST", path, request)
    assert code == 201, answer
    token = plane.folder / f"{account}.token"
    token.touch(0o600)
    token.write_text(answer["status"]["token"])
    document = yaml.safe_load(plane.kubeconfig.read_text())
    document["users"][0]["user"] = {"tokenFile": str(token)}
    document["contexts"][0]["context"]["namespace"] = manifests.NAMESPACE
    file = plane.folder / f"{account}.conf"
    file.write_text(yaml.safe_dump(document))
    return file


class DeployedController:
    """One controller process. `webhook` is the address of its webhook."""

    def __init__(
        self, plane: ControlPlane, kubeconfig: Path, *arguments: str, webhook: bool = False
    ) -> None:
        self._plane, self._health, self._webhook = (
            plane,
            free_port(),
            free_port() if webhook else None,
        )
        self._log = plane.folder / f"controller-{self._health}.log"
        command = [
            sys.executable,
            "-m",
            "jupyter_workspaces.controller",
            "--kubeconfig",
            str(kubeconfig),
        ]
        command += ["--health-address", f"{HOST}:{self._health}", *arguments]
        command += (
            ["--webhook-address", f"{HOST}:{self._webhook}", "--webhook-name", HOST]
            if self._webhook
            else ["--webhook-address", "off"]
        )
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("KUBE")
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ask(self, path: str) -> tuple[int, str]:
        """Send a request to its health server; status 0 if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._health}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over the series with these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        series = (
            line.rpartition(" ")
            for line in self.ask("/metrics")[1].splitlines()
            if line.startswith(name)
        )
        return sum(
            float(value)
            for found, _, value in series
            if found.partition("{")[0] == name and all(one in found for one in wanted)
        )

    def ready(self) -> DeployedController:
        until_sync(
            lambda: self.ask("/readyz")[0] == 200 or self._process.poll() is not None,
            "a ready controller",
        )
        assert self._process.poll() is None, self.log[-3000:]
        return self

    def leads(self) -> bool:
        return self.metric("jupyter_workspaces_leading") == 1

    def configure_webhook(self) -> None:
        """Register its webhook by address, because no Service leads to it."""
        configuration = next(
            obj
            for obj in manifests.all_objects()
            if obj["kind"] == "ValidatingWebhookConfiguration"
        )
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"] = {"url": f"https://{HOST}:{self._webhook}/validate"}
        apply(self._plane, configuration)

    def stop(self, sign: int = signal.SIGTERM) -> int:
        if self._process.poll() is None:
            self._process.send_signal(sign)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


def requests(plane: ControlPlane, verbs: Iterable[str], resources: Iterable[str]) -> float:
    """Return how many requests the API server has answered, from its metrics.

    Resources are named as `workspaces` or `workspaces/status`.
    """
    found = 0.0
    for line in plane.ask("GET", "/metrics")[1].splitlines():
        if line.startswith("apiserver_request_total{"):
            labels, _, value = line.rpartition(" ")
            pairs = dict(
                part.split("=", 1)
                for part in labels.partition("{")[2].rstrip("}").replace('"', "").split(",")
                if "=" in part
            )
            name = "/".join(filter(None, (pairs.get("resource"), pairs.get("subresource"))))
            if pairs.get("verb") in verbs and name in resources:
                found += float(value)
    return found
