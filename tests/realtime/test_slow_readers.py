"""A client of a path that reads slowly is waited for, and one that reads nothing is closed after a while."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.metering.limit_backends import eventually
from tests.realtime.conftest import Accounts
from tests.realtime.message_socket import MessageSocket
from tests.realtime.realtime_process import RealtimeProcess

pytestmark = pytest.mark.slow

BEHIND_SECONDS = 1.0
COUNT, SIZE = 400, 64 * 1024
"""More than the buffers of a connection on loopback hold. The client's library reads 16 messages ahead, and no further."""


@pytest.fixture(scope="module")
def impatient(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealtimeProcess]:
    """A process that waits as long as a test can."""
    shorter = {"realtime.watch.BEHIND_SECONDS": BEHIND_SECONDS, "realtime.watch.LOOK_SECONDS": 0.2}
    process = RealtimeProcess({**environ, "SHORTER": json.dumps(shorter)}, tmp_path_factory.mktemp("impatient"))
    process.start()
    yield process
    process.stop()


def test_who_reads_slowly_is_waited_for(realtime: RealtimeProcess, accounts: Accounts) -> None:
    with MessageSocket(realtime.url, accounts.person().token) as slow:
        slow.say("flood", count=COUNT, size=SIZE)
        time.sleep(0.5)
        for number in range(COUNT):
            assert slow.heard("drop")["number"] == number
        assert slow.ask("echo", "said", data="still here")


def test_who_reads_nothing_is_closed_and_others_are_served(impatient: RealtimeProcess, accounts: Accounts) -> None:
    said = len(impatient.output())
    with (
        MessageSocket(impatient.url, accounts.person().token) as lazy,
        MessageSocket(impatient.url, accounts.person().token) as bystander,
    ):
        lazy.say("flood", count=COUNT, size=SIZE)
        assert bystander.ask("echo", "said", data="still here")
        eventually(lambda: '"reason":"slow"' in impatient.output()[said:].replace(" ", ""))
