"""Headers and cookies of reverse proxies in front do not reach a workspace; its own do."""

from __future__ import annotations

import base64
import json
from http.cookies import SimpleCookie
from types import SimpleNamespace

import pytest

from jupyter_workspaces.server.http.identity import HeaderIdentities
from jupyter_workspaces.server.proxy.headers.credentials import PROOF_PREFIX, CredentialFilter
from jupyter_workspaces.server.proxy.headers.front_proxies import (
    SETTING,
    AllowedNames,
    FrontProxy,
    is_identity,
)

CANARY = "canary-5f2c"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"RS256","typ":"JWT"}', b'{"sub":"anna"}', CANARY.encode())
)
BASIC = base64.b64encode(f"anna:{CANARY}".encode()).decode()

OF_FRONT_PROXIES = """
X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username
X-Forwarded-Access-Token X-Forwarded-Id-Token X-Forwarded-Client-Cert X-Auth-Request-User
X-Auth-Request-Email X-Auth-Request-Access-Token X-Auth-Request-Redirect X-Id-Token X-Access-Token
kubeflow-userid kubeflow-groups Kubeflow-UserId Remote-User Remote-Groups Remote-Email Remote-Name
X-Remote-User X-Webauth-User X-WEBAUTH-EMAIL X-Authentik-Username X-Authentik-Jwt X-Authelia-Session
Cf-Access-Jwt-Assertion Cf-Access-Authenticated-User-Email X-Amzn-Oidc-Data X-Amzn-Oidc-Identity
X-Amzn-Oidc-Accesstoken X-Goog-Iap-Jwt-Assertion X-Goog-Authenticated-User-Email
X-Goog-Authenticated-User-Id X-Ms-Token-Aad-Access-Token X-Ms-Client-Principal
X-Ms-Client-Principal-Name X-Vouch-User X-Vouch-IdP-Claims-Email X-Pomerium-Jwt-Assertion
X-Pomerium-Claim-Email Tailscale-User-Login Tailscale-User-Name Oidc-Claim-Sub OIDC-access-token
X-Userinfo X-Consumer-Username X-Credential-Identifier X-Shib-Mail Shib-Session-Id Eppn
Impersonate-User Impersonate-Group X-Envoy-Peer-Metadata X-SSL-Client-S-DN Client-Cert X-Client-Cert
X-ARR-ClientCert Teleport-Jwt-Assertion X-Okta-User X-Original-URI X-Rewrite-URL True-Client-Ip
X-Client-Ip Proxy-Authorization X-JupyterHub-User
""".split()  # noqa: SIM905

OF_PROGRAMS = """
Accept Accept-Language Cache-Control If-None-Match Range User-Agent X-Requested-With X-CSRFToken
X-CSRF-Token X-XSRF-TOKEN X-Api-Key X-My-App HX-Request HX-Target Mcp-Session-Id Jupyter-Client-Id
X-RStudio-Request Tus-Resumable Upload-Length DNT Priority X-Amz-Date X-Amz-Security-Token
X-Request-Id Traceparent Baggage X-Shiny-Session Last-Event-ID Sec-Fetch-User Sec-Fetch-Site
Service-Worker X-User-Agent X-Grpc-Web Depth Overwrite Lock-Token
""".split()  # noqa: SIM905

COOKIES_OF_FRONT_PROXIES = """
_oauth2_proxy _oauth2_proxy_0 _oauth2_proxy_csrf authservice_session oidc_state_csrf
AWSELBAuthSessionCookie-0 CF_Authorization CF_AppSession GCP_IAP_UID AppServiceAuthSession
authelia_session authentik_session VouchCookie _pomerium _forward_auth mod_auth_openidc_session
_shibsession_64 KEYCLOAK_IDENTITY jupyterhub-session-id jupyterhub-user-anna jupyter-hub-token
username-127-0-0-1-8888 _xsrf
""".split()  # noqa: SIM905


