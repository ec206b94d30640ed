"""A kernel reaches the Jupyter server that started it in every set-up, and never another one."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from identity_echo import write_certificates
from served_workspaces import TOKEN, Served
from start_servers import jupyter_server

from jupyter_workspaces.local import launch
from jupyter_workspaces.local.parts import Parts

pytestmark = pytest.mark.slow

WRITES = """
import os, jupyter_workspaces as jw
name = "made-by-" + str(os.getpid())
jw.create_claim(name)
assert name in [claim["name"] for claim in jw.claims()]
jw.delete_claim(name)
print(jw.client.default().url)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a local cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    yield launch.start(folder, parts=Parts(node="simulated"))
    launch.reset(folder)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    return folder


@pytest.fixture
def decoy(tmp_path: Path) -> Iterator[Served]:
    """Another server on this machine, which must not receive requests."""
    served = Served()
    served.start()
    served.refuse["GET swagger/doc.json"] = (200, {})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "serve.json").write_text(
        json.dumps({"url": served.url, "token": TOKEN, "pid": 1})
    )
    yield served
    served.stop()


def environment(tmp_path: Path, cluster: Path) -> dict[str, str]:
    return {"KUBECONFIG": str(cluster), "JUPYTER_WORKSPACES_HOME": str(tmp_path / "home")}


HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$bm90IHVzZWQgaGVyZQ$bm90IHVzZWQgaGVyZQ"
SETUPS: dict[str, list[str]] = {
    "token": ["--IdentityProvider.token=people"],
    "no token": ["--IdentityProvider.token="],
    "password": ["--IdentityProvider.token=", f"--PasswordIdentityProvider.hashed_password={HASH}"],
    "TLS": [
        "--ServerApp.certfile={certificates}/srv.pem",
        "--ServerApp.keyfile={certificates}/srv.key",
    ],
    "TLS with client certificates": [
        "--ServerApp.certfile={certificates}/srv.pem",
        "--ServerApp.keyfile={certificates}/srv.key",
        "--ServerApp.client_ca={certificates}/ca.pem",
    ],
    "base URL": ["--ServerApp.base_url=/user/x%40y/"],
    "Unix socket": ["--ServerApp.sock={short}/jupyter.sock"],
    "identity provider of a site": [
        "--ServerApp.identity_provider_class=kernel_asker.OnlyByCookie"
    ],
    "another runtime directory": ["--ServerApp.runtime_dir={folder}/elsewhere"],
}


@pytest.fixture
def short() -> Iterator[str]:
    """A path that is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="jw-")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("setup", SETUPS)
def test_a_kernel_writes_by_its_own_server(
    setup: str, tmp_path: Path, cluster: Path, certificates: Path, decoy: Served, short: str
) -> None:
    folder = tmp_path / "server"
    options = [
        option.format(certificates=certificates, short=short, folder=folder)
        for option in SETUPS[setup]
    ]
    with jupyter_server(folder, options, environment(tmp_path, cluster)) as server:
        file = server.file
        assert file.stat().st_mode & 0o777 == 0o600
        token = json.loads(file.read_text())["token"]
        told = server.ask(WRITES)
        server.process.wait(30)
    assert told["error"] == ""
    assert decoy.asked == []
    assert token not in server.log.read_text()
    assert not file.exists()


def test_each_of_several_servers_serves_its_own_kernels(
    tmp_path: Path, cluster: Path, decoy: Served
) -> None:
    more = environment(tmp_path, cluster) | {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    one, two = tmp_path / "one", tmp_path / "two"
    with (
        jupyter_server(one, ["--IdentityProvider.token=one"], more) as first,
        # As if it were started in a terminal of the first.
        jupyter_server(
            two,
            ["--IdentityProvider.token="],
            more | {"JUPYTER_WORKSPACES_SERVER_FILE": str(tmp_path / "none")},
        ) as second,
    ):
        files = [
            json.loads(
                (
                    tmp_path / "runtime" / f"jupyter-workspaces-server-{server.process.pid}.json"
                ).read_text()
            )
            for server in (first, second)
        ]
        told = [server.ask(WRITES) for server in (first, second)]
    assert [one["out"].strip() for one in told] == [file["url"] for file in files]
    assert files[0]["url"] != files[1]["url"]
    assert decoy.asked == []


def test_the_kernels_token_opens_workspaces_and_nothing_else(tmp_path: Path, cluster: Path) -> None:
    with jupyter_server(
        tmp_path / "server", ["--IdentityProvider.token=people"], environment(tmp_path, cluster)
    ) as server:
        told = json.loads(server.file.read_text())

        def status(path: str, **headers: str) -> int:
            where = urlsplit(told["url"] + path)
            connection = http.client.HTTPConnection(
                where.hostname or "", where.port, timeout=60
            )  # follows no redirect to a login page
            try:
                connection.request("GET", f"{where.path}?{where.query}", headers=headers)
                return connection.getresponse().status
            finally:
                connection.close()

        kernels = {"Authorization": f"token {told['token']}"}
        assert status("workspaces/api/v1/workspacekinds", **kernels) == 200
        assert status("workspaces/api/v1/workspacekinds", Authorization="token wrong") == 403
        assert status(f"workspaces/api/v1/workspacekinds?token={told['token']}") == 403
        for path in ("api/contents", "api/kernels", "api/terminals", "files/server.log", "api/me"):
            assert status(path, **kernels) in (302, 401, 403, 404), path
            assert status(path, Authorization="token people") in (200, 404), path


def test_the_environment_of_a_kernel_does_not_show_the_token(tmp_path: Path, cluster: Path) -> None:
    code = (
        "import os; print([value for name, value in os.environ.items() "
        "if name.startswith('JUPYTER_WORKSPACES')])"
    )
    with jupyter_server(tmp_path / "server", [], environment(tmp_path, cluster)) as server:
        file = server.file
        token = json.loads(file.read_text())["token"]
        out = server.ask(code)["out"]
    assert str(file) in out
    assert token not in out


BREAKS = {
    "may not be read": (
        "from jupyter_workspaces.common import kernel_file\n"
        "def read(path): raise PermissionError(13, 'Permission denied', str(path))\n"
        "kernel_file.read = read",
        "runs as another user",
    ),
    "is damaged": ("open(path, 'w').write('{')", "Cannot use "),
    "names a dead server": (
        "import json\ntold = json.load(open(path))\ntold['url'] = 'http://127.0.0.1:1/'\n"
        "json.dump(told, open(path, 'w'))",
        "connection refused",
    ),
    "has another certificate": (
        "import json\ntold = json.load(open(path))\n"
        "told['certificate'] = open(os.environ['OTHER']).read()\n"
        "json.dump(told, open(path, 'w'))",
        "certificate cannot be verified",
    ),
}


@pytest.mark.parametrize("way", BREAKS)
def test_a_server_that_cannot_be_used_is_told_and_no_other_is_asked(
    way: str, tmp_path: Path, cluster: Path, certificates: Path, decoy: Served
) -> None:
    code, words = BREAKS[way]
    asks = f"""
