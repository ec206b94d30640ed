"""Tokens of service accounts: claims, audiences, expiry. Expected texts are those of Kubernetes."""

from __future__ import annotations

import base64
import json
import time
from datetime import datetime
from typing import Any

import access_cases
import jwt
import pytest
from access_cases import AUTHENTICATION, CORE, TOKEN, Case, Server, request

from jupyter_workspaces.localkube.apiserver.access.authentication import bearer
from jupyter_workspaces.localkube.apiserver.access.tokens import ISSUER, InvalidToken, Keys

SELF = Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {})
REVIEW = f"{AUTHENTICATION}/tokenreviews"
POD = {"kind": "Pod", "apiVersion": "v1", "name": "p"}


@pytest.fixture
def server(api: Any) -> Server:
    found = Server(api.url, "test-token", api.trust)
    for path, body in access_cases.SETUP:
        assert found.ask(Case("POST", path, body))[0] == 201
    return found


def issued(server: Server, **spec: Any) -> str:
    status, answer = server.ask(Case("POST", TOKEN, request(**spec)))
    assert status == 201, answer
    return str(answer["status"]["token"])


def reviewed(server: Server, token: str, *audiences: str) -> Any:
    spec = {"token": token} | ({"audiences": list(audiences)} if audiences else {})
    return server.ask(Case("POST", REVIEW, {"spec": spec}))[1]["status"]


def test_claims_of_a_token(server: Server) -> None:
    account = server.ask(Case("GET", f"{CORE}/serviceaccounts/robot"))[1]["metadata"]
    pod = server.ask(Case("GET", f"{CORE}/pods/p"))[1]["metadata"]
    found = jwt.decode(
        issued(server, boundObjectRef=POD, expirationSeconds=700),
        options={"verify_signature": False},
    )
    assert found["exp"] - found["iat"] == 700
    assert found["nbf"] == found["iat"]
    assert abs(found["iat"] - time.time()) < 30
    del found["exp"], found["iat"], found["nbf"], found["jti"]
    assert found == {
        "aud": [ISSUER],
        "iss": "https://kubernetes.default.svc",
        "kubernetes.io": {
            "namespace": "access-one",
            "pod": {"name": "p", "uid": pod["uid"]},
            "serviceaccount": {"name": "robot", "uid": account["uid"]},
        },
        "sub": "system:serviceaccount:access-one:robot",
    }


def test_a_token_can_be_verified_with_the_published_key(server: Server) -> None:
    token = issued(server, audiences=["vault"])
    asked = Case("GET", "/openid/v1/jwks")
    keys = jwt.PyJWKSet.from_dict(server.ask(asked, issued(server))[1])
    key = keys[jwt.get_unverified_header(token)["kid"]]
    assert (
        jwt.decode(token, key, audience="vault", issuer=ISSUER)["sub"]
        == "system:serviceaccount:access-one:robot"
    )
    configuration = server.ask(Case("GET", "/.well-known/openid-configuration"))[1]
    assert configuration["issuer"] == ISSUER
    assert configuration["id_token_signing_alg_values_supported"] == [key.algorithm_name]
    assert configuration["jwks_uri"] == f"{server.url}/openid/v1/jwks"


def test_a_token_is_valid_only_for_its_audience(server: Server) -> None:
    token = issued(server, audiences=["a", "b"])
    assert server.ask(SELF, token)[0] == 401
    assert reviewed(server, token, "b", "c")["audiences"] == ["b"]
    assert reviewed(server, token) == {
        "user": {},
        "error": '[invalid bearer token, token audiences ["a" "b"] '
        f'is invalid for the target audiences ["{ISSUER}"]]',
    }
    assert reviewed(server, issued(server), "b")["error"].startswith(
        f'[invalid bearer token, token audiences ["{ISSUER}"]'
    )


def test_a_token_review_names_the_account_and_the_pod(server: Server) -> None:
    account = server.ask(Case("GET", f"{CORE}/serviceaccounts/robot"))[1]["metadata"]
    pod = server.ask(Case("GET", f"{CORE}/pods/p"))[1]["metadata"]
    status = reviewed(server, issued(server, boundObjectRef=POD))
    identifier = status["user"]["extra"].pop("authentication.kubernetes.io/credential-id")
    assert identifier[0].startswith("JTI=")
    assert status == {
        "authenticated": True,
        "user": {
            "username": "system:serviceaccount:access-one:robot",
            "uid": account["uid"],
            "groups": [
                "system:serviceaccounts",
                "system:serviceaccounts:access-one",
                "system:authenticated",
            ],
            "extra": {
                "authentication.kubernetes.io/pod-name": ["p"],
                "authentication.kubernetes.io/pod-uid": [pod["uid"]],
            },
        },
        "audiences": [ISSUER],
    }


