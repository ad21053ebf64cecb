"""`/admin/keys`, `/invites`, `/verification`, `/billing-periods`: what staff list and what they do there."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest

from admin.check_production.statements import statements_check
from auth.principal import Role
from database.base import uuid7
from payments.billing.months import period_id
from tests.admin.dashboard import Dashboard, text_of

REASON = {"reason": "the owner asked for it"}


def make_key(dashboard: Dashboard, user_id: UUID, *, expires_in: timedelta | None = None) -> UUID:
    key_id, now = uuid7(), dashboard.auth.clock()
    dashboard.query(
        "INSERT INTO api_keys (id, user_id, token_hash, start, name, scopes, allowed_networks, created_at, expires_at)"
        " VALUES (:id, :user, :hash, 'tok_abcd', 'backend', '{predict}', '{}', :now, :end)",
        id=key_id,
        user=user_id,
        hash=key_id.bytes,
        now=now,
        end=None if expires_in is None else now + expires_in,
    )
    return key_id


def make_statement(dashboard: Dashboard, user_id: UUID, month: str = "2026-02", state: str = "overdue") -> UUID:
    statement = period_id(user_id, month)
    dashboard.query(
        "INSERT INTO billing_periods (id, user_id, period, state, requests, charges_micros, credits_cents, amount_cents,"
        " currency, closed_at, due_at) VALUES (:id, :user, :month, :state, 3, 3000000, 0, 300, 'usd', now(), now())",
        id=statement,
        user=user_id,
        month=month,
        state=state,
    )
    dashboard.query(
        "INSERT INTO charges (request_id, user_id, feature, price_micros, cost_micros, window_date, statement_id)"
        " VALUES (:id, :user, 'predict', 3000000, 0, '2026-02-15', :bill)",
        id=uuid4(),
        user=user_id,
        bill=statement,
    )
    return statement


def events(dashboard: Dashboard, name: str) -> list[Any]:
    return dashboard.query("SELECT user_id, actor_id, detail FROM security_events WHERE event = :name", name=name)


def test_keys_are_listed_by_account_state_and_beginning(dashboard: Dashboard) -> None:
    alice, bob = dashboard.user(), dashboard.user("bob@example.com")
    live, ended = make_key(dashboard, alice), make_key(dashboard, bob, expires_in=timedelta(days=-1))
    admin, support = dashboard.staff(), dashboard.staff(Role.SUPPORT)
    for query, expected in (
        ("", {live, ended}),
        ("state=live", {live}),
        ("state=expired", {ended}),
        ("start=x", set()),
    ):
        words = admin.get(f"/admin/keys?{query}").text
        assert {each for each, name in ((live, "alice@"), (ended, "bob@")) if name in words} == expected, query
    assert "Support sees one at a time" in text_of(support.get("/admin/keys"))
    page = support.get("/admin/keys?account=alice@example.com")
    assert ("tok_abcd" in page.text, "/revoke" in page.text) == (True, False)


def test_a_wrong_filter_stands_in_the_form_with_what_is_wrong_and_the_others_count(dashboard: Dashboard) -> None:
    make_key(dashboard, dashboard.user())
    make_key(dashboard, dashboard.user("bob@example.com"))
    page = dashboard.staff().get("/admin/keys?account=bob@example.com&state=lost&start=tok_abcd")
    assert (page.status_code, "bob@" in text_of(page), "alice@" in text_of(page)) == (422, True, False)
    assert ('value="bob@example.com"' in page.text, 'value="tok_abcd"' in page.text) == (True, True)
    assert re.findall(r'id="(\w+)-error"', page.text) == ["state"]


def test_who_looks_for_an_account_with_a_wrong_filter_is_sent_nowhere(dashboard: Dashboard) -> None:
    dashboard.user()
    page = dashboard.staff().get("/admin/accounts?find=alice@example.com&tier=gold")
    assert (page.status_code, "tier" in text_of(page), "left out" in text_of(page)) == (422, True, False)


def test_after_a_key_is_revoked_the_list_has_its_filters(dashboard: Dashboard) -> None:
    key, admin = make_key(dashboard, dashboard.user()), dashboard.staff()
    filters = "account=alice%40example.com&state=live"
    assert f'/{key}/revoke?{filters}"' in unescape(admin.get(f"/admin/keys?{filters}&done=revoked").text)
    path = f"/admin/keys/{key}/revoke?{filters}"
    assert unescape(admin.get(path).text).count(f'"/admin/keys?{filters}"') == 2
    assert admin.post(path, REASON).headers["Location"] == f"/admin/keys?{filters}&done=revoked"


def test_a_key_is_revoked_once_with_a_reason(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    path = f"/admin/keys/{make_key(dashboard, alice)}/revoke"
    assert (admin.get(path).status_code, admin.post(path, {"reason": "no"}).status_code) == (200, 422)
    assert events(dashboard, "api_key_revoked") == []
    assert admin.post(path, REASON).headers["Location"] == "/admin/keys?done=revoked"
    ((user_id, actor_id, detail),) = events(dashboard, "api_key_revoked")
    assert (user_id, actor_id, detail["reason"]) == (alice, admin.user_id, REASON["reason"])
    assert admin.post(path, REASON).status_code == 409


def test_nobody_revokes_a_key_of_a_colleague(dashboard: Dashboard) -> None:
    key, admin = make_key(dashboard, dashboard.user("carol@example.com", Role.ADMIN)), dashboard.staff()
    assert admin.post(f"/admin/keys/{key}/revoke", REASON).status_code == 403
    assert dashboard.query("SELECT revoked_at FROM api_keys") == [(None,)]


def test_an_invite_is_made_shown_once_and_revoked(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    assert "There is no invite yet." in text_of(admin.get("/admin/invites"))
    wrong = admin.post("/admin/invites/new", {"max_uses": "0", "expires_in_days": "x", "note": "launch"})
    assert (wrong.status_code, 'value="launch"' in wrong.text) == (422, True)
    made = admin.post("/admin/invites/new", {"max_uses": "3", "expires_in_days": "7", "note": "launch"})
    code = re.search(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", text_of(made))
    assert (made.status_code, code is not None) == (200, True)
    page = admin.get("/admin/invites")
    assert ("launch" in page.text, "0 of 3" in page.text, code is not None and code[0] in page.text) == (
        True,
        True,
        False,
    )
    ((invite_id,),) = dashboard.query("SELECT id FROM invites")
    gone = admin.post(f"/admin/invites/{invite_id}/revoke", REASON)
    assert gone.headers["Location"] == "/admin/invites?done=revoked"
    assert "revoked" in text_of(admin.get("/admin/invites"))
    ((_, actor_id, detail),) = events(dashboard, "invite_revoked")
    assert (actor_id, detail["reason"]) == (admin.user_id, REASON["reason"])


def test_an_address_is_mailed_again_and_marked_as_verified(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    assert "Every account is verified." in text_of(admin.get("/admin/verification"))
    dashboard.query("UPDATE users SET is_verified = false WHERE id = :id", id=alice)
    assert "alice@example.com" in text_of(admin.get("/admin/verification"))
    assert admin.post(f"/admin/verification/{alice}/send-again").status_code == 303
    assert dashboard.query("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'send_requested_email'") == [(1,)]
    path = f"/admin/verification/{alice}/verify"
    assert (admin.get(path).status_code, admin.post(path, REASON).status_code) == (200, 303)
    assert dashboard.query("SELECT is_verified FROM users WHERE id = :id", id=alice) == [(True,)]
    assert [row[:2] for row in events(dashboard, "email_verified")] == [(alice, admin.user_id)]
    assert (
        admin.post(path, REASON).status_code,
        admin.post(f"/admin/verification/{alice}/send-again").status_code,
    ) == (
        409,
        409,
    )


def test_statements_are_listed_and_shown_with_their_lines(dashboard: Dashboard) -> None:
    alice, bob = dashboard.user(), dashboard.user("bob@example.com")
    february, march = make_statement(dashboard, alice), make_statement(dashboard, bob, "2026-03", "due")
    admin, support = dashboard.staff(), dashboard.staff(Role.SUPPORT)
    for query, expected in (
        ("", {february, march}),
        ("state=overdue", {february}),
        ("period=2026-03", {march}),
        ("account=bob@example.com", {march}),
        ("state=waived", set()),
    ):
        words = admin.get(f"/admin/billing-periods?{query}").text
        assert {each for each in (february, march) if f"/admin/billing-periods/{each}" in words} == expected, query
    assert "Support sees one at a time" in text_of(support.get("/admin/billing-periods"))
    words = text_of(support.get(f"/admin/billing-periods/{february}"))
    for expected_word in ("alice@example.com", "overdue", "3.00", "predict"):
        assert expected_word in words
    assert "Mark as paid" not in words
    assert admin.get(f"/admin/billing-periods/{uuid4()}").status_code == 404


@pytest.mark.parametrize(
    ("act", "state", "event"),
    [("mark-paid", "paid", "billing_period_marked_paid"), ("waive", "waived", "billing_period_waived")],
)
def test_a_statement_is_settled_once(dashboard: Dashboard, act: str, state: str, event: str) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    statement = make_statement(dashboard, alice)
    path = f"/admin/billing-periods/{statement}/{act}"
    assert (admin.get(path).status_code, admin.post(path, {}).status_code) == (200, 422)
    for _ in range(2):
        assert admin.post(path, REASON).status_code == 303
    assert dashboard.query("SELECT state FROM billing_periods") == [(state,)]
    ((user_id, actor_id, detail),) = events(dashboard, event)
    assert (user_id, actor_id, detail["reason"]) == (alice, admin.user_id, REASON["reason"])
    other = "waive" if act == "mark-paid" else "mark-paid"
    assert admin.post(f"/admin/billing-periods/{statement}/{other}", REASON).status_code == 409


def test_a_credit_is_given_in_units_of_the_currency(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    path = f"/admin/billing-periods/{make_statement(dashboard, alice)}/credit"
    for amount in ("0", "-1", "1.005", "much", "NaN", "1e99", "Infinity"):
        again = admin.post(path, {**REASON, "amount": amount})
        assert (again.status_code, f'value="{amount}"' in again.text) == (422, True), amount
    assert admin.post(path, {**REASON, "amount": "12.5"}).status_code == 303
    assert dashboard.query("SELECT user_id, cents FROM billing_credits") == [(alice, 1250)]
    ((_, actor_id, detail),) = events(dashboard, "billing_credit_given")
    assert (actor_id, detail["cents"]) == (admin.user_id, 1250)


def test_a_deployment_that_charges_and_cannot_be_paid_is_told(dashboard: Dashboard) -> None:
    check = statements_check(dashboard.app)
    assert list(check.find()) == []
    alice = dashboard.user()
    make_statement(dashboard, alice, state="paid")
    assert list(check.find()) == []
    make_statement(dashboard, alice, "2026-03", "due")
    (told,) = check.find()
    assert (told.fails, "Stripe is not set up" in told.text) == (False, True)
