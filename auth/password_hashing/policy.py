"""Which passwords are accepted. No rules of composition and no expiry (NIST SP 800-63B-4, 3.1.1.2)."""

import re
from collections.abc import Container
from dataclasses import dataclass
from functools import cache

from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from auth.email_address import EmailAddress
from auth.password_hashing.bcrypt_hash import PasswordNotUsable, prepared
from auth.password_hashing.worker_pool import PasswordWorkBusy
from security.edge.problems import Problem, ValidationFailed

MINIMUM_SCORE = 2
SCORED_CHARACTERS = 72  # zxcvbn takes 4 ms here and grows with the square of the length
PRODUCT_WORDS = ("mirroros", "mirror")
CONTEXT_WORD_LENGTH = 4
OWN_CHARACTERS_NEEDED = 6
NOT_A_LETTER = re.compile(r"[^a-z]+")
APPENDED = re.compile(r"[^a-z]{1,4}$")


class PasswordRefused(ValidationFailed):
    """The password has a form that is not accepted."""

    def __init__(self, message: str, pointer: str = "/password") -> None:
        super().__init__([{"pointer": pointer, "code": self.error, "message": message}])


class PasswordTooWeak(PasswordRefused):
    error, title = "password_too_weak", "The password is too easy to guess"


class PasswordBreached(PasswordRefused):
    error, title = "password_breached", "The password is too common or was leaked in a data breach"


NEW_PASSWORD_PROBLEMS: tuple[type[Problem], ...] = (
    PasswordRefused,
    PasswordBreached,
    PasswordTooWeak,
    PasswordWorkBusy,
)
"""What a route that sets a password can answer because of it."""


@dataclass(frozen=True)
class PasswordRules:
    """`breached` is an operator's list beside our own."""

    minimum_length: int
    breached: Container[str] = frozenset()


def check_new_password(password: str, rules: PasswordRules, email: EmailAddress, pointer: str = "/password") -> None:
    """Raises PasswordRefused or one of its kinds. `email` is the user's, `pointer` names the field in the body (RFC 6901)."""
    try:
        form = prepared(password)
    except PasswordNotUsable as error:
        raise PasswordRefused(str(error), pointer) from error
    if len(form) < rules.minimum_length:
        raise PasswordTooWeak(f"Use at least {rules.minimum_length} characters. 15 or more are better.", pointer)
    lowered = form.lower()
    if lowered in common_passwords() or APPENDED.sub("", lowered) in common_passwords():
        raise PasswordBreached("This password is one of the most used passwords. Choose another one.", pointer)
    if password in rules.breached or form in rules.breached:
        raise PasswordBreached("This password was leaked in a data breach. Choose another one.", pointer)
    mail_name = email.address.partition("@")[0].lower()
    own_words = (mail_name, *NOT_A_LETTER.split(mail_name))
    context = [word for word in (*PRODUCT_WORDS, *own_words) if len(word) >= CONTEXT_WORD_LENGTH]
    if len(without(context, lowered)) < OWN_CHARACTERS_NEEDED:
        raise PasswordBreached(
            "This password is too similar to your e-mail address or our name. Choose another one.", pointer
        )
    scored = form[:SCORED_CHARACTERS].replace("\n", " ")  # zxcvbn takes "1234\n" for a date and fails to read it
    if zxcvbn(scored, user_inputs=context)["score"] < MINIMUM_SCORE:
        raise PasswordTooWeak("This password is easy to guess. Add a word or two.", pointer)


def without(words: list[str], text: str) -> str:
    for word in words:
        text = text.replace(word, "")
    return text


@cache
def common_passwords() -> frozenset[str]:
    """The 30,000 most used passwords, which zxcvbn carries."""
    return frozenset(FREQUENCY_LISTS["passwords"])
