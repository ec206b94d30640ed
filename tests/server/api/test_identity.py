"""Users from headers: authentication, access reviews, and how long these are cached."""

from __future__ import annotations

from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_workspaces.kube.catalog import NAMESPACES, PODS
from jupyter_workspaces.kube.errors import ClusterError, Forbidden, Unreachable
from jupyter_workspaces.resources.catalog import WORKSPACES
from jupyter_workspaces.server.access_reviews import (
    Access,
    CannotReviewAccess,
    forbidden_message,
)
from jupyter_workspaces.server.http.identity import HeaderIdentities, Identity

ADA = Identity("ada", ("crew",))


def headers(*lines: tuple[str, str]) -> HTTPHeaders:
    """As they come over the wire, where blanks around a value are none of it."""
    return HTTPHeaders.parse("".join(f"{name}: {value}\r\n" for name, value in lines))


# As recorded of the original backend: golden/kubeflow/gen-user-header, gen-group-header.
@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ((), None),
        ((("kubeflow-userid", ""),), None),
        ((("kubeflow-userid", "   "),), None),
        ((("kubeflow-userid", ":"),), None),
        ((("kubeflow-userid", "ada"),), Identity("ada")),
        ((("KUBEFLOW-USERID", "ada"),), Identity("ada")),
        ((("kubeflow-userid", ":ada"),), Identity("ada")),
        ((("kubeflow-userid", "::ada"),), Identity(":ada")),
        ((("kubeflow-userid", "  ada  "),), Identity("ada")),
        ((("kubeflow-userid", "ada"), ("kubeflow-userid", "eve")), Identity("ada")),
        ((("kubeflow-groups", "crew"),), None),
        ((("Authorization", "Bearer ada"),), None),
        (
            (("kubeflow-userid", "ada"), ("kubeflow-groups", "a,b"), ("kubeflow-groups", "c")),
            Identity("ada", ("a,b", "c")),
        ),
        (
            (("kubeflow-userid", "ada"), ("kubeflow-groups", " "), ("kubeflow-groups", " c ")),
            Identity("ada", ("c",)),
        ),
    ],
)
def test_whom_headers_name(lines: tuple[tuple[str, str], ...], named: Identity | None) -> None:
    assert HeaderIdentities().identity(headers(*lines)) == named


def test_names_of_headers_and_prefixes_can_be_chosen() -> None:
    chosen = HeaderIdentities(
        user_header="x-goog-authenticated-user-email",
        user_prefix="accounts.google.com:",
        groups_header="x-groups",
        groups_prefix="oidc:",
    )
    lines = (
        ("X-Goog-Authenticated-User-Email", "accounts.google.com:ada@example.org"),
        ("X-Groups", "oidc:crew"),
        ("kubeflow-userid", "eve"),
    )
    assert chosen.identity(headers(*lines)) == Identity("ada@example.org", ("crew",))
    assert HeaderIdentities(user_prefix="").identity(
        headers(("kubeflow-userid", ":ada"))
    ) == Identity(":ada")


