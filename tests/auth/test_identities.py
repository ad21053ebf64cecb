"""GET and DELETE /api/auth/identities, POST /api/auth/identities/google"""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from auth.identity_providers.id_token import GOOGLE
from tests.auth.accounts_app import Accounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.identity_issuer import IdentityIssuer
from tests.auth.test_sign_in_with_provider import NONCE, SignIn


class Linker:
    """Alice, who has a password, and her accounts at Google."""

    def __init__(self, google: SignIn) -> None:
        self.google = google
        self.accounts = google.accounts
        self.alice = FactorOwner(google.accounts)
        self.accounts.clock.advance(seconds=1)

    def link(self, subject: str = "subject-1", token: str | None = None, **claims: Any) -> TestResponse:
        body = {"id_token": self.google.token(sub=subject, **claims), "nonce": NONCE}
        return self.alice.ask("POST", "/identities/google", body, token)

    def listed(self) -> list[dict[str, Any]]:
        return list(self.alice.ask("GET", "/identities").get_json()["identities"])

    def unlink(self, identity_id: str, token: str | None = None) -> TestResponse:
        return self.alice.ask("DELETE", f"/identities/{identity_id}", token=token)

    def drop_password(self) -> None:
        self.accounts.query("UPDATE users SET password_hash = NULL")


@pytest.fixture
def linker(accounts: Accounts) -> Iterator[Linker]:
    with IdentityIssuer("https://accounts.google.com") as issuer:
        yield Linker(SignIn(accounts, issuer, GOOGLE))


def test_a_linked_identity_signs_in_whatever_its_address_and_is_listed(linker: Linker) -> None:
    answer = linker.link(email="other@example.net", without="hd")
    assert answer.status_code == 200, answer.text
    assert linker.listed() == [answer.get_json()]
    assert set(answer.get_json()) == {"id", "provider", "linked_at"}
    signed_in = linker.google.post(linker.google.token(email="other@example.net"))
    assert signed_in.get_json()["user"]["id"] == linker.alice.user_id


def test_the_identity_that_was_linked_last_is_listed_first(linker: Linker) -> None:
    linked = [linker.link(f"subject-{number}").get_json()["id"] for number in range(5)]
    assert [each["id"] for each in linker.listed()] == linked[::-1]


def test_linking_is_told_once_and_can_be_repeated(linker: Linker) -> None:
    first, again = linker.link(), linker.link()
    assert first.get_json() == again.get_json()
    assert [message["Subject"] for message in linker.accounts.messages()] == ["A new way to sign in was added"]
    assert linker.accounts.events(linker.alice.user_id).count("identity_linked") == 1


def test_an_identity_of_another_account_is_not_taken_from_it(linker: Linker) -> None:
    linker.link()
    bob = linker.accounts.register("bob@example.com")
    answer = linker.link(token=bob["access_token"])
    assert (answer.status_code, answer.get_json()["error"]) == (409, "identity_taken")
    assert linker.google.post().get_json()["user"]["id"] == linker.alice.user_id


def test_a_token_that_is_not_good_links_nothing(linker: Linker) -> None:
    answer = linker.link(aud="com.other.app")
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_id_token")
    assert linker.listed() == []


def test_an_unlinked_identity_signs_in_no_more_and_its_sessions_end(linker: Linker) -> None:
    identity_id = linker.link().get_json()["id"]
    thief = linker.google.post().get_json()
    linker.accounts.messages()
    assert linker.unlink(identity_id).status_code == 204
    assert linker.listed() == []
    assert linker.accounts.profile(thief["access_token"]).status_code == 401
    assert linker.accounts.profile(linker.alice.access_token).status_code == 200
    (message,) = linker.accounts.messages()
    assert message["Subject"] == "A way to sign in was removed"
    assert linker.accounts.events(linker.alice.user_id)[-1] == "identity_unlinked"
    again = linker.google.post(linker.google.token(email="other@example.net"))
    assert again.get_json()["user"]["id"] != linker.alice.user_id


def test_what_is_not_there_and_what_is_somebody_elses_are_answered_alike(linker: Linker) -> None:
    identity_id = linker.link().get_json()["id"]
    bob = linker.accounts.register("bob@example.com")["access_token"]
    foreign, unknown = linker.unlink(identity_id, bob), linker.unlink(str(uuid4()))
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.get_json()["detail"] == unknown.get_json()["detail"]
    assert len(linker.listed()) == 1


@pytest.mark.parametrize("other", ["password", "identity", "passkey"])
def test_the_last_way_to_sign_in_is_not_removed(linker: Linker, other: str) -> None:
    identity_id = linker.link().get_json()["id"]
    if other == "identity":
        linker.link("subject-2")
    if other == "passkey":
        linker.alice.add_passkey()
    if other != "password":
        linker.drop_password()
    assert linker.unlink(identity_id).status_code == 204


def test_without_another_way_it_is_said_what_to_do_first(linker: Linker) -> None:
    identity_id = linker.link().get_json()["id"]
    linker.drop_password()
    answer = linker.unlink(identity_id)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "last_way_to_sign_in")
    assert "Add a passkey" in answer.get_json()["detail"]
    assert len(linker.listed()) == 1
    assert "identity_unlinked" not in linker.accounts.events()


def test_the_last_passkey_of_an_account_without_another_way_stays_too(linker: Linker) -> None:
    linker.alice.add_passkey()
    linker.drop_password()
    ((passkey_id,),) = linker.accounts.query("SELECT id FROM passkeys")
    answer = linker.alice.ask("DELETE", f"/passkeys/{passkey_id}")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "last_way_to_sign_in")
    linker.link()
    assert linker.alice.ask("DELETE", f"/passkeys/{passkey_id}").status_code == 204


def test_linking_and_unlinking_want_a_fresh_proof(linker: Linker) -> None:
    identity_id = linker.link().get_json()["id"]
    linker.accounts.clock.advance(minutes=6)
    for answer in (linker.link("subject-2"), linker.unlink(identity_id)):
        assert (answer.status_code, answer.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert len(linker.listed()) == 1


def test_nobody_is_asked_to_sign_in(linker: Linker) -> None:
    body = {"id_token": linker.google.token(), "nonce": NONCE}
    client = linker.accounts.client
    assert client.get("/api/auth/identities").status_code == 401
    assert client.delete(f"/api/auth/identities/{uuid4()}").status_code == 401
    assert linker.accounts.post("/identities/google", body).status_code == 401