@pytest.fixture
def trusted(server, view):
    """A server that trusts the headers of a proxy. Yields the headers that the proxy adds."""

    async def allowed(*_):
        return True

    async def ready(seconds=20, *, stale=False):
        return SimpleNamespace(
            cluster=view, workspaces=view, pods=view, access=SimpleNamespace(allowed=allowed)
        )

    server.web_app.settings["identity_provider"] = HeaderIdentities(parent=server)
    server.web_app.settings["jupyter_workspaces"] = SimpleNamespace(ready=ready)
    view.without_token()
    return {"kubeflow-userid": "anna", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(params=["HTTP", "WebSocket"])
def seen(request, browser):
    """Return the headers that the program gets: names in lower case, and values."""

    async def ask(headers):
        if request.param == "WebSocket":
            async with browser.socket(headers=headers) as socket:
                await socket.send_str("headers")
                found = json.loads((await socket.receive(10)).data).items()
        else:
            async with browser.request("GET", "x", headers=headers) as answer:
                assert answer.status == 200
                found = json.loads(await answer.read())["headers"]
        return {name.lower(): value for name, value in found}

    return ask


async def test_no_header_of_a_proxy_in_front_reaches_a_workspace(browser, seen):
    arrived = await seen({**browser.signed, **dict.fromkeys(OF_FRONT_PROXIES, CANARY)})
    assert CANARY not in str(arrived)
    assert {name.lower() for name in OF_FRONT_PROXIES} & arrived.keys() == set()


async def test_no_header_of_a_trusted_proxy_reaches_a_workspace_whatever_its_name(
    seen, server, trusted
):
    provider = server.web_app.settings["identity_provider"]
    provider.user_header, provider.groups_header = "X-House-Name", "X-House-Teams"
    arrived = await seen(
        {
            **trusted,
            "X-House-Name": CANARY,
            "X-House-Teams": CANARY,
            **dict.fromkeys(OF_FRONT_PROXIES, CANARY),
        }
    )
    assert CANARY not in str(arrived)


async def test_a_signed_token_stays_out_under_any_name(browser, seen):
    arrived = await seen({**browser.signed, "X-Odd-Name": JWT, "X-Odder-Name": f"Bearer {JWT}"})
    assert JWT not in str(arrived)


async def test_headers_of_programs_arrive(browser, seen):
    arrived = await seen(
        {
            **browser.signed,
            **{name: f"{name}=1" for name in OF_PROGRAMS if name != "Sec-Fetch-Site"},
        }
    )
    for name in OF_PROGRAMS:
        assert name == "Sec-Fetch-Site" or arrived.get(name.lower()) == f"{name}=1"


@pytest.mark.parametrize("name", OF_PROGRAMS)
def test_headers_of_programs_say_not_who_somebody_is(name):
    assert not is_identity(name.lower(), "value", FrontProxy())


async def test_an_administrator_may_let_one_pass(browser, server, seen):
    server.web_app.settings[SETTING] = AllowedNames(request_headers=("X-User-Id", "Remote-*"))
    arrived = await seen(
        {**browser.signed, "X-User-Id": "a", "Remote-User": "b", "X-Forwarded-Email": CANARY}
    )
    assert (arrived["x-user-id"], arrived["remote-user"]) == ("a", "b")
    assert CANARY not in str(arrived)


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic YTpi",
        'Digest username="a", response="b"',
        "Bearer of-the-app",
        "Own-Scheme x=y",
        "AWS4 z",
    ],
)
async def test_a_programs_own_sign_in_arrives(browser, view, seen, authorization):
    view.without_token()
    arrived = await seen(
        {
            "Cookie": await browser.cookie(),
            "Sec-Fetch-Site": "same-origin",
            "Authorization": authorization,
        }
    )
    assert arrived["authorization"] == authorization


@pytest.mark.parametrize(
    "authorization", ["Basic YTpi", 'Digest username="a", response="b"', "Own-Scheme x=y"]
)
async def test_a_programs_own_sign_in_arrives_behind_a_trusted_proxy(seen, trusted, authorization):
    assert (await seen({**trusted, "Authorization": authorization}))[
        "authorization"
    ] == authorization


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {CANARY}",
        f"bearer {JWT}",
        f"Basic {BASIC}",
        f"Negotiate {CANARY}",
        f"NTLM {CANARY}",
    ],
)
async def test_what_a_trusted_proxy_signs_in_with_stays_out(seen, trusted, authorization):
    arrived = await seen({**trusted, "Authorization": authorization})
    assert "authorization" not in arrived
    assert CANARY not in str(arrived)


async def test_our_own_token_stays_out_wherever_it_is(browser, view, seen):
    view.without_token()
    basic = base64.b64encode(f":{browser.token}".encode()).decode()
    headers = {
        "Cookie": f"{await browser.cookie()}; own={browser.token}",
        "Sec-Fetch-Site": "same-origin",
        "X-Own": f"a {browser.token} b",
        "Referer": f"{browser.url('x')}?token={browser.token}",
    }
    for authorization in (
        f"token {browser.token}",
        f"Bearer {browser.token}",
        f"TOKEN  {browser.token}",
        f"Basic {basic}",
    ):
        arrived = await seen({**headers, "Authorization": authorization})
        assert browser.token not in str(arrived)
        assert authorization.startswith("Basic") or "authorization" not in arrived


