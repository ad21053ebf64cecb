"""POST /api/terminal/sessions"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.tiers import Tier
from capabilities.terminal.sessions import open_session
from capabilities.terminal.sessions.bodies import NewSessionBody, socket_address
from security.edge.problems import InvalidToken
from tests.capabilities.terminal.running_terminal import SESSIONS, Customer


def states(customer: Customer) -> list[tuple[str, str | None]]:
    found = "SELECT state, close_reason FROM terminal_sessions WHERE user_id = %s ORDER BY id"
    return [(row["state"], row["close_reason"]) for row in customer.running.rows(found, customer.id)]


def grows_older(customer: Customer, minutes: int) -> None:
    age = "UPDATE terminal_sessions SET created_at = created_at - %s * interval '1 minute' WHERE user_id = %s"
    customer.running.rows(age, minutes, customer.id)


def test_a_session_is_made_with_the_usual_size_and_says_where_to_connect(alice: Customer) -> None:
    profile = alice.profile()
    answer = alice.asks_for_session(ssh_profile_id=profile["id"])
    assert answer.status_code == 201
    told = answer.get_json()
    assert told.pop("id")
    assert told.pop("created_at")
    assert told == {
        "state": "created",
        "name": None,
        "session_type": "ssh",
        "ssh_profile_id": profile["id"],
        "rows": 24,
        "cols": 80,
        "last_seq": 0,
        "bytes_in": 0,
        "bytes_out": 0,
        "opened_at": None,
        "detached_at": None,
        "closed_at": None,
        "close_reason": None,
        "exit_status": None,
        "ws_url": "wss://api.example.com/ws/terminal",
    }


def test_it_has_the_name_and_the_size_that_were_asked_for(alice: Customer) -> None:
    told = alice.session(name=" build ", rows=500, cols=1)
    assert (told["name"], told["rows"], told["cols"]) == ("build", 500, 1)


@pytest.mark.parametrize(
    ("sockets_url", "address"),
    [
        ("https://realtime.example.com:8443", "wss://realtime.example.com:8443/ws/terminal"),
        ("http://localhost:8001", "ws://localhost:8001/ws/terminal"),
    ],
)
def test_sockets_are_where_the_settings_say(sockets_url: str, address: str) -> None:
    assert socket_address(sockets_url) == address


def test_a_shell_on_this_server_is_not_offered(alice: Customer) -> None:
    refused = alice.call("POST", SESSIONS, {"session_type": "local"})
    assert (refused.status_code, refused.get_json()["error"]) == (403, "local_terminal_off")
    assert states(alice) == []


def test_a_profile_of_nobody_or_of_somebody_else_is_404(alice: Customer, bob: Customer) -> None:
    for profile_id in (str(uuid4()), bob.profile()["id"]):
        refused = alice.asks_for_session(ssh_profile_id=profile_id)
        assert (refused.status_code, refused.get_json()["error"]) == (404, "not_found")
    assert states(alice) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": 0},
        {"rows": 501},
        {"cols": 0},
        {"cols": 501},
        {"rows": "24"},
        {"rows": 24.5},
        {"cols": True},
        {"name": "x" * 101},
        {"name": "two\nlines"},
        {"session_type": "telnet"},
        {"session_type": None},
        {"ssh_profile_id": None},
        {"ssh_profile_id": "1"},
        {"host": "example.com"},
    ],
    ids=str,
)
def test_what_is_not_valid_is_refused(alice: Customer, fields: dict[str, Any]) -> None:
    usual = {"session_type": "ssh", "ssh_profile_id": str(uuid4())}
    refused = alice.call("POST", SESSIONS, usual | fields)
    assert (refused.status_code, refused.get_json()["error"]) == (422, "validation_failed")
    assert states(alice) == []


@pytest.mark.parametrize("body", [None, [], "x"], ids=str)
def test_a_body_is_an_object(alice: Customer, body: object) -> None:
    assert alice.call("POST", SESSIONS, body).status_code in {400, 415, 422}


def test_a_plan_allows_so_many_at_once(bob: Customer) -> None:
    profile_id = bob.profile()["id"]  # a free user may have one
    first = bob.session(ssh_profile_id=profile_id)
    refused = bob.asks_for_session(ssh_profile_id=profile_id)
    assert (refused.status_code, refused.get_json()["error"]) == (409, "too_many_sessions")
    for state in ("connecting", "detached"):
        detached = "now()" if state == "detached" else "NULL"
        bob.running.rows(
            f"UPDATE terminal_sessions SET state = %s, detached_at = {detached} WHERE id = %s", state, first["id"]
        )
        assert bob.asks_for_session(ssh_profile_id=profile_id).status_code == 409, state
    assert bob.call("DELETE", f"{SESSIONS}/{first['id']}").status_code == 204
    bob.session(ssh_profile_id=profile_id)
    bob.becomes(Tier.PLUS)
    try:
        bob.session(ssh_profile_id=profile_id)
    finally:
        bob.becomes(Tier.FREE)


def test_of_ten_that_ask_at_once_as_many_get_one_as_the_plan_allows(alice: Customer) -> None:
    profile_id, together = alice.profile()["id"], Barrier(10)

    def ask(_: int) -> int:
        together.wait()
        return alice.asks_for_session(ssh_profile_id=profile_id).status_code

    with ThreadPoolExecutor(10) as devices:
        assert sorted(devices.map(ask, range(10))) == [201] * 5 + [409] * 5  # pro: 5
    assert states(alice) == [("created", None)] * 5


def test_one_that_nobody_connects_holds_its_place_for_ten_minutes(bob: Customer) -> None:
    profile_id = bob.profile()["id"]
    bob.session(ssh_profile_id=profile_id)
    grows_older(bob, 9)
    assert bob.asks_for_session(ssh_profile_id=profile_id).status_code == 409
    assert states(bob) == [("created", None)]
    grows_older(bob, 1)
    bob.session(ssh_profile_id=profile_id)
    assert states(bob) == [("closed", "expired"), ("created", None)]


def test_one_that_is_connected_does_not_expire(bob: Customer) -> None:
    profile_id = bob.profile()["id"]
    bob.session(ssh_profile_id=profile_id)
    bob.running.rows("UPDATE terminal_sessions SET state = 'active' WHERE user_id = %s", bob.id)
    grows_older(bob, 100)
    assert bob.asks_for_session(ssh_profile_id=profile_id).status_code == 409
    assert states(bob) == [("active", None)]


def test_opening_and_ending_in_a_loop_leaves_so_many_rows(alice: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_session, "MOST_SESSIONS", 3)
    profile_id = alice.profile()["id"]
    kept_open = alice.session(ssh_profile_id=profile_id)
    for _ in range(4):
        last = alice.session(ssh_profile_id=profile_id)
        alice.call("DELETE", f"{SESSIONS}/{last['id']}")
    assert states(alice) == [("created", None), *[("closed", "client")] * 3]
    assert alice.shown(kept_open["id"])["state"] == "created"  # the oldest, and open


def test_who_was_signed_out_meanwhile_opens_none(alice: Customer) -> None:
    """A request that was let in, and then waited while its owner signed it out."""
    caller = replace(alice.principal, session_id=uuid4())
    body = NewSessionBody(session_type="ssh", ssh_profile_id=UUID(alice.profile()["id"]))
    with alice.running.app.app_context(), pytest.raises(InvalidToken):
        open_session.open_session(caller, body, alice.running.made.auth.clock())
    assert states(alice) == []


def test_nobody_opens_one_without_signing_in(alice: Customer) -> None:
    refused = alice.call("POST", SESSIONS, {"session_type": "local"}, token="x")
    assert (refused.status_code, refused.get_json()["error"]) == (401, "invalid_token")
