"""The spawn form: what it offers for a kind, what it sends, and where it puts what was wrong."""

from __future__ import annotations

import pytest
from recorded import claim, kind, workspace
from waiting import until_sync

from jupyter_workspaces.client.errors import WorkspaceError
from jupyter_workspaces.client.names import numbered_name
from jupyter_workspaces.panel.form_controls import NEW
from jupyter_workspaces.panel.form_data import (
    Draft,
    Mount,
    by_field,
    choices,
    preselected,
    suggested_path,
)


@pytest.fixture
def opened(server, open_panel):
    """The form of the kind `jupyterlab`, opened."""
    server.add(workspace("jupyterlab"))
    server.known_claims = [
        claim("home-bella"),
        claim("sales", "50Gi", workspaces=[{"name": "dora"}]),
        claim("locked", canMount=False),
    ]
    page = open_panel()
    until_sync(lambda: page.panel.form.cards.kinds)
    page.panel.form.cards.chosen = "jupyterlab"
    until_sync(lambda: "home-bella" in dict(page.panel.form.home.claim.control.options).values())
    until_sync(lambda: page.panel.form.home.claim.value == NEW)
    page.settle()
    return page


def labels(field):
    return [label for label, _ in field.control.options]


def test_the_cards_show_logo_and_text_and_no_hidden_kind(server, open_panel):
    server.kinds = [
        kind("rstudio", displayName="RStudio", deprecated=True, deprecationMessage="Take VS Code"),
        kind(),
        kind("secret", hidden=True),
    ]

    page = open_panel()

    cards = until_sync(
        lambda: (
            [card for card in page.panel.form.cards.kinds if card["picture"]]
            and page.panel.form.cards.kinds
        )
    )
    assert [(card["title"], card["note"]) for card in cards] == [
        ("JupyterLab", ""),
        ("RStudio", "Take VS Code"),
    ]
    assert cards[0]["picture"].startswith("data:image/svg+xml;base64,")


def test_a_logo_that_cannot_be_had_leaves_a_letter(server, open_panel):
    server.refuse["picture"] = WorkspaceError("No such picture.")

    page = open_panel()

    until_sync(
        lambda: (
            ("picture", "/workspaces/api/v1/workspacekinds/jupyterlab/assets/logo") in server.asked
            and page.panel.form.cards.kinds
        )
    )
    assert page.panel.form.cards.kinds[0]["picture"] == ""


def test_the_form_comes_filled_in(opened):
    form = opened.panel.form

    assert form.name.value == "jupyterlab-2"
    assert labels(form.image) == ["SciPy 1.8 (recommended) → SciPy 1.9", "SciPy 1.9"]
    assert (form.image.value, form.size.value, form.home.claim.value) == (
        "scipy_190",
        "tiny_cpu",
        NEW,
    )
    assert labels(form.size) == ["Tiny · 0.1 CPU · 512 MiB", "Small · 2 CPU · 4 GiB"]
    assert "Big · 8 CPU · 1 GPU (ask for GPU access)" in form.size.below.value
    assert labels(form.home.claim) == [
        "home-bella · 5 GiB",
        "sales · 50 GiB · used by dora",
        "New volume…",
    ]


def test_hidden_options_come_when_asked_for(opened):
    form = opened.panel.form

    form.hidden.value = True

    until_sync(lambda: "Nightly" in labels(form.image))


def test_create_sends_the_whole_request(opened):
    form = opened.panel.form
    form.name.control.value = "dora"
    form.home.claim.control.value = "home-bella"
    form.add.click()
    line = until_sync(lambda: form._mounts and form._mounts[0])
    line.claim.control.value = "sales"
    until_sync(lambda: line.path.value == "/data/sales")
    line.read_only.value = True

    form.create.click()

    asked = until_sync(lambda: [asked for asked in opened.server.asked if asked[0] == "create"])
    volumes = {
        "home": "home-bella",
        "data": [{"pvcName": "sales", "mountPath": "/data/sales", "readOnly": True}],
    }
    assert asked[0][1:] == (
        "default",
        {**asked[0][2], "name": "dora", "kind": "jupyterlab", "paused": False},
    )
    assert asked[0][2]["podTemplate"]["volumes"] == volumes
    assert asked[0][2]["podTemplate"]["options"] == {
        "imageConfig": "scipy_190",
        "podConfig": "tiny_cpu",
    }
    until_sync(lambda: opened.row("default/dora"))
    until_sync(lambda: "Creating dora. Follow it above." in form.status.value)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("Running", "dora is running."),
        ("Error", "dora needs attention. See above."),
        ("Paused", ""),
    ],
)
def test_the_message_about_a_new_workspace_ends_with_its_start(opened, state, text):
    form = opened.panel.form
    form.name.control.value = "dora"
    form.create.click()
    until_sync(lambda: "Creating dora. Follow it above." in form.status.value)

    opened.server.push(workspace("dora", state, paused=state == "Paused"))

    until_sync(
        lambda: form.status.value in (f"<span>{text}</span>", f"<span class=cw-wrong>{text}</span>")
    )


