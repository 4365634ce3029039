"""Every address, every method, every person: what nobody decided fails here."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from audit.models import Record
from common.roles import Role
from nms_admin import basic
from nms_admin.api import api
from nms_admin.models import User
from tests.conftest import PASSWORD

PUBLIC, VIEWER, OPERATOR, ADMINISTRATOR = (
    "public",
    "viewer",
    "operator",
    "administrator",
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# Route -> the least role that reaches it, and the methods it knows.
PAGES = {
    "front-door": (PUBLIC, "GET"),
    "setup": (
        PUBLIC,
        "GET",
    ),  # 404 after Finish; before it tests/nms_admin/test_wizard.py
    "setup-step": (PUBLIC, "GET POST"),
    "login": (PUBLIC, "GET POST"),
    "logout": (PUBLIC, "POST"),
    "welcome": (PUBLIC, "GET POST"),
    "liveness": (PUBLIC, "GET"),
    "readiness": (PUBLIC, "GET"),
    "nginx-usage": (PUBLIC, "GET POST"),  # who may: tests/usage/test_intake.py
    "no-such-call": (PUBLIC, "GET POST PUT PATCH DELETE"),  # always 404
    "privacy": (PUBLIC, "GET"),
    "csp-report": (PUBLIC, "POST"),
    "interaction-data-permission": (PUBLIC, "GET"),
    "ui-help": (PUBLIC, "GET"),
    "ui-overview": (VIEWER, "GET"),
    "ui-docs": (VIEWER, "GET"),
    "ui-docs-schema": (VIEWER, "GET"),
    "ui-users": (VIEWER, "GET"),
    "ui-user-add": (ADMINISTRATOR, "GET POST"),
    "ui-user": (ADMINISTRATOR, "GET"),
    "user-role": (ADMINISTRATOR, "POST"),
    "user-deactivate": (ADMINISTRATOR, "POST"),
    "user-activate": (ADMINISTRATOR, "POST"),
    "user-link": (ADMINISTRATOR, "POST"),
    "user-sessions": (ADMINISTRATOR, "POST"),
    "user-unlock": (ADMINISTRATOR, "POST"),
    "profile": (VIEWER, "GET"),
    "profile-password": (VIEWER, "POST"),
    "profile-time-zone": (VIEWER, "POST"),
    "profile-sessions": (VIEWER, "POST"),
    "theme": (VIEWER, "POST"),
    "privacy-not-me": (VIEWER, "POST"),
    "ui-web-analytics": (VIEWER, "GET"),
    "interaction-data-choice": (ADMINISTRATOR, "POST"),
    "interaction-data-opt-out": (ADMINISTRATOR, "GET POST"),
    "interaction-data-acknowledgement": (ADMINISTRATOR, "POST"),
    "ui-health": (VIEWER, "GET"),
    "support-bundle": (ADMINISTRATOR, "POST"),
    "health-rows": (VIEWER, "GET"),
    "ui-audit": (VIEWER, "GET"),
    "ui-audit-record": (VIEWER, "GET"),
    "audit-check": (OPERATOR, "POST"),
    "audit-export-csv": (OPERATOR, "GET"),
    "audit-export-json": (OPERATOR, "GET"),
    "ui-data-planes": (VIEWER, "GET"),
    "ui-data-plane-remove": (ADMINISTRATOR, "GET POST"),
    "ui-agent-token-issue": (ADMINISTRATOR, "GET POST"),
    "ui-agent-token-revoke": (ADMINISTRATOR, "GET POST"),
    "ui-license": (VIEWER, "GET"),
    "ui-license-add": (ADMINISTRATOR, "GET POST"),
    "ui-license-history": (VIEWER, "GET"),
    "ui-license-as-of": (VIEWER, "GET"),
    "license-notice-hide": (ADMINISTRATOR, "POST"),
    "license-activation": (VIEWER, "GET"),
    "license-ask-again": (ADMINISTRATOR, "POST"),
    "license-connection": (ADMINISTRATOR, "POST"),
    "ui-license-turn-off": (ADMINISTRATOR, "GET"),
    "ui-license-terminate": (ADMINISTRATOR, "GET POST"),
    "ui-connectivity": (VIEWER, "GET"),
    "connectivity-run": (OPERATOR, "POST"),
    "connectivity-results": (VIEWER, "GET"),
    "usage-send": (OPERATOR, "POST"),
    "usage-outcome": (VIEWER, "GET"),
    "ui-usage-reports": (VIEWER, "GET"),
    "usage-courier": (VIEWER, "GET"),
    "usage-prepare": (OPERATOR, "POST"),
    "usage-acknowledge": (ADMINISTRATOR, "POST"),
    "ui-usage-preview": (VIEWER, "GET"),
    "ui-usage-report": (VIEWER, "GET"),
    "usage-report-acknowledgement": (OPERATOR, "GET"),
    "usage-report-download": (OPERATOR, "GET"),
    "ui-nginx-usage": (VIEWER, "GET"),
    "ui-telemetry": (VIEWER, "GET"),
    "telemetry-batch": (VIEWER, "GET"),
    "telemetry-export": (VIEWER, "GET"),
    "telemetry-data-points": (VIEWER, "GET"),
    "telemetry-try-now": (OPERATOR, "POST"),
    "telemetry-retry": (ADMINISTRATOR, "POST"),
    "telemetry-discard": (ADMINISTRATOR, "POST"),
    "telemetry-delete-held": (ADMINISTRATOR, "GET POST"),
}
API = {
    "GET /analytics": VIEWER,
    "PUT /analytics": ADMINISTRATOR,
    "GET /k8s-usage": VIEWER,
    "GET /k8s-usage/{uid}": VIEWER,
    "PUT /k8s-usage/{uid}": OPERATOR,
    "GET /license": VIEWER,
    "POST /license": ADMINISTRATOR,
    "PUT /license": ADMINISTRATOR,
    "DELETE /license": ADMINISTRATOR,
    "GET /license/status": VIEWER,
    "GET /metrics": VIEWER,
    "GET /health": VIEWER,
    "GET /modules/versions": VIEWER,
    "GET /modules/licensed": VIEWER,
    "GET /report/device_mode": VIEWER,
    "POST /report/send": OPERATOR,
    "GET /report/download": OPERATOR,
    "GET /report/status/{number}": OPERATOR,
    "POST /report/upload": ADMINISTRATOR,
    "GET /userinfo": VIEWER,
}
# With the license in it a report is the administrator's alone (tests/usage).
QUERIES = {"GET /report/download": "?credentials=omit"}
BODIES = {"PUT /analytics": '{"interactionData": false}'}
# Browsers and NGINX send reports by themselves; the other says 404 to everything.
WITHOUT_CSRF = {"csp-report", "nginx-usage", "no-such-call"}
RANK = {PUBLIC: 0, VIEWER: 1, OPERATOR: 2, ADMINISTRATOR: 3}


def walk(
    patterns: list[URLPattern | URLResolver], before: str = ""
) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, before + str(pattern.pattern))
        else:
            yield before + str(pattern.pattern), pattern


ALL = list(walk(get_resolver().url_patterns))
SITE = {
    pattern.name: (path, pattern)
    for path, pattern in ALL
    if not path.startswith("api/platform")
}


def address(path: str, target: User) -> str:
    """Fill in the parts of a path; a user's number is somebody else's."""
    samples = {
        "int": str(target.pk),
        "uuid": str(uuid.UUID(int=1)),
        "str": "core",
        "path": "core",
    }
    if "setup" in path:
        samples["int"] = "1"
    return "/" + re.sub(r"<(\w+):\w+>", lambda found: samples[found[1]], path)


OPERATIONS = {
    f"{method} {path}": operation.view_func
    for _, router in api._routers
    for path, view in router.path_operations.items()
    for operation in view.operations
    for method in operation.methods
}


@pytest.fixture
def target(db) -> User:
    return User.objects.create_user("target", role=Role.VIEWER)


@pytest.fixture
def people(ada, otto, vera, signed_in):
    """The browsers of nobody, vera, otto and ada, by rank."""
    return [Client(), signed_in(vera), signed_in(otto), signed_in(ada)]


def test_every_route_is_in_the_matrix_and_nothing_else():
    assert set(SITE) == set(PAGES)


@pytest.mark.parametrize("name", sorted(set(SITE) & set(PAGES)))
def test_a_view_says_itself_what_the_matrix_says(name):
    assert SITE[name][1].callback.access == PAGES[name][0]


@pytest.mark.parametrize("name", sorted(set(SITE) & set(PAGES)))
def test_each_person_gets_what_the_matrix_says(name, people, target):
    access, methods = PAGES[name]
    path = address(SITE[name][0], target)
    for rank in range(4):
        for method in METHODS:
            records = Record.objects.count()
            response = people[rank].generic(method, path)
            case = f"{method} {path} by rank {rank}: {response.status_code}"
            if RANK[access] > rank:
                sent = response.get("Location", "").startswith("/login")
                refused = sent if rank == 0 else response.status_code == 403
                assert refused, case
                assert Record.objects.count() == records, case
            elif method not in methods.split():
                assert response.status_code == 405, case
            else:
                assert response.status_code < 500, case
                assert response.status_code not in (401, 403, 405), case


@pytest.mark.parametrize("name", sorted(n for n in PAGES if "GET" in PAGES[n][1]))
def test_no_page_shows_the_code_of_a_template(name, people, target):
    for client in (people[0], people[3]):
        response = client.get(address(SITE[name][0], target))
        if response.get("Content-Type", "").startswith("text/html"):
            page = response.content.decode()
            assert not re.search(r"\{[%{#]", page), name


@pytest.mark.parametrize(
    "name",
    sorted(
        n
        for n in set(SITE) & set(PAGES)
        if "POST" in PAGES[n][1] and n not in WITHOUT_CSRF
    ),
)
def test_a_post_without_the_token_is_refused(name, ada, signed_in, target):
    client = signed_in(ada)
    client.handler.enforce_csrf_checks = True
    records = Record.objects.count()
    response = client.post(address(SITE[name][0], target))
    assert response.status_code == 403
    assert Record.objects.count() == records


def call(method: str, path: str, user: User | None, **extra):
    """Call the API as an API client does, with Basic credentials and no cookie."""
    headers = {}
    if user:
        pair = base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    return Client().generic(
        method,
        f"/api/platform/v1{path}{QUERIES.get(f'{method} {path}', '')}",
        BODIES.get(f"{method} {path}", "{}"),
        "application/json",
        headers=headers,
        **extra,
    )


def test_every_api_operation_is_in_the_matrix():
    assert set(OPERATIONS) == set(API)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) & set(API)))
def test_each_account_gets_from_the_api_what_the_matrix_says(
    name, ada, otto, vera, finished
):
    basic._verified.clear()
    method, path = name.split()
    assert OPERATIONS[name].access == API[name]
    for rank, user in enumerate((None, vera, otto, ada)):
        records = Record.objects.count()
        response = call(method, path, user)
        case = f"{name} by rank {rank}: {response.status_code}"
        if RANK[API[name]] > rank:
            assert response.status_code == (403 if rank else 401), case
            assert response["Content-Type"].startswith("application/json"), case
            assert Record.objects.count() == records, case
        else:
            assert response.status_code < 500, case
            assert response.status_code not in (401, 403), case


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) & set(API)))
def test_the_api_never_accepts_the_session_cookie(name, ada, signed_in):
    method, path = name.split()
    client = signed_in(ada)
    client.handler.enforce_csrf_checks = True
    assert client.get("/ui/profile").status_code == 200
    assert client.generic(method, f"/api/platform/v1{path}", "{}").status_code == 401
