"""An operator's list of breached passwords."""

import hashlib
import secrets
from pathlib import Path

import pytest

from auth.email_address import parse_email
from auth.password_hashing.breached import PwnedPasswords, PwnedPasswordsUnusable
from auth.password_hashing.policy import PasswordBreached, PasswordRules, check_new_password


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def written(path: Path, passwords: list[str], *, count: bool = True, end: str = "\n") -> PwnedPasswords:
    lines = [sha1(password) + (f":{number % 5000 + 1}" if count else "") for number, password in enumerate(passwords)]
    path.write_text("\n".join(sorted(lines)) + end)
    return PwnedPasswords(path)


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_every_password_of_the_list_is_found_and_no_other(tmp_path: Path, count: bool, end: str, size: int) -> None:
    passwords = [secrets.token_hex(8) for _ in range(size)]
    listed = written(tmp_path / "list", passwords, count=count, end=end)
    assert all(password in listed for password in passwords)
    assert not any(f"{password}x" in listed for password in passwords)


def test_windows_line_ends_do(tmp_path: Path) -> None:
    passwords = [secrets.token_hex(8) for _ in range(100)]
    (tmp_path / "list").write_bytes("\r\n".join(sorted(f"{sha1(each)}:7" for each in passwords)).encode())
    listed = PwnedPasswords(tmp_path / "list")
    assert all(password in listed for password in passwords)


@pytest.mark.parametrize("content", ["", "passwords\n", "<html>" * 10])
def test_another_file_is_refused_at_start_up(tmp_path: Path, content: str) -> None:
    (tmp_path / "list").write_text(content)
    with pytest.raises(PwnedPasswordsUnusable):
        PwnedPasswords(tmp_path / "list")


def test_a_listed_password_is_not_accepted(tmp_path: Path) -> None:
    password = f"orbit {secrets.token_hex(8)}"
    check_new_password(password, PasswordRules(10), parse_email("alice@example.com"))
    listed = written(tmp_path / "list", [password])
    with pytest.raises(PasswordBreached):
        check_new_password(password, PasswordRules(10, listed), parse_email("alice@example.com"))
