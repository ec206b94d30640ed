"""Requests about authorization, and the recorded answers of the real API server.

`python access_cases.py URL TOKEN` records `access_recorded.json` again, with a token of a user in
system:masters. The server must authorize by RBAC only and not admit service accounts:
`kube-apiserver --authorization-mode=RBAC --token-auth-file=…
--disable-admission-plugins=ServiceAccount`.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_workspaces.kube.types import Object

RECORDED = Path(__file__).with_name("access_recorded.json")

Answer = tuple[int, Any]
Ask = Callable[..., Answer]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"
HERE = "/namespaces/access-one"
CORE = f"/api/v1{HERE}"
TOKEN = f"{CORE}/serviceaccounts/robot/token"
MERGE = "application/merge-patch+json"

_GROUP = "rbac.authorization.k8s.io"


def role(kind: str, name: str, *rules: Object, **more: Any) -> Object:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "rules": list(rules),
        **more,
    }


def on(groups: str, resources: str, verbs: str, names: str = "") -> Object:
    """Return a rule. Lists are separated by blanks; `core` is the core group."""
    rule = {
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    return rule | ({"resourceNames": names.split()} if names else {})


def paths(urls: str, verbs: str) -> Object:
    return {"nonResourceURLs": urls.split(), "verbs": verbs.split()}


def binding(kind: str, name: str, of: str, *subjects: str) -> Object:
    """Return a binding.

    Args:
        of: the role, as `Kind/name`.
    """
    of_kind, of_name = of.split("/")
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _GROUP, "kind": of_kind, "name": of_name},
        "subjects": [subject(text) for text in subjects],
    }


def subject(text: str) -> Object:
    kind, _, name = text.partition("/")
    if kind == "ServiceAccount":
        namespace, _, name = name.partition("/")
        return {"kind": kind, "name": name, "namespace": namespace}
    return {"kind": kind, "apiGroup": _GROUP, "name": name}


def review(kind: str, user: str = "", groups: tuple[str, ...] = (), **asked: str) -> Object:
    spec: Object = {}
    if user:
        spec["user"] = user
    if groups:
        spec["groups"] = list(groups)
    if asked:
        spec["nonResourceAttributes" if "path" in asked else "resourceAttributes"] = asked
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}


def request(**spec: Any) -> Object:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


_BROAD = "roles rolebindings clusterroles clusterrolebindings"
CONFIG_MAP: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"a": "b"},
}

SETUP: tuple[tuple[str, Object], ...] = (
    (
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "access-one"}},
    ),
    (
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "access-two"}},
    ),
    (
        f"{CORE}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}},
    ),
    (
        f"{CORE}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "short-lived"}},
    ),
    (
        f"{RBAC}{HERE}/roles",
        role(
            "Role",
            "reader",
            on("core", "configmaps pods pods/log", "get list"),
            on("core", "secrets", "get list watch", names="one"),
            on("kubeflow.org", "workspaces", "*"),
            on("apps", "*/scale", "get"),
        ),
    ),
    (
        f"{RBAC}{HERE}/rolebindings",
        binding(
            "RoleBinding",
            "reader",
            "Role/reader",
            "User/rita",
            "Group/crew",
            "ServiceAccount/access-one/robot",
        ),
    ),
    (f"{RBAC}{HERE}/rolebindings", binding("RoleBinding", "broken", "Role/absent", "User/bert")),
    (
        f"{RBAC}/clusterrolebindings",
        binding("ClusterRoleBinding", "access-broken", "ClusterRole/absent-too", "User/bert"),
    ),
    (
        f"{RBAC}/clusterroles",
        role(
            "ClusterRole",
            "access-binder",
            on(_GROUP, _BROAD, "create get update patch delete"),
            on(_GROUP, "clusterroles", "bind", names="view"),
        ),
    ),
    (
        f"{RBAC}/clusterrolebindings",
        binding("ClusterRoleBinding", "access-binder", "ClusterRole/access-binder", "User/bob"),
    ),
    (f"{RBAC}/clusterroles", role("ClusterRole", "access-escalator", on(_GROUP, "*", "*"))),
    (
        f"{RBAC}/clusterrolebindings",
        binding(
            "ClusterRoleBinding", "access-escalator", "ClusterRole/access-escalator", "User/esme"
        ),
    ),
    (
        f"{RBAC}/clusterroles",
        role(
            "ClusterRole",
            "access-impersonator",
            on("core", "users groups", "impersonate", names="rita crew"),
            on("authentication.k8s.io", "userextras/scopes", "impersonate"),
            paths("/metrics /x/*", "get"),
        ),
    ),
    (
        f"{RBAC}/clusterrolebindings",
        binding(
            "ClusterRoleBinding",
            "access-impersonator",
            "ClusterRole/access-impersonator",
            "User/imogen",
            "ServiceAccount/access-one/robot",
        ),
    ),
    (f"{CORE}/configmaps", CONFIG_MAP),
    (
        f"{CORE}/pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "i"}]},
        },
    ),
    (
        f"{CORE}/secrets",
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "held"}, "data": {}},
    ),
)


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        body: sent as JSON, for PATCH as a merge patch.
        headers: names and values.
    """

    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        held = " ".join(f"{name}={value}" for name, value in self.headers)
        body = json.dumps(self.body, sort_keys=True) if self.body is not None else ""
        return f"{self.method} {self.path} {body} {held}".strip()


