"""`flask terminal reseal`"""

import secrets
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from capabilities.terminal.ssh.keys.sealed_key import owner_of
from tests.capabilities.terminal.conftest import Start
from tests.capabilities.terminal.running_terminal import Customer, RunningTerminal


def key() -> str:
    return f"msk_{b64encode(secrets.token_bytes(48)).decode()}"


@pytest.fixture(autouse=True)
def _no_keys_of_others(running: RunningTerminal) -> Iterator[None]:
    """Neither of earlier tests, nor of these for later ones."""
    running.rows("DELETE FROM ssh_profiles; DELETE FROM ssh_keys")
    yield
    running.rows("DELETE FROM ssh_profiles; DELETE FROM ssh_keys")


def rows(alice: Customer) -> list[dict[str, Any]]:
    return alice.running.rows("SELECT * FROM ssh_keys WHERE user_id = %s ORDER BY id", alice.id)


def opens(running: RunningTerminal, row: dict[str, Any]) -> bytes:
    return running.made.auth.data_keys.open(bytes(row["sealed"]), owner_of(UUID(row["user_id"]), UUID(row["id"])))


def test_all_keys_are_sealed_with_the_first_data_key_and_one_that_cannot_be_opened_stops_none(
    alice: Customer, start: Start
) -> None:
    old, new = key(), key()
    before = alice.elsewhere(start(DATA_KEYS=f"d1:{old}"))
    for _ in range(3):
        before.add_key()
    first, spoiled, last = rows(alice)
    alice.running.rows("UPDATE ssh_keys SET sealed = 'd9:x' WHERE id = %s", str(spoiled["id"]))
    contents = [opens(before.running, row) for row in (first, last)]

    both = start(DATA_KEYS=f"d2:{new},d1:{old}")
    done = both.app.test_cli_runner().invoke(args=["terminal", "reseal"])
    assert done.exit_code == 1
    assert "2 encrypted anew with d2." in done.output
    assert "1 cannot be opened" in done.output
    passed_over = alice.running.rows("SELECT item FROM passed_over_items WHERE batch = 'reseal_ssh_keys'")
    assert passed_over == [{"item": str(spoiled["id"])}]

    alone = start(DATA_KEYS=f"d2:{new}")
    first, spoiled, last = rows(alice)
    assert [row["key_id"] for row in (first, spoiled, last)] == ["d2", "d1", "d2"]
    assert [opens(alone, row) for row in (first, last)] == contents


def test_there_is_nothing_to_do_twice(alice: Customer) -> None:
    alice.add_key()
    before = rows(alice)
    done = alice.running.app.test_cli_runner().invoke(args=["terminal", "reseal"])
    assert (done.exit_code, done.output) == (0, "0 encrypted anew with 0.\n")
    assert rows(alice) == before
