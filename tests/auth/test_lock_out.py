"""The ways back to an account that somebody else got into: what each takes away, table by table, and what it leaves.

`LETS_IN` and `PENDING` name every table that holds a credential or a pending change, with what makes a row of it alive. A new
table with a user's id has to be put into one of the three lists below before this file passes.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from werkzeug.test import TestResponse

from auth.account_change import account_change
from auth.identity_providers.id_token import GOOGLE
from auth.lock_out.lock_out import DISTRUSTED, lock_out
from auth.models import User
from auth.operators.commands import user_commands
from database.base import Base
from payments.subscriptions.grant_manually import grant_by_hand
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.factor_owner import FactorOwner
from tests.auth.identity_issuer import IdentityIssuer
from tests.auth.message_parts import token_in
from tests.auth.software_passkey import SoftwarePasskey
from tests.auth.test_sign_in_with_provider import NONCE, SignIn

OLD, MALLORY = "alice@example.com", "mallory@example.com"
NEW_PASSWORD = f"new {PASSWORD}"

LETS_IN = {
    "sessions": "revoked_at IS NULL",
    "api_keys": "revoked_at IS NULL",
    "identities": "true",
    "passkeys": "true",
    "totp_secrets": "true",
    "recovery_codes": "used_at IS NULL",
    "known_devices": "true",
}
PENDING = {
    # The e-mail that undoes a change of address went to the owner: it is a way back, and stays.
    "one_time_codes": "used_at IS NULL AND purpose <> 'undo_email_change'",
    "sign_in_challenges": "true",
    "passkey_challenges": "true",
}
NEITHER = {
    "impersonations": "ends with the session of the member of staff",
    "wrong_second_factors": "a count",
    "dead_emails": "one about a code that is void is not sent",
    "data_exports": "downloading one takes a session and a fresh proof",
    "security_events": "a record",
    "usage_counters": "a count",
    "usage_reservations": "a count",
    "usage_gates": "a lock",
    "request_logs": "a record",
    "charges": "a record",
    "usage_budgets": "what the owner wants to spend; only a session sets it",
    "idempotency_keys": "an answer that was given",
    "billing_customers": "who pays",
    "subscriptions": "what was bought",
    "entitlement_ledger": "a record",
    "checkout_intents": "what is being bought",
    "payments": "what was bought",
    "billing_periods": "what is to be paid",
    "billing_credits": "what need not be paid",
    "chat_conversations": "what the owner wrote",
    "chat_messages": "what the owner wrote",
    "shop_orders": "what was bought",
    "shop_refunds": "a record",
    "shop_order_events": "a record",
    "stock_movements": "a record",
    "ssh_profiles": "where the owner's servers are",
    "ssh_keys": "open the owner's servers, and not the account",
    "ssh_known_hosts": "tell the owner's servers from others",
    "ssh_seen_host_keys": "tell the owner's servers from others",
    "terminal_sessions": "end with the session whose socket has them",
    "terminal_commands": "what the owner wrote",
    "sync_items": "what the owner wrote",
    "sync_heads": "a count",
}


def test_every_table_with_a_users_id_is_classified() -> None:
    concerned = {
        table.name
        for table in Base.metadata.tables.values()
        if any(
            column.name.endswith(("user_id", "actor_id"))
            or any(key.column.table.name == "users" for key in column.foreign_keys)
            for column in table.columns
        )
    }
    listed = [*LETS_IN, *PENDING, *NEITHER]
    assert sorted(listed) == sorted(concerned)


@dataclass
class Thief:
    """Somebody with a fresh session of Alice's, who prepares every way to come back and leaves a change of address pending."""

    accounts: Accounts
    google: SignIn
    tokens: dict[str, Any]
    passkey: SoftwarePasskey
    api_key: str
    change: EmailMessage
    waiting: str
    undo: str
    """The token that the owner got when the thief moved the account; empty when it was not moved."""

    def comes_back_by(self) -> list[str]:
        """By which of what was prepared."""
        tried = {
            "session": self.accounts.profile(self.tokens["access_token"]).status_code == 200,
            "refresh": self.accounts.refresh(self.tokens["refresh_token"]).status_code == 200,
            "API key": self.accounts.profile(self.api_key).status_code != 401,
            "identity": self._signs_in_with_google(),
            "passkey": self._signs_in_with_passkey(),
            "waiting sign-in": self._finishes() != "challenge_not_valid",
            "change of address": self._confirms(),
        }
        return [name for name, worked in tried.items() if worked]

    def _signs_in_with_google(self) -> bool:
        """With the second factor or without; as Alice, not in an account of the thief's own."""
        answer = self.google.post(identity_of(self.accounts, self.google, "thief", MALLORY)).get_json()
        return bool(answer.get("error") == "mfa_required" or answer["user"]["email"] == OLD)

    def _signs_in_with_passkey(self) -> bool:
        options = self.accounts.post("/passkeys/sign-in/options").get_json()["options"]
        answer = self.accounts.post("/passkeys/sign-in", {"credential": self.passkey.get(options)})
        return answer.status_code == 200

    def _finishes(self) -> str:
        body = {"challenge": self.waiting, "totp_code": "000000"}
        return str(self.accounts.post("/login/second-factor", body).get_json()["error"])

    def _confirms(self) -> bool:
        return self.accounts.post("/email/confirm", {"token": token_in(self.change)}).status_code == 204


