"""Admission rules for a WorkspaceKind that matches its OpenAPI schema.

`check` calls one function for each part of a kind: templates, mount paths, options and their
redirects, ports, activity probe, activity rules, filter rules, label selectors, and options that
workspaces use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from jupyter_workspaces.kube.causes import Cause, invalid, required
from jupyter_workspaces.kube.labels import check_labels, check_selector
from jupyter_workspaces.kube.types import ObjectView

from . import mount_paths
from .rule_lookup import Lookup
from .templates import TemplateError, render
from .views import DIMENSIONS, WorkspaceKindView, WorkspaceView
from .workspace_rules import check_pod_metadata

_SHEBANG = re.compile(r"#![ \t]*([^ \t]+)(?:[ \t]+.+)?")
_LONGEST_SHEBANG = 255
_SHOWN_WORKSPACES = 3


def why_in_use(kind: ObjectView, lookup: Lookup) -> str | None:
    """Return the reason why a kind cannot be deleted, or None if no workspace uses it."""
    users = [WorkspaceView(one) for one in lookup.workspaces_of_kind(kind["metadata"]["name"])]
    if not users:
        return None
    names = ", ".join(f"{one.namespace}/{one.name}" for one in users[:_SHOWN_WORKSPACES])
    more = len(users) - _SHOWN_WORKSPACES
    if more > 0:
        names += f" and {more} more"
    count = "1 workspace uses" if len(users) == 1 else f"{len(users)} workspaces use"
    advice = "Delete them first, or hide the kind (spec.spawner.hidden)."
    return f"{count} this kind: {names}. {advice}"


def check(old: ObjectView | None, new: ObjectView, lookup: Lookup) -> tuple[list[Cause], list[str]]:
    """Return the causes that refuse the new object, and warnings for the user."""
    if new["metadata"].get("deletionTimestamp"):
        return [], []
    spec = new.get("spec")
    if (
        not isinstance(spec, Mapping)
        or not isinstance(spec.get("podTemplate"), Mapping)
        or not isinstance(spec.get("spawner"), Mapping)
    ):
        return [Cause("FieldValueRequired", "Required value", "spec")], []
    template = spec["podTemplate"]
    causes = check_pod_metadata(template.get("podMetadata") or {}, "spec.podTemplate.podMetadata")
    causes += _check_templates(template)
    old_template = ((old or {}).get("spec") or {}).get("podTemplate") or {}
    if any(
        template.get(name) != old_template.get(name)
        for name in ("volumeMounts", "extraVolumeMounts")
    ):
        causes += mount_paths.of_kind(template, "spec.podTemplate")
    for dimension in DIMENSIONS:
        options = template["options"][dimension]
        causes += _check_options(options, f"spec.podTemplate.options.{dimension}")
    causes += _check_ports(template)
    causes += _check_probe(template)
    rule_causes, warnings = _check_activity_rules(spec)
    causes += rule_causes
    causes += _check_filter_rules(spec)
    # Earlier versions did not check all selectors. A kind with an invalid one can still be changed.
    old_causes = _check_selectors(old["spec"]) if old is not None and old.get("spec") else []
    causes += [cause for cause in _check_selectors(spec) if cause not in old_causes]
    if old is not None:
        causes += _check_used_options(old, new, lookup)
    return causes, warnings


def _check_templates(template: ObjectView) -> Iterator[Cause]:
    """Yield a cause for each value whose template cannot be rendered."""
    for field, text in _templated_values(template):
        try:
            render(text, lambda port_id: f"/{port_id}/")
        except TemplateError as error:
            yield invalid(field, text, str(error))


def _templated_values(template: ObjectView) -> Iterator[tuple[str, str]]:
    """Yield path and text of each value that may hold templates."""
    at = "spec.podTemplate"
    for entry in template.get("extraEnv") or ():
        yield f"{at}.extraEnv[{entry['name']}].value", entry.get("value") or ""
    for name, probe in (template.get("probes") or {}).items():
        path = ((probe or {}).get("httpGet") or {}).get("path") or ""
        yield f"{at}.probes.{name}.httpGet.path", path
    for index, port in enumerate(template["ports"]):
        headers = (port.get("httpProxy") or {}).get("requestHeaders") or {}
        for action in ("set", "add"):
            for name, value in (headers.get(action) or {}).items():
                field = f"{at}.ports[{index}].httpProxy.requestHeaders.{action}[{name}]"
                yield field, value


def _check_options(options: ObjectView, at: str) -> Iterator[Cause]:
    """Yield causes for a default or a redirect to an unknown option, and for redirect cycles."""
    values = {value["id"]: value for value in options["values"]}
    unknown = f"no such option; available: {', '.join(values)}"
    if options["spawner"]["default"] not in values:
        yield invalid(f"{at}.spawner.default", options["spawner"]["default"], unknown)
    in_cycles: set[str] = set()
    for start, value in values.items():
        field, target = f"{at}.values[{start}].redirect.to", _redirect(value)
        if target is not None and target not in values:
            yield invalid(field, target, unknown)
            continue
        chain: list[str] = []
        current: str | None = start
        while current is not None and current in values and current not in chain:
            chain.append(current)
            current = _redirect(values[current])
        # A cycle is one mistake, so it is reported once, at the first of its options.
        if current == start and start not in in_cycles:
            in_cycles.update(chain)
            cycle = " → ".join([*chain, start])
            yield invalid(field, target, f"the redirects form a cycle: {cycle}")


def _redirect(option: ObjectView) -> str | None:
    target: str | None = (option.get("redirect") or {}).get("to")
    return target


def _check_ports(template: ObjectView) -> Iterator[Cause]:
    """Yield causes for ports of images that are not declared, or that use a number twice."""
    declared = {port["id"] for port in template["ports"]}
    for value in template["options"]["imageConfig"]["values"]:
        at = f"spec.podTemplate.options.imageConfig.values[{value['id']}].spec.ports"
        numbers = set()
        for port in value["spec"]["ports"]:
            if port["id"] not in declared:
                detail = "not declared in spec.podTemplate.ports"
                yield invalid(f"{at}[{port['id']}].id", port["id"], detail)
            if port["port"] in numbers:
                detail = "another port of this image has the same number"
                yield invalid(f"{at}[{port['id']}].port", port["port"], detail)
            numbers.add(port["port"])


def _check_probe(template: ObjectView) -> Iterator[Cause]:
    """Yield causes for an activity probe with a script that cannot run or an unknown port."""
    probe, at = template.get("activityProbe") or {}, "spec.podTemplate.activityProbe"
    if "podExec" in probe:
        first = re.split("[\r\n]", probe["podExec"]["script"], maxsplit=1)[0]
        if len(first.removeprefix("#!")) > _LONGEST_SHEBANG or not _SHEBANG.fullmatch(first):
            detail = "the first line must name an interpreter (#!/bin/sh) in at most 255 characters"
            yield invalid(f"{at}.podExec.script", first, detail)
    if "jupyter" in probe:
        port_id = probe["jupyter"]["portId"]
        if port_id not in {port["id"] for port in template["ports"]}:
            detail = "not declared in spec.podTemplate.ports"
            yield invalid(f"{at}.jupyter.portId", port_id, detail)


def _check_activity_rules(spec: ObjectView) -> tuple[list[Cause], list[str]]:
    """Return causes and warnings for `spec.activityRules`: the first rule that matches decides."""
    causes: list[Cause] = []
    warnings: list[str] = []
    rules = spec.get("activityRules") or []
    probe = spec["podTemplate"].get("activityProbe")
    catch_all = [index for index, rule in enumerate(rules) if not (rule.get("match") or {})]
    for index, rule in enumerate(rules):
        at = f"spec.activityRules[{index}]"
        if index in catch_all and len(catch_all) > 1:
            detail = "only one rule may have no match"
            causes.append(invalid(f"{at}.match", rule.get("match"), detail))
        elif index in catch_all and index != len(rules) - 1:
            detail = "a rule without match must be the last"
            causes.append(invalid(f"{at}.match", rule.get("match"), detail))
        if (
            probe is not None
            and rule["config"]["secondsSinceActive"] < 2 * probe["probeIntervalSeconds"]
        ):
            warnings.append(
                f"{at}.config.secondsSinceActive is less than twice the probe interval: "
                "workspaces are paused late"
            )
    if probe is None and any(rule["effect"].get("pauseWorkspace") for rule in rules):
        detail = "a rule that pauses workspaces needs a probe"
        causes.append(required("spec.podTemplate.activityProbe", detail))
    return causes, warnings


def _check_filter_rules(spec: ObjectView) -> Iterator[Cause]:
    """Yield causes for filter rules without an effect, or with conditions that never apply."""
    for index, rule in enumerate(spec.get("filterRules") or ()):
        at, effect = f"spec.filterRules[{index}]", rule["effect"]
        api = effect.get("api") or {}
        if not ((effect.get("ui") or {}).get("hide") or api.get("hide") or api.get("deny")):
            detail = "at least one of ui.hide, api.hide and api.deny must be true"
            yield invalid(f"{at}.effect", effect, detail)
        for position, match in enumerate(rule["match"]):
            for name, condition in match.items():
                if rule["scope"] == "WORKSPACE_KIND" and name != "matchNamespace":
                    detail = "a rule for the whole kind can only match the namespace"
                    yield invalid(f"{at}.match[{position}].{name}", condition, detail)


def _check_selectors(spec: ObjectView) -> list[Cause]:
    """Return causes for the label selectors of rules, and of sizes, which go into pods."""
    causes: list[Cause] = []
    for index, rule in enumerate(spec.get("activityRules") or ()):
        for name, condition in (rule.get("match") or {}).items():
            field = f"spec.activityRules[{index}].match.{name}.selector"
            causes += check_selector(condition["selector"], field)
    for index, rule in enumerate(spec.get("filterRules") or ()):
        for position, match in enumerate(rule["match"]):
            for name, condition in match.items():
                field = f"spec.filterRules[{index}].match[{position}].{name}.selector"
                causes += check_selector(condition["selector"], field)
    for value in spec["podTemplate"]["options"]["podConfig"]["values"]:
        at = f"spec.podTemplate.options.podConfig.values[{value['id']}].spec"
        causes += check_labels(value["spec"].get("nodeSelector") or {}, f"{at}.nodeSelector")
        causes += _check_affinity(value["spec"].get("affinity") or {}, f"{at}.affinity")
    return causes


def _check_affinity(value: Any, at: str) -> list[Cause]:
    """Return causes for the label selectors at any depth of an affinity."""
    if isinstance(value, list):
        return [
            cause
            for index, item in enumerate(value)
            for cause in _check_affinity(item, f"{at}[{index}]")
        ]
    if not isinstance(value, Mapping):
        return []
    causes: list[Cause] = []
    for name, item in value.items():
        if name in ("labelSelector", "namespaceSelector"):
            causes += check_selector(item or {}, f"{at}.{name}")
        else:
            causes += _check_affinity(item, f"{at}.{name}")
    return causes


def _check_used_options(old: ObjectView, new: ObjectView, lookup: Lookup) -> list[Cause]:
    """Return causes for options that were changed or removed while workspaces use them."""
    forbidden: dict[tuple[str, str], str] = {}
    for dimension in DIMENSIONS:
        before = WorkspaceKindView(old).option_values(dimension)
        after = WorkspaceKindView(new).option_values(dimension)
        for option, value in before.items():
            if option not in after:
                forbidden[dimension, option] = "it may not be removed"
            elif after[option]["spec"] != value["spec"]:
                forbidden[dimension, option] = "its spec may not be changed"
    if not forbidden:
        return []
    used = Counter(
        (dimension, WorkspaceView(workspace).options[dimension])
        for workspace in lookup.workspaces_of_kind(new["metadata"]["name"])
        for dimension in DIMENSIONS
    )
    return [
        invalid(
            f"spec.podTemplate.options.{dimension}.values[{option}]",
            option,
            f"{used[dimension, option]} workspace(s) use this option, so {detail}; "
            "add a new option and redirect to it",
        )
        for (dimension, option), detail in forbidden.items()
        if (dimension, option) in used
    ]
