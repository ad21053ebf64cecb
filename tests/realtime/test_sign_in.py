"""Who may open a socket, and for how long it stays open."""

import time
from datetime import timedelta

import pytest
from websockets.exceptions import InvalidStatus

from auth.operators.accounts import disable
from tests.databases import ask
from tests.realtime.conftest import PER_ADDRESS, Accounts
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.whole.environment import PUBLIC_HOST, WEB_ORIGIN
from tests.whole.new_address import new_address

pytestmark = pytest.mark.slow

AT_ONCE_SECONDS = 2.0
REVOKED = 4401


def test_an_access_token_opens_a_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with RawSocket(realtime.url, accounts.person("pro").token) as alice:
        assert alice.ask("toy:echo", {"text": "hello"}) == {"ok": True, "text": "hello", "tier": "pro"}
        assert alice.heard("toy:said") == [{"text": "hello"}]


def test_an_api_key_opens_a_socket_when_it_has_the_scope(realtime: RealtimeProcess, accounts: Accounts) -> None:
    person = accounts.person()
    with RawSocket(realtime.url, person.key("toy")["token"]) as robot:
        assert robot.ask("toy:echo", {"text": "hello"})["ok"]
    with RawSocket(realtime.url) as robot:
        robot.sign_in(person.key("predict")["token"])
        assert robot.refusal["data"]["error"] == "insufficient_scope"


@pytest.mark.parametrize("token", [None, "", 7, "eyJ.no.token", ["a"]])
def test_without_a_token_that_is_one_there_is_no_socket(realtime: RealtimeProcess, token: object) -> None:
    with RawSocket(realtime.url) as stranger:
        stranger.sign_in(token)
        expected = "invalid_token" if token == "eyJ.no.token" else "not_signed_in"
        assert (stranger.refusal["data"]["error"], stranger.refusal["data"]["status"]) == (expected, 401)
        assert stranger.closed() == REVOKED


def test_an_ended_token_opens_none(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with RawSocket(realtime.url) as late:
        late.sign_in(accounts.person().token_for(seconds=-60))
        assert late.refusal["data"]["error"] == "invalid_token"


def test_who_looks_through_an_account_opens_none(realtime: RealtimeProcess, accounts: Accounts) -> None:
    alice, staff = accounts.person(), accounts.person()
    now = accounts.auth.clock()
    seen = accounts.auth.access_tokens.issue(
        user_id=alice.user_id,
        session_id=alice.session_id,
        auth_time=now,
        not_after=now + timedelta(minutes=5),
        actor_id=staff.user_id,
    )
    with RawSocket(realtime.url) as staff_socket:
        staff_socket.sign_in(seen.text)
        assert staff_socket.refusal["data"]["error"] == "impersonation_read_only"


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", f"http://{PUBLIC_HOST}", f"{WEB_ORIGIN}.evil.com"]
)
def test_a_page_of_another_origin_is_refused_before_the_upgrade(realtime: RealtimeProcess, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        RawSocket(realtime.url, Origin=origin)
    assert refused.value.response.status_code == 403
    status, problem = realtime.get("/socket.io/?EIO=4&transport=polling", Origin=origin)
    assert (status, problem["error"]) == (403, "origin_not_allowed")


@pytest.mark.parametrize("origin", [WEB_ORIGIN, f"https://{PUBLIC_HOST}"])
def test_a_page_of_ours_is_let_in(realtime: RealtimeProcess, origin: str) -> None:
    with RawSocket(realtime.url, Origin=origin):
        pass


def test_a_user_has_as_many_sockets_as_the_plan_says(realtime: RealtimeProcess, accounts: Accounts) -> None:
    token = accounts.person().token
    with RawSocket(realtime.url, token), RawSocket(realtime.url, token) as second, RawSocket(realtime.url) as third:
        third.sign_in(token)
        assert (third.refusal["data"]["error"], third.refusal["data"]["status"]) == ("too_many_sockets", 429)
        assert second.ask("toy:echo", {"text": "still here"})["ok"]
    with RawSocket(realtime.url, token):
        pass


def test_an_address_has_its_sockets_and_no_more(realtime: RealtimeProcess) -> None:
    address = new_address()
    opened = [RawSocket(realtime.url, address=address) for _ in range(PER_ADDRESS)]
    with pytest.raises(InvalidStatus) as refused:
        RawSocket(realtime.url, address=address)
    assert refused.value.response.status_code == 429
    for each in opened:
        each.connection.close()
    _eventually_opens(realtime, address)


def test_who_spells_the_header_of_proxies_in_another_way_stays_at_its_address(realtime: RealtimeProcess) -> None:
    address = new_address()
    opened = [RawSocket(realtime.url, address=address) for _ in range(PER_ADDRESS)]
    with pytest.raises(InvalidStatus) as refused:
        RawSocket(realtime.url, address=address, X_Forwarded_For=new_address())
    assert refused.value.response.status_code == 429
    for each in opened:
        each.connection.close()


def test_a_full_process_says_so(realtime: RealtimeProcess) -> None:
    opened = []
    with pytest.raises(InvalidStatus) as refused:
        while True:
            opened.append(RawSocket(realtime.url))
    assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "5")
    assert realtime.get("/health/live")[0] == 200
    for each in opened:
        each.connection.close()
    _eventually_opens(realtime, new_address())


