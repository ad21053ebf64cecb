"""The paths of older clients: the same views, marked as deprecated."""

import pytest
from flask import Flask

from app import assemble
from compat import FORMER_PATHS
from config import load_settings
from security.api.operation import OPERATIONS_KEY, Operation
from tests.whole.environment import EVERYTHING, PUBLIC_HOST, production_environment

NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
BASE = f"https://{PUBLIC_HOST}"
FORMER_HEALTH = ("/api/v1/health", "/api/v1/health/ready", "/api/v1/health/live", "/api/core/health")
PAGES = {"/docs", "/openapi.json"}


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
    if path not in PAGES:
        now, then = operations(service)[f"{former.partition(' ')[0]} {path}"], operations(service)[former]
        assert (now.deprecated, then.deprecated) == (False, True)
        assert (then.bodies, then.answers, then.guard, then.tag) == (now.bodies, now.answers, now.guard, now.tag)
        described = (
            service.test_client().get("/openapi.json").get_json()["paths"][then.path_template][then.method.lower()]
        )
        assert described["deprecated"] is True


def test_every_answer_at_a_former_path_says_so(service: Flask) -> None:
    client = service.test_client()
    good = client.get("/api/v1/health/live", base_url=BASE)
    refused = client.get("/api/auth/me", base_url=BASE)
    page = client.get("/api/docs/", base_url=BASE)
    assert [each.status_code for each in (good, refused, page)] == [200, 401, 200]
    assert {each.headers["Deprecation"] for each in (good, refused, page)} == {"@1795910400"}
    assert good.get_json() == {"status": "ok"} == client.get("/health/live", base_url=BASE).get_json()
    assert "Deprecation" not in client.get("/health/live", base_url=BASE).headers


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
    client = application(COMPAT_ROUTES="off").test_client()
    assert client.get("/api/v1/health/live", base_url=BASE).status_code == 404


def test_former_paths_of_what_is_switched_off_do_not_exist() -> None:
    client = application().test_client()
    assert client.post("/api/payments/create-intent", json={}, base_url=BASE).status_code == 404
