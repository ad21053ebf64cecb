"""The paths of older clients: the same views, marked as deprecated."""

import re
from urllib.parse import unquote
from uuid import uuid4

import pytest
from flask import Flask

from app import assemble
from auth.middleware import SignedIn
from compat import FORMER_PATHS, MOVED_PAGES
from config import load_settings
from security.api.operation import OPERATIONS_KEY, Operation
from tests.whole.environment import EVERYTHING, PUBLIC_HOST, production_environment

NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
BASE = f"https://{PUBLIC_HOST}"
FORMER_HEALTH = ("/api/v1/health", "/api/v1/health/ready", "/api/v1/health/live", "/api/core/health")


def application(**changes: str) -> Flask:
    environ = production_environment(NOWHERE, "https://predict.example.com")
    return assemble(load_settings({**environ, "COMPAT_ROUTES": "on", **changes}))


@pytest.fixture(scope="module")
def service() -> Flask:
    return application(**EVERYTHING)


def operations(app: Flask) -> dict[str, Operation]:
    return {f"{each.method} {each.path}": each for each in app.extensions[OPERATIONS_KEY].values()}


@pytest.mark.parametrize("former", FORMER_PATHS)
def test_a_former_path_is_described_as_deprecated_and_is_otherwise_the_one_of_today(
    service: Flask, former: str
) -> None:
    path = FORMER_PATHS[former]
    rules = {f"{method} {rule.rule}" for rule in service.url_map.iter_rules() for method in rule.methods or ()}
    assert former in rules
    now, then = operations(service)[f"{former.partition(' ')[0]} {path}"], operations(service)[former]
    assert (now.deprecated, then.deprecated) == (False, True)
    assert (then.bodies, then.answers, then.guard, then.tag) == (now.bodies, now.answers, now.guard, now.tag)
    described = service.test_client().get("/openapi.json").get_json()["paths"][then.path_template][then.method.lower()]
    assert described["deprecated"] is True
    assert {"Deprecation", "Link"} <= {name for each in described["responses"].values() for name in each["headers"]}


def test_what_is_asked_of_accounts_is_counted_as_such_by_former_paths_too(service: Flask) -> None:
    guards = {each.path: each.guard for each in operations(service).values() if isinstance(each.guard, SignedIn)}
    former = {former.split()[1] for former, today in FORMER_PATHS.items() if today.startswith("/api/auth/")}
    of_accounts = {path for path in guards if path.startswith("/api/auth/")} | (former & guards.keys())
    assert {path for path, guard in guards.items() if guard.account_call} == of_accounts | {"/api/customers/tokens"}
    assert {"/api/auth/profile", "/api/customers/password/change"} <= of_accounts


