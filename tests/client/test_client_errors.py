"""What goes wrong between client and server, and how it is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from served_workspaces import TOKEN, Served, workspace

from jupyter_workspaces.client import (
    Client,
    Unreachable,
    WorkspaceError,
    portal,
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_named_server_that_is_not_there(alone: Path) -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", "x") as client,
        pytest.raises(Unreachable, match="Cannot connect to the server") as raised,
    ):
        client.list()
    assert raised.value.hint
    assert not (alone / "home").exists()  # a named server is never replaced by one of our own


def test_a_wrong_token_is_told_as_such(server: Served) -> None:
    with Client(server.url, "wrong") as client, pytest.raises(WorkspaceError) as raised:
        client.list()
    assert raised.value.status == 401
    assert "JUPYTER_WORKSPACES_TOKEN" in raised.value.hint


def test_no_token_ever_shows(server: Served) -> None:
    with Client(server.url, TOKEN) as client:
        client.list()
        server.stop()
        server.start = lambda: server  # type: ignore[method-assign]
        with pytest.raises(WorkspaceError) as raised:
            client.list()
        shown = [
            repr(client),
            repr(client.asynchronous),
            repr(client.asynchronous.__dict__.get("_server")),
            str(raised.value),
            raised.value.hint,
        ]
    assert not any(TOKEN in text for text in shown)
    server.stop = lambda: None  # type: ignore[method-assign]


def test_a_server_that_comes_back_is_asked_again(server: Served, client: Client) -> None:
    client.list()
    server.stop()
    with pytest.raises(Unreachable):
        client.list()
    again = Served(port=server._port).start()
    try:
        again.add(workspace("eve"))
        assert [one.name for one in client.list()] == ["eve"]
    finally:
        again.stop()
        server.stop = lambda: None  # type: ignore[method-assign]


def test_the_cluster_behind_the_server_is_away(client: Client, server: Served) -> None:
    server.refuse["GET workspaces/default"] = (503, {"message": "The cluster is not ready yet."})
    with pytest.raises(Unreachable, match="not ready yet"):
        client.list()


def test_an_answer_that_is_none_of_ours(client: Client, server: Served) -> None:
    server.namespace = "default"
    client.namespace  # noqa: B018  # found before the answers change
    server.refuse["GET workspaces/default"] = (500, {"message": "Internal Server Error"})
    with pytest.raises(WorkspaceError, match="Internal Server Error") as raised:
        client.list()
    assert raised.value.status == 500


def test_the_first_conflict_is_the_message(client: Client, server: Served) -> None:
    server.add(workspace("dora", "Paused"))
    cause = {
        "conflict_cause": [
            {"origin": "KUBERNETES", "message": "It is not in a state that can be paused."}
        ]
    }
    server.refuse["POST workspaces/default/dora/actions/pause"] = (
        409,
        {"message": "conflict", "cause": cause},
    )
    with pytest.raises(WorkspaceError, match="not in a state that can be paused"):
        client.get("dora").pause()


def test_in_a_cell_an_error_is_a_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.user_ns["error"] = WorkspaceError(
        "big-train did not start: no node has a free GPU.",
        "Try size='small_cpu'.",
        {"size": "too big"},
    )
    shell.run_cell("raise error")
    said = capsys.readouterr().out
    assert "WorkspaceError: big-train did not start: no node has a free GPU." in said
    assert "size: too big" in said
    assert "Try size='small_cpu'." in said
    assert "Traceback" not in said
    assert ".py" not in said


def test_waiting_on_the_private_thread_is_refused() -> None:
    async def inner() -> None:
        portal.run(never())

    async def never() -> None:
        raise AssertionError

    with pytest.raises(RuntimeError, match="await the AsyncClient"):
        portal.run(inner(), 5)


def test_no_answer_in_time_is_unreachable() -> None:
    import asyncio

    with pytest.raises(Unreachable, match=r"within 0\.05 s"):
        portal.ask(asyncio.sleep(5), 0.05)
