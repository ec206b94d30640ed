"""The address and the token file that a Jupyter server gives to its kernels."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_workspaces.common.kernel_file import (
    VARIABLE,
    name,
    path_for_kernel,
    read,
)
from jupyter_workspaces.server.http.kernel_access import Kernels


def server(folder: Path, **settings: Any) -> Any:
    held = {
        "ip": "localhost",
        "port": 8888,
        "base_url": "/",
        "sock": "",
        "certfile": "",
        "keyfile": "",
        "client_ca": "",
    }
    return SimpleNamespace(**{**held, "ssl_options": None, "runtime_dir": str(folder), **settings})


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://localhost:8888/"),
        ({"ip": "0.0.0.0"}, "http://127.0.0.1:8888/"),
        ({"ip": ""}, "http://127.0.0.1:8888/"),
        ({"ip": "*"}, "http://127.0.0.1:8888/"),
        ({"ip": "::"}, "http://[::1]:8888/"),
        ({"ip": "192.0.2.7"}, "http://192.0.2.7:8888/"),
        ({"base_url": "/user/x%40y/"}, "http://localhost:8888/user/x%40y/"),
        ({"sock": "/run/jupyter.sock", "base_url": "/b/"}, "http://localhost/b/"),
    ],
)
def test_the_address_is_one_that_a_kernel_can_reach(
    tmp_path: Path, settings: dict[str, Any], url: str
) -> None:
    kernels = Kernels()
    kernels.publish(server(tmp_path, **settings))
    path = path_for_kernel(str(os.getpid()))
    assert path is not None
    told = read(path)
    assert (told.url, told.token, told.socket) == (url, kernels.token, settings.get("sock", ""))
    kernels.withdraw()
    assert path_for_kernel(str(os.getpid())) is None
    assert VARIABLE not in os.environ


def test_the_file_has_the_servers_own_certificate_and_no_key(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"
    own, authority = (
        f"-----BEGIN CERTIFICATE-----\n{word}\n-----END CERTIFICATE-----"
        for word in ("own", "authority")
    )
    (tmp_path / "both.pem").write_text(f"{key}{own}\n{authority}\n")
    kernels = Kernels()
    kernels.publish(server(tmp_path, ssl_options={"certfile": str(tmp_path / "both.pem")}))
    told = read(tmp_path / name(os.getpid()))
    assert (told.url, told.certificate) == ("https://localhost:8888/", own)
    assert "CANARY" not in (tmp_path / name(os.getpid())).read_text()
    kernels.withdraw()


def test_only_its_owner_reads_the_file_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / name(os.getpid())
    path.write_text("of a dead server")
    path.chmod(0o666)
    kernels = Kernels()
    kernels.publish(server(tmp_path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert kernels.token not in json.dumps(dict(os.environ))
    kernels.withdraw()


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("token {}", True),
        ("Bearer {}", True),
        ("token x{}", False),
        ("token ", False),
        ("Basic {}", False),
        ("{}", False),
        ("token é", False),
    ],
)
def test_which_requests_have_the_token(header: str, accepted: bool) -> None:
    kernels = Kernels()
    request: Any = SimpleNamespace(
        headers=HTTPHeaders({"Authorization": header.format(kernels.token)})
    )
    assert kernels.accepts(request) is accepted
