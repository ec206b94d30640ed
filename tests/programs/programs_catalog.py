"""Catalog of the programs: what is installed, how each one starts, and the browser steps.

Each entry also says how the program gets its path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import programs_steps as steps
from playwright.sync_api import Page

DASH = """\
import sys

from dash import Dash, Input, Output, dcc, html

app = Dash(__name__)
app.layout = html.Div([html.Button("Press", id="press"), html.P("not yet", id="answer"),\
 dcc.Link("Next", href=app.get_relative_path("/next"))])


@app.callback(Output("answer", "children"), Input("press", "n_clicks"), prevent_initial_call=True)
def answer(clicks):
    return f"answer {6 * 7}"


app.run(host=sys.argv[1], port=int(sys.argv[2]))
"""

STREAMLIT = """\
import streamlit

streamlit.title("A page")
if streamlit.button("Press"):
    streamlit.write(f"answer {6 * 7}")
"""

GRADIO = """\
import sys

import gradio

with gradio.Blocks() as app:
    shown = gradio.Textbox(label="shown")
    file = gradio.File()
    gradio.Button("Press").click(lambda: (f"answer {6 * 7}", "app.py"), None, [shown, file])
app.launch(server_name=sys.argv[1], server_port=int(sys.argv[2]))
"""

BOKEH = """\
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div

button, shown = Button(label="Press"), Div(text="not yet")
button.on_click(lambda: shown.update(text=f"answer {6 * 7}"))
curdoc().add_root(column(button, shown))
"""

PANEL = """\
import panel

panel.extension("tabulator")
button, shown = panel.widgets.Button(name="Press"), panel.pane.Str("not yet")
button.on_click(lambda event: setattr(shown, "object", f"answer {6 * 7}"))
panel.Column(button, shown).servable()
"""

SHINY = """\
from shiny import App, reactive, render, ui

app_ui = ui.page_fluid(ui.input_action_button("press", "Press"), ui.output_text("shown"))


def server(input, output, session):
    @render.text
    @reactive.event(input.press)
    def shown():
        return f"answer {6 * 7}"


app = App(app_ui, server)
"""

MARIMO = """\
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    press = mo.ui.button(label="Press", value=0, on_click=lambda value: value + 42)
    press
    return mo, press


@app.cell
def _(mo, press):
    mo.md(f"answer {press.value}")
    return


if __name__ == "__main__":
    app.run()
"""

DJANGO = """\
import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import path, reverse

settings.configure(
    DEBUG=True, SECRET_KEY="for a test", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,\
 FORCE_SCRIPT_NAME=os.environ["NB_PREFIX"].rstrip("/"),
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",\
 "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)


def index(request):
    return HttpResponse(
        f'<form method="post" action="{reverse("press")}">\
<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'
        f'<button>Press</button></form><p>{request.session.get("answer", "not yet")}</p>'
    )


def press(request):
    request.session["answer"] = f"answer {6 * 7}"
    return redirect("index")


urlpatterns = [path("", index, name="index"), path("press/", press, name="press")]
execute_from_command_line(["manage", "runserver", "--noreload", ":".join(sys.argv[1:])])
"""


def notebook(source: str) -> str:
    """A notebook with one cell."""
    cell = {
        "cell_type": "code",
        "id": "one",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": source,
    }
    kernel = {
        "kernelspec": {
            "name": "python3",
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
        }
    }
    return json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


VOILA = """\
import ipywidgets