def as_(name: str, **more: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Impersonate-User", name),
        *((f"Impersonate-{key.replace('_', '-')}", value) for key, value in more.items()),
    )


_RITA = as_("rita")
_SAR, _SELF, _LOCAL = "SubjectAccessReview", "SelfSubjectAccessReview", "LocalSubjectAccessReview"
_SARS, _SELVES, _LOCALS = (
    f"{AUTHORIZATION}/subjectaccessreviews",
    f"{AUTHORIZATION}/selfsubjectaccessreviews",
    f"{AUTHORIZATION}{HERE}/localsubjectaccessreviews",
)
_PODS = {"verb": "get", "resource": "pods", "namespace": "access-one"}

FORBIDDEN: tuple[Case, ...] = (
    Case("GET", f"{CORE}/configmaps?watch=true&timeoutSeconds=1", None, _RITA),
    Case("DELETE", f"{CORE}/configmaps/c", None, _RITA),
    Case("DELETE", f"{CORE}/configmaps", None, _RITA),
    Case("POST", f"{CORE}/configmaps", CONFIG_MAP, _RITA),
    Case("PUT", f"{CORE}/configmaps/c", CONFIG_MAP, _RITA),
    Case("PATCH", f"{CORE}/configmaps/c", {"data": {}}, _RITA),
    Case("GET", "/api/v1/configmaps", None, _RITA),
    Case("GET", "/api/v1/namespaces/access-two/configmaps", None, _RITA),
    Case("GET", "/api/v1/namespaces/access-one", None, _RITA),
    Case("GET", "/api/v1/namespaces", None, _RITA),
    Case("DELETE", "/api/v1/namespaces/access-one", None, _RITA),
    Case(
        "PUT", "/api/v1/namespaces/access-one/finalize", {"metadata": {"name": "access-one"}}, _RITA
    ),
    Case("POST", "/api/v1/namespaces", {"metadata": {"name": "access-nine"}}, _RITA),
    Case("GET", f"{CORE}/secrets", None, _RITA),
    Case("GET", f"{CORE}/secrets?fieldSelector=metadata.name%3Dtwo", None, _RITA),
    Case("GET", f"{CORE}/secrets/two", None, _RITA),
    Case("GET", f"{CORE}/pods/p/exec", None, _RITA),
    Case("POST", f"{CORE}/pods/p/portforward", {}, _RITA),
    Case("GET", f"{CORE}/pods/p/status", None, _RITA),
    Case("PATCH", f"{CORE}/pods/p/status", {}, _RITA),
    Case("GET", f"/apis/apps/v1{HERE}/statefulsets", None, _RITA),
    Case("GET", f"/apis/nosuch.org/v1{HERE}/things", None, _RITA),
    Case("GET", "/api/v1/nodes", None, _RITA),
    Case("POST", TOKEN, request(), _RITA),
    Case("GET", "/metrics", None, _RITA),
    Case("POST", "/api", {}, _RITA),
    Case("GET", "/", None, _RITA),
    Case("GET", "/nosuch", None, _RITA),
    Case("GET", "/openid/v1/jwks", None, _RITA),
    Case("GET", "/api/v1", None, as_("system:anonymous")),
    Case("GET", f"{CORE}/configmaps", None, as_("bert")),
    Case("GET", "/api/v1/namespaces/access-two/configmaps", None, as_("bert")),
    Case("GET", "/api/v1/configmaps", None, as_("bert")),
    Case("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": "x"}}, _RITA),
    Case("POST", _SARS, review(_SAR, "rita", **_PODS), _RITA),
)
"""Refused, each in Kubernetes' own words."""

