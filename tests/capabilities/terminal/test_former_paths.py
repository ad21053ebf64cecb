"""`/api/sessions` and `/api/ssh/profiles`, as older clients call them"""

import pytest

from tests.capabilities.terminal.conftest import Start
from tests.capabilities.terminal.running_terminal import Customer, profile_body


@pytest.mark.slow
def test_a_client_of_the_former_paths_gets_a_profile_tests_it_and_opens_a_session(
    alice: Customer, start: Start
) -> None:
    older = alice.elsewhere(start(COMPAT_ROUTES="on"))
    profile = older.call("POST", "/api/ssh/profiles", profile_body(port=1024))
    profile_id = profile.get_json()["id"]
    profiles = older.call("GET", "/api/ssh/profiles")
    tested = older.call("POST", f"/api/ssh/profiles/{profile_id}/test", {})
    opened = older.call("POST", "/api/sessions", {"session_type": "ssh", "ssh_profile_id": profile_id})
    sessions = older.call("GET", "/api/sessions")
    assert [each.status_code for each in (profile, profiles, tested, opened, sessions)] == [201, 200, 200, 201, 200]
    assert profiles.get_json()["profiles"] == [profile.get_json()]
    assert tested.get_json()["code"] == "unreachable"
    assert sessions.get_json()["sessions"] == [opened.get_json()]
    for answer, today in (
        (profiles, "/api/terminal/ssh/profiles"),
        (tested, f"/api/terminal/ssh/profiles/{profile_id}/test"),
        (opened, "/api/terminal/sessions"),
        (sessions, "/api/terminal/sessions"),
    ):
        assert answer.headers["Deprecation"]
        assert f'<{today}>; rel="successor-version"' in answer.headers.getlist("Link")
