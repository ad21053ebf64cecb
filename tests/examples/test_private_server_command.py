"""Starting the reference prediction server from the command line."""

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "as a module": [sys.executable, "-m", "examples.private_server"],
    "as a file": [sys.executable, "examples/private_server/server.py"],
}
SECRET = secrets.token_urlsafe(32)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | {"PRIVATE_API_SECRET": SECRET} | more


@contextmanager
def started(command: list[str], *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [*command, "--port", "0", *options],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def get(url: str, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_it_serves_until_it_is_told_to_stop(command: list[str]) -> None:
    with started(command) as (process, url):
        assert get(url, "/health")[0] == 200
        assert get(url, "/_seen")[0] == 401
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "signature_missing" in errors
    assert SECRET not in errors


def test_the_switches_need_the_flag() -> None:
    with started(COMMANDS["as a module"], "--test-switches", "--delay", "0.01") as (_, url):
        assert json.loads(get(url, "/_seen")[1])["predictions"] == 0


@pytest.mark.parametrize(
    ("options", "secret", "message"),
    [
        ([], "", "PRIVATE_API_SECRET or PRIVATE_API_KEYS must be set"),
        ([], "too-short", "at least 32 bytes"),
        (["--delay", "1"], SECRET, "--delay needs --test-switches"),
        (["--host", "192.0.2.1", "--test-switches"], SECRET, "loopback only"),
    ],
    ids=["no secret", "short secret", "delay without switches", "switches for everyone"],
)
def test_it_refuses_to_start_with_a_bad_setting(options: list[str], secret: str, message: str) -> None:
    refused = subprocess.run(
        [*COMMANDS["as a module"], "--port", "0", *options],
        cwd=ROOT,
        env=environment(PRIVATE_API_SECRET=secret),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not secret or secret not in refused.stderr