ALLOWED: tuple[Case, ...] = (
    Case("GET", f"{CORE}/configmaps", None, _RITA),
    Case("GET", f"{CORE}/configmaps/c", None, _RITA),
    Case("GET", f"{CORE}/secrets?fieldSelector=metadata.name%3Done", None, _RITA),
    Case("GET", f"{CORE}/secrets/one", None, _RITA),
    Case("GET", f"/apis/kubeflow.org/v1beta1{HERE}/workspaces", None, _RITA),
    Case("GET", "/api", None, _RITA),
    Case("GET", "/api/v1", None, _RITA),
    Case("GET", "/version", None, _RITA),
    Case("GET", "/version", None, as_("system:anonymous")),
    Case("GET", f"{CORE}/configmaps", None, as_("nobody", Group="crew")),
    Case("GET", f"{CORE}/configmaps", None, as_("system:serviceaccount:access-one:robot")),
    Case("GET", "/openid/v1/jwks", None, as_("system:serviceaccount:access-one:robot")),
    Case("GET", f"{CORE}/configmaps", None, (("Impersonate-User", ""),)),
)
"""Allowed requests; only the status is compared. Two of them get 404."""

REVIEWS: tuple[Case, ...] = (
    Case("POST", _SARS, review(_SAR, "rita", **_PODS)),
    Case("POST", _SARS, review(_SAR, "rita", verb="get", resource="pods", namespace="access-two")),
    Case("POST", _SARS, review(_SAR, "rita", subresource="log", name="x", **_PODS)),
    Case("POST", _SARS, review(_SAR, "rita", subresource="exec", name="x", **_PODS)),
    Case(
        "POST",
        _SARS,
        review(
            _SAR,
            "rita",
            verb="get",
            group="apps",
            resource="statefulsets",
            subresource="scale",
            namespace="access-one",
        ),
    ),
    Case(
        "POST",
        _SARS,
        review(
            _SAR,
            "rita",
            verb="delete",
            group="kubeflow.org",
            resource="workspaces",
            namespace="access-one",
        ),
    ),
    Case(
        "POST",
        _SARS,
        review(_SAR, "rita", verb="get", resource="secrets", name="one", namespace="access-one"),
    ),
    Case(
        "POST", _SARS, review(_SAR, "rita", verb="get", resource="secrets", namespace="access-one")
    ),
    Case("POST", _SARS, review(_SAR, "bert", **_PODS)),
    Case("POST", _SARS, review(_SAR, "x", ("crew",), **_PODS)),
    Case("POST", _SARS, review(_SAR, "", ("crew",), **_PODS)),
    Case("POST", _SARS, review(_SAR, "x", ("system:masters",), **_PODS)),
    Case("POST", _SARS, review(_SAR, "x", ("system:authenticated",), verb="get", path="/api")),
    Case("POST", _SARS, review(_SAR, "imogen", verb="get", path="/x/y")),
    Case("POST", _SARS, review(_SAR, "imogen", verb="get", path="/x")),
    Case("POST", _SARS, review(_SAR, "imogen", verb="post", path="/x/y")),
    Case("POST", _SARS, review(_SAR, "system:serviceaccount:access-one:robot", **_PODS)),
    Case("POST", _SARS, review(_SAR)),
    Case("POST", _SARS, review(_SAR, "x")),
    Case("POST", _SARS, review(_SAR, **_PODS)),
    Case(
        "POST",
        _SARS,
        {
            "spec": {
                "user": "x",
                "resourceAttributes": {"verb": "get"},
                "nonResourceAttributes": {"path": "/x", "verb": "get"},
            }
        },
    ),
    Case("POST", _LOCALS, review(_LOCAL, "rita", **_PODS)),
    Case(
        "POST", _LOCALS, review(_LOCAL, "rita", verb="get", resource="pods", namespace="access-two")
    ),
    Case("POST", _LOCALS, review(_LOCAL, "rita", verb="get", resource="pods")),
    Case("POST", _LOCALS, review(_LOCAL, "rita", verb="get", path="/x")),
    Case("POST", _SELVES, review(_SELF, **_PODS), _RITA),
    Case("POST", _SELVES, review(_SELF, **_PODS)),
    Case("POST", _SELVES, review(_SELF), _RITA),
    Case("POST", _SELVES, review(_SELF, **_PODS), as_("system:anonymous")),
    Case(
        "POST",
        f"{AUTHORIZATION}/selfsubjectrulesreviews",
        {"spec": {"namespace": "access-one"}},
        _RITA,
    ),
    Case(
        "POST",
        f"{AUTHORIZATION}/selfsubjectrulesreviews",
        {"spec": {"namespace": "access-one"}},
        as_("bert"),
    ),
    Case(
        "POST",
        f"{AUTHORIZATION}/selfsubjectrulesreviews",
        {"spec": {"namespace": "access-one"}},
        as_("imogen"),
    ),
    Case("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {"namespace": "access-one"}}),
    Case("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {}}, _RITA),
    Case(
        "POST",
        f"{AUTHENTICATION}/selfsubjectreviews",
        {},
        (
            *as_("rita", Group="crew", Uid="u1", Extra_Scopes="a"),
            ("Impersonate-Extra-Acme%2ecom%2fx", "b"),
        ),
    ),
    Case(
        "POST",
        f"{AUTHENTICATION}/selfsubjectreviews",
        {},
        as_("system:serviceaccount:access-one:robot"),
    ),
    Case(
        "POST",
        f"{AUTHENTICATION}/selfsubjectreviews",
        {},
        as_("system:serviceaccount:access-one:robot", Group="crew"),
    ),
    Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}, as_("system:anonymous")),
    Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}, as_("system:masters")),
    Case("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": "x"}}),
    Case("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": "a.b.c"}}),
    Case("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": ""}}),
    Case("GET", f"{AUTHENTICATION}/tokenreviews"),
    Case("GET", f"{AUTHORIZATION}{HERE}/selfsubjectaccessreviews"),
    Case(
        "POST",
        f"{AUTHORIZATION}/localsubjectaccessreviews",
        review(_LOCAL, "rita", verb="get", resource="pods"),
    ),
)