@dataclass
class Story:
    """Alice's account as it was for long, and the thief who got in just now."""

    accounts: Accounts
    google: SignIn
    alice: FactorOwner
    passkey: SoftwarePasskey
    came: datetime
    before: dict[str, set[tuple[Any, ...]]]
    """What was alive before the thief came."""

    def operator(self, *arguments: str) -> None:
        self.accounts.app.cli.add_command(user_commands(self.accounts.auth, grant_by_hand))
        done = self.accounts.app.test_cli_runner().invoke(args=["users", *arguments, OLD])
        assert done.exit_code == 0, done.output

    def alive(self, table: str) -> set[tuple[Any, ...]]:
        key = ", ".join(column.name for column in Base.metadata.tables[table].primary_key)
        condition = (LETS_IN | PENDING)[table]
        statement = f"SELECT {key} FROM {table} WHERE user_id = :user_id AND {condition}"
        return {tuple(row) for row in self.accounts.query(statement, user_id=self.alice.user_id)}

    def everything_alive(self) -> dict[str, set[tuple[Any, ...]]]:
        return {table: self.alive(table) for table in LETS_IN | PENDING}


def identity_of(accounts: Accounts, google: SignIn, subject: str, email: str) -> str:
    now = int(accounts.clock().timestamp())
    return google.token(sub=subject, email=email, iat=now, exp=now + 600)


def link(accounts: Accounts, google: SignIn, access_token: str, subject: str, email: str) -> None:
    body = {"id_token": identity_of(accounts, google, subject, email), "nonce": NONCE}
    answer = accounts.post("/identities/google", body, headers=bearer(access_token))
    assert answer.status_code == 200, answer.text


def make_key(accounts: Accounts, access_token: str) -> str:
    answer = accounts.post("/tokens", {"name": "x", "scopes": ["predict"]}, headers=bearer(access_token))
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["token"])


@pytest.fixture
def story(accounts: Accounts) -> Iterator[Story]:
    with IdentityIssuer("https://accounts.google.com") as issuer:
        google = SignIn(accounts, issuer, GOOGLE)
        alice = FactorOwner(accounts)
        accounts.query("UPDATE users SET is_verified = true")
        accounts.clock.advance(seconds=1)
        link(accounts, google, alice.access_token, "alice", OLD)
        passkey = alice.add_passkey("the owner's")
        make_key(accounts, alice.access_token)
        accounts.clock.now += DISTRUSTED + timedelta(seconds=1)
        told = Story(accounts, google, alice, passkey, accounts.clock(), {})
        told.before = told.everything_alive()
        yield told


