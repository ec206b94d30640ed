"""Rules for a WorkspaceKind that fits its schema: templates, options, ports, probes, what is in use (contracts/kubeflow-workspaces.md §4.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jupyter_workspaces.kube.causes import Cause, invalid, required
from jupyter_workspaces.kube.labels import check_labels, check_selector

from . import mount_paths
from .admission import Lookup
from .templates import TemplateError, render
from .workspace_rules import check_pod_metadata

Object = Mapping[str, Any]

_SHEBANG = re.compile(r"#![ \t]*([^ \t]+)(?:[ \t]+.+)?")
DIMENSIONS = ("imageConfig", "podConfig")


def in_use(kind: Object, lookup: Lookup) -> str | None:
    """Why a kind cannot be deleted, or None."""
    users = list(lookup.workspaces_of_kind(kind["metadata"]["name"]))
    if not users:
        return None
    names = ", ".join(
        f"{found['metadata']['namespace']}/{found['metadata']['name']}" for found in users[:3]
    )
    more = f" and {len(users) - 3} more" if len(users) > 3 else ""
    count = "1 workspace uses" if len(users) == 1 else f"{len(users)} workspaces use"
    return f"{count} this kind: {names}{more}. Delete them first, or hide the kind (spec.spawner.hidden)."


def check(old: Object | None, new: Object, lookup: Lookup) -> tuple[list[Cause], list[str]]:
    """Causes and warnings."""
    spec = new.get("spec")
    if new["metadata"].get("deletionTimestamp"):
        return [], []
    if (
        not isinstance(spec, Mapping)
        or not isinstance(spec.get("podTemplate"), Mapping)
        or not isinstance(spec.get("spawner"), Mapping)
    ):
        return [Cause("FieldValueRequired", "Required value", "spec")], []
    template = spec["podTemplate"]
    causes = check_pod_metadata(template.get("podMetadata") or {}, "spec.podTemplate.podMetadata")
    causes += _templates(template)
    before = ((old or {}).get("spec") or {}).get("podTemplate") or {}
    if any(
        template.get(name) != before.get(name) for name in ("volumeMounts", "extraVolumeMounts")
    ):
        causes += mount_paths.of_kind(template, "spec.podTemplate")
    for dimension in DIMENSIONS:
        causes += _options(template["options"][dimension], f"spec.podTemplate.options.{dimension}")
    causes += _ports(template)
    causes += _probe(template)
    rules, warnings = _activity_rules(spec)
    causes += rules + _filter_rules(spec)
    # An earlier version stored kinds without looking at all of their selectors; they can still be changed otherwise.
    borne = _selectors(old["spec"]) if old is not None and old.get("spec") else []
    causes += [cause for cause in _selectors(spec) if cause not in borne]
    if old is not None:
        causes += _used_options(old, new, lookup)
    return causes, warnings


def _templates(template: Object) -> list[Cause]:
    causes = []

    def rendered(text: str, field: str) -> None:
        try:
            render(text, lambda port_id: f"/{port_id}/")
        except TemplateError as error:
            causes.append(invalid(field, text, str(error)))

    for entry in template.get("extraEnv") or ():
        rendered(entry.get("value") or "", f"spec.podTemplate.extraEnv[{entry['name']}].value")
    for name, probe in (template.get("probes") or {}).items():
        path = ((probe or {}).get("httpGet") or {}).get("path") or ""
        rendered(path, f"spec.podTemplate.probes.{name}.httpGet.path")
    for index, port in enumerate(template["ports"]):
        headers = (port.get("httpProxy") or {}).get("requestHeaders") or {}
        for action in ("set", "add"):
            for name, value in (headers.get(action) or {}).items():
                rendered(
                    value,
                    f"spec.podTemplate.ports[{index}].httpProxy.requestHeaders.{action}[{name}]",
                )
    return causes


def _options(options: Object, at: str) -> list[Cause]:
    values = {value["id"]: value for value in options["values"]}
    causes = []
    if options["spawner"]["default"] not in values:
        causes.append(
            invalid(
                f"{at}.spawner.default",
                options["spawner"]["default"],
                f"no such option; there is {', '.join(values)}",
            )
        )
    looped: set[str] = set()
    for start, value in values.items():
        target = (value.get("redirect") or {}).get("to")
        if target is not None and target not in values:
            causes.append(
                invalid(
                    f"{at}.values[{start}].redirect.to",
                    target,
                    f"no such option; there is {', '.join(values)}",
                )
            )
            continue
        seen: list[str] = []
        current: str | None = start
        while current is not None and current in values and current not in seen:
            seen.append(current)
            current = (values[current].get("redirect") or {}).get("to")
        # One cycle is one mistake, told at the first of its members.
        if current == start and start not in looped:
            looped.update(seen)
            causes.append(
                invalid(
                    f"{at}.values[{start}].redirect.to",
                    target,
                    f"the redirects run in a circle: {' → '.join([*seen, start])}",
                )
            )
    return causes


def _ports(template: Object) -> list[Cause]:
    declared = {port["id"] for port in template["ports"]}
    causes = []
    for value in template["options"]["imageConfig"]["values"]:
        at, numbers = (
            f"spec.podTemplate.options.imageConfig.values[{value['id']}].spec.ports",
            set(),
        )
        for port in value["spec"]["ports"]:
            if port["id"] not in declared:
                causes.append(
                    invalid(
                        f"{at}[{port['id']}].id",
                        port["id"],
                        "not declared in spec.podTemplate.ports",
                    )
                )
            if port["port"] in numbers:
                causes.append(
                    invalid(
                        f"{at}[{port['id']}].port",
                        port["port"],
                        "another port of this image has the same number",
                    )
                )
            numbers.add(port["port"])
    return causes


def _probe(template: Object) -> list[Cause]:
    probe = template.get("activityProbe") or {}
    causes = []
    if "podExec" in probe:
        first = re.split("[\r\n]", probe["podExec"]["script"], maxsplit=1)[0]
        if len(first.removeprefix("#!")) > 255 or not _SHEBANG.fullmatch(first):
            field = "spec.podTemplate.activityProbe.podExec.script"
            causes.append(
                invalid(
                    field,
                    first,
                    "the first line must name an interpreter (#!/bin/sh) in at most 255 characters",
                )
            )
    if "jupyter" in probe and probe["jupyter"]["portId"] not in {
        port["id"] for port in template["ports"]
    }:
        causes.append(
            invalid(
                "spec.podTemplate.activityProbe.jupyter.portId",
                probe["jupyter"]["portId"],
                "not declared in spec.podTemplate.ports",
            )
        )
    return causes


def _activity_rules(spec: Object) -> tuple[list[Cause], list[str]]:
    causes: list[Cause] = []
    warnings: list[str] = []
    rules = spec.get("activityRules") or []
    probe = spec["podTemplate"].get("activityProbe")
    general = [index for index, rule in enumerate(rules) if not (rule.get("match") or {})]
    for index, rule in enumerate(rules):
        at = f"spec.activityRules[{index}]"
        if index in general and (len(general) > 1 or index != len(rules) - 1):
            detail = (
                "only one rule may stand without match"
                if len(general) > 1
                else "a rule without match must be the last"
            )
            causes.append(invalid(f"{at}.match", rule.get("match"), detail))
        if (
            probe is not None
            and rule["config"]["secondsSinceActive"] < 2 * probe["probeIntervalSeconds"]
        ):
            warnings.append(
                f"{at}.config.secondsSinceActive is less than twice the probe's interval: pauses will come late"
            )
    if probe is None and any(rule["effect"].get("pauseWorkspace") for rule in rules):
        causes.append(
            required("spec.podTemplate.activityProbe", "a rule that pauses needs a probe")
        )
    return causes, warnings


def _filter_rules(spec: Object) -> list[Cause]:
    causes = []
    for index, rule in enumerate(spec.get("filterRules") or ()):
        at, effect = f"spec.filterRules[{index}]", rule["effect"]
        api = effect.get("api") or {}
        if not ((effect.get("ui") or {}).get("hide") or api.get("hide") or api.get("deny")):
            causes.append(
                invalid(
                    f"{at}.effect",
                    effect,
                    "at least one of ui.hide, api.hide and api.deny must be true",
                )
            )
        for position, match in enumerate(rule["match"]):
            for name, found in match.items():
                if rule["scope"] == "WORKSPACE_KIND" and name != "matchNamespace":
                    causes.append(
                        invalid(
                            f"{at}.match[{position}].{name}",
                            found,
                            "a rule for the whole kind can only match the namespace",
                        )
                    )
    return causes


def _selectors(spec: Object) -> list[Cause]:
    """Causes against every selector of labels in a kind: those of its rules, and those of its sizes, which go into pods."""
    causes: list[Cause] = []
    for index, rule in enumerate(spec.get("activityRules") or ()):
        for name, found in (rule.get("match") or {}).items():
            causes += check_selector(
                found["selector"], f"spec.activityRules[{index}].match.{name}.selector"
            )
    for index, rule in enumerate(spec.get("filterRules") or ()):
        for position, match in enumerate(rule["match"]):
            for name, found in match.items():
                causes += check_selector(
                    found["selector"],
                    f"spec.filterRules[{index}].match[{position}].{name}.selector",
                )
    for value in spec["podTemplate"]["options"]["podConfig"]["values"]:
        at = f"spec.podTemplate.options.podConfig.values[{value['id']}].spec"
        causes += check_labels(value["spec"].get("nodeSelector") or {}, f"{at}.nodeSelector")
        causes += _within(value["spec"].get("affinity") or {}, f"{at}.affinity")
    return causes


def _within(value: Any, at: str) -> list[Cause]:
    """Causes against the label selectors that stand somewhere in a value of an affinity."""
    if isinstance(value, list):
        return [
            cause for index, item in enumerate(value) for cause in _within(item, f"{at}[{index}]")
        ]
    if not isinstance(value, Mapping):
        return []
    causes: list[Cause] = []
    for name, item in value.items():
        if name in ("labelSelector", "namespaceSelector"):
            causes += check_selector(item or {}, f"{at}.{name}")
        else:
            causes += _within(item, f"{at}.{name}")
    return causes


def _used_options(old: Object, new: Object, lookup: Lookup) -> list[Cause]:
    """An option's content may not change, and it may not go, while a workspace uses it."""
    changed: dict[tuple[str, str], str] = {}
    for dimension in DIMENSIONS:
        before = {
            value["id"]: value["spec"]
            for value in old["spec"]["podTemplate"]["options"][dimension]["values"]
        }
        after = {
            value["id"]: value["spec"]
            for value in new["spec"]["podTemplate"]["options"][dimension]["values"]
        }
        for option, content in before.items():
            if option not in after:
                changed[dimension, option] = "it may not be removed"
            elif after[option] != content:
                changed[dimension, option] = "its spec may not be changed"
    if not changed:
        return []
    used: dict[tuple[str, str], int] = {}
    for workspace in lookup.workspaces_of_kind(new["metadata"]["name"]):
        for dimension in DIMENSIONS:
            key = (dimension, workspace["spec"]["podTemplate"]["options"][dimension])
            used[key] = used.get(key, 0) + 1
    return [
        invalid(
            f"spec.podTemplate.options.{dimension}.values[{option}]",
            option,
            f"{used[dimension, option]} workspace(s) use this option, so {detail}; add a new option and redirect to it",
        )
        for (dimension, option), detail in changed.items()
        if (dimension, option) in used
    ]
