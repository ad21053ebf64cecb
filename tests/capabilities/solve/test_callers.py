"""Who may solve. Everybody else is refused before a provider is asked, and before anything is counted or charged."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.admin.dashboard import Dashboard, text_of
from tests.capabilities.solve.conftest import Customer, RunningSolve, Start
from tests.capabilities.solve.test_try_page import send


def revoke(owner: Customer, key: dict[str, Any]) -> None:
    assert owner.call("DELETE", f"/api/auth/tokens/{key['id']}").status_code == 204


def expire(owner: Customer, key: dict[str, Any]) -> None:
    ended = "UPDATE api_keys SET created_at = now() - interval '2 days', expires_at = now() WHERE id = %s RETURNING id"
    assert owner.running.rows(ended, key["id"])


def disable(owner: Customer, key: dict[str, Any]) -> None:
    assert owner.running.flask("users", "disable", owner.email).exit_code == 0


@pytest.mark.parametrize("end", [revoke, expire, disable])
def test_a_key_that_ended_solves_nothing(
    running: RunningSolve, end: Callable[[Customer, dict[str, Any]], None]
) -> None:
    alice = running.register()
    key = alice.key()
    end(alice, key)
    alice.token = key["token"]
    refused = alice.solve(key="one")
    assert (refused.status_code, refused.get_json()["error"]) == (401, "invalid_token")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="mirroros", error="invalid_token"'
    assert (running.ai.books.entries, alice.log(), alice.charges(), alice.used()) == ([], [], [], {})


def test_the_session_of_a_disabled_account_solves_nothing(running: RunningSolve) -> None:
    alice = running.register()
    disable(alice, {})
    assert alice.solve().status_code == 401
    assert (running.ai.books.entries, alice.log()) == ([], [])


@pytest.mark.slow
def test_an_address_must_be_confirmed_where_the_operator_asks_for_it(start: Start) -> None:
    running = start(
        REQUIRE_EMAIL_VERIFICATION="on", EMAIL_HOST="smtp.example.com", DEFAULT_FROM_EMAIL="no-reply@example.com"
    )
    verified = "UPDATE users SET is_verified = %s WHERE id = %s RETURNING id"
    alice = running.register()
    running.rows(verified, True, alice.id)
    key = alice.key()
    running.rows(verified, False, alice.id)
    customer = Dashboard(running.app).customer()
    running.rows(verified, False, str(customer.user_id))

    def answers() -> list[tuple[int, str | None]]:
        by_key = Customer(running, alice.id, key["token"], alice.email)
        told = [each.solve() for each in (alice, by_key)]
        return [(each.status_code, each.get_json().get("error")) for each in told]

    assert answers() == [(403, "email_not_verified")] * 2
    page = send(customer)
    assert (page.status_code, "resend-verification" in text_of(page), "<form" in page.text) == (403, True, True)
    assert (running.ai.books.entries, running.rows("SELECT 1 FROM request_logs")) == ([], [])
    for user in (alice.id, str(customer.user_id)):
        running.rows(verified, True, user)
    assert answers() == [(200, None)] * 2
    assert send(customer).status_code == 200
