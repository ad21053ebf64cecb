"""Who may make an account: REGISTRATION_MODE, and what becomes of invite codes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from limits import RateLimitItemPerHour
from werkzeug.test import TestResponse

from auth.identity_providers.id_token import GOOGLE
from auth.invites.commands import invite_commands
from auth.rate_limits.by_address import AuthLimits
from tests.auth.accounts_app import GENEROUS, PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts
from tests.auth.identity_issuer import IdentityIssuer
from tests.auth.test_sign_in_with_provider import NONCE, SignIn


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    return make_accounts(registration_mode="invite")


def invite(accounts: Accounts, *options: str) -> str:
    made = accounts.app.test_cli_runner().invoke(invite_commands(accounts.auth), ["create", *options])
    assert made.exit_code == 0, made.output
    return made.stdout.splitlines()[-1]


def register(accounts: Accounts, code: Any = None, email: str = "alice@example.com", **more: Any) -> TestResponse:
    body = {"email": email, "password": PASSWORD}
    return accounts.post("/register", body if code is None else {**body, "invite_code": code}, **more)


def users(accounts: Accounts) -> int:
    return int(accounts.query("SELECT count(*) FROM users")[0][0])


def uses(accounts: Accounts) -> list[int]:
    return [row[0] for row in accounts.query("SELECT uses FROM invites ORDER BY id")]


def refused(answer: TestResponse) -> bool:
    return (answer.status_code, answer.get_json()["error"]) == (400, "invite_not_valid")


def test_a_code_makes_one_account_and_is_used_up(accounts: Accounts) -> None:
    code = invite(accounts)
    assert register(accounts, code).status_code == 201
    assert refused(register(accounts, code, "bob@example.com"))
    assert (users(accounts), uses(accounts)) == (1, [1])


def test_the_log_says_which_invite_an_account_came_by(accounts: Accounts) -> None:
    register(accounts, invite(accounts))
    [(found,)] = accounts.query("SELECT detail ->> 'invite_id' FROM security_events WHERE event = 'registered'")
    assert accounts.query("SELECT id::text FROM invites") == [(found,)]


def test_a_code_may_be_typed_in_any_way_that_people_do(accounts: Accounts) -> None:
    code = invite(accounts, "--uses", "5")
    plain = code.replace("-", "")
    typed = [plain.lower(), f" {plain[:3]} {plain[3:]}\t", "-".join(plain), plain.replace("0", "o").replace("1", "l")]
    for number, each in enumerate(typed):
        assert register(accounts, each, f"user{number}@example.com").status_code == 201, each


def test_every_bad_code_gets_one_answer(accounts: Accounts) -> None:
    expired, revoked = invite(accounts, "--days", "1"), invite(accounts)
    accounts.query("UPDATE invites SET revoked_at = now() WHERE id = (SELECT max(id::text)::uuid FROM invites)")
    accounts.clock.advance(days=1)
    answers = [register(accounts, code) for code in (None, "", "7KQ2M-X40DR", "%", "💡" * 64, expired, revoked)]
    assert all(refused(answer) for answer in answers)
    different = {"request_id", "instance"}
    told = [{name: text for name, text in answer.get_json().items() if name not in different} for answer in answers]
    assert all(each == told[0] for each in told)
    assert users(accounts) == 0


@pytest.mark.parametrize("code", ["x" * 65, 7, ["7KQ2M-X40DR"], {}], ids=repr)
def test_what_is_no_text_of_that_length_is_not_looked_up(accounts: Accounts, code: Any) -> None:
    assert register(accounts, code).status_code == 422


def test_fifty_at_once_with_a_code_for_three_make_three_accounts(accounts: Accounts) -> None:
    code, start = invite(accounts, "--uses", "3"), Barrier(50)

    def attempt(number: int) -> int:
        """Again when too many passwords are being hashed, as on a machine that has much else to do."""
        start.wait()
        while (status := register(accounts, code, f"user{number}@example.com").status_code) == 503:
            pass
        return status

    with ThreadPoolExecutor(50) as threads:
        statuses = sorted(threads.map(attempt, range(50)))
    assert statuses == [201] * 3 + [400] * 47
    assert (users(accounts), uses(accounts)) == (3, [3])
    assert accounts.query("SELECT count(*) FROM sessions") == [(3,)]


def test_a_code_is_stored_as_a_keyed_hash(accounts: Accounts) -> None:
    code = invite(accounts)
    [(row,)] = accounts.query("SELECT invites::text FROM invites")
    assert code not in row
    assert code.replace("-", "") not in row


def test_a_registration_that_fails_costs_no_use(accounts: Accounts) -> None:
    code = invite(accounts)
    weak = {"email": "alice@example.com", "password": "short", "invite_code": code}
    assert accounts.post("/register", weak).status_code == 422
    assert uses(accounts) == [0]


def test_a_taken_address_costs_no_use_and_needs_a_good_code_to_be_told(accounts: Accounts) -> None:
    register(accounts, invite(accounts))
    code = invite(accounts)
    assert refused(register(accounts))
    assert register(accounts, code).status_code == 409
    assert uses(accounts) == [1, 0]


def test_a_private_registration_answers_alike_for_a_free_and_a_taken_address(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(registration_mode="invite", registration_response="private")
    code = invite(accounts, "--uses", "9")
    free, taken = register(accounts, code), register(accounts, code)
    assert (free.status_code, free.data) == (taken.status_code, taken.data) == (202, b'{"status":"check_email"}')
    assert uses(accounts) == [1]
    wrong = [register(accounts, "7KQ2M-X40DR", email) for email in ("alice@example.com", "bob@example.com")]
    assert all(refused(answer) for answer in wrong)
    assert users(accounts) == 1


def test_an_address_that_guesses_codes_is_stopped(make_accounts: MakeAccounts) -> None:
    limits = AuthLimits(register=GENEROUS.register, wrong_invite_codes=RateLimitItemPerHour(5))
    accounts = make_accounts(registration_mode="invite", limits=limits)
    code = invite(accounts)
    assert [register(accounts, "7KQ2M-X40DR").status_code for _ in range(6)] == [400] * 5 + [429]
    assert register(accounts, code).status_code == 429
    elsewhere = {"REMOTE_ADDR": "198.51.100.1"}
    assert register(accounts, code, environ_overrides=elsewhere).status_code == 201


def test_a_closed_registration_makes_no_account(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts(registration_mode="closed")
    answer = register(accounts, invite(accounts))
    assert (answer.status_code, answer.get_json()["error"]) == (403, "registration_closed")
    assert (users(accounts), uses(accounts)) == (0, [0])


def test_who_has_an_account_signs_in_whatever_the_mode_is(make_accounts: MakeAccounts) -> None:
    make_accounts().register()
    assert make_accounts(registration_mode="closed").sign_in().status_code == 200


def test_an_open_registration_looks_at_no_code(make_accounts: MakeAccounts) -> None:
    accounts = make_accounts()
    code = invite(accounts)
    assert register(accounts, "no such code").status_code == 201
    assert register(accounts, code, "bob@example.com").status_code == 201
    assert uses(accounts) == [0]


@pytest.fixture
def issuer() -> Iterator[IdentityIssuer]:
    with IdentityIssuer("https://accounts.google.com") as issuer:
        yield issuer


def sign_in(google: SignIn, code: str | None = None) -> TestResponse:
    body = {"id_token": google.token(), "nonce": NONCE}
    return google.accounts.post("/google", body if code is None else {**body, "invite_code": code})


def test_a_provider_makes_an_account_with_a_code_alone(accounts: Accounts, issuer: IdentityIssuer) -> None:
    google = SignIn(accounts, issuer, GOOGLE)
    code = invite(accounts)
    assert refused(sign_in(google))
    assert refused(sign_in(google, "7KQ2M-X40DR"))
    assert users(accounts) == 0
    assert sign_in(google, code).status_code == 200
    assert sign_in(google).status_code == 200
    assert (users(accounts), uses(accounts)) == (1, [1])


def test_a_provider_makes_no_account_where_registration_is_closed(
    make_accounts: MakeAccounts, issuer: IdentityIssuer
) -> None:
    accounts = make_accounts(registration_mode="closed")
    google = SignIn(accounts, issuer, GOOGLE)
    assert sign_in(google).get_json()["error"] == "registration_closed"
    assert users(accounts) == 0


def test_a_provider_finds_the_account_of_its_address_in_every_mode(
    make_accounts: MakeAccounts, issuer: IdentityIssuer
) -> None:
    make_accounts().register()
    for mode in ("invite", "closed"):
        google = SignIn(make_accounts(registration_mode=mode), issuer, GOOGLE)
        assert sign_in(google).status_code == 200


def test_first_sign_ins_at_once_share_no_use(accounts: Accounts, issuer: IdentityIssuer) -> None:
    google, code, start = SignIn(accounts, issuer, GOOGLE), invite(accounts, "--uses", "9"), Barrier(8)

    def attempt(_: int) -> int:
        start.wait()
        return sign_in(google, code).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(attempt, range(8))) == {200}
    assert (users(accounts), uses(accounts)) == (1, [1])