import os, jupyter_workspaces as jw
from jupyter_workspaces.common.kernel_file import VARIABLE
import aiohttp
path = os.environ[VARIABLE]
{code}
try:
    jw.claims()
except jw.WorkspaceError as error:
    print(error.message, "|", error.hint)
"""
    options = [
        f"--ServerApp.certfile={certificates}/srv.pem",
        f"--ServerApp.keyfile={certificates}/srv.key",
    ]
    more = environment(tmp_path, cluster) | {"OTHER": str(certificates / "usr.pem")}
    with jupyter_server(tmp_path / "server", options, more) as server:
        told = server.ask(asks)
    assert words in told["out"], told
    assert "JUPYTER_WORKSPACES_URL" in told["out"]
    assert decoy.asked == []


def test_a_server_without_the_extension_leaves_its_kernels_the_shared_one(
    tmp_path: Path, cluster: Path, decoy: Served
) -> None:
    with jupyter_server(
        tmp_path / "server", [], environment(tmp_path, cluster), extension=False
    ) as server:
        told = server.ask(
            "import jupyter_workspaces as jw; "
            "print(jw.kinds() is not None, jw.client.default().url)"
        )
    assert told["out"].strip() == f"True {decoy.url}", told


class _Hub(http.server.BaseHTTPRequestHandler):
    def _answer(self) -> None:
        body = json.dumps({"version": "5"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    """What a single-user server needs of its hub: that it is there. It knows no tokens."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hub/api"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.mark.parametrize("internal_tls", [False, True])
def test_a_kernel_of_a_hubs_single_user_server(
    internal_tls: bool, hub: str, tmp_path: Path, cluster: Path, certificates: Path, decoy: Served
) -> None:
    pytest.importorskip("jupyterhub")
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    scheme = "https" if internal_tls else "http"
    more: dict[str, Any] = environment(tmp_path, cluster) | {
        "JUPYTERHUB_API_TOKEN": "of-the-hub",
        "JUPYTERHUB_API_URL": hub,
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-anna",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/anna/oauth_callback",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/anna/",
        "JUPYTERHUB_SERVICE_URL": f"{scheme}://127.0.0.1:{port}/user/anna/",
        "JUPYTERHUB_USER": "anna",
        "JUPYTERHUB_SINGLEUSER_EXTENSION": "1",
        "JUPYTERHUB_ACTIVITY_URL": hub,
    }
    if internal_tls:
        more |= {
            "JUPYTERHUB_SSL_KEYFILE": str(certificates / "srv.key"),
            "JUPYTERHUB_SSL_CERTFILE": str(certificates / "srv.pem"),
            "JUPYTERHUB_SSL_CLIENT_CA": str(certificates / "ca.pem"),
        }
    options = [f"--ServerApp.port={port}"]
    with jupyter_server(
        tmp_path / "server", options, more, command=("-m", "jupyterhub.singleuser")
    ) as server:
        told = server.ask(WRITES)
    assert told == {"out": f"{scheme}://127.0.0.1:{port}/user/anna/\n", "error": ""}, (
        told,
        server.log.read_text(),
    )
    assert decoy.asked == []
