"""Which passwords are accepted for a new account."""

import secrets

import pytest

from auth.email_address import parse_email
from auth.password_hashing.policy import PasswordRefused, PasswordRules, check_new_password

RULES = PasswordRules(10)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short-1x", "password_too_weak"),
        ("aaaaaaaaaaaaaa", "password_too_weak"),
        (" " * 12, "password_too_weak"),
        ("1234567890", "password_breached"),
        ("QwertyUiop", "password_breached"),
        ("Password123!", "password_breached"),
        ("mirroros-alice", "password_breached"),
        ("alice.smith99", "password_breached"),
        ("tulip\u0378" + "yz" * 8, "validation_failed"),
        ("tulip\0canoe-orbit", "validation_failed"),
        ("\U0001f98a" * 257, "validation_failed"),
    ],
)
def test_what_an_attacker_would_try_is_refused(password: str, code: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        check_new_password(password, RULES, parse_email("alice.smith@example.com"))
    [error] = refused.value.members["errors"]
    assert (error["pointer"], error["code"]) == ("/password", code)


def test_what_is_hard_to_guess_is_accepted() -> None:
    passwords = [
        secrets.token_urlsafe(10),
        secrets.token_urlsafe(190),
        "correct horse battery staple",
        "".join(chr(0x1F600 + secrets.randbelow(64)) for _ in range(64)),
        "alice.smith likes canoes",
    ]
    for password in passwords:
        check_new_password(password, RULES, parse_email("alice.smith@example.com"))


@pytest.mark.parametrize("end", ["12345\n", "20240101\n", "1\n"])
def test_a_line_break_at_the_end_is_judged_like_any_character(end: str) -> None:
    check_new_password(f"tulip orbit canoe {end}", RULES, parse_email("alice@example.com"))
