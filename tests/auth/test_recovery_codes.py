"""Recovery codes: POST /api/auth/second-factor/recovery-codes, and signing in with one."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.auth.accounts_app import Accounts
from tests.auth.factor_owner import FactorOwner


@pytest.fixture
def alice(accounts: Accounts) -> FactorOwner:
    owner = FactorOwner(accounts)
    owner.turn_on_totp()
    return owner


def test_a_code_is_ten_characters_in_two_groups(alice: FactorOwner) -> None:
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", code) for code in alice.recovery_codes)


def test_a_code_works_once(alice: FactorOwner) -> None:
    code = alice.recovery_codes[0]
    assert alice.finish(alice.begin_sign_in(), recovery_code=code).status_code == 200
    assert alice.finish(alice.begin_sign_in(), recovery_code=code).status_code == 401
    assert alice.status()["recovery_codes_left"] == 9


def test_of_ten_sign_ins_at_once_with_one_code_one_succeeds(alice: FactorOwner) -> None:
    challenges = [alice.begin_sign_in() for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        answers = threads.map(lambda each: alice.finish(each, recovery_code=alice.recovery_codes[3]), challenges)
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    assert alice.status()["recovery_codes_left"] == 9


def test_ten_codes_at_once_all_succeed(alice: FactorOwner) -> None:
    challenges = [alice.begin_sign_in() for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        pairs = list(zip(challenges, alice.recovery_codes, strict=True))
        answers = list(threads.map(lambda pair: alice.finish(pair[0], recovery_code=pair[1]), pairs))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert alice.accounts.sign_in().get_json()["methods"] == ["totp"]


def test_a_code_may_be_typed_as_people_type(alice: FactorOwner) -> None:
    typed = alice.recovery_codes[0].lower().replace("-", " ").replace("1", "l").replace("0", "o")
    assert alice.finish(alice.begin_sign_in(), recovery_code=typed).status_code == 200


def test_new_codes_void_the_old_ones(alice: FactorOwner) -> None:
    answer = alice.ask("POST", "/second-factor/recovery-codes")
    assert answer.headers["Cache-Control"] == "no-store"
    new = answer.get_json()["recovery_codes"]
    assert not set(new) & set(alice.recovery_codes)
    assert alice.finish(alice.begin_sign_in(), recovery_code=alice.recovery_codes[0]).status_code == 401
    assert alice.finish(alice.begin_sign_in(), recovery_code=new[0]).status_code == 200


def test_an_account_without_a_factor_gets_none(accounts: Accounts) -> None:
    answer = FactorOwner(accounts).ask("POST", "/second-factor/recovery-codes")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "second_factor_off")


def test_the_codes_of_another_account_are_wrong(alice: FactorOwner) -> None:
    bob = FactorOwner(alice.accounts, "bob@example.com")
    bob.turn_on_totp()
    assert bob.finish(bob.begin_sign_in(), recovery_code=alice.recovery_codes[0]).status_code == 401


def test_the_database_holds_nothing_that_can_be_tried_without_the_key(alice: FactorOwner) -> None:
    rows = alice.accounts.query("SELECT salt, digest FROM recovery_codes")
    assert len({bytes(row.salt) for row in rows}) == 10
    assert {len(bytes(row.digest)) for row in rows} == {len(b"d1:") + 32}


def test_the_owner_is_told_that_a_code_was_used(alice: FactorOwner) -> None:
    alice.accounts.messages()
    alice.finish(alice.begin_sign_in(), recovery_code=alice.recovery_codes[0])
    assert [message["Subject"] for message in alice.accounts.messages()] == ["A recovery code was used"]
    assert "recovery_code_used" in alice.accounts.events(alice.user_id)


@pytest.mark.parametrize("typed", ["", "-", "x" * 32, "\uff21" * 10, "ß" * 10])
def test_what_is_no_code_is_wrong(alice: FactorOwner, typed: str) -> None:
    assert alice.finish(alice.begin_sign_in(), recovery_code=typed).status_code == 401
