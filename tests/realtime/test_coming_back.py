"""What happens to sockets when something that they stand on goes away."""

import asyncio
import time
from typing import Any

import pytest
import socketio
from websockets.exceptions import InvalidStatus

from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.realtime.conftest import Accounts
from tests.realtime.raw_socket import RawSocket, as_a_proxy
from tests.realtime.realtime_process import RealtimeProcess
from tests.realtime.toy_sockets import NEWS

pytestmark = pytest.mark.slow

LISTENER = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'mirroros-realtime' AND datname = current_database()"
)
RESTART = 1012


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
def test_a_client_comes_back_after_a_restart(
    own_realtime: RealtimeProcess, accounts: Accounts, transports: list[str]
) -> None:
    told, acknowledged = asyncio.run(_through_a_restart(own_realtime, accounts.person().token, transports))
    assert 0.5 <= told["retry_after"] <= 5
    assert acknowledged["text"] == "here again"
    assert own_realtime.exit_code is None


async def _through_a_restart(process: RealtimeProcess, token: str, transports: list[str]) -> tuple[Any, Any]:
    client = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.5)
    connected, told = asyncio.Event(), []
    client.on("connect", connected.set)
    client.on("going_away", told.append)
    await client.connect(process.url, headers=as_a_proxy(), auth={"token": token}, transports=transports)
    await asyncio.wait_for(connected.wait(), 10)
    assert (await client.call("toy:echo", {"text": "hello"}))["text"] == "hello"
    connected.clear()
    process.ask_to_stop()
    while process.exit_code is None:
        await asyncio.sleep(0.05)
    assert process.exit_code == 0
    await asyncio.to_thread(process.start)
    await asyncio.wait_for(connected.wait(), 20)
    acknowledged = await client.call("toy:echo", {"text": "here again"})
    await client.disconnect()
    return told[0], acknowledged


def test_sockets_are_told_of_a_restart_and_closed(own_realtime: RealtimeProcess, accounts: Accounts) -> None:
    with RawSocket(own_realtime.url, accounts.person().token) as alice:
        own_realtime.ask_to_stop()
        assert "retry_after" in alice.heard("going_away")[0]
        assert alice.closed() == RESTART
        assert ["disconnect"] not in alice.events  # so that it comes back by itself
    own_realtime.stop()
    assert "Traceback" not in own_realtime.output()


def test_a_lost_listener_comes_back_and_all_sockets_are_judged_again(
    realtime: RealtimeProcess, accounts: Accounts
) -> None:
    person, other = accounts.person(), accounts.person()
    with RawSocket(realtime.url, person.token) as alice, RawSocket(realtime.url, other.token) as bob:
        eventually(lambda: len(ask(accounts.database_url, LISTENER)) == 1)
        ask(accounts.database_url, f"NOTIFY {NEWS}, 'hello'")
        assert alice.heard("toy:heard") == ["hello"]
        ask(accounts.database_url, LISTENER.replace("SELECT pid", "SELECT pg_terminate_backend(pid)"))
        # Nobody tells of this one: neither by NOTIFY nor in Redis.
        ask(accounts.database_url, f"UPDATE sessions SET revoked_at = now() WHERE id = '{person.session_id}'")
        with accounts.app.app_context():
            client = accounts.auth.redis.client()
            assert client is not None
            client.flushall()
        assert bob.heard("toy:heard") == ["hello"]
        assert bob.heard("toy:heard") == ["reconnected"]
        assert alice.closed() == 4401
        ask(accounts.database_url, f"NOTIFY {NEWS}, 'again'")
        assert bob.heard("toy:heard") == ["again"]


def test_who_comes_while_it_drains_is_told_to_come_again(own_realtime: RealtimeProcess) -> None:
    own_realtime.ask_to_stop()
    deadline = time.monotonic() + 10
    while own_realtime.exit_code is None and time.monotonic() < deadline:
        try:
            RawSocket(own_realtime.url).connection.close()
        except InvalidStatus as refused:
            assert refused.response.status_code == 503
        except (OSError, EOFError):
            break