def test_a_new_volume_is_made_first(opened):
    form = opened.panel.form
    assert form.home.new[0].layout.display is None

    form.create.click()

    until_sync(lambda: any(asked[0] == "create" for asked in opened.server.asked))
    writes = [asked for asked in opened.server.asked if asked[0].startswith("create")]
    assert writes[0] == ("create_claim", "default", "home-jupyterlab-2", "10Gi")
    assert writes[1][2]["podTemplate"]["volumes"]["home"] == "home-jupyterlab-2"
    until_sync(
        lambda: form.name.value == "jupyterlab-3" and form.home.name.value == "home-jupyterlab-3"
    )


def test_the_servers_errors_stand_beside_their_fields(opened):
    form = opened.panel.form
    wrong = {
        "data.podTemplate.options.imageConfig": "not an option of this kind",
        "podTemplate.volumes.home": "the claim needs the label can-mount",
        "spec.somewhere.else": "what is this",
    }
    opened.server.refuse["create"] = WorkspaceError("The cluster refused it.", fields=wrong)

    form.create.click()

    until_sync(lambda: "not an option of this kind" in form.image.below.value)
    assert "can-mount" in form.home.claim.below.value
    assert "spec.somewhere.else: what is this" in form.status.value
    assert not form.create.disabled


def test_a_bad_name_is_seen_before_the_server_is_asked(opened):
    form = opened.panel.form
    form.name.control.value = "Dora!"

    form.create.click()

    until_sync(lambda: "lower-case letters" in form.name.below.value)
    assert not any(asked[0] == "create" for asked in opened.server.asked)


def test_texts_of_the_cluster_are_never_markup(opened):
    opened.server.refuse["create"] = WorkspaceError("<script>alert(1)</script>")

    opened.panel.form.create.click()

    until_sync(lambda: "&lt;script&gt;" in opened.panel.form.status.value)


def test_the_same_in_python(opened):
    form = opened.panel.form

    form.python.value = True

    code = until_sync(lambda: form.code.value)
    assert (
        "ws = jw.spawn(&quot;jupyterlab&quot;, name=&quot;jupyterlab-2&quot;, "
        "image=&quot;scipy_190&quot;" in code
    )


def test_python_leaves_a_usual_home_to_spawn():
    code = Draft("lab", "dora", "a", "b", "home-dora", "10Gi").python("default", "default")

    assert "create_claim" not in code
    assert "home" not in code


def test_errors_find_their_fields():
    placed, rest = by_field(
        {
            "data.name": "a",
            "metadata.name": "b",
            "spec.kind": "c",
            "podTemplate.volumes.data[1].pvcName": "d",
            "data.podTemplate.volumes.data[0].mountPath": "e",
            "spec.podTemplate.options.podConfig": "f",
            "<nil>": "g",
        }
    )

    assert placed == {"name": "a b", "kind": "c", "data[1]": "d", "data[0]": "e", "size": "f"}
    assert rest == ["g"]


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        (Mount("", "/data/x"), "Choose a volume"),
        (Mount("x", "data"), "Enter an absolute path"),
        (Mount("x", "//data"), "Enter an absolute path"),
    ],
)
def test_a_mount_that_cannot_be(mount, said):
    assert said in Draft("lab", "dora", "a", "b", data=[mount]).wrong()["data[0]"]


def test_two_volumes_at_one_path():
    draft = Draft("lab", "dora", "a", "b", data=[Mount("x", "/data/x"), Mount("y", "/data/x")])

    assert list(draft.wrong()) == ["data[1]"]


def test_a_default_that_moved_on_or_is_denied_is_not_preselected():
    one = kind()
    one["podTemplate"]["options"]["podConfig"]["default"] = "big_gpu"

    assert preselected(one, "imageConfig") == "scipy_190"
    assert preselected(one, "podConfig") == "tiny_cpu"
    assert choices(one, "imageConfig")[0].description == "1.8 goes in May"


def test_names_and_paths_are_free():
    assert numbered_name("JupyterLab", ["jupyterlab", "jupyterlab-2"]) == "jupyterlab-3"
    assert numbered_name("R & Studio", []) == "r-studio"
    assert suggested_path("sales", ["/data/sales"]) == "/data/sales-2"


