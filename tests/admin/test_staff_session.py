"""The session of the dashboard: it ends by itself, and with everything that ends a session."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from auth.email_address import parse_email
from auth.models import AuthSession
from auth.operators.accounts import disable, reset_second_factor, set_role
from auth.page_sessions.site import ADMIN
from auth.principal import Role
from database import transaction
from tests.admin.dashboard import BASE, PAGE, Dashboard, Staff, text_of
from tests.auth.accounts_app import bearer


@pytest.mark.parametrize(("minutes", "status"), [(29, 200), (31, 401)])
def test_it_ends_after_half_an_hour_without_use(dashboard: Dashboard, minutes: int, status: int) -> None:
    admin = dashboard.staff()
    admin.grow_old(minutes=minutes)
    assert admin.get("/admin").status_code == status


def idle_end(dashboard: Dashboard) -> timedelta:
    [(end,)] = dashboard.query("SELECT idle_expires_at - now() FROM sessions")
    return timedelta(seconds=end.total_seconds())


def test_opening_a_page_is_use_and_polling_is_none(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    admin.grow_old(minutes=20)
    assert admin.get("/admin/overview/figures").status_code == 200
    assert idle_end(dashboard) < timedelta(minutes=11)
    assert admin.get("/admin").status_code == 200
    assert idle_end(dashboard) > timedelta(minutes=29)


@pytest.mark.parametrize("dashboard_environment", [{"RATE_LIMIT_GENERAL": "on"}])
def test_the_dashboard_does_not_use_up_the_plan_of_the_account(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    assert {admin.get("/admin/overview/figures").status_code for _ in range(61)} == {200}


def test_it_ends_after_twelve_hours_however_it_is_used(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    now = dashboard.auth.clock()
    with dashboard.app.app_context(), transaction() as session:
        session.execute(
            update(AuthSession).values(
                expires_at=now + timedelta(seconds=90), last_seen_at=now - ADMIN.lifetimes.idle / 2
            )
        )
    assert admin.get("/admin").status_code == 200
    assert idle_end(dashboard) < timedelta(seconds=91)
    with dashboard.app.app_context(), transaction() as session:
        session.execute(update(AuthSession).values(expires_at=now, idle_expires_at=now + timedelta(hours=1)))
    assert admin.get("/admin").status_code == 401


def sign_out_everywhere(dashboard: Dashboard, who: Staff) -> None:
    now = dashboard.auth.clock()
    token = dashboard.auth.access_tokens.issue(
        user_id=who.user_id, session_id=who.session_id, auth_time=now, not_after=now + timedelta(minutes=5)
    )
    gone = dashboard.stranger.delete("/api/auth/sessions?keep_current=false", headers=bearer(token.text), base_url=BASE)
    assert gone.status_code == 200


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (lambda dashboard, who: disable(dashboard.auth, parse_email(who.email)), 401),
        (lambda dashboard, who: reset_second_factor(dashboard.auth, parse_email(who.email)), 401),
        (lambda dashboard, who: set_role(dashboard.auth, parse_email(who.email), Role.USER), 403),
        (sign_out_everywhere, 401),
    ],
    ids=["disabled", "second factor reset", "role taken away", "signed out everywhere"],
)
def test_what_is_taken_away_is_gone_with_the_next_request(
    dashboard: Dashboard, act: Callable[[Dashboard, Staff], None], status: int
) -> None:
    admin = dashboard.staff()
    assert admin.get("/admin").status_code == 200
    with dashboard.app.app_context():
        act(dashboard, admin)
    assert admin.get("/admin").status_code == status


def test_its_cookie_opens_the_dashboard_and_nothing_else_and_nobody_makes_one(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    cookie = admin.sessions.set_cookie(admin.session_id)
    assert cookie.startswith("__Host-mirroros-admin=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
    assert admin.client.get("/api/auth/profile", base_url=BASE).status_code == 401
    value = cookie.partition("=")[2].partition(";")[0]
    other = dashboard.staff().session_id
    mac = value.partition(".")[2]
    for forged in ("", value[:-1], f"{value}A", f"{other}.{mac}", value.upper(), f"{admin.session_id}.", f" {value}x"):
        browser = dashboard.stranger
        browser.set_cookie(admin.sessions.cookie, forged, domain="api.example.com", secure=True)
        assert browser.get("/admin", headers=PAGE, base_url=BASE).status_code == 401, forged


def test_a_form_of_another_session_is_refused(dashboard: Dashboard) -> None:
    admin, other = dashboard.staff(), dashboard.staff()
    token = other.sessions.pages.csrf_token(other.session_id)
    refused = admin.post("/admin/sign-out", {"csrf_token": token}, csrf=False)
    assert (refused.status_code, "Reload the page" in text_of(refused)) == (403, True)


def test_a_proof_leads_back_to_the_page_and_lasts_five_minutes(dashboard: Dashboard) -> None:
    """tests/test_toy_capability.py has an act that asks for one."""
    admin = dashboard.staff(second_factor=False)
    assert admin.get("/admin/second-factor").status_code == 200
    admin.grow_old(minutes=6)
    asked = admin.get("/admin/second-factor")
    assert asked.status_code == 401
    assert 'name="leads_to" value="/admin/second-factor"' in asked.text