@pytest.mark.parametrize(
    "held", [("secrets", "Secret", "held"), ("pods", "Pod", "p")], ids=lambda held: held[1]
)
def test_a_token_becomes_invalid_with_the_object_it_is_bound_to(
    server: Server, held: tuple[str, str, str]
) -> None:
    plural, kind, name = held
    token = issued(server, boundObjectRef={"kind": kind, "apiVersion": "v1", "name": name})
    assert server.ask(SELF, token)[0] == 201
    assert server.ask(Case("DELETE", f"{CORE}/{plural}/{name}"))[0] == 200
    assert server.ask(SELF, token)[0] == 401
    assert reviewed(server, token) == {
        "user": {},
        "error": "[invalid bearer token, service account token has been invalidated]",
    }


def test_a_token_becomes_invalid_with_its_account(
    server: Server,
) -> None:
    token = issued(server)
    assert server.ask(SELF, token)[0] == 201
    assert server.ask(Case("DELETE", f"{CORE}/serviceaccounts/robot"))[0] == 200
    assert server.ask(SELF, token)[0] == 401
    assert (
        reviewed(server, token)["error"]
        == '[invalid bearer token, serviceaccounts "robot" not found]'
    )
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    assert server.ask(Case("POST", f"{CORE}/serviceaccounts", account))[0] == 201
    assert server.ask(SELF, token)[0] == 401
    assert server.ask(SELF, issued(server))[0] == 201


def test_the_token_of_a_pod_has_its_node(server: Server) -> None:
    node = server.ask(
        Case(
            "POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
        )
    )[1]["metadata"]
    bound = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n"},
    }
    assert server.ask(Case("POST", f"{CORE}/pods/p/binding", bound))[0] == 201
    token = issued(server, boundObjectRef=POD)
    extra = server.ask(SELF, token)[1]["status"]["userInfo"]["extra"]
    assert extra["authentication.kubernetes.io/node-name"] == ["n"]
    assert extra["authentication.kubernetes.io/node-uid"] == [node["uid"]]
    assert server.ask(Case("DELETE", "/api/v1/nodes/n"))[0] == 200
    assert server.ask(SELF, token)[0] == 201  # the pod is what it is bound to


def altered(token: str) -> dict[str, str]:
    """Return tokens that are similar to a valid one."""
    claims = jwt.decode(token, options={"verify_signature": False})
    key = jwt.get_unverified_header(token)["kid"]
    head, body, _ = token.split(".")
    other = Keys.generate()
    named = claims["kubernetes.io"]["serviceaccount"]
    return {
        "unsigned": jwt.encode(claims, "", "none"),
        "symmetric": jwt.encode(claims, "x" * 32, "HS256", headers={"kid": key}),
        "foreign key": other.issue(
            "access-one", "robot", named["uid"], audiences=[ISSUER], seconds=600
        )[0],
        "foreign legacy": other.issue_legacy("access-one", "robot", named["uid"], "held"),
        "cut": f"{head}.{body}.",
        "no token": "x",
        "empty parts": "..",
        "other letters": "ä.ö.ü",
    }


@pytest.mark.parametrize(
    "which",
    [
        "unsigned",
        "symmetric",
        "foreign key",
        "foreign legacy",
        "cut",
        "no token",
        "empty parts",
        "other letters",
    ],
)
def test_a_token_that_we_did_not_sign_is_invalid(server: Server, which: str) -> None:
    token = altered(issued(server))[which]
    status = reviewed(server, token)
    assert status["user"] == {}
    assert status["error"].startswith(("invalid bearer token", "[invalid bearer token"))
    assert token not in status["error"]
    if token.isascii():
        assert server.ask(SELF, token)[0] == 401


def test_a_token_expires(monkeypatch: pytest.MonkeyPatch, api: Any, server: Server) -> None:
    token = issued(server, expirationSeconds=600)
    assert server.ask(SELF, token)[0] == 201
    now = time.time()
    monkeypatch.setattr(
        "jupyter_workspaces.localkube.apiserver.access.authentication.time.time", lambda: now + 601
    )
    assert server.ask(SELF, token)[0] == 401
    assert (
        reviewed(server, token)["error"]
        == "[invalid bearer token, service account token has expired]"
    )


