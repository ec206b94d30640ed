"""A real control plane on loopback: etcd, API server, controllers, scheduler, and kwok.

Each instance has its own folder, free ports and certificates for a day. `python
tests/control_plane/control_plane.py FOLDER` keeps one until it is interrupted and prints its
kubeconfig.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import control_plane_binaries
import psutil
import yaml
from control_plane_certificates import HOST, Authority
from plain_requests import request

from jupyter_workspaces.kube.types import Object

HERE = Path(__file__).resolve().parent
READY_SECONDS = 60.0
STOP_SECONDS = 10.0
ATTEMPTS = 3
ADMIN = "test-admin"
SIMULATED = ("jupyter-workspaces/simulated", "true")
# Nothing renews the leases of nodes that tests simulate, so they must last as long as the tests.
PLAYED_NODE_LIFE = "24h"
_PR_SET_PDEATHSIG = 1


class ControlPlaneError(Exception):
    """A program did not start, or a request failed. The message has the end of the log."""


class PortTaken(ControlPlaneError):
    """Another process took a port after it was found to be free."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class ControlPlane:
    """A control plane, started by `start` and stopped by `stop`.

    Its `kubeconfig` is that of an administrator. `controllers=False` starts only etcd and API
    server.

    Attributes:
        forwarded: local port that all ports of simulated pods lead to.
        pod_log: file with the log of all simulated pods.
    """

    def __init__(
        self, folder: Path, programs: Mapping[str, Path] | None = None, *, controllers: bool = True
    ) -> None:
        self.folder = folder
        self.programs = dict(control_plane_binaries.ensure() if programs is None else programs)
        self.controllers = controllers
        self.url = ""
        self.forwarded = 0
        self.seconds = 0.0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._authority: Authority | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.folder / f"{ADMIN}.conf"

    @property
    def pod_log(self) -> Path:
        return self.folder / "pod.log"

    def start(self) -> None:
        """Start, and wait until the API answers and namespaces have their service accounts.

        Raises:
            ControlPlaneError: if that does not happen in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start(self.folder / f"attempt-{attempt}")
                break
            except PortTaken:
                self.stop()
                if attempt == ATTEMPTS:
                    raise
            except BaseException:
                self.stop()
                raise
        self.seconds = time.monotonic() - began

    def _start(self, data: Path) -> None:
        data.mkdir()
        etcd, peer, port = free_port(), free_port(), free_port()
        self.url, self.forwarded = f"https://{HOST}:{port}", free_port()
        authority = self._authority = Authority(data / "pki")
        authority.server("api")
        authority.key_pair("tokens")
        self._write_kubeconfig(ADMIN, "system:masters")
        store = f"http://{HOST}:{etcd}"
        # No fsync: what a test wrote need not outlive a power cut.
        self._run(
            "etcd",
            f"--data-dir={data / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls=http://{HOST}:{peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )
        self._run("kube-apiserver", *self._api_server_flags(store, port))
        self.wait(lambda: self.ask("GET", "/readyz")[0] == 200, "a ready API server")
        if not self.controllers:
            return
        connection = (
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )
        # Two on one machine would use the same serving ports, which are not needed.
        self._run(
            "kube-controller-manager",
            *connection,
            "--secure-port=0",
            f"--service-account-private-key-file={authority.folder / 'tokens.key'}",
            f"--root-ca-file={authority.certificate}",
            f"--node-monitor-grace-period={PLAYED_NODE_LIFE}",
            f"--node-startup-grace-period={PLAYED_NODE_LIFE}",
        )
        self._run("kube-scheduler", *connection, "--secure-port=0")
        self._run_kwok()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.wait(lambda: self.ask("GET", account)[0] == 200, "the first service account")

    def _api_server_flags(self, store: str, port: int) -> list[str]:
        assert self._authority is not None
        pki = self._authority.folder
        return [
            f"--etcd-servers={store}",
            f"--bind-address={HOST}",
            f"--secure-port={port}",
            f"--cert-dir={pki}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'tokens.key'}",
            f"--service-account-signing-key-file={pki / 'tokens.key'}",
            f"--client-ca-file={self._authority.certificate}",
            f"--tls-cert-file={pki / 'api.crt'}",
            f"--tls-private-key-file={pki / 'api.key'}",
            "--authorization-mode=RBAC",
            f"--kubelet-client-certificate={pki / f'{ADMIN}.crt'}",
            f"--kubelet-client-key={pki / f'{ADMIN}.key'}",
            f"--kubelet-certificate-authority={self._authority.certificate}",
            "--kubelet-preferred-address-types=InternalIP",
        ]

    def _run_kwok(self) -> None:
        """Start the kubelet of simulated nodes, whose pods run at once."""
        assert self._authority is not None
        pki, port = self._authority.folder, free_port()
        self.pod_log.write_text(
            f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.000000000Z "
            "stdout F a line of a pod's log\n"
        )
        target = {"port": self.forwarded, "address": HOST}
        configuration: dict[str, Object] = {
            "ClusterLogs": {"logs": [{"logsFile": str(self.pod_log), "follow": True}]},
            "ClusterPortForward": {"forwards": [{"target": target}]},
            "ClusterExec": {"execs": [{"local": {"workDir": str(self.folder)}}]},
        }
        documents = [
            {
                "apiVersion": "kwok.x-k8s.io/v1alpha1",
                "kind": kind,
                "metadata": {"name": "all"},
                "spec": spec,
            }
            for kind, spec in configuration.items()
        ]
        file = self.folder / "kwok.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        self._run(
            "kwok",
            f"--kubeconfig={self.kubeconfig}",
            f"--manage-nodes-with-label-selector={'='.join(SIMULATED)}",
            "--node-lease-duration-seconds=40",
            f"--server-address={HOST}:{port}",
            f"--node-ip={HOST}",
            f"--node-port={port}",
            f"--tls-cert-file={pki / 'api.crt'}",
            f"--tls-private-key-file={pki / 'api.key'}",
            *(f"--config={path}" for path in (file, *sorted((HERE / "stages").glob("*.yaml")))),
        )

    def stop(self) -> None:
        """Stop by SIGKILL, because an API server without etcd hangs in its graceful shutdown."""
        processes, self._processes = self._processes, {}
        for process in reversed(processes.values()):
            process.kill()
        for process in processes.values():
            process.wait(STOP_SECONDS)

    def person(self, name: str, *groups: str) -> Path:
        """Return the kubeconfig of a user with these groups, without permissions."""
        return self._write_kubeconfig(name, *groups)

    def kubelet_trust(self) -> ssl.SSLContext:
        """Return the TLS settings of our kubelet, which only the API server can connect to."""
        assert self._authority is not None
        self._authority.server("kubelet")
        trust = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=str(self._authority.certificate)
        )
        trust.load_cert_chain(
            self._authority.folder / "kubelet.crt", self._authority.folder / "kubelet.key"
        )
        trust.verify_mode = ssl.CERT_REQUIRED
        return trust

    def simulated_nodes(self, count: int = 1, **allocatable: str) -> list[str]:
        """Create nodes whose pods run at once. Return their names."""
        names = [f"simulated-{number}" for number in range(count)]
        room = {"cpu": "64", "memory": "256Gi", "pods": "1000"} | allocatable
        for name in names:
            labels = {SIMULATED[0]: SIMULATED[1], "kubernetes.io/hostname": name}
            status = {"allocatable": room, "capacity": room}
            node = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "status": status,
            }
            code, answer = self.ask("POST", "/api/v1/nodes", node)
            if code not in (201, 409):
                raise ControlPlaneError(f"the node {name} was refused: {answer}")
        return names

    def ask(
        self, method: str, path: str, body: Any = None, *, media: str = "application/json"
    ) -> tuple[int, Any]:
        """Send a request as the administrator (`plain_requests`)."""
        assert self._authority is not None
        trust = ssl.create_default_context(cafile=self._authority.certificate)
        trust.load_cert_chain(
            self._authority.folder / f"{ADMIN}.crt", self._authority.folder / f"{ADMIN}.key"
        )
        return request(self.url, trust, method, path, body, media=media)

    def kubectl(
        self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [
            str(self.programs["kubectl"]),
            f"--kubeconfig={kubeconfig or self.kubeconfig}",
            *arguments,
        ]
        environment = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        return subprocess.run(
            command,
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def memory(self) -> dict[str, int]:
        """Return the resident bytes by program."""
        return {
            name: psutil.Process(process.pid).memory_info().rss
            for name, process in self._processes.items()
        }

    def _write_kubeconfig(self, name: str, *groups: str) -> Path:
        assert self._authority is not None
        self._authority.person(name, *groups)
        pki = self._authority.folder
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "real",
                    "cluster": {
                        "server": self.url,
                        "certificate-authority": str(self._authority.certificate),
                    },
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate": str(pki / f"{name}.crt"),
                        "client-key": str(pki / f"{name}.key"),
                    },
                }
            ],
            "contexts": [
                {
                    "name": "real",
                    "context": {"cluster": "real", "user": name, "namespace": "default"},
                }
            ],
            "current-context": "real",
        }
        path = self.folder / f"{name}.conf"
        path.touch(0o600)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [str(self.programs[name]), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition.

        Raises:
            ControlPlaneError: if it does not become true, or a program ends.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    end = self._end_of_log(name)
                    kind = PortTaken if "address already in use" in end else ControlPlaneError
                    raise kind(f"{name} ended with status {process.returncode}: {end}")
            if time.monotonic() > deadline:
                logs = "\n".join(f"{name}: {self._end_of_log(name)}" for name in self._processes)
                raise ControlPlaneError(
                    f"{what} did not come about within {READY_SECONDS:g} s\n{logs}"
                )
            time.sleep(0.05)

    def _end_of_log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-1500:].strip()


def _end_with_parent() -> None:
    """End the program with the test run, even if that is killed (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a new folder for its data, logs and kubeconfig")
    parser.add_argument("--nodes", type=int, default=1, help="simulated nodes")
    chosen = parser.parse_args(arguments)
    plane = ControlPlane(chosen.folder.resolve())
    try:
        plane.start()
        plane.simulated_nodes(chosen.nodes)
        megabytes = {name: round(size / 1e6) for name, size in plane.memory().items()}
        print(
            f"KUBECONFIG={plane.kubeconfig}\n"
            f"started in {plane.seconds:.1f} s; MB: {megabytes}; stop with Ctrl-C",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    finally:
        plane.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