class Asked:
    """A cluster that knows SubjectAccessReviews only."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.reviews: list[Any] = []

    async def raw(self, method: str, path: str, *, body: Any = None) -> Any:
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews")
        self.reviews.append(body["spec"])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return body | {"status": {"allowed": answer}}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_what_the_cluster_is_asked() -> None:
    asked = Asked(True, False)
    access = Access(asked)  # type: ignore[arg-type]
    assert await access.allowed(ADA, "get", PODS, "team-a", "p", "log")
    assert not await access.allowed(ADA, "list", NAMESPACES)
    assert asked.reviews == [
        {
            "user": "ada",
            "groups": ["crew"],
            "resourceAttributes": {
                "verb": "get",
                "group": "",
                "version": "v1",
                "resource": "pods",
                "namespace": "team-a",
                "name": "p",
                "subresource": "log",
            },
        },
        {
            "user": "ada",
            "groups": ["crew"],
            "resourceAttributes": {
                "verb": "list",
                "group": "",
                "version": "v1",
                "resource": "namespaces",
            },
        },
    ]


async def test_its_word_counts_for_some_seconds_and_a_no_for_fewer() -> None:
    asked, clock = Asked(True, False, True, True), Clock()
    access = Access(asked, allowed_seconds=10, denied_seconds=2, clock=clock)  # type: ignore[arg-type]
    assert await access.allowed(ADA, "list", WORKSPACES, "a")
    clock.now += 9
    assert await access.allowed(ADA, "list", WORKSPACES, "a")
    assert len(asked.reviews) == 1
    clock.now += 2
    assert not await access.allowed(ADA, "list", WORKSPACES, "a")
    clock.now += 1
    assert not await access.allowed(ADA, "list", WORKSPACES, "a")
    assert len(asked.reviews) == 2
    clock.now += 1.5
    assert await access.allowed(ADA, "list", WORKSPACES, "a")


@pytest.mark.parametrize(
    "other",
    [
        (Identity("eve", ("crew",)), "list", WORKSPACES, "a"),
        (Identity("ada"), "list", WORKSPACES, "a"),
        (ADA, "get", WORKSPACES, "a"),
        (ADA, "list", PODS, "a"),
        (ADA, "list", WORKSPACES, "b"),
        (ADA, "list", WORKSPACES),
        (ADA, "list", WORKSPACES, "a", "n"),
        (ADA, "list", WORKSPACES, "a", "", "status"),
    ],
)
async def test_one_answer_is_not_taken_for_another(other: Any) -> None:
    access = Access(Asked(True, False))  # type: ignore[arg-type]
    assert await access.allowed(ADA, "list", WORKSPACES, "a")
    assert not await access.allowed(*other)


async def test_no_more_is_remembered_than_the_bound() -> None:
    asked = Asked(*[True] * 5)
    access = Access(asked, size=2)  # type: ignore[arg-type]
    for namespace in ("a", "b", "a", "c"):
        assert await access.allowed(ADA, "list", WORKSPACES, namespace)
    assert len(asked.reviews) == 3
    assert await access.allowed(ADA, "list", WORKSPACES, "a")  # used last but one, so it stayed
    assert len(asked.reviews) == 3
    assert await access.allowed(ADA, "list", WORKSPACES, "b")
    assert len(asked.reviews) == 4


async def test_who_may_not_ask_is_the_server_and_not_the_user() -> None:
    access = Access(
        Asked(Forbidden("cannot create resource subjectaccessreviews"), Unreachable("away"), True)
    )  # type: ignore[arg-type]
    with pytest.raises(CannotReviewAccess, match="This server may not ask"):
        await access.allowed(ADA, "list", WORKSPACES)
    with pytest.raises(Unreachable):
        await access.allowed(ADA, "list", WORKSPACES)
    assert await access.allowed(ADA, "list", WORKSPACES)  # a fault is not remembered


@pytest.mark.parametrize("failure", [Unreachable("away"), ClusterError("broken", status=500)])
async def test_permission_outlives_silence_for_five_minutes_and_no_longer(
    failure: ClusterError,
) -> None:
    asked, clock = Asked(True, *[failure] * 1000), Clock()
    access = Access(asked, clock=clock)  # type: ignore[arg-type]
    assert await access.allowed(ADA, "list", WORKSPACES)
    for _ in range(29):
        clock.now += 10
        assert await access.allowed(ADA, "list", WORKSPACES)
    clock.now += 11
    with pytest.raises(ClusterError):
        await access.allowed(ADA, "list", WORKSPACES)


async def test_silence_never_makes_a_refusal_or_a_new_question_a_permission() -> None:
    away, clock = Unreachable("away"), Clock()
    access = Access(Asked(True, False, *[away] * 10), clock=clock)  # type: ignore[arg-type]
    assert await access.allowed(ADA, "list", WORKSPACES)
    clock.now += 11
    assert not await access.allowed(ADA, "list", WORKSPACES)
    clock.now += 1
    assert not await access.allowed(ADA, "list", WORKSPACES)
    clock.now += 2
    with pytest.raises(Unreachable):
        await access.allowed(ADA, "list", WORKSPACES)
    with pytest.raises(Unreachable):
        await access.allowed(ADA, "update", WORKSPACES)


async def test_a_server_that_may_not_ask_any_more_uses_no_old_answer() -> None:
    clock = Clock()
    access = Access(Asked(True, Forbidden("no"), Unreachable("away")), clock=clock)  # type: ignore[arg-type]
    assert await access.allowed(ADA, "list", WORKSPACES)
    clock.now += 11
    with pytest.raises(CannotReviewAccess):
        await access.allowed(ADA, "list", WORKSPACES)
    with pytest.raises(Unreachable):
        await access.allowed(ADA, "list", WORKSPACES)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("list", WORKSPACES, "a"),
            'workspaces.kubeflow.org is forbidden: User "ada" cannot list resource "workspaces" '
            'in API group "kubeflow.org" in the namespace "a"',
        ),
        (
            ("get", WORKSPACES, "a", "n"),
            'workspaces.kubeflow.org "n" is forbidden: User "ada" cannot get resource "workspaces" '
            'in API group "kubeflow.org" in the namespace "a"',
        ),
        (
            ("list", NAMESPACES),
            'namespaces is forbidden: User "ada" cannot list resource "namespaces" '
            'in API group "" at the cluster scope',
        ),
        (
            ("get", PODS, "a", "p", "log"),
            'pods "p" is forbidden: User "ada" cannot get resource "pods/log" '
            'in API group "" in the namespace "a"',
        ),
    ],
)
def test_refusals_are_worded_as_the_cluster_words_them(asked: Any, said: str) -> None:
    assert forbidden_message(ADA, *asked) == said


def test_header_identities_have_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """One would be printed in a link that signs nobody in."""
    monkeypatch.setenv("JUPYTER_TOKEN", "for-nothing")
    provider = HeaderIdentities()
    assert (provider.token, provider.token_generated) == ("", False)
