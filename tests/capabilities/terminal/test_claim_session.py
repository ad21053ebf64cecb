"""A session that was asked for is connected by one socket, once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from capabilities.terminal.models import CloseReason
from capabilities.terminal.sessions.claim_session import ClaimedSession, claim_made, claim_session
from capabilities.terminal.sessions.end_session import end_session
from capabilities.terminal.sessions.problems import SessionClosed, SessionTaken
from security.edge.problems import NotFound
from tests.capabilities.terminal.running_terminal import SESSIONS, Customer, RunningTerminal
from tests.capabilities.terminal.test_open_session import grows_older, states

Claim = Callable[[Customer, str | UUID], ClaimedSession]


@pytest.fixture
def claim(running: RunningTerminal) -> Iterator[Claim]:
    with running.app.app_context():
        yield lambda customer, session_id: claim_session(
            customer.principal, UUID(str(session_id)), running.made.auth.clock()
        )


def test_it_tells_what_to_connect_and_how_large(alice: Customer, claim: Claim) -> None:
    made = alice.session(name="build", rows=40, cols=120)
    told = ClaimedSession(UUID(made["id"]), UUID(made["ssh_profile_id"]), "build", 40, 120)
    assert claim(alice, made["id"]) == told
    assert states(alice) == [("connecting", None)]


def test_of_the_sockets_that_try_at_once_one_gets_it(alice: Customer) -> None:
    session_id, together, caller = UUID(alice.session()["id"]), Barrier(6), alice.principal

    def connect(_: int) -> str:
        with alice.running.app.app_context():
            together.wait()
            try:
                claim_session(caller, session_id, alice.running.made.auth.clock())
            except SessionTaken:
                return "taken"
            return "mine"

    with ThreadPoolExecutor(6) as sockets:
        assert sorted(sockets.map(connect, range(6))) == ["mine"] + ["taken"] * 5
    assert states(alice) == [("connecting", None)]


def test_one_that_is_open_already_is_taken(alice: Customer, claim: Claim) -> None:
    session_id = alice.session()["id"]
    for state in ("connecting", "awaiting_host_key", "awaiting_secret", "active"):
        alice.running.rows("UPDATE terminal_sessions SET state = %s WHERE id = %s", state, session_id)
        with pytest.raises(SessionTaken):
            claim(alice, session_id)
        assert states(alice) == [(state, None)]


def test_one_that_has_ended_says_why(alice: Customer, claim: Claim) -> None:
    session_id = UUID(alice.session()["id"])
    end_session(None, session_id, CloseReason.EXIT, alice.running.made.auth.clock(), exit_status=130)
    with pytest.raises(SessionClosed) as refused:
        claim(alice, session_id)
    assert (refused.value.reason, refused.value.exit_status) == (CloseReason.EXIT, 130)
    assert refused.value.body("r")["reason"] == "exit"


def test_after_ten_minutes_it_has_expired(alice: Customer, claim: Claim) -> None:
    session_id = alice.session()["id"]
    grows_older(alice, 10)
    for _ in range(2):
        with pytest.raises(SessionClosed) as refused:
            claim(alice, session_id)
        assert refused.value.reason is CloseReason.EXPIRED
    assert states(alice) == [("closed", "expired")]


def test_after_nine_minutes_it_has_not(alice: Customer, claim: Claim) -> None:
    session_id = alice.session()["id"]
    grows_older(alice, 9)
    assert claim(alice, session_id)


def test_that_of_somebody_else_is_unknown(alice: Customer, bob: Customer, claim: Claim) -> None:
    theirs = bob.session()["id"]
    grows_older(bob, 100)
    for session_id in (theirs, uuid4()):
        with pytest.raises(NotFound):
            claim(alice, session_id)
    assert states(bob) == [("created", None)]


def test_a_profile_that_was_deleted_is_none(alice: Customer, claim: Claim) -> None:
    made = alice.session()
    alice.call("DELETE", f"/api/terminal/ssh/profiles/{made['ssh_profile_id']}")
    assert claim(alice, made["id"]).profile_id is None


def test_one_that_is_not_named_is_the_last_that_was_made_for_its_profile(alice: Customer) -> None:
    made = [alice.session() for _ in range(2)]
    profiles = [UUID(each["ssh_profile_id"]) for each in made]
    again = alice.call("POST", SESSIONS, {"session_type": "ssh", "ssh_profile_id": str(profiles[0])}).get_json()
    now = alice.running.made.auth.clock()
    with alice.running.app.app_context():
        claimed = [claim_made(alice.principal, profiles[0], now) for _ in range(3)]
    assert [each and str(each.id) for each in claimed] == [again["id"], made[0]["id"], None]
    assert states(alice) == [("connecting", None), ("created", None), ("connecting", None)]


def test_one_that_is_not_named_is_never_an_old_one_or_somebody_elses(alice: Customer, bob: Customer) -> None:
    made, theirs = alice.session(), bob.session()
    grows_older(alice, 10)
    now = alice.running.made.auth.clock()
    with alice.running.app.app_context():
        for each in (made, theirs):
            assert claim_made(alice.principal, UUID(each["ssh_profile_id"]), now) is None
    assert (states(alice), states(bob)) == ([("created", None)], [("created", None)])