def break_in(story: Story, *, moves_the_account: bool = False) -> Thief:
    accounts, alice, undo = story.accounts, story.alice, ""
    tokens = alice.finish(alice.begin_sign_in(), recovery_code=alice.recovery_codes[0]).get_json()
    alice.access_token = tokens["access_token"]
    if moves_the_account:
        accounts.messages()
        assert accounts.post("/email/confirm", {"token": token_in(ask_for_change(story, MALLORY))}).status_code == 204
        (message,) = accounts.messages()
        undo, alice.email = token_in(message), MALLORY
    link(accounts, story.google, tokens["access_token"], "thief", MALLORY)
    passkey = alice.add_passkey("the thief's")
    alice.turn_on_totp()
    assert alice.ask("POST", "/second-factor/recovery-codes").status_code == 200
    key = make_key(accounts, tokens["access_token"])
    alice.registration_options()
    waiting = alice.begin_sign_in()
    accounts.post("/forgot-password", {"email": alice.email})
    accounts.messages()
    change = ask_for_change(story, "mallory@elsewhere.example")
    accounts.clock.advance(seconds=1)
    return Thief(accounts, story.google, tokens, passkey, key, change, waiting, undo)


def ask_for_change(story: Story, to: str) -> EmailMessage:
    body = {"new_email": to}
    assert story.accounts.post("/email/change", body, headers=bearer(story.alice.access_token)).status_code == 202
    (message,) = story.accounts.messages()
    return message


def reset(story: Story, _thief: Thief) -> None:
    story.accounts.post("/forgot-password", {"email": OLD})
    (message,) = story.accounts.messages()
    body = {"token": token_in(message), "new_password": NEW_PASSWORD}
    assert story.accounts.post("/reset-password", body).status_code == 204


def undo(story: Story, thief: Thief) -> None:
    assert story.accounts.post("/email/undo", {"token": thief.undo}).status_code == 204


def disable(story: Story, _thief: Thief) -> None:
    """The operators switch the account on again later, and nobody who was in before is in then."""
    story.operator("disable")
    story.operator("enable")


def sign_out_everywhere(story: Story, _thief: Thief) -> None:
    """From a session that Alice opens with the passkey that she had before."""
    accounts = story.accounts
    options = accounts.post("/passkeys/sign-in/options").get_json()["options"]
    own = accounts.post("/passkeys/sign-in", {"credential": story.passkey.get(options)}).get_json()["access_token"]
    query = {"keep_current": "true", "added_since": story.came.isoformat()}
    answer = accounts.client.delete("/api/auth/sessions", query_string=query, headers=bearer(own))
    assert answer.status_code == 200, answer.text
    assert accounts.profile(own).status_code == 200


def reset_second_factor(story: Story, _thief: Thief) -> None:
    story.operator("reset-second-factor")


EVERYTHING_OLD = {"api_keys", "identities", "passkeys", "known_devices"}


@pytest.mark.parametrize(
    ("way_back", "left"),
    [
        pytest.param(reset, EVERYTHING_OLD, id="reset"),
        pytest.param(undo, EVERYTHING_OLD - {"api_keys"}, id="undo"),
        pytest.param(disable, EVERYTHING_OLD - {"api_keys"}, id="disable"),
        pytest.param(sign_out_everywhere, EVERYTHING_OLD, id="sign_out_everywhere"),
        pytest.param(reset_second_factor, EVERYTHING_OLD - {"passkeys"}, id="reset_second_factor"),
    ],
)
def test_nothing_of_a_thief_survives_and_what_the_owner_had_before_does(
    story: Story, way_back: Callable[[Story, Thief], None], left: set[str]
) -> None:
    thief = break_in(story, moves_the_account=way_back is undo)
    prepared = story.everything_alive()
    for table, rows in prepared.items():
        assert rows - story.before[table], f"the thief left nothing in {table}, so this test shows nothing of it"
    way_back(story, thief)
    alive = story.everything_alive()
    survived = {table: alive[table] & (prepared[table] - story.before[table]) for table in alive}
    assert not any(survived.values()), survived
    assert {table for table in LETS_IN if story.before[table] and story.before[table] <= alive[table]} == left
    assert thief.comes_back_by() == []