async def test_no_cookie_of_a_proxy_in_front_reaches_a_workspace(browser, seen):
    front = "; ".join(f"{name}={CANARY}" for name in COOKIES_OF_FRONT_PROXIES)
    arrived = await seen({**browser.signed, "Cookie": f"own=1; {front}; other=2"})
    assert arrived["cookie"] == "own=1; other=2"
    assert CANARY not in str(arrived)


class Jar:
    """The cookies that a browser stores for the workspace's pages."""

    def __init__(self, lines=()):
        self.found = {}
        self.take(lines)

    def take(self, lines):
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                self.found[name] = morsel.value

    def __str__(self):
        return "; ".join(f"{name}={value}" for name, value in self.found.items())


async def jar_of_the_workspace(browser, trusted):
    """Return the cookies of the small program's response, as a browser stores them."""
    async with browser.request("GET", "cookies", headers=trusted) as answer:
        assert answer.status == 200
        return Jar(answer.headers.getall("Set-Cookie"))


async def test_behind_a_trusted_proxy_a_workspace_gets_the_cookies_that_it_set_and_no_other(
    browser, trusted, seen
):
    jar = await jar_of_the_workspace(browser, trusted)
    front = "; ".join(
        f"{name}={CANARY}"
        for name in [*COOKIES_OF_FRONT_PROXIES, "house-session", "session", "csrftoken"]
    )

    arrived = await seen({**trusted, "Cookie": f"{front}; {jar}; late={CANARY}"})

    assert CANARY not in str(arrived)
    found = dict(pair.split("=", 1) for pair in arrived["cookie"].split("; "))
    assert found == {
        "session": "one",
        "deep": "two",
        "_xsrf": "inner",
        "username-127-0-0-1-8888": "somebody",
        "__Host-safe": "three",
    }


async def test_a_workspace_that_takes_the_name_of_a_proxys_cookie_does_not_get_its_value(
    browser, trusted, seen
):
    """It sets a cookie of that name, and deletes it or keeps it to get the other one's value."""
    guard = CredentialFilter("username-x", front=FrontProxy(frozenset(("kubeflow-userid",))))
    from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

    jar = Jar(
        guard.cookies_outward(
            "house-session=mine",
            PublicPath("/", "/workspace/connect/a/b/c/"),
            "/workspace/connect/a/b/c/x",
        )
    )
    assert jar.found.keys() == {"house-session", f"{PROOF_PREFIX}house-session"}
    jar.found["house-session"] = (
        CANARY  # the workspace's is gone, and the proxy's of that name is not
    )

    assert "cookie" not in await seen({**trusted, "Cookie": str(jar)})
    assert "cookie" not in await seen(
        {**trusted, "Cookie": f"{PROOF_PREFIX}house-session={CANARY}; house-session={CANARY}"}
    )


def test_a_proof_has_the_cookies_path_and_lifetime_and_no_script_reads_it():
    from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

    guard, path = (
        CredentialFilter("username-x", front=FrontProxy(frozenset(("kubeflow-userid",)))),
        PublicPath("/", "/workspace/connect/a/b/c/"),
    )
    cookie, proof = guard.cookies_outward(
        "a=b; Path=/; Max-Age=0; Secure; SameSite=Lax", path, path.outer
    )
    assert cookie == "a=b; Path=/workspace/connect/a/b/c/; Max-Age=0; Secure; SameSite=Lax"
    assert proof.startswith(f"{PROOF_PREFIX}a=")
    assert proof.endswith(
        "; Path=/workspace/connect/a/b/c/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"
    )
    assert guard.cookies_outward(f"{PROOF_PREFIX}a=b", path, path.outer)[0].startswith(
        f"workspace-{PROOF_PREFIX}a=b"
    )


def test_a_cookie_that_is_not_ascii_is_proven_too():
    from jupyter_workspaces.server.proxy.rewriting.public_path import PublicPath

    guard, path = (
        CredentialFilter("username-x", front=FrontProxy(frozenset(("kubeflow-userid",)))),
        PublicPath("/", "/workspace/connect/a/b/c/"),
    )
    value = "José".encode().decode("latin-1")
    lines = guard.cookies_outward(f"name={value}", path, path.outer)
    assert guard.cookies_inward(["; ".join(line.partition(";")[0] for line in lines)]) == {
        "name": value
    }


async def test_an_administrator_may_let_a_scripts_cookie_pass(browser, server, trusted, seen):
    server.web_app.settings[SETTING] = AllowedNames(cookies=("theme", "app-*"))
    arrived = await seen({**trusted, "Cookie": f"theme=dark; app-x=1; house-session={CANARY}"})
    assert arrived["cookie"] == "theme=dark; app-x=1"
