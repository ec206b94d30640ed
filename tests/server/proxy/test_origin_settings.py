"""Values of `workspaces_url`, the hosts that belong to it, and limits of tickets and sessions."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jupyter_workspaces.server.proxy.origin.listener import check_addresses, own_port
from jupyter_workspaces.server.proxy.origin.sessions import (
    Destination,
    Sessions,
    Ticket,
    Tickets,
)
from jupyter_workspaces.server.proxy.origin.workspaces_url import (
    InvalidWorkspacesUrl,
    WorkspacesOrigin,
    check_apart,
    label,
    parse,
)
from jupyter_workspaces.server.proxy.target import WorkspacePort

PLACE = WorkspacePort("team-a", "small", "web")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://workspaces.example.org",
            WorkspacesOrigin("https", "workspaces.example.org", 443),
        ),
        (
            "https://Workspaces.Example.org:443/",
            WorkspacesOrigin("https", "workspaces.example.org", 443),
        ),
        ("https://*.ws.example.org", WorkspacesOrigin("https", "ws.example.org", 443, True)),
        ("http://*.localhost:8890", WorkspacesOrigin("http", "localhost", 8890, True)),
        ("http://127.0.0.1:8890", WorkspacesOrigin("http", "127.0.0.1", 8890)),
        ("http://[0:0::1]:8890", WorkspacesOrigin("http", "[::1]", 8890)),
    ],
)
def test_an_origin_is_read(url, expected):
    assert parse(url) == expected
    assert parse(expected.url) == expected


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("workspaces.example.org", "https://"),
        ("ftp://workspaces.example.org", "https://"),
        ("https://", "host"),
        ("https://workspaces.example.org/path", "path"),
        ("https://workspaces.example.org/?a=1", "query"),
        ("https://workspaces.example.org?", "query"),
        ("https://workspaces.example.org#x", "fragment"),
        ("https://me:secret@workspaces.example.org", "password"),
        ("https://ws-*.example.org", "wildcard"),
        ("https://*", "wildcard"),
        ("https://*.*.example.org", "wildcard"),
        ("https://*.127.0.0.1", "wildcard"),
        ("https://workspaces.example.org:99999", "not a URL"),
        ("https://workspaces.example.org:0", "port"),
        ("https://bücher.example", "DNS name"),
        ("https://a b.example", "DNS name"),
        ("https://[fe80::zz]", "URL"),
    ],
)
def test_a_bad_one_is_refused_with_what_to_do(url, word):
    with pytest.raises(InvalidWorkspacesUrl) as refused:
        parse(url)
    assert word in str(refused.value)
    assert "secret" not in str(refused.value)


def test_hosts_are_compared_as_browsers_and_proxies_write_them():
    origin = parse("https://workspaces.example.org")
    for host in (
        "workspaces.example.org",
        "WORKSPACES.example.org",
        "workspaces.example.org:443",
        "workspaces.example.org.",
    ):
        assert origin.serves(host)
    for host in (
        "",
        "example.org",
        "workspaces.example.org:8443",
        "x.workspaces.example.org",
        "workspaces.example.org.evil.example",
    ):
        assert not origin.serves(host)
    wildcard = parse("http://*.localhost:8890")
    assert wildcard.serves("small-abc.localhost:8890")
    for host in ("localhost:8890", "a.b.localhost:8890", "small-abc.localhost", ".localhost:8890"):
        assert not wildcard.serves(host)


def test_labels_are_labels_and_tell_workspaces_apart():
    names = [
        ("team-a", "small"),
        ("team-a", "small.x"),
        ("team", "a-small"),
        ("team-a", "x" * 200),
        ("team-a", "x" * 201),
        ("a", "..."),
    ]
    labels = [label(*one) for one in names]
    assert len(set(labels)) == len(names)
    assert all(
        len(one) <= 63 and one.replace("-", "").isalnum() and one[0] != "-" for one in labels
    )
    assert labels[0].startswith("small-")


@pytest.mark.parametrize(
    "url", ["http://localhost:8888", "http://127.0.0.1:8888", "http://[::1]:8888"]
)
def test_the_servers_own_address_is_refused(url):
    server = SimpleNamespace(
        ssl_options=None,
        ip="localhost",
        port=8888,
        custom_display_url="https://jupyter.example.org/user/",
    )
    with pytest.raises(InvalidWorkspacesUrl, match="this Jupyter server itself"):
        check_addresses(parse(url), server)
    with pytest.raises(InvalidWorkspacesUrl, match="this Jupyter server itself"):
        check_addresses(parse("https://jupyter.example.org"), server)
    with pytest.raises(InvalidWorkspacesUrl, match="this Jupyter server itself"):
        check_addresses(parse("https://*.example.org"), server)
    check_addresses(parse("http://*.localhost:8888"), server)
    check_apart(parse("https://workspaces.example.org"), "https://jupyter.example.org")


@pytest.mark.parametrize(
    ("url", "told", "expected"),
    [
        ("http://127.0.0.1:8890", ("", 0), (["127.0.0.1"], 8890)),
        ("http://*.localhost:8890", ("", 0), (["127.0.0.1", "::1"], 8890)),
        ("http://*.localhost:8888", ("", 0), None),
        ("https://workspaces.example.org", ("", 0), None),
        ("https://workspaces.example.org", ("", 9000), (["127.0.0.1"], 9000)),
        ("https://workspaces.example.org", ("10.0.0.1", 9000), (["10.0.0.1"], 9000)),
    ],
)
def test_where_it_listens(url, told, expected):
    server = SimpleNamespace(ssl_options=None, ip="localhost", port=8888, sock="")
    assert own_port(parse(url), server, *told) == expected


def test_a_scheme_that_the_server_does_not_answer_is_refused():
    server = SimpleNamespace(ssl_options=None, ip="localhost", port=8888, sock="")
    with pytest.raises(InvalidWorkspacesUrl, match="certificate"):
        own_port(parse("https://localhost:8890"), server, "", 0)
    with pytest.raises(InvalidWorkspacesUrl, match="port of the Jupyter server"):
        own_port(parse("https://ws.example"), server, "", 8888)
    server.no_auth = True
    with pytest.raises(InvalidWorkspacesUrl, match="this machine only"):
        own_port(parse("https://ws.example"), server, "0.0.0.0", 9000)


def ticket(step="enter"):
    return Ticket(
        step,
        Destination(PLACE, "/x", "http://ws.example", "http://here"),
        user=SimpleNamespace(username="ada"),
    )


def test_tickets_are_bounded_single_and_of_one_step():
    now = 0.0
    tickets = Tickets(size=2, seconds=30, clock=lambda: now)
    first, second, third = (tickets.issue(ticket()) for _ in range(3))
    assert tickets.redeem(first, "enter") is None  # the oldest went
    assert tickets.redeem(second, "begin") is None
    assert tickets.redeem(second, "enter") is None  # and that used it up
    assert tickets.redeem(third, "enter") is not None
    assert tickets.redeem(third, "enter") is None
    late = tickets.issue(ticket())
    now = 30.1
    assert tickets.redeem(late, "enter") is None
    assert len({tickets.issue(ticket()) for _ in range(50)}) == 50


def test_the_session_unused_for_longest_goes_first():
    now = 0.0
    sessions = Sessions(size=2, idle_seconds=10, clock=lambda: now)
    first, second = sessions.start(ticket()), sessions.start(ticket())
    assert sessions.find([first], PLACE, "http://ws.example")
    third = sessions.start(ticket())
    assert sessions.find([second], PLACE, "http://ws.example") is None
    assert sessions.find(["", first], PLACE, "http://ws.example")
    assert sessions.find([third], PLACE, "http://other.example") is None
    now = 10.1
    assert sessions.find([third], PLACE, "http://ws.example") is None
    assert len(sessions) == 1


def test_only_hashes_are_kept():
    tickets, sessions = Tickets(), Sessions()
    values = [tickets.issue(ticket()), sessions.start(ticket())]
    assert not [value for value in values if value in repr((tickets._open, sessions._open))]
