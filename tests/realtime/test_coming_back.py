"""What happens to sockets when something that they stand on goes away."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
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
TRANSPORTS = (["websocket"], ["polling"], ["polling", "websocket"])


def test_a_restart(own_realtime: RealtimeProcess, accounts: Accounts) -> None:
    """Who is connected goes on until what runs has ended. Who comes is told to come again, and all come back by themselves."""

    async def with_session() -> None:
        async with aiohttp.ClientSession() as session:  # one that a client opens it leaves open when it comes back
            await _restarted(own_realtime, accounts, session)

    asyncio.run(with_session())
    assert "Traceback" not in own_realtime.output()


async def _restarted(process: RealtimeProcess, accounts: Accounts, session: aiohttp.ClientSession) -> None:
    token = accounts.person("enterprise").token
    clients = [await _connected(process.url, token, transports, session) for transports in TRANSPORTS]
    with RawSocket(process.url, token) as alice:
        assert alice.ask("toy:hold", {})["ok"]
        process.ask_to_stop()
        assert 0.5 <= alice.heard("going_away")[0]["retry_after"] <= 5
        with pytest.raises(InvalidStatus) as refused:
            RawSocket(process.url)
        assert refused.value.response.status_code == process.get("/health/ready")[0] == 503
        assert process.get("/health/live")[0] == 200
        assert alice.ask("toy:echo", {"text": "still here"})["ok"]
        alice.send('42["toy:release",{}]')
        assert alice.closed() == RESTART
        assert ["disconnect"] not in alice.events  # so that it comes back by itself
    while process.exit_code is None:
        await asyncio.sleep(0.05)
    assert process.exit_code == 0
    assert [client.told[0].keys() for client in clients] == [{"retry_after"}] * len(clients)
    await asyncio.to_thread(process.start)
    for client in clients:
        await asyncio.wait_for(client.connected_again.wait(), 20)
        assert (await client.call("toy:echo", {"text": "here again"}))["text"] == "here again"
        await client.disconnect()


class ComingBack(socketio.AsyncClient):  # type: ignore[misc]
    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__(http_session=session, reconnection_delay=0.1, reconnection_delay_max=0.5)
        self.connected_again, self.told = asyncio.Event(), list[Any]()
        self.on("going_away", self.told.append)


async def _connected(url: str, token: str, transports: list[str], session: aiohttp.ClientSession) -> ComingBack:
    client = ComingBack(session)
    await client.connect(url, headers=as_a_proxy(), auth={"token": token}, transports=transports)
    assert (await client.call("toy:echo", {"text": "hello"}))["text"] == "hello"
    client.on("connect", client.connected_again.set)
    return client


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


def test_where_nothing_uses_sockets_it_serves_its_health_alone(environ: dict[str, str], tmp_path: Path) -> None:
    alone = {**environ, "CAPABILITIES": "predict", "FLASK_APP": "app:create_app"}
    process = RealtimeProcess(alone, tmp_path, "-m", "flask", "realtime", "run")
    try:
        process.start()
        assert process.get("/health/ready")[0] == 200
        assert process.get("/socket.io/?EIO=4&transport=polling")[0] == 404
        assert "no_capability_uses_sockets" in process.output()
    finally:
        process.stop()
    assert process.exit_code == 0
