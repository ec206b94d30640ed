"""Data of the form for a new workspace, without widgets.

Choices of a kind, validation, the request body, the same as Python code, and errors by field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_workspaces.client import formatting, names
from jupyter_workspaces.client.spawning import HOME_SIZE
from jupyter_workspaces.common import dns_names

Kind = Mapping[str, Any]  # list item of a workspace kind (docs/api.md)


_DATA_PATHS = (
    (re.compile(r"(?:data\.)?podTemplate\.volumes\.data\[(\d+)\]"), "data"),
    (re.compile(r"spec\.podTemplate\.volumes\.data\[(\d+)\]"), "data"),
)
_FIELD_PATHS = {
    "name": ("metadata.name", "name"),
    "kind": ("spec.kind", "kind"),
    "image": ("spec.podTemplate.options.imageConfig", "podTemplate.options.imageConfig"),
    "size": ("spec.podTemplate.options.podConfig", "podTemplate.options.podConfig"),
    "home": ("spec.podTemplate.volumes.home", "podTemplate.volumes.home"),
}


@dataclass(frozen=True)
class Choice:
    """An option of a kind, as the form shows it."""

    id: str
    label: str
    description: str
    hidden: bool = False
    denied: str = ""  # reason why it cannot be chosen; empty if it can
    target: str = ""  # id of the option that it redirects to


@dataclass
class Mount:
    """A data volume of the new workspace. `create` is its size if it must be created first."""

    claim: str
    path: str
    read_only: bool = False
    create: str = ""


@dataclass
class Draft:
    """Values of the form."""

    kind: str
    name: str
    image: str
    size: str
    home: str = ""
    home_create: str = ""
    data: list[Mount] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """Return the create model (docs/api.md)."""
        volumes: dict[str, Any] = {
            "data": [
                {"pvcName": mount.claim, "mountPath": mount.path, "readOnly": mount.read_only}
                for mount in self.data
            ],
        }
        if self.home:
            volumes["home"] = self.home
        return {
            "name": self.name,
            "kind": self.kind,
            "paused": False,
            "podTemplate": {
                "podMetadata": {"labels": {}, "annotations": {}},
                "volumes": volumes,
                "options": {"imageConfig": self.image, "podConfig": self.size},
            },
        }

    def python(self, namespace: str, usual: str) -> str:
        """Return Python code that creates the same workspace.

        The namespace is omitted if it is the client's default. A new home with the default name is
        omitted too: `jw.spawn` creates it, and removes it if the create is refused.
        """
        where = [] if namespace == usual else [f"namespace={_quoted(namespace)}"]
        by_spawn = (f"home-{self.name}", HOME_SIZE)
        left_out = self.home_create and (self.home, self.home_create) == by_spawn
        lines = [
            f"jw.create_claim({', '.join([_quoted(name), f'size={_quoted(size)}', *where])})"
            for name, size in self.new_claims()
            if not (left_out and name == self.home)
        ]
        said = [
            _quoted(self.kind),
            *(
                f"{key}={_quoted(value)}"
                for key, value in (("name", self.name), ("image", self.image), ("size", self.size))
            ),
        ]
        if not left_out:
            said.append(f"home={_quoted(self.home)}")
        if mounted := [mount for mount in self.data if mount.claim and mount.path]:
            pairs = (f"{_quoted(mount.claim)}: {_quoted(mount.path)}" for mount in mounted)
            said.append(f"data={{{', '.join(pairs)}}}")
        if fixed := [_quoted(mount.claim) for mount in mounted if mount.read_only]:
            said.append(f"read_only=[{', '.join(fixed)}]")
        return "\n".join(
            [
                "import jupyter_workspaces as jw",
                "",
                *lines,
                f"ws = jw.spawn({', '.join([*said, *where])})",
            ]
        )

    def new_claims(self) -> list[tuple[str, str]]:
        """Return name and size of the claims to create before the workspace."""
        wanted = [
            (self.home, self.home_create),
            *((mount.claim, mount.create) for mount in self.data),
        ]
        return [(name, size) for name, size in wanted if name and size]

    def wrong(self, home_path: str = "") -> dict[str, str]:
        """Return validation errors by field. `home_path` is where the kind mounts the home."""
        found = {}
        if (why := wrong_name(self.name)) is not None:
            found["name"] = why
        if self.home_create and not self.home:
            found["home-name"] = "Enter a name for the new volume."
        taken = {home_path.rstrip("/"): "The home"} if self.home and home_path else {}
        claims: set[str] = set()
        for index, mount in enumerate(self.data):
            path = mount.path.rstrip("/")
            if not mount.claim:
                found[f"data[{index}]"] = "Choose a volume, or remove this line."
            elif mount.claim in claims:
                found[f"data[{index}]"] = "This volume is already used in another line."
            elif not re.fullmatch(r"/[^/].*", mount.path):
                found[f"data[{index}]"] = "Enter an absolute path, such as /data/sales."
            elif path in taken:
                found[f"data[{index}]"] = f"{taken[path]} already has this path."
            claims.add(mount.claim)
            taken.setdefault(path, "Another volume")
        return found


def wrong_name(name: str) -> str | None:
    """Return why a workspace name is invalid, or None."""
    if not name:
        return "Enter a name."
    if len(name) > names.SUGGESTED_LENGTH:
        return f"Use at most {names.SUGGESTED_LENGTH} characters."
    if not dns_names.is_label(name):
        return "Use lower-case letters, digits and “-”. Start and end with a letter or digit."
    return None


def choices(kind: Kind, dimension: str) -> list[Choice]:
    """Return the options of `imageConfig` or `podConfig`, in the kind's order."""
    values = _values(kind, dimension)
    titles = {str(value["id"]): formatting.option(value) for value in values}
    default = _options(kind, dimension).get("default")
    found = []
    for value in values:
        restrictions = value.get("restrictions") or {}
        target = str((value.get("redirect") or {}).get("to", ""))
        size = formatting.size(value.get("labels")) if dimension == "podConfig" else ""
        label = " · ".join(part for part in (titles[str(value["id"])], size) if part)
        if value["id"] == default and dimension == "imageConfig":
            label += " (recommended)"
        if target:
            label += f" → {titles.get(target, target)}"
        said = [
            str(value.get("description") or ""),
            str(((value.get("redirect") or {}).get("message") or {}).get("text", "")),
        ]
        if dimension == "imageConfig":
            said.append(
                ", ".join(f"{tag['key']} {tag['value']}" for tag in value.get("labels") or ())
            )
        denied = (
            str((restrictions.get("denyMessage") or {}).get("text") or "not allowed")
            if restrictions.get("deny")
            else ""
        )
        found.append(
            Choice(
                str(value["id"]),
                label,
                ". ".join(text.rstrip(".") for text in said if text),
                bool(value.get("hidden")),
                denied,
                target,
            )
        )
    return found