@pytest.mark.parametrize(("former", "page"), MOVED_PAGES.items())
def test_a_page_that_moved_is_found(service: Flask, former: str, page: str) -> None:
    client = service.test_client()
    moved = client.get(former, base_url=BASE)
    assert (moved.status_code, moved.headers["Location"]) == (308, page)
    assert moved.headers["Deprecation"] == "@1795910400"
    assert moved.headers["Link"] == f'<{page}>; rel="successor-version"'
    assert client.get(former, base_url=BASE, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("token", ["ot_abc", "a b&c#d\r\nX: y"])
def test_an_old_link_opens_the_page_and_confirms_nothing(service: Flask, token: str) -> None:
    """There is no database here, so nothing could be."""
    answer = service.test_client().get("/api/customers/verify-email", query_string={"token": token}, base_url=BASE)
    assert answer.status_code == 303
    page, _, sent = answer.headers["Location"].partition("#token=")
    assert (page, unquote(sent)) == ("/account/verify-email", token)
    assert answer.headers["Link"] == '</account/verify-email>; rel="successor-version"'
    assert {character for character in sent if not character.isalnum()} <= set("_%")


@pytest.mark.parametrize("query", ["", f"?token={'x' * 68}", "?token=a&token=b", "?token=a&more=b"])
def test_a_link_without_its_token_is_refused(service: Flask, query: str) -> None:
    assert service.test_client().get(f"/api/customers/verify-email{query}", base_url=BASE).status_code in {400, 422}


def test_what_has_a_form_of_its_own_is_described_as_deprecated(service: Flask) -> None:
    paths = service.test_client().get("/openapi.json", base_url=BASE).get_json()["paths"]
    for path, method in (
        ("/api/customers/tokens", "post"),
        ("/api/customers/verify-email", "get"),
        ("/api/docs/", "get"),
        ("/api/schema/", "get"),
    ):
        assert paths[path][method]["deprecated"] is True


def test_every_answer_at_a_former_path_says_so(service: Flask) -> None:
    client = service.test_client()
    good = client.get("/api/v1/health/live", base_url=BASE)
    refused = client.get("/api/auth/me", base_url=BASE)
    page = client.get("/api/docs/", base_url=BASE)
    assert [each.status_code for each in (good, refused, page)] == [200, 401, 308]
    assert {each.headers["Deprecation"] for each in (good, refused, page)} == {"@1795910400"}
    assert good.get_json() == {"status": "ok"} == client.get("/health/live", base_url=BASE).get_json()
    today = client.get("/health/live", base_url=BASE)
    assert {"Deprecation", "Link"}.isdisjoint(today.headers.keys())


@pytest.mark.parametrize(
    ("method", "former", "path"),
    [
        ("GET", "/api/v1/health/live", "/health/live"),
        ("POST", "/auth/login", "/api/auth/login"),
        ("GET", "/users/me", "/api/auth/profile"),
        ("PUT", "/users/me", "/api/auth/profile"),
        ("DELETE", "/users/me", "/api/auth/profile"),
        ("POST", "/payments/create-intent", "/api/payments/stripe/create-intent"),
        ("GET", "/payments/{}", "/api/payments/{}"),
        ("GET", "/api/v1/conversations/{}/messages", "/api/gateway/conversations/{}/messages"),
        ("POST", "/api/customers/tokens", "/api/auth/tokens"),
    ],
)
def test_every_answer_at_a_former_path_names_the_path_of_today(
    service: Flask, method: str, former: str, path: str
) -> None:
    """Also a refusal. Ids are filled in, and a query is not repeated: it may hold what no other place should."""
    asked = uuid4()
    answer = service.test_client().open(f"{former.format(asked)}?x=1", method=method, base_url=BASE)
    assert answer.headers.getlist("Link") == [f'<{path.format(asked)}>; rel="successor-version"']
    assert answer.headers["Deprecation"] == "@1795910400"


@pytest.mark.parametrize("path", [*FORMER_HEALTH, "/health", "/health/ready", "/health/live"])
def test_a_platform_may_ask_for_health_over_plain_http(service: Flask, path: str) -> None:
    """Inside its network there is no TLS, and a probe follows no redirect."""
    outside = {"X-Forwarded-For": "10.0.0.7", "X-Forwarded-Proto": "http"}
    answer = service.test_client().get(path, base_url=f"http://{PUBLIC_HOST}", headers=outside)
    assert answer.get_json()["status"] in {"ok", "ready", "degraded", "not_ready"}


def test_nothing_else_may_be_asked_for_over_plain_http_at_a_former_path(service: Flask) -> None:
    outside = {"X-Forwarded-For": "10.0.0.7", "X-Forwarded-Proto": "http"}
    answer = service.test_client().get("/api/auth/me", base_url=f"http://{PUBLIC_HOST}", headers=outside)
    assert answer.get_json()["error"] == "https_required"


def test_former_paths_can_be_switched_off() -> None:
    client = application(**{**EVERYTHING, "COMPAT_ROUTES": "off"}).test_client()
    for former in [*FORMER_PATHS, *(f"GET {page}" for page in MOVED_PAGES), "GET /api/customers/verify-email?token=x"]:
        method, _, path = former.partition(" ")
        answer = client.open(re.sub("<uuid:[a-z_]+>", str(uuid4()), path), method=method, base_url=BASE)
        assert answer.status_code == 404, former
    assert client.post("/api/customers/tokens", json={"name": "x"}, base_url=BASE).status_code == 404


def test_former_paths_of_what_is_switched_off_do_not_exist() -> None:
    client = application(CAPABILITIES="predict").test_client()
    assert client.post("/api/payments/create-intent", json={}, base_url=BASE).status_code == 404