def test_a_token_that_lacks_a_claim_is_invalid() -> None:
    keys = Keys.generate()
    for claims in (
        {"iss": ISSUER, "sub": "x", "aud": [ISSUER], "exp": time.time() + 60},
        {"iss": ISSUER, "sub": "x"},
        {"iss": "else"},
        {},
    ):
        with pytest.raises(InvalidToken):
            keys.read(keys._encode(claims), [ISSUER])


def test_keys_can_be_saved_and_loaded() -> None:
    keys = Keys.generate()
    token, _ = keys.issue("a", "b", "u", audiences=["x"], seconds=600)
    assert Keys.load(keys.pem()).read(token, ["x"]).account == "b"
    for wrong in (b"", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(ValueError, match=r"."):
            Keys.load(wrong)


def test_a_token_is_read_from_header_or_subprotocol() -> None:
    encoded = base64.urlsafe_b64encode(b"abc.def").decode().rstrip("=")
    assert bearer("Bearer x") == bearer("bearer x") == bearer("Bearer x y") == "x"
    assert (
        bearer("", f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}")
        == "abc.def"
    )
    for nothing in ("", "Bearer", "Bearer ", "Bearer  x", "Basic x", "x"):
        assert bearer(nothing) is None
    assert bearer("", "base64url.bearer.authorization.k8s.io.!!!") is None


def test_kubectl_impersonates_and_reviews_others(kubectl: Any) -> None:
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps,pods/log")
    kubectl(
        "create",
        "rolebinding",
        "reader",
        "--role=reader",
        "--serviceaccount=default:robot",
        "--user=rita",
    )
    assert kubectl("auth", "can-i", "list", "configmaps", "--as=rita").stdout == "yes\n"
    refused = kubectl("auth", "can-i", "delete", "configmaps", "--as=rita", check=False)
    assert (refused.returncode, refused.stdout) == (1, "no\n")
    assert kubectl("auth", "can-i", "*", "*").stdout == "yes\n"
    listed = kubectl("auth", "can-i", "--list", "--as=rita").stdout
    assert ["configmaps", "[]", "[]", "[get", "list]"] in [
        line.split() for line in listed.splitlines()
    ]
    refused = kubectl("get", "secrets", "--as=rita", check=False)
    assert refused.stderr.strip() == (
        'Error from server (Forbidden): secrets is forbidden: User "rita" cannot list resource '
        '"secrets" in API group "" '
        'in the namespace "default"'
    )
    token = kubectl(
        "create", "token", "robot", "--duration=20m", "--audience=https://kubernetes.default.svc"
    ).stdout.strip()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (
        "system:serviceaccount:default:robot",
        1200,
    )
    refused = kubectl("--token", token, "auth", "can-i", "list", "secrets", check=False)
    assert refused.stdout == "no\n"
    reconciled = access_cases.role("Role", "reader", access_cases.on("core", "pods", "get"))
    reconciled["metadata"]["namespace"] = "default"
    kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps(reconciled))
    assert kubectl("auth", "can-i", "get", "pods", "--as=rita").stdout == "yes\n"
    assert (
        kubectl("auth", "can-i", "list", "configmaps", "--as=rita").stdout == "yes\n"
    )  # what was there stays
    refused = kubectl(
        "create",
        "rolebinding",
        "more",
        "--clusterrole=cluster-admin",
        "--user=rita",
        "--as=rita",
        check=False,
    )
    assert (
        'rolebindings.rbac.authorization.k8s.io is forbidden: User "rita" cannot create resource'
        in refused.stderr
    )


@pytest.mark.parametrize(
    ("bound", "seconds"),
    [({"boundObjectRef": POD}, 365 * 24 * 3600), ({}, 3607)],
    ids=["of a pod", "of nobody"],
)
def test_a_mounted_token_is_valid_longer_than_its_response_says(
    server: Server, bound: Any, seconds: int
) -> None:
    """As on a real cluster, for programs that read it only once."""
    status, answer = server.ask(Case("POST", TOKEN, request(expirationSeconds=3607, **bound)))
    said = datetime.fromisoformat(
        answer["status"]["expirationTimestamp"].replace("Z", "+00:00")
    ).timestamp()
    found = jwt.decode(answer["status"]["token"], options={"verify_signature": False})

    assert status == 201
    assert found["exp"] - found["iat"] == seconds
    assert said - found["iat"] == 3607


def test_a_token_is_valid_after_the_clock_was_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys, ahead = Keys.generate(), time.time() + 86400
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: ahead)
        token, _ = keys.issue("default", "robot", "uid", audiences=[ISSUER], seconds=3600)

    assert keys.read(token, [ISSUER]).account == "robot"
