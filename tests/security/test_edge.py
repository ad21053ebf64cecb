"""What holds for every answer, whatever the route: headers, ids, hosts, https, origins, addresses."""

import re
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from security.edge.problems import PROBLEM_JSON
from security.edge.request_id import current_request_id, current_traceparent
from security.edge.switched_off import note_switched_off
from tests.toy_api import ALLOWED_ORIGIN, BODY_LIMIT, told, toy_app


def fail() -> str:
    raise RuntimeError("a bug")


def answers_of_every_kind(app: Flask) -> dict[str, TestResponse]:
    app.add_url_rule("/toy/broken", view_func=fail)
    client = app.test_client()
    preflight = {"Origin": ALLOWED_ORIGIN, "Access-Control-Request-Method": "POST"}
    return {
        "200": client.get("/toy/wishes"),
        "204": client.delete(f"/toy/wishes/{UUID(int=1)}"),
        "HEAD": client.head("/toy/wishes"),
        "preflight": client.options("/toy/wishes", headers=preflight),
        "400": client.post("/toy/wishes", data=b"{", content_type="application/json"),
        "401": client.put("/toy/wishes"),
        "404": client.get("/nowhere"),
        "405": client.patch("/toy/wishes"),
        "413": client.post("/toy/wishes", data=b" " * (BODY_LIMIT + 1), content_type="application/json"),
        "415": client.post("/toy/wishes", data=b"{}"),
        "422": client.get("/toy/wishes?limit=0"),
        "500": client.get("/toy/broken"),
    }


def test_every_answer_carries_the_security_headers_once(toy: Flask) -> None:
    for kind, answer in answers_of_every_kind(toy).items():
        expected = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-site",
            "Permissions-Policy": "interest-cohort=()",
            "Cache-Control": "no-store",
            "Vary": "Origin",
        }
        assert {name: answer.headers.getlist(name) for name in expected} == {
            name: [value] for name, value in expected.items()
        }, kind
        assert "default-src 'none'; frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], kind
        assert len(answer.headers.getlist("X-Request-ID")) == 1, kind
        assert "Strict-Transport-Security" not in answer.headers, kind
        assert "Server" not in answer.headers, kind


def test_every_error_is_a_problem_with_the_request_id(toy: Flask) -> None:
    for kind, answer in answers_of_every_kind(toy).items():
        if answer.status_code < 400:
            continue
        problem = told(answer)
        assert answer.content_type == PROBLEM_JSON, kind
        assert str(problem["status"]) == kind
        assert problem["request_id"] == answer.headers["X-Request-ID"], kind
        assert problem["instance"] == f"urn:mirroros:request:{problem['request_id']}", kind
        assert problem["type"] == f"urn:mirroros:problem:{problem['error']}", kind
        assert problem["message"] == problem["detail"], kind


def test_a_client_that_takes_only_json_gets_the_problem_under_that_name(toy: Flask) -> None:
    answer = toy.test_client().get("/nowhere", headers={"Accept": "application/json"})
    assert (answer.content_type, told(answer)["error"]) == ("application/json", "not_found")


@pytest.mark.parametrize("accept", ["*/*", "application/problem+json", "text/html", "application/json, */*;q=0.1", ""])
def test_any_other_client_gets_problem_json(toy: Flask, accept: str) -> None:
    assert toy.test_client().get("/nowhere", headers={"Accept": accept}).content_type == PROBLEM_JSON


def test_a_wrong_method_is_told_the_right_ones(toy: Flask) -> None:
    answer = toy.test_client().patch("/toy/wishes")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST", "PUT"}


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "CONNECT"])
def test_an_unknown_method_is_405(toy: Flask, method: str) -> None:
    assert toy.test_client().open("/toy/wishes", method=method).status_code == 405


def test_options_lists_the_methods_without_a_body(toy: Flask) -> None:
    answer = toy.test_client().options("/toy/wishes")
    assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (204, b"", False)
    assert "POST" in answer.headers["Allow"]


def test_options_of_an_unknown_address_is_404(toy: Flask) -> None:
    assert toy.test_client().options("/nowhere").status_code == 404


@pytest.mark.parametrize("path", ["/toy//wishes", "/toy/wishes/"])
def test_no_address_redirects(toy: Flask, path: str) -> None:
    assert toy.test_client().get("/", environ_overrides={"PATH_INFO": path}).status_code == 404


