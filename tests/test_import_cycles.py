"""No module imports itself by way of others, lazy imports included (see also `.importlinter`)."""

from __future__ import annotations

import pytest

grimp = pytest.importorskip("grimp", reason="import-linter is part of the extra dev")


def test_there_are_no_import_cycles_between_modules() -> None:
    graph = grimp.build_graph("jupyter_workspaces", cache_dir=None)
    cycles = []
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            if chain := graph.find_shortest_chain(importer=imported, imported=module):
                cycles.append(" -> ".join((module, *chain)))

    assert cycles == []
