"""REQUIRE_EMAIL_VERIFICATION: what an account with an unconfirmed address may do"""

import pytest
from werkzeug.test import TestResponse

from tests.auth.accounts_app import Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.key_holder import KeyHolder
from tests.auth.message_parts import token_in

METERED = "/tried/metered"


def refused(answer: TestResponse) -> bool:
    return (answer.status_code, answer.get_json()["error"]) == (403, "email_not_verified")


def confirm(accounts: Accounts) -> None:
    accounts.messages()
    accounts.post("/resend-verification", {"email": "alice@example.com"})
    (message,) = accounts.messages()
    assert accounts.post("/verify-email", {"token": token_in(message)}).status_code == 204


@pytest.fixture(params=[True, False], ids=["redis", "without Redis"])
def accounts(make_accounts: MakeAccounts, request: pytest.FixtureRequest) -> Accounts:
    changes = {} if request.param else {"redis_at": None}
    return make_accounts(require_email_verification=True, **changes)


def test_metered_calls_and_new_keys_wait_for_the_address(accounts: Accounts) -> None:
    alice = KeyHolder(accounts)
    assert all(refused(alice.use(alice.access_token, METERED)) for _ in range(2))
    assert refused(alice.create())
    assert accounts.profile(alice.access_token).status_code == 200
    assert accounts.sign_in().status_code == 200
    confirm(accounts)
    assert alice.use(alice.access_token, METERED).status_code == 200
    assert alice.use(alice.key()["token"], METERED).status_code == 200


def test_keys_from_before_the_setting_wait_too(make_accounts: MakeAccounts) -> None:
    old = KeyHolder(make_accounts())
    key = old.key()
    accounts = make_accounts(require_email_verification=True)
    assert refused(accounts.client.get(METERED, headers=bearer(key["token"])))
    assert accounts.client.get("/tried/usage", headers=bearer(key["token"])).status_code == 200
    token = accounts.sign_in().get_json()["access_token"]
    assert refused(accounts.post(f"/tokens/{key['id']}/rotate", {}, headers=bearer(token)))
    confirm(accounts)
    assert accounts.client.get(METERED, headers=bearer(key["token"])).status_code == 200


def test_an_address_is_needed_only_where_the_operator_says_so(make_accounts: MakeAccounts) -> None:
    alice = KeyHolder(make_accounts())
    assert alice.use(alice.access_token, METERED).status_code == 200
    assert alice.use(alice.key()["token"], METERED).status_code == 200
