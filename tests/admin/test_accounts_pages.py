"""`/admin/accounts`: finding accounts, and what the staff do to them."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from auth.api_keys.create import KeyRequest, create_api_key
from auth.principal import Role
from database.base import uuid7
from tests.admin.dashboard import BASE, Dashboard, text_of
from tests.auth.accounts_app import bearer

REASON = "Ticket 4711: asked for it by phone"
ACTS = ("tier", "disable", "enable", "reset-second-factor")


def events_of(dashboard: Dashboard, user_id: UUID) -> list[tuple[str, UUID | None, dict[str, object]]]:
    return dashboard.query(
        "SELECT event, actor_id, detail FROM security_events WHERE user_id = :user ORDER BY id", user=user_id
    )


def test_support_finds_an_account_by_its_whole_address(dashboard: Dashboard) -> None:
    alice, support = dashboard.user("Alice@example.com"), dashboard.staff(Role.SUPPORT)
    found = support.get("/admin/accounts?find=+alice@EXAMPLE.com+")
    assert (found.status_code, found.headers["Location"]) == (303, f"/admin/accounts/{alice}")


def test_an_account_is_found_by_its_id(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(), dashboard.staff(Role.SUPPORT)
    assert support.get(f"/admin/accounts?find={alice}").headers["Location"] == f"/admin/accounts/{alice}"


@pytest.mark.parametrize("typed", ["bob@example.com", "alice", "alice@", "%", "01890000-0000-7000-8000-000000000000"])
def test_what_names_no_account_finds_none(dashboard: Dashboard, typed: str) -> None:
    dashboard.user()
    page = dashboard.staff(Role.SUPPORT).get("/admin/accounts", query_string={"find": typed})
    assert page.status_code == 200
    assert "No account uses this e-mail address or ID" in text_of(page)


def test_support_gets_no_list_of_everybody(dashboard: Dashboard) -> None:
    dashboard.user()
    assert "alice@example.com" not in text_of(dashboard.staff(Role.SUPPORT).get("/admin/accounts?state=disabled"))
    assert "alice@example.com" not in text_of(dashboard.staff(Role.SUPPORT).get("/admin/accounts"))


def test_admins_list_and_filter_accounts_page_by_page(dashboard: Dashboard) -> None:
    for name in ("alice", "bob", "carol"):
        dashboard.user(f"{name}@example.com")
    dashboard.query("UPDATE users SET is_active = false, is_verified = false WHERE email = 'bob@example.com'")
    admin = dashboard.staff()
    first = admin.get("/admin/accounts?role=user&limit=2&tier=&state=")
    assert [name in text_of(first) for name in ("carol@", "bob@", "alice@")] == [True, True, False]
    cursor = dashboard.query("SELECT id FROM users WHERE email = 'bob@example.com'")[0][0]
    assert f"cursor={cursor}" in first.text
    second = admin.get(f"/admin/accounts?role=user&limit=2&cursor={cursor}")
    assert [name in text_of(second) for name in ("carol@", "bob@", "alice@")] == [False, False, True]
    for state in ("disabled", "unverified"):
        assert [name in text_of(admin.get(f"/admin/accounts?state={state}")) for name in ("bob@", "alice@")] == [
            True,
            False,
        ]
    assert "No account matches" in text_of(admin.get("/admin/accounts?tier=enterprise"))


@pytest.mark.parametrize("query", ["tier=gold", "cursor=1", "limit=0", "sort=email"])
def test_a_filter_that_makes_no_sense_is_said_on_a_page(dashboard: Dashboard, query: str) -> None:
    page = dashboard.staff().get(f"/admin/accounts?{query}")
    assert (page.status_code, query.partition("=")[0] in text_of(page)) == (422, True)


def test_everything_about_an_account_stands_on_its_page(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(second_factor=True), dashboard.staff(Role.SUPPORT)
    now = dashboard.auth.clock()
    call = uuid7()
    dashboard.query(
        "INSERT INTO request_logs (id, user_id, request_data_hash, success, outcome, response_time_ms, error_code, feature,"
        " tier, status, upstream_ms, window_date) VALUES"
        " (:id, :user, repeat('a', 64), false, 'failed', 120, 'upstream_timeout', 'predict', 'free', 504, 100, :day)",
        id=call,
        user=alice,
        day=now.date(),
    )
    dashboard.query(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used, allowed) VALUES'
        " (:user, 'predict', 'call', :day, 3, 5), (:user, 'ai', 'token', :day, 1200, 9000)",
        user=alice,
        day=f"{now:%Y-%m-%d}",
    )
    page = support.get(f"/admin/accounts/{alice}")
    shown = text_of(page)
    assert page.status_code == 200
    for expected in (
        "alice@example.com",
        "authenticator app",
        "3 of 5",
        "upstream_timeout",
        "per day 5",
        "1,200 9,000",
        str(alice),
    ):
        assert expected in shown, expected
    assert f"/admin/requests/{call}" in page.text
    assert "has no subscription" in shown
    hidden = [f"/admin/accounts/{alice}/{act}" in page.text for act in ACTS]
    assert hidden == [False] * 4
    assert f"/admin/accounts/{alice}/impersonate" in page.text


def test_no_secret_stands_on_it(dashboard: Dashboard) -> None:
    alice = dashboard.user(second_factor=True, password_hash="$2b$04$never-shown")
    page = dashboard.staff().get(f"/admin/accounts/{alice}")
    assert "never-shown" not in page.text
    assert "password" in text_of(page)


def test_what_is_no_account_is_not_found(dashboard: Dashboard) -> None:
    page = dashboard.staff().get(f"/admin/accounts/{uuid4()}")
    assert (page.status_code, "No account has this ID" in text_of(page)) == (404, True)


def test_an_admin_sets_a_tier_with_its_end_and_a_reason(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    assert "Set the tier" in text_of(admin.get(f"/admin/accounts/{alice}/tier"))
    end = (dashboard.auth.clock() + timedelta(days=40)).date()
    done = admin.post(f"/admin/accounts/{alice}/tier", {"tier": "pro", "until": str(end), "reason": REASON})
    assert (done.status_code, done.headers["Location"]) == (303, f"/admin/accounts/{alice}?done=tier")
    assert "The tier was set" in text_of(admin.get(done.headers["Location"]))
    ((tier, source, expires),) = dashboard.query(
        "SELECT tier, tier_source, tier_expires_at FROM users WHERE id = :user", user=alice
    )
    assert (tier, source, expires.isoformat()) == ("pro", "manual", f"{end}T00:00:00+00:00")
    ((event, actor, detail),) = events_of(dashboard, alice)
    assert (event, actor, detail["reason"], detail["until"]) == (
        "tier_changed",
        admin.user_id,
        REASON,
        f"{end}T00:00:00+00:00",
    )
    assert dashboard.query("SELECT cause FROM entitlement_ledger") == [(f"manual:{admin.user_id}",)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tier": "pro"}, "Fill in this field"),
        ({"tier": "pro", "reason": "because"}, "at least 10 characters"),
        ({"tier": "pro", "reason": " " * 20}, "more than spaces"),
        ({"tier": "gold", "reason": REASON}, "Choose one of the list"),
        ({"tier": "pro", "until": "2001-01-01", "reason": REASON}, "must be in the future"),
        ({"tier": "free", "until": "2999-01-01", "reason": REASON}, "The free tier does not end"),
        ({"tier": "pro", "until": "soon", "reason": REASON}, "Enter a day"),
    ],
    ids=str,
)
def test_a_tier_that_makes_no_sense_is_said_in_the_form_and_changes_nothing(
    dashboard: Dashboard, fields: dict[str, str], said: str
) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    again = admin.post(f"/admin/accounts/{alice}/tier", fields)
    assert (again.status_code, said in text_of(again)) == (422, True), text_of(again)
    assert fields.get("reason", "") in again.text
    assert dashboard.query("SELECT tier FROM users WHERE id = :user", user=alice) == [("free",)]
    assert events_of(dashboard, alice) == []


def test_an_account_is_disabled_and_enabled_again(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    done = admin.post(f"/admin/accounts/{alice}/disable", {"reason": REASON})
    assert done.headers["Location"] == f"/admin/accounts/{alice}?done=disabled"
    assert dashboard.query("SELECT is_active FROM users WHERE id = :user", user=alice) == [(False,)]
    page = admin.get(done.headers["Location"])
    assert [f"/admin/accounts/{alice}/{act}" in page.text for act in ("disable", "enable", "impersonate")] == [
        False,
        True,
        False,
    ]
    admin.post(f"/admin/accounts/{alice}/enable", {"reason": REASON})
    assert dashboard.query("SELECT is_active FROM users WHERE id = :user", user=alice) == [(True,)]
    assert [(event, actor, detail["reason"]) for event, actor, detail in events_of(dashboard, alice)] == [
        ("account_disabled", admin.user_id, REASON),
        ("account_enabled", admin.user_id, REASON),
    ]


def test_a_member_of_the_staff_who_is_disabled_is_out_at_once(dashboard: Dashboard) -> None:
    support, admin = dashboard.staff(Role.SUPPORT), dashboard.staff()
    assert support.get("/admin/accounts").status_code == 200
    admin.post(f"/admin/accounts/{support.user_id}/disable", {"reason": REASON})
    assert support.get("/admin/accounts").status_code == 401


def test_second_factors_are_reset_and_the_owner_is_told(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(second_factor=True), dashboard.staff()
    done = admin.post(f"/admin/accounts/{alice}/reset-second-factor", {"reason": REASON})
    assert done.headers["Location"] == f"/admin/accounts/{alice}?done=second-factor"
    assert dashboard.query("SELECT count(*) FROM totp_secrets WHERE user_id = :user", user=alice) == [(0,)]
    ((event, actor, detail),) = events_of(dashboard, alice)
    assert (event, actor, detail["reason"], detail["factors_removed"]) == (
        "second_factor_reset",
        admin.user_id,
        REASON,
        1,
    )


@pytest.mark.parametrize("act", ["enable", "reset-second-factor"])
def test_what_is_so_already_is_said(dashboard: Dashboard, act: str) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    page = admin.post(f"/admin/accounts/{alice}/{act}", {"reason": REASON})
    assert (page.status_code, "Nothing to change" in text_of(page)) == (409, True)
    assert events_of(dashboard, alice) == []


@pytest.mark.parametrize("act", ["disable", "enable", "reset-second-factor", "impersonate"])
def test_every_act_asks_why(dashboard: Dashboard, act: str) -> None:
    alice, admin = dashboard.user(second_factor=True), dashboard.staff()
    assert admin.get(f"/admin/accounts/{alice}/{act}").status_code == 200
    page = admin.post(f"/admin/accounts/{alice}/{act}", {"reason": ""})
    assert (page.status_code, "Fill in this field" in text_of(page)) == (422, True)
    assert events_of(dashboard, alice) == []


@pytest.mark.parametrize("act", [*ACTS, "impersonate"])
def test_every_act_asks_for_a_fresh_proof(dashboard: Dashboard, act: str) -> None:
    alice, admin = dashboard.user(second_factor=True), dashboard.staff()
    admin.grow_old(minutes=6)
    assert admin.get(f"/admin/accounts/{alice}/{act}").status_code == 401
    assert admin.post(f"/admin/accounts/{alice}/{act}", {"reason": REASON, "tier": "pro"}).status_code == 401
    assert events_of(dashboard, alice) == []


@pytest.mark.parametrize("act", ACTS)
def test_nobody_acts_on_a_colleague_of_the_same_role(dashboard: Dashboard, act: str) -> None:
    admin, colleague = dashboard.staff(), dashboard.user("root@example.com", Role.ADMIN, second_factor=True)
    for whose in (colleague, admin.user_id):
        assert admin.get(f"/admin/accounts/{whose}/{act}").status_code == 403
        fields = {"reason": REASON} | ({"tier": "pro"} if act == "tier" else {})
        page = admin.post(f"/admin/accounts/{whose}/{act}", fields)
        assert (page.status_code, "lower role" in text_of(page)) == (403, True)
        assert events_of(dashboard, whose) == []
        assert "Set tier" not in text_of(admin.get(f"/admin/accounts/{whose}"))


def test_support_may_only_look(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(second_factor=True), dashboard.staff(Role.SUPPORT)
    for act in ACTS:
        assert support.get(f"/admin/accounts/{alice}/{act}").status_code == 403
        fields = {"reason": REASON} | ({"tier": "pro"} if act == "tier" else {})
        assert support.post(f"/admin/accounts/{alice}/{act}", fields).status_code == 403
    assert events_of(dashboard, alice) == []


def token_on(page_text: str) -> str:
    return page_text.partition("Bearer ")[2].partition("&#34;")[0].partition('"')[0]


def test_support_views_the_service_as_a_user_and_stops(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(), dashboard.staff(Role.SUPPORT)
    page = support.post(f"/admin/accounts/{alice}/impersonate", {"reason": REASON})
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    headers = bearer(token_on(page.text))
    seen = dashboard.stranger.get("/api/auth/profile", headers=headers, base_url=BASE)
    assert seen.get_json()["email"] == "alice@example.com"
    assert "You can view the service as this account" in text_of(support.get(f"/admin/accounts/{alice}"))
    ended = support.post(f"/admin/accounts/{alice}/end-impersonation")
    assert ended.headers["Location"] == f"/admin/accounts/{alice}?done=viewing-ended"
    again = dashboard.stranger.get("/api/auth/profile", headers=headers, base_url=BASE)
    assert again.status_code == 401
    assert [(event, actor) for event, actor, _ in events_of(dashboard, alice)] == [
        ("impersonation_started", support.user_id),
        ("impersonation_stopped", support.user_id),
    ]


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.ADMIN])
def test_a_colleague_is_not_viewed(dashboard: Dashboard, role: Role) -> None:
    support = dashboard.staff(Role.SUPPORT)
    colleague = dashboard.user("colleague@example.com", role)
    assert support.get(f"/admin/accounts/{colleague}/impersonate").status_code == 403
    assert support.post(f"/admin/accounts/{colleague}/impersonate", {"reason": REASON}).status_code == 403
    assert events_of(dashboard, colleague) == []


def test_a_form_does_not_pass_with_the_token_of_the_one_before(dashboard: Dashboard) -> None:
    """A thread of the web server has one application context for all requests."""
    alice, admin = dashboard.user(), dashboard.staff()
    path = f"/admin/accounts/{alice}/tier"
    with dashboard.app.app_context():
        assert admin.post(path, {"tier": "gold"}).status_code == 422
        assert admin.post(path, {"tier": "pro", "reason": REASON}, csrf=False).status_code == 403
    assert dashboard.query("SELECT tier FROM users WHERE id = :alice", alice=alice) == [("free",)]


def test_a_key_without_end_is_shown_as_live(dashboard: Dashboard) -> None:
    alice = dashboard.user()
    wish = KeyRequest("nightly report", ["usage"], None, [])
    with dashboard.app.app_context():
        create_api_key(dashboard.auth, alice, None, wish)
    page = dashboard.staff(Role.SUPPORT).get(f"/admin/accounts/{alice}")
    assert page.status_code == 200
    assert "nightly report" in text_of(page)
    assert "until" not in page.text.partition("nightly report")[2].partition("</tr>")[0]