def preselected(kind: Kind, dimension: str) -> str:
    """Return the default, following redirects; if denied, the first option that is not."""
    offered = {choice.id: choice for choice in choices(kind, dimension)}
    chosen = offered.get(str(_options(kind, dimension).get("default", "")))
    seen: set[str] = set()
    while chosen is not None and chosen.target in offered and chosen.id not in seen:
        seen.add(chosen.id)
        chosen = offered[chosen.target]
    if chosen is not None and not chosen.denied:
        return chosen.id
    return next(
        (choice.id for choice in offered.values() if not choice.denied and not choice.hidden), ""
    )


def suggested_path(claim: str, taken: Iterable[str]) -> str:
    """Return a free mount path for a data claim: `/data/<claim>`."""
    known, number, path = set(taken), 1, f"/data/{claim}"
    while path in known:
        number += 1
        path = f"/data/{claim}-{number}"
    return path


def claim_label(claim: Mapping[str, Any]) -> str:
    """Return a claim's name with its size and who uses it."""
    spec = claim.get("pvcSpec") or {}
    size = formatting.storage(str((spec.get("requests") or {}).get("storage", "")))
    users = [str(workspace["name"]) for workspace in claim.get("workspaces") or ()]
    used = f"used by {users[0]}" if len(users) == 1 else f"used by {len(users)}" if users else ""
    return " · ".join(part for part in (str(claim["name"]), size, used) if part)


def by_field(errors: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return validation errors by field of the form, and the others as sentences."""
    placed: dict[str, str] = {}
    rest: list[str] = []
    for path, message in errors.items():
        place = _place(path)
        if place is None:
            rest.append(f"{path}: {message}" if path not in ("", "<nil>") else message)
        else:
            placed[place] = f"{placed[place]} {message}" if place in placed else message
    return placed, rest


def _place(path: str) -> str | None:
    for pattern, place in _DATA_PATHS:
        if found := pattern.match(path):
            return f"{place}[{found[1]}]"
    path = path.removeprefix("data.")
    return next((place for place, paths in _FIELD_PATHS.items() if path in paths), None)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _options(kind: Kind, dimension: str) -> Mapping[str, Any]:
    options: Mapping[str, Any] = kind["podTemplate"]["options"][dimension]
    return options


def _values(kind: Kind, dimension: str) -> Sequence[Mapping[str, Any]]:
    return _options(kind, dimension).get("values") or ()
