"""Kubeconfigs of every form, by title. Each case is the list of files that KUBECONFIG names.

All secrets hold the word CANARY, so that one that gets into an error is seen.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import yaml
from identity_echo import Echo

V1 = "client.authentication.k8s.io/v1"
BETA = V1 + "beta1"
TOKEN = "CANARY-token"
PASSWORD = "CANARY-password"


class Cases:
    """Writes the files of all cases into the echo's folder."""

    def __init__(self, echo: Echo) -> None:
        self._echo, self._folder = echo, echo.folder
        self._count = 0
        (self._folder / "token").write_text("CANARY-in-file\n")
        self.plugin = self.program({"token": "CANARY-plugged"})

    def data(self, name: str) -> str:
        return base64.b64encode((self._folder / name).read_bytes()).decode()

    def write(self, content: bytes | str | dict[str, Any]) -> str:
        self._count += 1
        path = self._folder / f"config-{self._count}"
        if isinstance(content, dict):
            content = yaml.safe_dump(content, sort_keys=False)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def program(
        self,
        status: dict[str, Any] | None,
        *,
        version: str = BETA,
        raw: str | None = None,
        ending: str = "",
    ) -> str:
        self._count += 1
        path = self._folder / f"login-{self._count}"
        answer = (
            raw
            if raw is not None
            else json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
        )
        path.write_text(f"#!/bin/sh\ncat <<'E'\n{answer}\nE\n{ending}\n")
        path.chmod(0o755)
        return str(path)

    def document(
        self, cluster: Any = None, user: Any = None, context: Any = None, **top: Any
    ) -> dict[str, Any]:
        server = f"https://127.0.0.1:{self._echo.tls}"
        held = {
            "server": server,
            "certificate-authority-data": self.data("ca.pem"),
            **(cluster or {}),
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": held}],
            "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
            "contexts": [{"name": "x", "context": context or {"cluster": "c", "user": "u"}}],
            "current-context": "x",
            **top,
        }
        return {key: value for key, value in document.items() if value is not ...}

    def file(
        self, cluster: Any = None, user: Any = None, context: Any = None, **top: Any
    ) -> list[str]:
        return [self.write(self.document(cluster, user, context, **top))]

    def runs(self, **more: Any) -> dict[str, Any]:
        return {
            "exec": {"apiVersion": BETA, "command": self.plugin, "interactiveMode": "Never", **more}
        }

    def users(self) -> dict[str, list[str]]:
        """Credentials of users."""
        runs, program, user = self.runs, self.program, lambda value: self.file(user=value)
        certificate, key = (self._folder / name for name in ("usr.pem", "usr.key"))
        both = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
        nothing_yet = {"apiVersion": BETA, "kind": "ExecCredential"}
        return {
            "token": user({"token": TOKEN}),
            "token with a newline": user({"token": "CANARY\n"}),
            "token with a newline within": user({"token": "CANARY\nb"}),
            "token with spaces around": user({"token": " CANARY "}),
            "token is a number": user({"token": 12345}),
            "token of other letters": user({"token": "CANARYé"}),
            "token file": user({"tokenFile": "token"}),
            "token file and token": user({"tokenFile": "token", "token": TOKEN}),
            "token file that is absent": user({"tokenFile": "absent"}),
            "token file that is absent, and token": user({"tokenFile": "absent", "token": TOKEN}),
            "token file below a tilde": user({"tokenFile": "~/token"}),
            "token file that is empty": user({"tokenFile": self.write("")}),
            "certificate and key inline": user(
                {
                    "client-certificate-data": self.data("usr.pem"),
                    "client-key-data": self.data("usr.key"),
                }
            ),
            "certificate and key as files": user(
                {"client-certificate": "usr.pem", "client-key": "usr.key"}
            ),
            "certificate inline, key as file": user(
                {"client-certificate-data": self.data("usr.pem"), "client-key": "usr.key"}
            ),
            "certificate as file, key inline": user(
                {"client-certificate": "usr.pem", "client-key-data": self.data("usr.key")}
            ),
            "certificate without key": user({"client-certificate": "usr.pem"}),
            "key without certificate": user({"client-key": "usr.key"}),
            "certificate as file and inline": user(
                {
                    "client-certificate": "usr.pem",
                    "client-certificate-data": self.data("usr.pem"),
                    "client-key": "usr.key",
                }
            ),
            "certificate and token": user(
                {"client-certificate": "usr.pem", "client-key": "usr.key", "token": TOKEN}
            ),
            "certificate that is none": user(
                {"client-certificate-data": "Q0FOQVJZ", "client-key": "usr.key"}
            ),
            "certificate of another key": user(
                {"client-certificate": "usr.pem", "client-key": "srv.key"}
            ),
            "certificate with a locked key": user(
                {"client-certificate": "usr.pem", "client-key": "locked.key"}
            ),
            "certificate file that is absent": user(
                {"client-certificate": "absent", "client-key": "usr.key"}
            ),
            "certificate data that is not base64": user(
                {"client-certificate-data": "%CANARY%", "client-key": "usr.key"}
            ),
            "basic": user({"username": "admin", "password": PASSWORD}),
            "basic without password": user({"username": "admin"}),
            "basic of other letters": user({"username": "José", "password": "CANARYä:x"}),
            "password alone": user({"password": PASSWORD}),
            "basic and token": user({"username": "admin", "password": PASSWORD, "token": TOKEN}),
            "basic and token file": user(
                {"username": "admin", "password": PASSWORD, "tokenFile": "token"}
            ),
            "basic and certificate": user(
                {
                    "username": "a",
                    "password": PASSWORD,
                    "client-certificate": "usr.pem",
                    "client-key": "usr.key",
                }
            ),
            "no credentials": user({}),
            "null": self.file(users=[{"name": "u"}]),
            "empty texts": user({"token": "", "username": ""}),
            "unknown key": user({"tokn": TOKEN}),
            "key in another case": user({"Token": TOKEN}),
            "unknown key beside a token": user({"tokn": ["x"], "token": TOKEN}),
            "acting as somebody": user(
                {
                    "token": TOKEN,
                    "as": "emil",
                    "as-uid": "7",
                    "as-groups": ["g1", "g2"],
                    "as-user-extra": {"Scopes": ["a", "b"], "x/y z%": ["ü"]},
                }
            ),
            "acting as José": user({"token": TOKEN, "as": "José"}),
            "acting as, without credentials": user({"as": "emil"}),
            "acting as groups of nobody": user({"token": TOKEN, "as-groups": ["g"]}),
            "acting as the uid of nobody": user({"token": TOKEN, "as-uid": "7"}),
            "acting as extras of nobody": user({"token": TOKEN, "as-user-extra": {"a": ["b"]}}),
            "azure": user({"auth-provider": {"name": "azure", "config": {"access-token": TOKEN}}}),
            "azure and token": user({"token": TOKEN, "auth-provider": {"name": "azure"}}),
            "gcp": user({"auth-provider": {"name": "gcp", "config": {"access-token": TOKEN}}}),
            "provider without name": user({"auth-provider": {"config": {}}}),
            "provider that is unknown": user({"auth-provider": {"name": "foo"}}),
            "oidc without issuer": user(
                {"auth-provider": {"name": "oidc", "config": {"client-id": "k"}}}
            ),
            "oidc without config": user({"auth-provider": {"name": "oidc"}}),
            "oidc whose secret is a number": user(
                {"auth-provider": {"name": "oidc", "config": {"client-secret": 5}}}
            ),
            "oidc with a token of no shape": user(self.oidc({"id-token": "CAN.ARY.x"})),
            "oidc without tokens": user(self.oidc({})),
            "oidc whose issuer is away": user(self.oidc({"refresh-token": TOKEN})),
            "oidc and token": user({"token": TOKEN, **self.oidc({"id-token": "CAN.ARY.x"})}),
            "login program": user(runs()),
            "login program, v1": user(
                runs(apiVersion=V1, command=program({"token": TOKEN}, version=V1))
            ),
            "login program, v1alpha1": user(runs(apiVersion=V1 + "alpha1")),
            "login program of another version": user(runs(apiVersion=V1)),
            "login program without mode": user(runs(interactiveMode=None)),
            "login program, v1, without mode": user(runs(interactiveMode=None, apiVersion=V1)),
            "login program that always asks": user(runs(interactiveMode="Always")),
            "login program of an unknown mode": user(runs(interactiveMode="Sometimes")),
            "login program and token": user({**runs(), "token": TOKEN}),
            "login program and basic": user({**runs(), "username": "a", "password": PASSWORD}),
            "login program and certificate": user(
                {**runs(), "client-certificate": "usr.pem", "client-key": "usr.key"}
            ),
            "login program and provider": user({**runs(), "auth-provider": {"name": "oidc"}}),
            "login program with env": user(runs(env=[{"name": "A", "value": "b"}])),
            "login program with env without value": user(runs(env=[{"name": "AWS_PROFILE"}])),
            "login program with env null": user(runs(env=[{"name": "A", "value": None}])),
            "login program with env number": user(runs(env=[{"name": "ACCOUNT", "value": 123}])),
            "login program with env without name": user(runs(env=[{"value": TOKEN}])),
            "login program with a number as argument": user(runs(args=[1])),
            "login program relative": user(runs(command="./" + Path(self.plugin).name)),
            "login program without command": user(runs(command="")),
            "login program that is absent": user(
                runs(command="no-such-program", installHint="Install it.")
            ),
            "login program, cluster information": user(runs(provideClusterInfo=True)),
            "login program, cluster information as text": user(runs(provideClusterInfo="true")),
            "login program fails": user(
                runs(command=program(None, raw="CANARY", ending="echo CANARY >&2; exit 3"))
            ),
            "login program prints a certificate": user(runs(command=program(both))),
            "login program prints half a certificate": user(
                runs(command=program({**both, "clientKeyData": None, "token": TOKEN}))
            ),
            "login program prints a wrong certificate": user(
                runs(command=program({**both, "clientKeyData": "CANARY"}))
            ),
            "login program prints what expired": user(
                runs(
                    command=program({"token": TOKEN, "expirationTimestamp": "2020-01-01T00:00:00Z"})
                )
            ),
            "login program prints a long fraction": user(
                runs(
                    command=program(
                        {
                            "token": TOKEN,
                            "expirationTimestamp": "2040-01-01T00:00:00.123456789+02:00",
                        }
                    )
                )
            ),
            "login program prints no time": user(
                runs(command=program({"token": TOKEN, "expirationTimestamp": "CANARY"}))
            ),
            "login program prints a number": user(runs(command=program({"token": 12345}))),
            "login program prints YAML": user(
                runs(
                    command=program(
                        None,
                        raw=f"apiVersion: {BETA}\nkind: ExecCredential\nstatus:\n  token: {TOKEN}",
                    )
                )
            ),
            "login program prints no kind": user(
                runs(
                    command=program(
                        None, raw=json.dumps({"apiVersion": BETA, "status": {"token": TOKEN}})
                    )
                )
            ),
            "login program prints no status": user(
                runs(command=program(None, raw=json.dumps(nothing_yet)))
            ),
            "login program prints an empty status": user(runs(command=program({}))),
            "login program prints nonsense": user(runs(command=program(None, raw="CANARY: [ {"))),
            "login program prints a token with a newline": user(
                runs(command=program({"token": "CANARY\n"}))
            ),
        }

    def oidc(self, tokens: dict[str, str]) -> dict[str, Any]:
        return {
            "auth-provider": {
                "name": "oidc",
                "config": {"client-id": "k", "idp-issuer-url": "https://127.0.0.1:1/", **tokens},
            }
        }

    def clusters(self) -> dict[str, list[str]]:
        """Addresses, trust and proxies."""
        url = f"127.0.0.1:{self._echo.tls}"

        def cluster(**fields: Any) -> list[str]:
            return self.file({key.replace("_", "-"): value for key, value in fields.items()})

        def encoded(data: bytes) -> str:
            return base64.b64encode(data).decode()

        authority = (self._folder / "ca.pem").read_bytes()
        another_block = b"-----BEGIN FOO-----\nAAAA\n-----END FOO-----\n"
        none: dict[str, Any] = {"certificate_authority_data": ""}
        return {
            "server without scheme, TLS": cluster(server=url),
            "server without scheme, plain": cluster(server=f"127.0.0.1:{self._echo.plain}"),
            "server of plain HTTP": cluster(server=f"http://127.0.0.1:{self._echo.plain}"),
            "server is empty": cluster(server=""),
            "server with a path": cluster(server=f"https://{url}/k8s/c1/"),
            "server with a query": cluster(server=f"https://{url}/k8s?x=y"),
            "server in capitals": cluster(server=f"HTTPS://{url}"),
            "server with a user": cluster(server=f"https://me:{PASSWORD}@{url}"),
            "server by name": cluster(server=f"https://localhost:{self._echo.tls}"),
            "server of another scheme": cluster(server=f"wss://{url}"),
            "server with a space": cluster(server=f" https://{url}"),
            "server with a bad port": cluster(server="https://127.0.0.1:CANARY"),
            "insecure": cluster(insecure_skip_tls_verify=True, **none),
            "insecure as text": cluster(insecure_skip_tls_verify="true", **none),
            "insecure with an authority": cluster(insecure_skip_tls_verify=True),
            "no authority": cluster(**none),
            "authority as file": cluster(certificate_authority="ca.pem", **none),
            "authority file that is absent": cluster(certificate_authority="absent.pem", **none),
            "authority as file and inline": cluster(certificate_authority="ca.pem"),
            "authority with a comment in UTF-8": cluster(
                certificate_authority_data=self.data("ca-utf8.pem")
            ),
            "authority that is none": cluster(certificate_authority_data=encoded(b"CANARY")),
            "authority that is not base64": cluster(certificate_authority_data="%CANARY%"),
            "authority without padding": cluster(
                certificate_authority_data=encoded(
                    authority + b"\n" * (1 + len(authority) % 3)
                ).rstrip("=")
            ),
            "authority in lines": cluster(
                certificate_authority_data=base64.encodebytes(authority).decode()
            ),
            "authority is the server's certificate": cluster(
                certificate_authority_data=self.data("srv.pem")
            ),
            "authority beside another block": cluster(
                certificate_authority_data=encoded(another_block + authority)
            ),
            "name of the server": cluster(tls_server_name="localhost"),
            "name of another server": cluster(tls_server_name="other.example"),
            "compression": cluster(disable_compression=True),
            "proxy of SOCKS": cluster(proxy_url=f"socks5://me:{PASSWORD}@127.0.0.1:1"),
            "proxy without scheme": cluster(proxy_url=f"me:{PASSWORD}@127.0.0.1:1"),
            "proxy of another scheme": cluster(proxy_url=f"ftp://me:{PASSWORD}@127.0.0.1:1"),
            "proxy that is away": cluster(proxy_url=f"http://me:{PASSWORD}@127.0.0.1:1"),
            "proxy that is empty": cluster(proxy_url=""),
        }

    def files(self) -> dict[str, list[str]]:
        """Files, and how several become one."""
        document, write, file = self.document, self.write, self.file
        good, text = write(document()), yaml.safe_dump(document())
        other_user = [{"name": "u", "user": {"token": TOKEN}}]
        return {
            "good": [good],
            "empty file in the list": [write(""), good],
            "file of comments in the list": [write("# made by a tool\n"), good],
            "file of null in the list": [write("null\n"), good],
            "absent file in the list": ["/absent/file", good],
            "tilde in the list": ["~/absent", good],
            "same file twice": [good, good],
            "directory in the list": [str(self._folder), good],
            "broken file in the list": [write("a: [\n"), good],
            "first file wins": [
                write(
                    {
                        "current-context": "",
                        "users": [{"name": "u", "user": {"token": "CANARY-first"}}],
                    }
                ),
                good,
            ],
            "current context in a later file": [
                write(document(**{"current-context": ...})),
                write({"current-context": "x"}),
            ],
            "user in another file": [write(document(users=...)), write({"users": other_user})],
            "JSON": [write(json.dumps(document()))],
            "JSON indented by tabs": [write(json.dumps(document(), indent="\t"))],
            "JSON after empty lines": [write("\n\n  " + json.dumps(document()))],
            "byte order mark": [write(b"\xef\xbb\xbf" + text.encode())],
            "byte order mark, JSON": [write(b"\xef\xbb\xbf" + json.dumps(document()).encode())],
            "UTF-16": [write(text.encode("utf-16"))],
            "Latin-1": [write(("# é\n" + text).encode("latin-1"))],
            "CRLF": [write(text.replace("\n", "\r\n"))],
            "YAML indented by tabs": [write(text.replace("\n  ", "\n\t"))],
            "two documents": [write(text + "---\n" + text)],
            "document mark": [write("---\n" + text)],
            "list": [write("- CANARY\n")],
            "text": [write("CANARY\n")],
            "no kind": file(kind=..., apiVersion=...),
            "another kind": file(kind="Pod"),
            "another version": file(apiVersion="v9"),
            "unknown keys": file({"zz": 1}, {"token": TOKEN, "zz": [1]}, zz={"a": 1}),
            "extensions": file(
                {"extensions": [{"name": "m", "extension": {"a": 1}}]},
                extensions=[{"name": "q", "extension": {"b": 2}}],
            ),
            "preferences": file(preferences={"colors": True}),
            "merge key": [
                write(
                    "base: &b {token: CANARY}\n"
                    + text.replace(f"user:\n    token: {TOKEN}", "user:\n    <<: *b")
                )
            ],
            "two users of one name": file(users=other_user * 2),
            "users by name": file(users={"u": {"token": TOKEN}}),
            "name is a number": file(users=[{"name": 1, "user": {"token": TOKEN}}, *other_user]),
            "current context is a number": file(**{"current-context": 12345}),
            "wrong type at another user": file(
                users=[*other_user, {"name": "v", "user": {"token": 12345}}]
            ),
            "wrong certificate of another user": file(
                users=[*other_user, {"name": "v", "user": {"client-certificate": "absent"}}]
            ),
            "context without user": file(context={"cluster": "c"}),
            "context of an absent user": file(context={"cluster": "c", "user": "z"}),
            "context of an absent cluster": file(context={"cluster": "z", "user": "u"}),
            "context that is absent": file(**{"current-context": "z"}),
            "no current context": file(**{"current-context": ...}),
        }
