"""Clearing away one-time codes that ran out."""

from datetime import timedelta

from auth.email_codes.one_time_codes import LINK_LIFETIMES, Purpose
from auth.purge import PURGES
from tests.auth.accounts_app import PASSWORD, Accounts

ALICE = {"email": "alice@example.com"}
CODES = PURGES["purge_one_time_codes"]


def purge(accounts: Accounts) -> int:
    with accounts.app.app_context():
        return CODES.run(accounts.clock)


def test_what_ran_out_yesterday_goes_and_the_rest_stays(accounts: Accounts) -> None:
    accounts.post("/register", {**ALICE, "password": PASSWORD})
    accounts.clock.now += LINK_LIFETIMES[Purpose.VERIFY_EMAIL] + CODES.keep
    accounts.post("/forgot-password", ALICE)
    accounts.messages()
    assert purge(accounts) == 0
    accounts.clock.now += timedelta(seconds=1)
    assert purge(accounts) == 1
    assert accounts.query("SELECT purpose FROM one_time_codes") == [("reset_password",)]