@pytest.mark.parametrize("status", [403, 409, 422])
def test_a_refused_create_leaves_no_volume_behind(opened, status):
    form = opened.panel.form
    form.add.click()
    line = until_sync(lambda: form._mounts and form._mounts[0])
    line.claim.control.value = NEW
    line.name.control.value = "sales-new"
    line.path.control.value = "/data/sales"
    opened.settle()
    opened.server.refuse["create"] = WorkspaceError("exceeded quota", status=status)

    form.create.click()

    until_sync(lambda: "Not created" in form.status.value)
    made = [asked[2] for asked in opened.server.asked if asked[0] == "create_claim"]
    assert made == ["home-jupyterlab-2", "sales-new"]
    assert [asked[2] for asked in opened.server.asked if asked[0] == "delete_claim"] == made


def test_a_refused_volume_takes_back_those_before_it(opened):
    form = opened.panel.form
    form.home.claim.control.value = "home-bella"  # was there before: it stays whatever happens
    lines = []
    for name in ("one", "two"):
        form.add.click()
        until_sync(lambda: len(form._mounts) == len(lines) + 1)
        lines.append(form._mounts[-1])
        lines[-1].claim.control.value = NEW
        lines[-1].name.control.value = name
        lines[-1].path.control.value = f"/data/{name}"
    opened.settle()
    make = opened.server.create_claim

    async def full(namespace, name, size):
        await make(namespace, name, size)
        if name == "two":
            raise WorkspaceError("exceeded quota", status=403)

    opened.server.create_claim = full
    form.create.click()

    until_sync(lambda: "exceeded quota" in form.status.value)
    assert [asked[2] for asked in opened.server.asked if asked[0] == "delete_claim"] == ["one"]
    assert "create" not in [asked[0] for asked in opened.server.asked]


def test_a_create_whose_answer_was_lost_keeps_its_volume(opened):
    opened.server.refuse["create"] = WorkspaceError("no answer")

    opened.panel.form.create.click()

    until_sync(lambda: "Not created" in opened.panel.form.status.value)
    assert "delete_claim" not in [asked[0] for asked in opened.server.asked]


def test_a_volume_that_cannot_be_taken_back_is_named(opened):
    opened.server.refuse["create"] = WorkspaceError("exceeded quota", status=403)
    opened.server.refuse["delete_claim"] = WorkspaceError("no", status=403)

    opened.panel.form.create.click()

    until_sync(
        lambda: (
            "Could not delete the new volume home-jupyterlab-2, which was created for it."
            in opened.panel.form.status.value
        )
    )


def test_no_volume_that_is_there_is_chosen_as_home(server, open_panel):
    server.known_claims = [claim("home-anna"), claim("home-bella")]
    page = open_panel()
    until_sync(lambda: page.panel.form.cards.kinds)
    page.panel.form.cards.chosen = "jupyterlab"
    until_sync(lambda: len(labels(page.panel.form.home.claim)) == 3)

    page.settle()
    until_sync(lambda: page.panel.form.home.chosen() == ("home-jupyterlab", "10Gi"))


def test_enter_submits_what_stands_in_the_page(opened):
    form = opened.panel.form
    message = {
        "type": "submit",
        "texts": {"name": "typed-last", "home-name": "files", "elsewhere": "x", "image": "x"},
    }

    form.cards._handle_custom_msg(message, [])

    until_sync(lambda: any(asked[0] == "create" for asked in opened.server.asked))
    asked = next(asked for asked in opened.server.asked if asked[0] == "create")
    assert (asked[2]["name"], asked[2]["podTemplate"]["volumes"]["home"]) == ("typed-last", "files")


def test_create_stays_where_the_focus_is(opened):
    disabled = []
    opened.panel.form.create.observe(lambda change: disabled.append(change["new"]), "disabled")

    opened.panel.form.create.click()

    until_sync(lambda: "Creating" in opened.panel.form.status.value)
    assert disabled == []  # a disabled button loses the focus


@pytest.mark.parametrize(
    ("draft", "field", "said"),
    [
        (
            Draft("lab", "dora", "a", "b", "", "10Gi"),
            "home-name",
            "Enter a name for the new volume.",
        ),
        (
            Draft("lab", "dora", "a", "b", "h", data=[Mount("x", "/home/jovyan/")]),
            "data[0]",
            "The home already has this path.",
        ),
        (
            Draft("lab", "dora", "a", "b", data=[Mount("x", "/a"), Mount("x", "/b")]),
            "data[1]",
            "This volume is already used in another line.",
        ),
        (
            Draft("lab", "dora", "a", "b", data=[Mount("x", "/a"), Mount("y", "/a/")]),
            "data[1]",
            "Another volume already has this path.",
        ),
    ],
)
def test_volumes_that_clash_are_seen_by_field(draft, field, said):
    assert draft.wrong("/home/jovyan") == {field: said}
