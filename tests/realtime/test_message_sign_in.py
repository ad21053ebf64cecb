"""Who may use a socket of a path, and for how long."""

import time
from datetime import timedelta

import pytest
from websockets.exceptions import InvalidStatus

from auth.operators.accounts import disable
from tests.realtime.conftest import Accounts, Person
from tests.realtime.message_socket import MessageSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.realtime.test_sign_in import AT_ONCE_SECONDS, REVOKED
from tests.realtime.toy_messages import SIGN_IN_SECONDS

pytestmark = pytest.mark.slow

NO_RIGHT, TOO_MANY = 4403, 4429


def refused(url: str, token: str | None = None, query: str | None = None) -> tuple[int, bytes]:
    with pytest.raises(InvalidStatus) as error:
        MessageSocket(url, token, query=query)
    return error.value.response.status_code, bytes(error.value.response.body or b"")


def impersonating(accounts: Accounts, person: Person) -> str:
    now = accounts.auth.clock()
    seen = accounts.auth.access_tokens.issue(
        user_id=person.user_id,
        session_id=person.session_id,
        auth_time=now,
        not_after=now + timedelta(minutes=5),
        actor_id=accounts.person().user_id,
    )
    return seen.text


def test_a_token_in_the_address_or_in_a_message_opens_a_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    token = accounts.person("pro").token
    with MessageSocket(realtime.url, token) as alice:
        assert alice.ask("tell", "told")["tier"] == "pro"
    with MessageSocket(realtime.url) as alice:
        assert alice.ask("ping", "pong") == {}
        assert time.time() + 60 < alice.sign_in(token)["expires_at"] < time.time() + 24 * 3600
        assert alice.ask("tell", "told")["tier"] == "pro"


def test_a_refused_token_of_the_address_is_told_before_the_upgrade(
    realtime: RealtimeProcess, accounts: Accounts
) -> None:
    person = accounts.person()
    for token in ("eyJ.no.token", "", person.token_for(seconds=-60)):
        status, body = refused(realtime.url, query=f"?token={token}")
        assert (status, b'"invalid_token"' in body) == (401, True)
    assert refused(realtime.url, query=f"?token={person.token}&token={person.token}")[0] == 400


def test_a_refused_token_of_a_message_closes_the_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    person = accounts.person()
    for token in ("eyJ.no.token", person.token_for(seconds=-60)):
        with MessageSocket(realtime.url) as stranger:
            error = stranger.ask("auth", "error", data={"token": token})["data"]
            assert (error["code"], error["retryable"]) == ("invalid_token", False)
            assert stranger.closed() == REVOKED


def test_an_api_key_opens_none_of_them(realtime: RealtimeProcess, accounts: Accounts) -> None:
    key = accounts.person().key("toy")["token"]
    assert refused(realtime.url, key)[0] in {401, 403}
    with MessageSocket(realtime.url) as robot:
        assert robot.ask("auth", "error", data={"token": key})
        assert robot.closed() in {REVOKED, NO_RIGHT}


def test_who_looks_through_an_account_opens_none(realtime: RealtimeProcess, accounts: Accounts) -> None:
    seen = impersonating(accounts, accounts.person())
    status, body = refused(realtime.url, seen)
    assert (status, b'"impersonation_read_only"' in body) == (403, True)
    with MessageSocket(realtime.url) as staff:
        assert staff.ask("auth", "error", data={"token": seen})["data"]["code"] == "impersonation_read_only"
        assert staff.closed() == NO_RIGHT


def test_who_says_nothing_is_closed(realtime: RealtimeProcess) -> None:
    with MessageSocket(realtime.url) as silent:
        began = time.monotonic()
        assert silent.closed() == REVOKED
        assert time.monotonic() - began >= SIGN_IN_SECONDS / 2
        assert silent.close_reason == "not_signed_in"


@pytest.mark.parametrize("type_", ["echo", "nothing"])
def test_nothing_else_can_be_said_before(realtime: RealtimeProcess, type_: str) -> None:
    with MessageSocket(realtime.url) as stranger:
        assert stranger.ask(type_, "error", data="hello")["data"]["code"] == "not_signed_in"
        assert stranger.closed() == REVOKED


def test_a_user_has_as_many_sockets_as_the_plan_says(realtime: RealtimeProcess, accounts: Accounts) -> None:
    token = accounts.person().token
    with MessageSocket(realtime.url, token), MessageSocket(realtime.url, token) as second:
        status, body = refused(realtime.url, token)
        assert (status, b'"too_many_sockets"' in body) == (429, True)
        with MessageSocket(realtime.url) as third:
            error = third.ask("auth", "error", data={"token": token})["data"]
            assert (error["code"], error["retryable"], error["retry_after"]) == ("too_many_sockets", True, 5)
            assert third.closed() == TOO_MANY
        assert second.ask("echo", "said", data="still here")


def test_a_token_that_ends_is_announced_and_then_ends_the_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with MessageSocket(realtime.url, accounts.person().token_for(seconds=3)) as alice:
        warning = alice.heard("warning")["data"]
        assert warning["code"] == "token_expiring"
        assert 0 <= warning["seconds"] <= 3
        assert alice.closed() == REVOKED
        assert alice.close_reason == "expired"


def test_a_new_token_keeps_the_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    person, other = accounts.person(), accounts.person()
    with MessageSocket(realtime.url, person.token_for(seconds=2)) as alice:
        for token in (other.token, "eyJ.no.token", impersonating(accounts, person)):
            alice.say("auth", data={"token": token})
        assert [alice.heard("error")["data"]["code"] for _ in range(3)].count("invalid_token") == 2
        assert alice.ask("auth", "error", data={})["data"]["code"] == "validation_failed"
        assert alice.sign_in(person.token)["expires_at"] > time.time() + 60
        time.sleep(2.5)  # the first one has ended
        assert alice.ask("echo", "said", data="still here")


@pytest.mark.parametrize("how", ["session", "disabled"])
def test_what_is_revoked_is_closed_at_once(realtime: RealtimeProcess, accounts: Accounts, how: str) -> None:
    person, bystander = accounts.person(), accounts.person()
    with MessageSocket(realtime.url, person.token) as alice, MessageSocket(realtime.url, bystander.token) as bob:
        ended = bob.ask("tell", "told")["ended"]
        if how == "session":
            person.call("POST", "/api/auth/logout")
        else:
            with accounts.app.app_context():
                disable(accounts.auth, person.user_id)
        assert alice.closed(within=AT_ONCE_SECONDS) == REVOKED
        assert bob.ask("tell", "told")["ended"] == ended + 1


def test_no_token_is_ever_logged(realtime: RealtimeProcess, accounts: Accounts) -> None:
    person = accounts.person("enterprise")
    ended, other = person.token_for(seconds=-60), person.token_for(seconds=60)
    with MessageSocket(realtime.url, person.token) as alice:
        assert alice.ask("fail", "error")["data"]["code"] == "internal_error"
        alice.sign_in(other)
        alice.connection.send(b"\xff", text=True)
        assert alice.closed() == 1007
    refused(realtime.url, ended)
    refused(realtime.url, query=f"?token={person.token}\N{LATIN SMALL LETTER E WITH ACUTE}")
    with pytest.raises(InvalidStatus):
        MessageSocket(realtime.url, person.token, origin="https://evil.example.com")
    output = realtime.output()
    assert "socket_opened" in output
    assert '"level":"debug"' in output.replace(" ", "")
    for token in (person.token, ended, other):
        assert token not in output
        assert token.rpartition(".")[2] not in output
    assert "UnicodeDecodeError" not in output
