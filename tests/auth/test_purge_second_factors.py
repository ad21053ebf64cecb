"""The jobs that delete challenges and wrong codes"""

from auth.jobs import auth_jobs
from database.jobs.declare import Jobs
from tests.auth.accounts_app import Accounts
from tests.auth.factor_owner import FactorOwner

TABLES = ("passkey_challenges", "sign_in_challenges", "wrong_second_factors")


def run(accounts: Accounts) -> None:
    with accounts.app.app_context():
        for table in TABLES:
            Jobs.of(auth_jobs(accounts.auth)).declared[f"purge_{table}"].run()


def rows(accounts: Accounts) -> list[int]:
    return [accounts.query(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


def test_what_still_counts_stays_and_the_rest_goes(accounts: Accounts) -> None:
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    accounts.post("/passkeys/sign-in/options")
    alice.finish(alice.begin_sign_in(), totp_code=alice.wrong_code())
    run(accounts)
    assert rows(accounts) == [1, 1, 1]
    accounts.clock.advance(minutes=6)
    run(accounts)
    assert rows(accounts) == [0, 0, 1]
    accounts.clock.advance(minutes=55)
    run(accounts)
    assert rows(accounts) == [0, 0, 0]