class InFlight:
    """What a request does that was let in, and waits for the user's row while its session is ended."""

    def __init__(self, accounts: Accounts, user_id: str) -> None:
        self.accounts = accounts
        self.user_id = UUID(user_id)

    def answer(self, request: Callable[[], TestResponse]) -> TestResponse:
        auth = self.accounts.auth
        with ThreadPoolExecutor(1) as other:
            with self.accounts.app.test_request_context(), account_change(auth.states, auth.clock()) as change:
                user = change.hold(User.id == self.user_id)
                assert user is not None
                asked = other.submit(request)
                self.wait_until_it_waits(asked)
                lock_out(auth, change, user, "disabled", added_since=change.now - DISTRUSTED)
            return asked.result(30)

    def wait_until_it_waits(self, asked: "Future[TestResponse]") -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        for _ in range(1000):
            if asked.done():
                raise AssertionError(asked.result().text)
            if self.accounts.query(query) == [(1,)]:
                return
            time.sleep(0.01)
        raise AssertionError("the request does not wait for the row")


@pytest.mark.parametrize("what", ["API key", "rotated API key", "identity", "passkey", "authenticator app"])
def test_a_request_that_waits_while_its_session_is_ended_leaves_nothing_behind(accounts: Accounts, what: str) -> None:
    with IdentityIssuer("https://accounts.google.com") as issuer:
        google = SignIn(accounts, issuer, GOOGLE)
        thief = FactorOwner(accounts)
        accounts.query("UPDATE users SET created_at = created_at - interval '1 year'")
        body: dict[str, Any] = {"name": "x", "scopes": ["predict"]}
        path = "/tokens"
        if what == "rotated API key":
            body, path = {}, f"/tokens/{thief.ask('POST', '/tokens', body).get_json()['id']}/rotate"
        if what == "identity":
            body, path = {"id_token": google.token(), "nonce": NONCE}, "/identities/google"
        if what == "passkey":
            credential = SoftwarePasskey().create(thief.registration_options())
            body, path = {"name": "phone", "credential": credential}, "/passkeys/registration"
        if what == "authenticator app":
            thief.set_up_totp()
            body, path = {"code": thief.code()}, "/second-factor/totp/confirm"
        answer = InFlight(accounts, thief.user_id).answer(lambda: thief.ask("POST", path, body))
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
        for table, living in LETS_IN.items():
            assert accounts.query(f"SELECT count(*) FROM {table} WHERE {living}") == [(0,)], table


def test_a_sign_in_that_waits_while_its_identity_is_unlinked_opens_nothing(accounts: Accounts) -> None:
    with IdentityIssuer("https://accounts.google.com") as issuer:
        google = SignIn(accounts, issuer, GOOGLE)
        alice = FactorOwner(accounts)
        accounts.query("UPDATE users SET created_at = created_at - interval '1 year'")
        link(accounts, google, alice.access_token, "thief", MALLORY)
        token = identity_of(accounts, google, "thief", MALLORY)
        answer = InFlight(accounts, alice.user_id).answer(lambda: google.post(token))
        assert answer.get_json()["user"]["id"] != alice.user_id
        query = "SELECT count(*) FROM sessions WHERE user_id = :user_id AND revoked_at IS NULL"
        assert accounts.query(query, user_id=alice.user_id) == [(0,)]
