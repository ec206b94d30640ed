"""The programs of a real control plane: found, or built from the Go modules in this folder.

`python tests/control_plane/control_plane_binaries.py` builds what is missing (about 6 minutes on
two cores) and prints the paths.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
READY = "JW_TEST_BINARIES"
ASSETS = "KUBEBUILDER_ASSETS"
BUILD_SECONDS = 45 * 60
KUBERNETES = "1.36.3"
VERSION = "k8s.io/component-base/version"


class NoBinaries(Exception):
    """The programs do not exist and cannot be built. The message says what to do."""


@dataclass(frozen=True)
class Module:
    """A folder with a go.mod, and the programs that are built there by package path."""

    folder: str
    programs: dict[str, str]
    flags: tuple[str, ...] = ()


def kubernetes_module(folder: str, version: str, *names: str) -> Module:
    """Describe programs of one release of Kubernetes, with the linker flags for their version.

    Without these flags they report v0.0.0, and clients complain.
    """
    major, minor, _ = version.split(".")
    values = (("gitVersion", f"v{version}"), ("gitMajor", major), ("gitMinor", minor))
    flags = tuple(f"-X {VERSION}.{name}={value}" for name, value in values)
    return Module(folder, {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}, flags)


MODULES = (
    kubernetes_module(
        "kubernetes",
        KUBERNETES,
        "kube-apiserver",
        "kubectl",
        "kube-controller-manager",
        "kube-scheduler",
    ),
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
)
PROGRAMS = tuple(name for module in MODULES for name in module.programs)


def base() -> Path:
    """Return the folder of everything that tests build once."""
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "jupyter-workspaces"
        / "control-plane"
    )


def cache(version: str = KUBERNETES, modules: Sequence[Module] = MODULES) -> Path:
    """Return the folder of a version's programs. It depends on the modules and flags."""
    digest = hashlib.sha256()
    for module in modules:
        for file in ("go.mod", "go.sum"):
            digest.update((HERE / module.folder / file).read_bytes())
        digest.update(" ".join(module.flags).encode())
    return base() / f"{version}-{digest.hexdigest()[:12]}"


def find() -> dict[str, Path]:
    """Return existing programs by name.

    Searches `JW_TEST_BINARIES`, `KUBEBUILDER_ASSETS` and the cache, in this order.
    """
    folders = [
        Path(os.environ[name]).expanduser() for name in (READY, ASSETS) if os.environ.get(name)
    ]
    found: dict[str, Path] = {}
    for folder in (*folders, cache()):
        for name in PROGRAMS:
            if name not in found and os.access(folder / name, os.X_OK):
                found[name] = folder / name
    return found


def missing() -> str | None:
    """Return why a real cluster cannot be started and what to do; None if it can."""
    absent = sorted(set(PROGRAMS) - set(find()))
    if not absent:
        return None
    what = f"not built: {', '.join(absent)}"
    if shutil.which("go") is None:
        return f"{what}; Go is not installed, so name a folder that has them by {READY}"
    return (
        f"{what}; pass --real-cluster to build them once (about 6 minutes), "
        f"or set {READY} to a folder that has them"
    )


def ensure() -> dict[str, Path]:
    """Return all programs; build missing ones. Only one build runs at a time.

    Raises:
        NoBinaries: if they cannot be built.
    """
    if missing() is None:
        return find()
    if shutil.which("go") is None:
        raise NoBinaries(f"The control plane is {missing()}.")
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"):
        there = find()
        for module in MODULES:
            if not set(module.programs) <= set(there):
                _build(module, folder)
    return find()


def ensure_version(version: str, module: Module) -> Path:
    """Return the folder with the programs of another version; build missing ones.

    Raises:
        NoBinaries: if they cannot be built.
    """
    folder = cache(version, (module,))
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"):
        if not all(os.access(folder / name, os.X_OK) for name in module.programs):
            if shutil.which("go") is None:
                raise NoBinaries(f"Kubernetes {version} is not built, and Go is not installed.")
            _build(module, folder, ("nice", "-n", "19"), ("-p", "1"))
    return folder


def _build(
    module: Module, folder: Path, before: Sequence[str] = (), options: Sequence[str] = ()
) -> None:
    """Build the programs of a module. Each appears in the folder when it is complete."""
    print(
        f"building {', '.join(module.programs)} in {module.folder} (once; minutes)",
        file=sys.stderr,
        flush=True,
    )
    partial = folder / "partial"
    partial.mkdir(exist_ok=True)
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    for name, package in module.programs.items():
        linked = " ".join(("-s", "-w", *module.flags))
        command = [
            *before,
            "go",
            "build",
            *options,
            "-trimpath",
            "-ldflags",
            linked,
            "-o",
            str(partial / name),
            package,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=HERE / module.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NoBinaries(
                f"{name} was not built within {BUILD_SECONDS // 60} minutes."
            ) from error
        if done.returncode != 0:
            raise NoBinaries(f"{name} could not be built: {done.stderr.strip()[-2000:]}")
        (partial / name).replace(folder / name)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    try:
        programs = ensure()
    except NoBinaries as error:
        print(error, file=sys.stderr)
        return 1
    for path in programs.values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
