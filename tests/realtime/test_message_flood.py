"""Clients of a path that send as much as they can, or read nothing: they are closed, and everybody else is served."""

import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.realtime.conftest import Accounts
from tests.realtime.message_socket import MessageSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.realtime.test_flood import ATTACKERS, LONGEST_ANSWER_SECONDS, MOST_GROWTH
from tests.realtime.toy_messages import MOST_ECHOES

pytestmark = pytest.mark.slow

SECONDS = 1.5
TOO_MANY, SLOW = 4429, 4408
MESSAGES = ['{"type":"echo","data":"a"}'] * 10_000
UNKNOWN = ['{"type":"nothing"}'] * 1_500


def flood(attacker: MessageSocket) -> None:
    with suppress(ConnectionClosed):
        for message in MESSAGES:
            attacker.connection.send(message)


def never_read(attacker: MessageSocket) -> None:
    """Ask for far more than a connection holds."""
    attacker.say("burst", count=300, size=100_000)
    time.sleep(0.2)


@pytest.mark.parametrize(("attack", "code"), [(flood, TOO_MANY), (never_read, SLOW)])
def test_attackers_are_closed_and_everybody_else_is_served(
    realtime: RealtimeProcess, accounts: Accounts, attack: object, code: int
) -> None:
    assert callable(attack)
    token = accounts.person("enterprise").token
    process, said = psutil.Process(realtime.pid), len(realtime.output())
    closed: Counter[int] = Counter()

    def attack_on(until: float) -> None:
        while time.monotonic() < until:
            with suppress(InvalidStatus), MessageSocket(realtime.url, token) as attacker:
                attack(attacker)
                closed[attacker.closed()] += 1

    def attacked(seconds: float) -> int:
        """How much memory it has afterwards."""
        until = time.monotonic() + seconds
        attackers = [threading.Thread(target=attack_on, args=(until,)) for _ in range(ATTACKERS)]
        for each in attackers:
            each.start()
        with MessageSocket(realtime.url, accounts.person().token) as bystander:
            while time.monotonic() < until:
                asked = time.monotonic()
                assert bystander.ask("echo", "said", data="still here")
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


def test_what_a_type_allows_in_a_second_closes_nobody(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with MessageSocket(realtime.url, accounts.person().token) as alice:
        for message in MESSAGES[: MOST_ECHOES // 2]:
            alice.connection.send(message)
        for _ in range(MOST_ECHOES // 2):
            assert alice.heard("said")


def test_messages_of_no_known_type_are_too_many_too(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with MessageSocket(realtime.url, accounts.person().token) as alice:
        with suppress(ConnectionClosed):
            for message in UNKNOWN * 2:
                alice.connection.send(message)
        assert alice.closed() == TOO_MANY
