"""`flask terminal demo`: what a developer looks around with"""

import click
import pytest

from capabilities.terminal.demo import seed_demo
from tests.capabilities.terminal.running_terminal import KEYS, PROFILES, Customer, RunningTerminal


def email_of(customer: Customer) -> str:
    [row] = customer.running.rows("SELECT email FROM users WHERE id = %s", customer.id)
    return str(row["email"])


def test_the_profile_follows_the_server_and_the_key_stays(alice: Customer) -> None:
    running = alice.running
    with running.app.app_context():
        first, second = (seed_demo(running.made.auth, email_of(alice), port, "dev") for port in (2022, 2023))
    [key] = alice.call("GET", KEYS).get_json()["keys"]
    [profile] = alice.call("GET", PROFILES).get_json()["profiles"]
    assert first == second == key["public_key"]
    assert (profile["host"], profile["port"], profile["username"]) == ("127.0.0.1", 2023, "dev")
    assert profile["ssh_key_id"] == key["id"]


def test_it_is_for_accounts_that_exist_and_for_development(running: RunningTerminal) -> None:
    with running.app.app_context(), pytest.raises(click.ClickException, match="No account"):
        seed_demo(running.made.auth, "nobody@example.com", 2022, "dev")
    refused = running.app.test_cli_runner().invoke(
        args=["terminal", "demo", "a@example.com", "--port", "22", "--username", "x"]
    )
    assert "No such command" in refused.output
