"""Clearing away one-time codes that ran out."""

from datetime import timedelta

from auth.email_codes.one_time_codes import LINK_LIFETIMES, Purpose
from auth.email_codes.purge import KEEP, purge_one_time_codes
from tests.auth.accounts_app import PASSWORD, Accounts

ALICE = {"email": "alice@example.com"}


def purge(accounts: Accounts) -> int:
    with accounts.app.app_context():
        return purge_one_time_codes(accounts.clock)


def test_what_ran_out_yesterday_goes_and_the_rest_stays(accounts: Accounts) -> None:
    accounts.post("/register", {**ALICE, "password": PASSWORD})
    accounts.clock.now += LINK_LIFETIMES[Purpose.VERIFY_EMAIL] + KEEP
    accounts.post("/forgot-password", ALICE)
    accounts.letters()
    assert purge(accounts) == 0
    accounts.clock.now += timedelta(seconds=1)
    assert purge(accounts) == 1
    assert accounts.query("SELECT purpose FROM one_time_codes") == [("reset_password",)]
