"""HTTPS_PROXY and NO_PROXY have the same meaning as in kubectl."""

from __future__ import annotations

import pytest

from jupyter_workspaces.kube.proxies import proxy_for

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "exceptions", "proxied"),
    [
        ("https://api.example", "", True),
        ("https://api.example", "api.example", False),
        ("https://api.example", "example", False),
        ("https://api.example", ".example", False),
        ("https://example", ".example", True),
        ("https://api.example:6443", "api.example:443", True),
        ("https://api.example:6443", "api.example:6443", False),
        ("https://10.96.0.1", "10.0.0.0/8,.svc", False),
        ("https://11.96.0.1", "10.0.0.0/8,.svc", True),
        ("https://[fd00::1]", "fd00::/8", False),
        ("https://api.example", "*", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://localhost:6443", "", False),
        ("https://notexample.org", "example.org", True),
    ],
)
def test_which_servers_are_reached_by_the_proxy(url: str, exceptions: str, proxied: bool) -> None:
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions}) == (
        PROXY if proxied else None
    )


def test_the_variable_of_the_scheme_counts_in_either_case() -> None:
    assert proxy_for("https://api.example", {"https_proxy": "proxy:3128"}) == PROXY
    assert proxy_for("https://api.example", {"HTTP_PROXY": PROXY}) is None
