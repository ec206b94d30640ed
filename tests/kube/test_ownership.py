"""Owner references: an object's controller must agree with every field of the reference."""

from __future__ import annotations

from typing import Any

import pytest
from owner_references import FORGED, STATEFUL_SET, WORKSPACE, changed, owned, pod

from jupyter_workspaces.kube.ownership import controls, is_pod_of


def test_a_controller_is_found_by_its_owner_reference() -> None:
    assert controls(WORKSPACE, owned("any"))
    assert is_pod_of(STATEFUL_SET, pod())


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_every_field_of_an_owner_reference_must_agree(forge: Any) -> None:
    assert not controls(WORKSPACE, forge(owned("any")))


def test_an_object_of_a_workspace_without_uid_has_no_owner() -> None:
    nameless = WORKSPACE | {"metadata": {"namespace": "team", "name": "lab"}}
    assert not controls(nameless, changed(owned("any"), uid=None))


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_pod_must_name_its_stateful_set_in_every_respect(forge: Any) -> None:
    assert not is_pod_of(STATEFUL_SET, forge(pod()))


def test_only_the_first_pod_of_a_stateful_set_is_the_workspaces() -> None:
    second = pod()
    second["metadata"]["name"] = "ws-lab-abcde-1"
    assert not is_pod_of(STATEFUL_SET, second)