_BOB, _ESME = as_("bob"), as_("esme")
_ROLES, _BINDINGS = f"{RBAC}{HERE}/roles?dryRun=All", f"{RBAC}{HERE}/rolebindings?dryRun=All"

GRANTS: tuple[Case, ...] = (
    Case(
        "POST",
        _ROLES,
        role(
            "Role",
            "e1",
            on("core", "secrets pods", "get list"),
            on("apps", "deployments", "get", names="x y"),
        ),
        _BOB,
    ),
    Case("POST", _ROLES, role("Role", "e2", on(_GROUP, "roles", "get")), _BOB),
    Case("POST", _ROLES, role("Role", "e3", on("*", "*", "*")), _BOB),
    Case("POST", _ROLES, role("Role", "e4", on("*", "*", "*")), _ESME),
    Case(
        "POST",
        f"{RBAC}/clusterroles?dryRun=All",
        role("ClusterRole", "access-e1", paths("/x /y/*", "get post")),
        _BOB,
    ),
    Case(
        "POST",
        f"{RBAC}/clusterroles?dryRun=All",
        role("ClusterRole", "access-e2", paths("/api/v1 /api/*", "get")),
        _BOB,
    ),
    Case(
        "POST",
        f"{RBAC}/clusterroles?dryRun=All",
        role(
            "ClusterRole",
            "access-e3",
            aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]},
        ),
        _BOB,
    ),
    Case("POST", _BINDINGS, binding("RoleBinding", "b1", "ClusterRole/view", "User/x"), _BOB),
    Case(
        "POST", _BINDINGS, binding("RoleBinding", "b2", "ClusterRole/access-binder", "User/x"), _BOB
    ),
    Case("POST", _BINDINGS, binding("RoleBinding", "b3", "Role/reader", "User/x"), _BOB),
    Case("POST", _BINDINGS, binding("RoleBinding", "b4", "Role/nosuch", "User/x"), _BOB),
    Case("POST", _BINDINGS, binding("RoleBinding", "b5", "ClusterRole/nosuch", "User/x"), _BOB),
    Case(
        "POST",
        _BINDINGS,
        binding("RoleBinding", "b6", "ClusterRole/access-binder", "User/x"),
        as_("bert"),
    ),
    Case(
        "POST",
        f"{RBAC}/clusterrolebindings?dryRun=All",
        binding("ClusterRoleBinding", "access-b7", "ClusterRole/cluster-admin", "User/bob"),
        _BOB,
    ),
    Case(
        "POST",
        f"{RBAC}/clusterrolebindings?dryRun=All",
        binding("ClusterRoleBinding", "access-b8", "ClusterRole/cluster-admin", "User/esme"),
        _ESME,
    ),
    Case(
        "PATCH", f"{RBAC}{HERE}/roles/reader?dryRun=All", {"rules": [on("core", "*", "get")]}, _BOB
    ),
    Case(
        "PATCH", f"{RBAC}{HERE}/roles/reader?dryRun=All", {"metadata": {"labels": {"a": "b"}}}, _BOB
    ),
    Case(
        "PATCH",
        f"{RBAC}{HERE}/rolebindings/reader?dryRun=All",
        {"subjects": [subject("User/bob")]},
        _BOB,
    ),
)
"""Writes of roles and bindings by those who may write them, but do not hold what they grant."""

