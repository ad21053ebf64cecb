"""PASSWORD_HASHER: bcrypt and Argon2id, which both sign in"""

import subprocess
import sys

import bcrypt
import pytest

from auth.password_hashing.argon2_hash import argon2_matches
from auth.password_hashing.bcrypt_hash import Hasher, Passwords, Verdict
from auth.password_hashing.worker_pool import PasswordWork
from tests.auth.accounts_app import Accounts
from tests.auth.conftest import MakeAccounts

PASSWORD = "tulip canoe orbit"
BEGINS = {"bcrypt": "mo2$0$$2b$04$", "argon2id": "mo2$0$$argon2id$v=19$m=19456,t=2,p=1$"}
OTHER: dict[Hasher, Hasher] = {"bcrypt": "argon2id", "argon2id": "bcrypt"}


@pytest.fixture
def work() -> PasswordWork:
    return PasswordWork()


@pytest.mark.parametrize("hasher", OTHER)
def test_hashes_of_both_match_and_the_other_kind_is_outdated(work: PasswordWork, hasher: Hasher) -> None:
    passwords, others = Passwords(work, cost=4, hasher=hasher), Passwords(work, cost=4, hasher=OTHER[hasher])
    own, other = passwords.hash(PASSWORD), others.hash(PASSWORD)
    assert own.startswith(BEGINS[hasher])
    assert passwords.verify(PASSWORD, own) == Verdict(matches=True, outdated=False)
    assert passwords.verify(PASSWORD, other) == Verdict(matches=True, outdated=True)
    for stored in (own, other, None):
        assert not passwords.verify("another", stored).matches


def test_a_row_with_other_figures_is_not_ours(work: PasswordWork) -> None:
    """Else a row could say how much memory a comparison takes."""
    passwords = Passwords(work, cost=4, hasher="argon2id")
    stored = passwords.hash(PASSWORD)
    for changed in (
        stored.replace("m=19456", "m=99999999"),
        stored.replace("t=2", "t=9"),
        stored.removeprefix("mo2$0$"),
    ):
        assert not passwords.verify(PASSWORD, changed).matches


@pytest.mark.parametrize("hasher", OTHER)
def test_every_row_and_none_cost_the_same(work: PasswordWork, monkeypatch: pytest.MonkeyPatch, hasher: Hasher) -> None:
    done: list[str] = []
    check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        done.append("bcrypt")
        return check(password, hashed)

    def counted_argon2(content: bytes, hashed: bytes) -> bool:
        done.append("argon2id")
        return argon2_matches(content, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    monkeypatch.setattr("auth.password_hashing.bcrypt_hash.argon2_matches", counted_argon2)
    passwords = Passwords(work, cost=4, hasher=hasher)
    rows = [Passwords(work, cost=4, hasher=each).hash(PASSWORD) for each in OTHER]
    passwords.verify(PASSWORD, rows[1])  # from here on this process knows that there are Argon2id hashes
    for stored in (*rows, None, "unreadable"):
        for typed in (PASSWORD, "another"):
            done.clear()
            passwords.verify(typed, stored)
            assert done == ["bcrypt", "argon2id"]


def test_the_next_sign_in_stores_the_password_anew(make_accounts: MakeAccounts) -> None:
    make_accounts().register()
    for hasher in ("argon2id", "bcrypt"):
        accounts: Accounts = make_accounts(password_hasher=hasher)
        for _ in range(2):
            assert accounts.sign_in().status_code == 200
            [(stored,)] = accounts.query("SELECT password_hash FROM users")
            assert stored.startswith(BEGINS[hasher])
        assert accounts.sign_in(password="another tulip").status_code == 401
        assert accounts.sign_in("nobody@example.com").status_code == 401


@pytest.mark.slow
def test_where_no_row_has_it_the_library_is_not_loaded() -> None:
    program = (
        "import sys; from auth.password_hashing.bcrypt_hash import Passwords;"
        "from auth.password_hashing.worker_pool import PasswordWork;"
        "passwords = Passwords(PasswordWork(threads=1), cost=4);"
        "assert passwords.verify('tulip', passwords.hash('tulip')).matches;"
        "assert not [name for name in sys.modules if 'argon2' in name and not name.startswith('auth')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
