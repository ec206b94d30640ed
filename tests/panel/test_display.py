"""How a panel stands in a notebook: the widget, and a plain table for where no widget lives."""

from __future__ import annotations

import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell
from recorded import workspace

import jupyter_workspaces.panel
from jupyter_workspaces.client.errors import WorkspaceError
from jupyter_workspaces.panel import static_output
from jupyter_workspaces.panel.kind_cards import data_uri


@pytest.fixture
def outputs(monkeypatch):
    """What is displayed."""
    shown = []
    shell = InteractiveShell.instance()
    monkeypatch.setattr(
        shell.display_pub, "publish", lambda data, *rest, **other: shown.append(data)
    )
    yield shown
    InteractiveShell.clear_instance()


def test_a_panel_is_two_outputs(server, open_panel, outputs):
    server.add(workspace("dora"), workspace("notes", "Error", stateMessage="<b>Out of memory</b>"))
    page = open_panel()

    page.panel._ipython_display_()

    widget, table = outputs
    assert widget["application/vnd.jupyter.widget-view+json"]["model_id"] == page.panel.model_id
    assert page.panel.table.fallback in table["text/html"]
    assert "&lt;b&gt;Out of memory&lt;/b&gt;" in table["text/html"]
    assert "<b>" not in table["text/html"]
    assert (
        table["text/plain"]
        .splitlines()[2]
        .startswith("● Running          dora   JupyterLab  SciPy 1.9  2 CPU · 4 GiB")
    )


def test_a_panel_without_a_server_says_what_to_do(server, open_panel):
    server.refuse["connect"] = WorkspaceError("No server <answers>.", "Start one.")
    page = open_panel()
    first = page.panel.table.get_state()["first"]

    assert (
        static_output.html([], first, "mark")
        == '<div class="mark"><p>No server &lt;answers&gt;. Start one.</p></div>'
    )
    assert repr(page.panel) == "Cluster Workspaces: No server <answers>. Start one."


def test_a_notebook_file_stays_small(server, open_panel):
    server.add(*(workspace(f"w{number}") for number in range(1000)))
    page = open_panel()

    html = static_output.html(page.panel.rows, page.panel.table.get_state()["first"], "mark")

    assert html.count("<tr>") == static_output.SHOWN + 1
    assert "… and 800 more." in html


def test_a_picture_of_another_type_or_size_is_none():
    assert data_uri("image/png", b"x") == "data:image/png;base64,eA=="
    assert data_uri("text/html", b"<script>") == ""
    assert data_uri("image/png", b"x" * 10_000_000) == ""


@pytest.mark.parametrize("package", ["ipywidgets", "anywidget"])
def test_a_missing_widget_package_is_named_with_the_extra_to_install(package):
    code = f"""
import sys
sys.modules[{package!r}] = None
import jupyter_workspaces as jw
try:
    jw.panel()
except jw.WorkspaceError as error:
    print(error.message, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == (
        f"jw.panel() needs {package}, which is not installed. "
        "Install it: pip install 'jupyter-workspaces[notebook]'\n"
    ), done.stderr


def test_importing_the_package_first_leaves_the_function_callable():
    assert callable(jupyter_workspaces.panel)