IMPERSONATION: tuple[Case, ...] = (
    Case("GET", f"{CORE}/configmaps", None, (("Impersonate-Group", "crew"),)),
    Case("GET", f"{CORE}/configmaps", None, (("Impersonate-Extra-Scopes", "crew"),)),
    Case("GET", f"{CORE}/configmaps", None, (("Impersonate-Uid", "crew"),)),
)

BY_ROBOT: tuple[Case, ...] = (
    Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}),
    Case("GET", f"{CORE}/secrets"),
    Case("GET", f"{CORE}/secrets", None, as_("rita")),
    Case(
        "POST",
        f"{AUTHENTICATION}/selfsubjectreviews",
        {},
        as_("rita", Group="crew", Extra_Scopes="a"),
    ),
    Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}, as_("admin")),
    Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}, as_("rita", Group="system:masters")),
    Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}, as_("rita", Uid="u")),
    Case("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}, as_("rita", Extra_Other="a")),
    Case(
        "POST",
        f"{AUTHENTICATION}/selfsubjectreviews",
        {},
        as_("system:serviceaccount:access-two:default"),
    ),
)
"""Asked with the token of the service account `robot`, which may impersonate a little."""

REQUESTS: tuple[Case, ...] = (
    Case("POST", TOKEN, request()),
    Case("POST", TOKEN, request(audiences=["a", "b"], expirationSeconds=700)),
    Case("POST", TOKEN, {}),
    Case("POST", TOKEN, request(expirationSeconds=10)),
    Case("POST", TOKEN, request(expirationSeconds=2**33)),
    Case("POST", TOKEN, {"metadata": {"name": "other"}, "spec": {}}),
    Case("POST", TOKEN, {"metadata": {"namespace": "other"}, "spec": {}}),
    Case("POST", TOKEN, request(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})),
    Case(
        "POST", TOKEN, request(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "none"})
    ),
    Case(
        "POST",
        TOKEN,
        request(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "x"}),
    ),
    Case(
        "POST",
        TOKEN,
        request(boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "held"}),
    ),
    Case(
        "POST",
        TOKEN,
        request(boundObjectRef={"kind": "ConfigMap", "apiVersion": "v1", "name": "c"}),
    ),
    Case("POST", TOKEN, request(boundObjectRef={"kind": "Secret", "apiVersion": "v1"})),
    Case(
        "POST",
        f"{CORE}/serviceaccounts/short-lived/token",
        request(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"}),
    ),
    Case("POST", f"{CORE}/serviceaccounts/none/token", request()),
    Case("GET", TOKEN),
)

