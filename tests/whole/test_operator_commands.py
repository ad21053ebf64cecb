"""`flask users` beside running web processes: what an operator does counts in the next request of any of them."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from examples.private_server.server import PrivateServer
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.web_server import ROOT


def flask_users(environ: Mapping[str, str], *arguments: str, typed: str = "") -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    command = [sys.executable, "-m", "flask", "users", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **environ}, input=typed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_role_and_a_switched_off_account_count_in_the_next_request(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer
) -> None:
    """With Redis, where every process reads copies of the account's state."""
    environ = production_environment(database_url, private.url, redis_url)
    server = start_web_server(environ)
    alice = server.register("alice")
    events = "/api/auth/admin/security-events"
    assert server.get(events, alice.access_token).status == 403
    flask_users(environ, "set-role", alice.email, "admin")
    assert [server.get(events, alice.access_token).status for _ in range(4)] == [200] * 4
    flask_users(environ, "disable", alice.email)
    assert [server.get(events, alice.access_token).status for _ in range(4)] == [401] * 4
    assert server.predict(alice).status == 401