def test_a_path_argument_that_is_no_uuid_is_404(toy: Flask) -> None:
    assert toy.test_client().delete("/toy/wishes/" + "9" * 40).status_code == 404


def test_a_well_formed_request_id_is_kept(toy: Flask) -> None:
    answer = toy.test_client().get("/toy/wishes", headers={"X-Request-ID": "client-id_01"})
    assert answer.headers["X-Request-ID"] == "client-id_01"


@pytest.mark.parametrize(
    "offered", ["short", "a" * 65, "a" * 5000, "has space", "line\nbreak-12", "\x1b[31mred-text", "", "ümlaut-id-12"]
)
def test_any_other_request_id_is_replaced_by_a_uuid_of_version_7(toy: Flask, offered: str) -> None:
    answer = toy.test_client().get("/toy/wishes", environ_overrides={"HTTP_X_REQUEST_ID": offered})
    assert UUID(answer.headers["X-Request-ID"]).version == 7


def traceparents(app: Flask, sent: str | None) -> list[str]:
    seen: list[str] = []

    def remember() -> str:
        seen.extend([current_traceparent(), current_traceparent(), current_request_id()])
        return ""

    app.add_url_rule("/trace", view_func=remember)
    answer = app.test_client().get("/trace", headers={"traceparent": sent} if sent is not None else {})
    assert answer.headers["X-Request-ID"] == seen.pop()
    return seen


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("version", ["00", "01"])
def test_a_trace_goes_on_with_new_parents(toy: Flask, version: str) -> None:
    first, second = traceparents(toy, f"{version}-{TRACE}-00f067aa0ba902b7-01")
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", first)
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", second)
    assert first != second
    assert "00f067aa0ba902b7" not in first


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "junk",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{TRACE}-00f067aa0ba902b7-01-more",
        f"00-{TRACE}-00f067aa0ba902b7-1",
    ],
)
def test_a_malformed_trace_is_replaced_by_one_new_trace(toy: Flask, sent: str | None) -> None:
    first, second = traceparents(toy, sent)
    assert TRACE not in first
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", first)
    assert first[:36] == second[:36]


def test_a_request_without_host_is_400(toy: Flask) -> None:
    builder = EnvironBuilder("/toy/wishes")
    environ = builder.get_environ()
    del environ["HTTP_HOST"]
    body, status, _ = run_wsgi_app(toy, environ)
    assert (status, b"malformed_request" in b"".join(body)) == ("400 BAD REQUEST", True)


def test_a_foreign_host_is_400_and_does_not_come_back(canary: str) -> None:
    client = toy_app(trusted_hosts=("api.example.com",)).test_client()
    assert client.get("/toy/wishes", headers={"Host": "api.example.com"}).status_code == 200
    refused = client.get("/toy/wishes", headers={"Host": f"{canary}.example"})
    assert (refused.status_code, told(refused)["error"]) == (400, "malformed_request")
    assert canary not in refused.text
    assert "TRUSTED_HOSTS" in told(refused)["detail"]


def test_plain_http_is_told_what_an_operator_can_do() -> None:
    answer = (
        toy_app(require_https=True).test_client().get("/toy/wishes", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    )
    assert (answer.status_code, told(answer)["error"]) == (403, "https_required")
    assert "TRUSTED_PROXY_HOPS" in told(answer)["detail"]


@pytest.mark.parametrize(("name_settings", "told_more"), [(True, True), (False, False)])
@pytest.mark.parametrize("path", ["/shop", "/shop/orders", "/shop/orders/1"])
def test_a_route_that_is_only_switched_off_says_so(
    toy: Flask, path: str, *, name_settings: bool, told_more: bool
) -> None:
    note_switched_off(toy, {"/shop": "SHOP_KEY"}, name_settings=name_settings)
    problem = told(toy.test_client().get(path))
    assert (problem["status"], problem["error"]) == (404, "not_found")
    assert "turned off" in problem["detail"]
    assert ("SHOP_KEY" in problem["detail"]) == told_more
    for other in ("/shopping", "/toy"):
        assert "switched off" not in told(toy.test_client().get(other))["detail"]


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("127.8.9.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("::1:2", 403), ("::12", 403)],
)
def test_only_loopback_may_speak_in_the_clear(address: str, status: int) -> None:
    app = toy_app(require_https=True)
    answer = app.test_client().get("/toy/wishes", environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == status