UNKNOWN: tuple[Case, ...] = tuple(
    Case("GET", path)
    for path in (
        "/nosuch",
        "/apis/x.y",
        "/apis/x.y/v1",
        "/apis/x.y/v1/things",
        "/apis/apps/v7",
        "/apis/apps/v7/things",
        "/api/v1/nosuch",
        "/apis/apps/v1/nosuch",
    )
)
"""Addresses where nothing is."""

ALL = {
    "forbidden": FORBIDDEN,
    "allowed": ALLOWED,
    "reviews": REVIEWS,
    "grants": GRANTS,
    "impersonation": IMPERSONATION,
    "robot": BY_ROBOT,
    "requests": REQUESTS,
    "unknown": UNKNOWN,
}

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
_TOKEN = re.compile(r"^[\w-]+\.[\w-]+\.[\w-]+$")
_LEFT_OUT = ("managedFields", "resourceVersion", "selfLink")


def comparable(value: Any) -> Any:
    """Return an answer without values that differ between runs, with rules in a fixed order."""
    if isinstance(value, dict):
        found = {key: comparable(child) for key, child in value.items() if key not in _LEFT_OUT}
        for key in ("resourceRules", "nonResourceRules"):
            if key in found:
                found[key] = sorted(found[key], key=lambda rule: json.dumps(rule, sort_keys=True))
        return found
    if isinstance(value, list):
        return [comparable(child) for child in value]
    if isinstance(value, str):
        if _TIME.match(value):
            return "<time>"
        return "<token>" if len(value) > 100 and _TOKEN.match(value) else _UID.sub("<uid>", value)
    return value


@dataclass
class Server:
    """A server that is asked as its administrator."""

    url: str
    token: str
    trust: ssl.SSLContext = field(default_factory=ssl._create_unverified_context)

    def ask(self, case: Case, token: str | None = None, media: str = "") -> Answer:
        data = None if case.body is None else json.dumps(case.body).encode()
        asked = urllib.request.Request(self.url + case.path, data, method=case.method)
        for name, value in case.headers:
            asked.add_header(name, value)
        asked.add_header("Authorization", f"Bearer {token or self.token}")
        asked.add_header(
            "Content-Type", media or (MERGE if case.method == "PATCH" else "application/json")
        )
        try:
            with urllib.request.urlopen(asked, context=self.trust, timeout=30) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, _decoded(refused.read())


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


DEFAULT_ROLES = [
    "admin",
    "cluster-admin",
    "edit",
    "system:aggregate-to-admin",
    "system:aggregate-to-edit",
    "system:aggregate-to-view",
    "system:auth-delegator",
    "system:basic-user",
    "system:discovery",
    "system:monitoring",
    "system:public-info-viewer",
    "system:service-account-issuer-discovery",
    "view",
]
"""Of the real one's default roles, those that we have too."""


def _role_of(server: Server, name: str) -> list[Any]:
    found = server.ask(Case("GET", f"{RBAC}/clusterroles/{name}"))[1]
    return [found.get("rules"), found.get("aggregationRule"), found["metadata"]["labels"]]


def record(server: Server) -> None:
    for path, body in SETUP:
        status, answer = server.ask(Case("POST", path, body))
        if status not in (201, 409):
            raise SystemExit(f"{path}: {status} {answer}")
    robot = server.ask(REQUESTS[0])[1]["status"]["token"]
    found: dict[str, dict[str, Any]] = {}
    for name, cases in ALL.items():
        found[name] = {}
        for case in cases:
            status, body = server.ask(case, robot if name == "robot" else None)
            short = name in ("allowed", "grants") and status < 300
            found[name][case.title] = [
                status,
                None if short or name == "allowed" else comparable(body),
            ]
    found["default roles"] = {name: _role_of(server, name) for name in DEFAULT_ROLES}
    RECORDED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(Server(*sys.argv[1:3]))
