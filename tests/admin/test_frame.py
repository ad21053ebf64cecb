"""The frame of every page of the dashboard."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask import Blueprint, request

from auth.page_sessions.guards import VISITOR, PageGuards
from auth.page_sessions.pages import Subject
from auth.page_sessions.session import Visitor, page_sessions_of
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from auth.second_factor.factors import Factors
from auth.tiers import Tier
from database.base import uuid7
from site_frame.frame import Frame, ago, micros, moment, money
from tests.admin.dashboard import BASE, PAGE, Dashboard, text_of

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def test_a_stranger_is_shown_the_sign_in(dashboard: Dashboard) -> None:
    page = dashboard.stranger.get("/admin", base_url=BASE, headers=PAGE)
    assert (page.status_code, 'action="/admin/sign-in"' in page.text) == (401, True)


def test_staff_sees_the_overview(dashboard: Dashboard) -> None:
    page = dashboard.staff(Role.SUPPORT).get("/admin")
    assert page.status_code == 200
    assert "Overview" in text_of(page)


def test_who_follows_a_link_from_elsewhere_can_go_on(dashboard: Dashboard) -> None:
    """The browser keeps the cookie of the session back, because the link is another site's."""
    for site, shown in (("cross-site", True), ("none", False)):
        headers = {**PAGE, "Sec-Fetch-Site": site}
        page = dashboard.stranger.get("/admin/second-factor?x=1", base_url=BASE, headers=headers)
        assert ('<a href="/admin/second-factor?x=1">Go on' in page.text) is shown, site


@pytest.mark.parametrize(
    ("role", "shown"), [(Role.SUPPORT, ["Overview", "All"]), (Role.ADMIN, ["Overview", "All", "Few"])]
)
def test_an_entry_is_shown_to_those_whose_role_includes_its_own(
    dashboard: Dashboard, role: Role, shown: list[str]
) -> None:
    caller = Principal(uuid7(), uuid7(), Tier.FREE, None, role)
    pages = [Subject("all", "All", no_routes), Subject("few", "Few", no_routes, Role.ADMIN)]
    frame = Frame(page_sessions_of(dashboard.auth, ADMIN), pages, "Overview")
    with dashboard.app.test_request_context("/admin/all/x"):
        request.environ[VISITOR] = Visitor(caller, "ada@example.com", NOON, Factors(True, 0, 0), NOON)
        assert [entry.title for entry in frame.navigation] == shown
        assert [entry.title for entry in frame.navigation if entry.current] == ["All"]
        assert (frame.href_of("few") is not None) == ("Few" in shown)


def no_routes(_: PageGuards) -> Blueprint:
    raise AssertionError


def test_a_request_knows_nothing_of_the_one_before(dashboard: Dashboard) -> None:
    """A thread of the web server has one application context for all."""
    admin = dashboard.staff()
    with dashboard.app.app_context():
        assert admin.email in admin.post("/admin/confirm-identity", {"password": ""}).text
        stranger = dashboard.stranger.get("/admin/nothing", base_url=BASE, headers=PAGE)
        assert (stranger.status_code, admin.email in stranger.text) == (404, False)
        assert "Some fields are not valid" not in admin.get("/admin/confirm-identity").text


def test_a_problem_is_a_page_for_browsers_and_json_for_programs(dashboard: Dashboard) -> None:
    page = dashboard.stranger.get("/admin/nothing", base_url=BASE, headers=PAGE)
    assert (page.status_code, page.headers["X-Request-ID"] in text_of(page)) == (404, True)
    assert ("This page does not exist" in page.text, "openapi.json" in page.text) == (True, False)
    for path, headers in (("/admin/nothing", {}), ("/administer", PAGE)):
        answer = dashboard.stranger.get(path, base_url=BASE, headers=headers)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json"), path


def test_a_password_is_never_shown_again(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    page = admin.post("/admin/confirm-identity", {"password": "tulip-9-orbit", "code": "123456"})
    assert (page.status_code, "tulip-9-orbit" in page.text, "123456" in page.text) == (401, False, False)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (1, "1 second ago"), (119, "1 minute ago"), (7200, "2 hours ago"), (-90000, "in 1 day")],
)
def test_moments_are_said_in_words(seconds: int, words: str) -> None:
    assert ago(NOON, NOON + timedelta(seconds=seconds)) == words


def test_moments_and_money_are_written_alike_everywhere() -> None:
    assert moment(NOON.astimezone(timezone(timedelta(hours=2)))) == "2026-11-30 12:00 UTC"
    assert [money(123456, code) for code in ("usd", "jpy", "kwd")] == ["1,234.56 USD", "123,456 JPY", "123.456 KWD"]
    assert [micros(12_500, "usd"), micros(20_000_000, "eur"), micros(12, "usd")] == [
        "0.0125 USD",
        "20.00 EUR",
        "0.000012 USD",
    ]
