"""Sessions while PostgreSQL is away: nothing can be opened, shown or ended, and everybody is told to come back."""

import pytest

from tests.capabilities.terminal.running_terminal import SESSIONS, Customer, running_terminal

NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"


@pytest.mark.slow
def test_it_is_503_and_nothing_has_changed(alice: Customer, redis_url: str) -> None:
    made = alice.session()
    body = {"session_type": "ssh", "ssh_profile_id": made["ssh_profile_id"]}
    this = f"{SESSIONS}/{made['id']}"
    with running_terminal(NOWHERE, redis_url) as running:
        away = alice.elsewhere(running)
        for method, path, sent in (
            ("POST", SESSIONS, body),
            ("GET", SESSIONS, None),
            ("GET", this, None),
            ("DELETE", this, None),
        ):
            refused = away.call(method, path, sent)
            assert (refused.status_code, refused.get_json()["error"]) == (503, "service_unavailable")
            assert refused.headers["Retry-After"]
    assert alice.call("GET", SESSIONS).get_json()["sessions"] == [made]
