"""`/ws/terminal` where addresses must be confirmed"""

from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from auth.tiers import Tier
from tests.capabilities.terminal.running_terminal import Customer, RunningTerminal
from tests.capabilities.terminal.sockets.conftest import realtime_process
from tests.capabilities.terminal.terminal_client import TerminalClient

CONFIRMED = {
    "REQUIRE_EMAIL_VERIFICATION": "true",
    "EMAIL_HOST": "smtp.example.com",
    "DEFAULT_FROM_EMAIL": "no-reply@example.com",
}


@pytest.mark.slow
def test_it_takes_a_confirmed_one(running: RunningTerminal, alice: Customer, tmp_path: Path) -> None:
    with realtime_process(running, tmp_path, **CONFIRMED) as process:
        with pytest.raises(InvalidStatus) as refused:
            TerminalClient(process.url, alice.token)
        assert refused.value.response.status_code == 403
        assert b"email_not_verified" in bytes(refused.value.response.body or b"")
        running.rows("UPDATE users SET is_verified = true WHERE id = %s", alice.id)
        alice.becomes(Tier.PRO)  # and tells of it
        with TerminalClient(process.url, alice.token) as device:
            device.send("ping")
            assert device.hears("pong")
