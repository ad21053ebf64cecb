"""What clients of a path are told when the process stops."""

import pytest
from websockets.exceptions import InvalidStatus

from tests.realtime.conftest import Accounts
from tests.realtime.message_socket import MessageSocket
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.realtime.test_coming_back import RESTART

pytestmark = pytest.mark.slow


def test_a_restart_is_announced_and_closes_sockets_when_what_runs_has_ended(
    own_realtime: RealtimeProcess, accounts: Accounts
) -> None:
    token = accounts.person("pro").token
    with RawSocket(own_realtime.url, token) as other, MessageSocket(own_realtime.url, token) as alice:
        assert other.ask("toy:hold", {})["ok"]
        own_realtime.ask_to_stop()
        assert 0.5 <= alice.heard("going_away")["data"]["retry_after"] <= 5
        for query in (None, token):
            with pytest.raises(InvalidStatus) as refused:
                MessageSocket(own_realtime.url, query)
            assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "5")
        assert alice.ask("echo", "said", data="still here")
        other.send('42["toy:release",{}]')
        assert alice.closed() == RESTART
        assert alice.close_reason == "restart"
    assert "Traceback" not in own_realtime.output()
