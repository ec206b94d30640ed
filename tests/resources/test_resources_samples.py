"""The sample kinds are valid, and their pictures are harmless."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from kind_objects import SCHEMAS, Lookup, judge

from jupyter_workspaces.common import quantities
from jupyter_workspaces.kube.schemas import structural
from jupyter_workspaces.resources import bundled, metadata_keys

SAMPLES = bundled.samples()
KINDS = {found["metadata"]["name"]: found for found in SAMPLES if found["kind"] == "WorkspaceKind"}
PICTURES = {found["metadata"]["name"]: found for found in SAMPLES if found["kind"] == "ConfigMap"}


def test_there_is_a_sample_for_each_tool() -> None:
    assert set(KINDS) == {"jupyterlab", "codeserver", "rstudio"}
    order = [found["kind"] for found in SAMPLES]
    assert order == sorted(order), "pictures come before the kinds that show them"


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_sample_is_a_valid_kind_without_unknown_fields(kind: dict[str, Any]) -> None:
    assert structural.unknown_fields(SCHEMAS["WorkspaceKind"], kind) == []
    result = judge(kind, lookup=Lookup())
    assert not result.causes
    assert not result.warnings


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_pictures_of_samples_are_plain_svg(kind: dict[str, Any]) -> None:
    for which in ("icon", "logo"):
        reference = kind["spec"]["spawner"][which]["configMap"]
        config_map = PICTURES[reference["name"]]
        assert config_map["metadata"]["namespace"] == reference["namespace"]
        assert config_map["metadata"]["labels"] == {metadata_keys.IMAGE_SOURCE: "true"}
        drawing = ElementTree.fromstring(config_map["data"][reference["key"]])
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        tags = {element.tag.rpartition("}")[2] for element in drawing.iter()}
        assert tags <= {"svg", "rect", "path", "circle"}, "nothing that runs, loads or links"


def test_the_jupyterlab_sample_has_the_options_of_the_tour() -> None:
    options = KINDS["jupyterlab"]["spec"]["podTemplate"]["options"]
    images = {value["id"]: value for value in options["imageConfig"]["values"]}
    sizes = {value["id"]: value for value in options["podConfig"]["values"]}
    assert images["jupyterlab_scipy_180"]["redirect"]["to"] == "jupyterlab_scipy_190"
    assert images["jupyterlab_scipy_180"]["redirect"]["message"]["text"]
    assert "redirect" not in images["jupyterlab_scipy_190"]
    assert set(sizes) == {"tiny_cpu", "small_cpu", "big_gpu"}
    assert (
        quantities.words(sizes["big_gpu"]["spec"]["resources"]["requests"])
        == "4 CPU · 16 GiB · 1 GPU"
    )
    assert (
        KINDS["jupyterlab"]["metadata"]["annotations"][metadata_keys.TOKEN_ENV] == "JUPYTER_TOKEN"
    )


def test_the_default_size_fits_a_laptop() -> None:
    for kind in KINDS.values():
        options = kind["spec"]["podTemplate"]["options"]["podConfig"]
        usual = next(
            value for value in options["values"] if value["id"] == options["spawner"]["default"]
        )
        requests = usual["spec"]["resources"]["requests"]
        assert quantities.parse(requests["cpu"]) <= 1
        assert quantities.parse(requests["memory"]) <= quantities.parse("4Gi")