button, shown = ipywidgets.Button(description="Press"), ipywidgets.Label("not yet")
button.on_click(lambda pressed: setattr(shown, "value", f"answer {6 * 7}"))
ipywidgets.VBox([button, shown])
"""

JUPYTER = (
    "--ServerApp.base_url=$NB_PREFIX --ServerApp.ip={address} --ServerApp.port={port}"
    " --ServerApp.port_retries=0 --ServerApp.allow_remote_access=True --no-browser"
    + (" --allow-root" if os.geteuid() == 0 else "")
)
PREFIX = '{{ httpPathPrefix "web" }}'


@dataclass(frozen=True)
class Program:
    """A program, and what its workspace kind says of it.

    `command` is a line for `sh` in the home directory: its first word is a script of the program's
    environment, `{address}` and `{port}` are filled in, and `NB_PREFIX` is the workspace's path
    with a slash at either end. `environment` holds values of `extraEnv`, `opens` what is opened
    below the workspace's path.
    """

    name: str
    requirements: Sequence[str]
    command: str
    steps: Callable[[Page], None]
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    removes_prefix: bool = False
    has_token: bool = False
    """The program asks for the workspace's token, which the proxy sends."""
    port_id: str = "web"
    opens: str = ""
    with_data: Callable[[Page], None] | None = None
    """Steps with addresses that the program sends as data: it must know the server's own base URL.
    """
    lacks: Sequence[str] = ()
    """Requests and errors that are the program's own fault, at any address."""
    light: bool = False
    """Quickly installed: in `.ci/run`."""


PROGRAMS = (
    Program(
        "dash",
        ["dash"],
        "python app.py {address} {port}",
        steps.press,
        {"app.py": DASH},
        {"DASH_URL_BASE_PATHNAME": PREFIX},
        with_data=steps.dash_link,
        light=True,
    ),
    Program(
        "streamlit",
        ["streamlit"],
        "streamlit run app.py --server.address={address} --server.port={port}"
        " --server.headless=true --server.baseUrlPath=$NB_PREFIX --browser.gatherUsageStats=false",
        steps.press,
        {"app.py": STREAMLIT},
    ),
    Program(
        "gradio",
        ["gradio"],
        "env GRADIO_ROOT_PATH=${NB_PREFIX%/} python app.py {address} {port}",
        steps.gradio,
        {"app.py": GRADIO},
        with_data=steps.gradio_file,
    ),
    Program(
        "bokeh",
        ["bokeh"],
        "bokeh serve app.py --address={address} --port={port} --prefix=${NB_PREFIX%/}"
        " --allow-websocket-origin='*'",
        steps.press,
        {"app.py": BOKEH},
        light=True,
    ),
    Program(
        "panel",
        ["panel"],
        "panel serve app.py --address={address} --port={port} --prefix=${NB_PREFIX%/}"
        " --allow-websocket-origin='*'",
        steps.press,
        {"app.py": PANEL},
    ),
    Program(
        "shiny",
        ["shiny"],
        "shiny run --host={address} --port={port} app.py",
        steps.press,
        {"app.py": SHINY},
        removes_prefix=True,
    ),
    Program(
        "marimo",
        ["marimo"],
        "marimo edit --headless --no-token --skip-update-check --host={address} --port={port}"
        " --base-url=${NB_PREFIX%/} app.py",
        steps.marimo,
        {"app.py": MARIMO},
    ),
    Program(
        "nbclassic",
        ["nbclassic", "ipykernel"],
        f"jupyter-nbclassic {JUPYTER}",
        steps.nbclassic,
        {"app.ipynb": notebook("print('answer', 6 * 7)")},
        has_token=True,
        opens="notebooks/app.ipynb",
        lacks=["/nbextensions/widgets/"],
        light=True,
    ),
    Program(
        "notebook",
        ["notebook"],
        f"jupyter-notebook {JUPYTER}",
        steps.notebook,
        {"app.ipynb": notebook("print('answer', 6 * 7)")},
        has_token=True,
        lacks=["(reading 'schema')"],
        opens="notebooks/app.ipynb",
    ),
    Program(
        "voila",
        ["voila", "ipykernel", "ipywidgets"],
        "voila app.ipynb --no-browser --port={port} --base_url=$NB_PREFIX --Voila.ip={address}",
        steps.press,
        {"app.ipynb": notebook(VOILA)},
    ),
    Program(
        "mlflow",
        ["mlflow"],
        "mlflow server --host={address} --port={port} --static-prefix=${NB_PREFIX%/}"
        " --workers=1 --allowed-hosts='*'",
        steps.mlflow,
        lacks=[
            "/mlflow/users/current",
            "/mlflow/experiments/get-by-name",
        ],  # also at `/`, without a proxy
    ),
    Program(
        "django",
        ["django"],
        "python app.py {address} {port}",
        steps.press,
        {"app.py": DJANGO},
        removes_prefix=True,
    ),
)