def _eventually_opens(realtime: RealtimeProcess, address: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            RawSocket(realtime.url, address=address).connection.close()
        except InvalidStatus:
            assert time.monotonic() < deadline
        else:
            return


@pytest.mark.parametrize("how", ["session", "key", "disabled"])
def test_what_is_revoked_is_closed_at_once(realtime: RealtimeProcess, accounts: Accounts, how: str) -> None:
    person, bystander = accounts.person(), accounts.person()
    key = person.key("toy")
    token = key["token"] if how == "key" else person.token
    with RawSocket(realtime.url, token) as alice, RawSocket(realtime.url, bystander.token) as bob:
        assert alice.ask("toy:echo", {"text": "hello"})["ok"]
        if how == "session":
            person.call("POST", "/api/auth/logout")
        elif how == "key":
            person.call("DELETE", f"/api/auth/tokens/{key['id']}")
        else:
            with accounts.app.app_context():
                disable(accounts.auth, person.user_id)
        assert alice.closed(within=AT_ONCE_SECONDS) == REVOKED
        assert ["disconnect"] in alice.events  # so that it does not come back by itself
        assert bob.ask("toy:echo", {"text": "still here"})["ok"]


def test_a_changed_plan_reaches_an_open_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    person = accounts.person()
    with RawSocket(realtime.url, person.token) as alice:
        assert alice.ask("toy:echo", {"text": "a"})["tier"] == "free"
        version = (
            "UPDATE users SET tier = 'plus', state_version = state_version + 1 WHERE id = '{0}' RETURNING state_version"
        )
        ((raised,),) = ask(accounts.database_url, version.format(person.user_id))
        ask(accounts.database_url, f"NOTIFY account_changed, '{person.user_id} {raised}'")
        deadline = time.monotonic() + 10
        while alice.ask("toy:echo", {"text": "a"})["tier"] != "plus":
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_token_that_ends_is_announced_and_then_ends_the_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with RawSocket(realtime.url, accounts.person().token_for(seconds=3)) as alice:
        ((warning,),) = [alice.heard("auth:expiring")]
        assert 0 <= warning["expires_in"] <= 3
        assert alice.closed() == REVOKED


def test_a_new_token_keeps_the_socket(realtime: RealtimeProcess, accounts: Accounts) -> None:
    person, other = accounts.person(), accounts.person()
    with RawSocket(realtime.url, person.token_for(seconds=2)) as alice:
        refused = alice.ask("auth:refresh", {"token": other.token})
        assert (refused["ok"], refused["error"]) == (False, "invalid_token")
        assert alice.ask("auth:refresh", {"token": "eyJ.no.token"})["error"] == "invalid_token"
        assert alice.ask("auth:refresh", {})["error"] == "validation_failed"
        accepted = alice.ask("auth:refresh", {"token": person.token})
        assert accepted["expires_at"] > time.time() + 60
        time.sleep(2.5)  # the first one has ended
        assert alice.ask("toy:echo", {"text": "still here"})["ok"]
