"""Clients that send or ask for as much as they can: they are closed, everybody else is served, and the memory stays as it was."""

import socket
import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.realtime.conftest import Accounts
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess

pytestmark = pytest.mark.slow

ATTACKERS = 6
SECONDS = 2.0
EVENTS = ['42["toy:echo",{"text":"a"}]'] * 10_000
LARGE = 1000 * 1000
MEBIBYTE = 2**20
MOST_GROWTH = 48 * MEBIBYTE
"""Of one flood after another: the buffers of all sockets together are below it."""
LONGEST_ANSWER_SECONDS = 5.0


def flood(url: str, token: str, until: float, closed: Counter[int]) -> None:
    """Again and again 10,000 events at once, until the socket is closed."""
    while time.monotonic() < until:
        with suppress(InvalidStatus), RawSocket(url, token) as attacker:
            with suppress(ConnectionClosed):
                attacker.send(*EVENTS)
            closed[attacker.closed()] += 1


def never_read(url: str, token: str, until: float, closed: Counter[int]) -> None:
    """Ask for far more than a connection holds."""
    while time.monotonic() < until:
        with suppress(InvalidStatus), RawSocket(url, token) as attacker:
            attacker.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            attacker.send(f'42["toy:burst",{{"count":300,"size":{LARGE // 10}}}]')
            time.sleep(0.2)
            closed[attacker.closed()] += 1


@pytest.mark.parametrize(("attack", "code"), [(flood, 4429), (never_read, 4408)])
def test_attackers_are_closed_and_everybody_else_is_served(
    realtime: RealtimeProcess, accounts: Accounts, attack: object, code: int
) -> None:
    assert callable(attack)
    token = accounts.person("enterprise").token
    process, said = psutil.Process(realtime.pid), len(realtime.output())
    closed: Counter[int] = Counter()

    def attacked(seconds: float) -> int:
        """How much memory it has afterwards."""
        until = time.monotonic() + seconds
        attackers = [
            threading.Thread(target=attack, args=(realtime.url, token, until, closed)) for _ in range(ATTACKERS)
        ]
        for each in attackers:
            each.start()
        with RawSocket(realtime.url, accounts.person().token) as bystander:
            while time.monotonic() < until:
                asked = time.monotonic()
                assert bystander.ask("toy:echo", {"text": "still here"})["ok"]
                assert time.monotonic() - asked < LONGEST_ANSWER_SECONDS
                time.sleep(0.05)
        for each in attackers:
            each.join()
        return process.memory_info().rss

    warm = attacked(SECONDS / 2)
    assert attacked(SECONDS) - warm < MOST_GROWTH
    assert set(closed) <= {code, 1006}
    assert closed[code] >= ATTACKERS
    assert "Traceback" not in realtime.output()[said:]
