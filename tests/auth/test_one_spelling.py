"""A token is accepted as it was given out, and in no other spelling, whatever a lenient decoder would make of it."""

import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from auth.sessions.cookies import COOKIE
from auth.sessions.known_devices import find_device
from auth.tokens.opaque import CHECKSUM_LENGTH, checksum
from database import reading
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.key_holder import KeyHolder
from tests.auth.message_parts import token_in

BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@dataclass(frozen=True)
class Token:
    text: str
    accepted: Callable[[str], bool]
    in_header: bool = False
    """Blanks around it are then no part of it (RFC 9110, 5.5 and 11.4)."""
    is_id: bool = False
    """Another last character is then another id, and no other spelling."""


def access_token(accounts: Accounts) -> Token:
    given = accounts.register()["access_token"]
    return Token(given, lambda text: accounts.profile(text).status_code == 200, in_header=True)


def refresh_token(accounts: Accounts) -> Token:
    """Within its grace the same token is answered again."""
    given = accounts.register()["refresh_token"]
    return Token(given, lambda text: accounts.refresh(text).status_code == 200)


def refresh_token_with_fitting_checksum(accounts: Accounts) -> Token:
    """Anybody can compute the checksum, so it is no part of what is tried."""
    given = accounts.register()["refresh_token"][:-CHECKSUM_LENGTH]
    return Token(given, lambda text: accounts.refresh(text + checksum(text)).status_code == 200)


def api_key(accounts: Accounts) -> Token:
    alice = KeyHolder(accounts)
    return Token(alice.key()["token"], lambda text: alice.use(text).status_code == 200, in_header=True)


def link_of_an_email(accounts: Accounts) -> Token:
    body = {"email": "alice@example.com", "password": PASSWORD}
    accounts.post("/register", body)
    (message,) = accounts.messages()
    return Token(token_in(message), lambda text: accounts.post("/verify-email", {"token": text}).status_code == 204)


def device_token(accounts: Accounts) -> Token:
    accounts.register()
    signed_in = accounts.sign_in().get_json()

    def known(text: str) -> bool:
        with accounts.app.app_context(), reading() as session:
            return find_device(session, UUID(signed_in["user"]["id"]), text) is not None

    return Token(signed_in["device_token"], known)


def challenge_of_a_sign_in(accounts: Accounts) -> Token:
    alice = FactorOwner(accounts)
    alice.add_passkey()
    path = "/login/second-factor/passkey/options"
    return Token(alice.begin_sign_in(), lambda text: accounts.post(path, {"challenge": text}).status_code == 200)


def csrf_token(accounts: Accounts) -> Token:
    web = {"Origin": accounts.auth.settings.issuer, "Sec-Fetch-Site": "same-origin"}
    accounts.register()
    client = accounts.app.test_client(use_cookies=False)
    body = {"email": "alice@example.com", "password": PASSWORD, "token_delivery": "cookie"}
    answer = client.post("/api/auth/login", json=body, headers=web)
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert cookie.startswith(f"{COOKIE}=")

    def accepted(text: str) -> bool:
        headers = {**web, "Cookie": cookie, "X-CSRF-Token": text}
        return client.post("/api/auth/refresh", json={}, headers=headers).status_code == 200

    return Token(answer.get_json()["csrf_token"], accepted)


def cursor_of_sessions(accounts: Accounts) -> Token:
    token = accounts.register()["access_token"]
    accounts.sign_in()
    first = accounts.client.get("/api/auth/sessions?limit=1", headers=bearer(token)).get_json()

    def accepted(text: str) -> bool:
        query = {"cursor": text, "limit": "1"}
        return accounts.client.get("/api/auth/sessions", query_string=query, headers=bearer(token)).status_code == 200

    return Token(first["next_cursor"], accepted, is_id=True)


def cursor_of_events(accounts: Accounts) -> Token:
    token = accounts.register()["access_token"]
    accounts.sign_in()
    first = accounts.client.get("/api/auth/security-events?limit=1", headers=bearer(token)).get_json()

    def accepted(text: str) -> bool:
        query = {"cursor": text}
        path = "/api/auth/security-events"
        return accounts.client.get(path, query_string=query, headers=bearer(token)).status_code == 200

    return Token(first["next_cursor"], accepted, is_id=True)


KINDS = (
    access_token,
    refresh_token,
    refresh_token_with_fitting_checksum,
    api_key,
    link_of_an_email,
    device_token,
    challenge_of_a_sign_in,
    csrf_token,
    cursor_of_sessions,
    cursor_of_events,
)


def other_spellings(token: Token) -> Iterator[str]:
    """What decoders of base64, of UUIDs and of text are known to take for the same."""
    text = token.text
    middle = len(text) // 2
    yield from (text + "=", text + "==", text + "\n", text + "\t", text + "\u00a0")
    if not token.in_header:
        yield from (text + " ", " " + text)
    yield from (text[:middle] + between + text[middle:] for between in (" ", "\n", "=", "-", ".", "\u200b", "!"))
    for end in (*[place for place, character in enumerate(text) if character == "."], len(text)):
        last = text[end - 1]
        if last in BASE64URL and not token.is_id:  # its spare bits, if it has any
            yield from (text[: end - 1] + near + text[end:] for near in BASE64URL if near != last)
    yield from {text.upper(), text.lower(), text.swapcase(), text.title()} - {text}
    yield from (
        text.replace("-", "+"),
        text.replace("_", "/"),
        text.replace("-", ""),
        f"{{{text}}}",
        f"urn:uuid:{text}",
    )
    yield text[:-1] + chr(ord(text[-1]) - 0x21 + 0xFF01)  # the full-width form


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_token_has_one_spelling(make_accounts: MakeAccounts, kind: Callable[[Accounts], Token]) -> None:
    token = kind(make_accounts())
    tried = [text for text in other_spellings(token) if text != token.text]
    assert [text for text in tried if taken(token, text)] == []
    assert token.accepted(token.text)


def taken(token: Token, text: str) -> bool:
    try:
        return token.accepted(text)
    except (UnicodeEncodeError, ValueError):  # it cannot stand in a header at all
        return False
