"""/api/terminal/ssh/known-hosts"""

from datetime import timedelta

import pytest

from sandbox.ssh_server import SshServer
from tests.capabilities.terminal.conftest import StartServer
from tests.capabilities.terminal.running_terminal import KNOWN_HOSTS, Customer

NEVER_SEEN = f"SHA256:{'A' * 43}"


def show(alice: Customer, server: SshServer) -> None:
    """The server shows her its key."""
    tried = alice.try_profile(alice.profile(port=server.port)["id"])
    assert tried["host_key"]["fingerprint"] == server.fingerprint


def known(alice: Customer) -> list[str]:
    answer = alice.call("GET", KNOWN_HOSTS)
    return [each["fingerprint"] for each in answer.get_json()["known_hosts"]]


@pytest.fixture
def server(start_server: StartServer) -> SshServer:
    return start_server(password="open")


def test_a_key_that_was_seen_is_accepted(alice: Customer, server: SshServer) -> None:
    show(alice, server)
    answer = alice.accept(server.port, server.fingerprint)
    assert answer.status_code == 201
    told = answer.get_json()
    expected = {"host": "127.0.0.1", "port": server.port, "algorithm": "ssh-ed25519", "source": "api"}
    assert {name: told[name] for name in expected} == expected
    assert known(alice) == [server.fingerprint]
    detail = {"known_host_id": told["id"], "fingerprint": server.fingerprint}
    assert [each["detail"] for each in alice.events() if each["event"] == "ssh_host_key_accepted"][-1] == detail
    assert alice.accept(server.port, server.fingerprint).get_json() == told  # once more is the same


def test_a_key_that_nobody_saw_is_not_accepted(alice: Customer, bob: Customer, server: SshServer) -> None:
    show(bob, server)
    for port, fingerprint, host in (
        (server.port, server.fingerprint, "127.0.0.1"),
        (server.port, NEVER_SEEN, "127.0.0.1"),
        (22, server.fingerprint, "example.com"),
    ):
        refused = alice.accept(port, fingerprint, host)
        assert (refused.status_code, refused.get_json()["error"]) == (404, "host_key_not_seen")
    assert known(alice) == []


@pytest.mark.parametrize(("age", "status"), [(timedelta(minutes=9, seconds=30), 201), (timedelta(minutes=10), 404)])
def test_what_was_seen_can_be_accepted_for_ten_minutes(
    alice: Customer, server: SshServer, age: timedelta, status: int
) -> None:
    show(alice, server)
    alice.running.rows("UPDATE ssh_seen_host_keys SET seen_at = seen_at - %s WHERE user_id = %s", age, alice.id)
    assert alice.accept(server.port, server.fingerprint).status_code == status


def test_only_the_key_that_was_shown_last_is_accepted(alice: Customer, server: SshServer) -> None:
    show(alice, server)
    first = server.fingerprint
    server.change_key()
    show(alice, server)
    assert alice.accept(server.port, first).status_code == 404
    assert alice.accept(server.port, server.fingerprint).status_code == 201


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_another_key_of_a_known_host_is_refused_until_the_old_one_is_deleted(
    alice: Customer, server: SshServer, algorithm: str
) -> None:
    show(alice, server)
    first = server.fingerprint
    old = alice.accept(server.port, first).get_json()
    server.change_key(algorithm)
    show(alice, server)
    refused = alice.accept(server.port, server.fingerprint)
    assert (refused.status_code, refused.get_json()["error"]) == (409, "host_key_changed")
    assert known(alice) == [first]
    assert alice.call("DELETE", f"{KNOWN_HOSTS}/{old['id']}").status_code == 204
    assert alice.accept(server.port, server.fingerprint).status_code == 201
    assert known(alice) == [server.fingerprint]
    assert [each["event"] for each in alice.events()][-3:] == [
        "ssh_host_key_changed",
        "ssh_host_key_removed",
        "ssh_host_key_accepted",
    ]


def test_a_host_key_of_another_user_is_not_there(alice: Customer, bob: Customer, server: SshServer) -> None:
    show(alice, server)
    old = alice.accept(server.port, server.fingerprint).get_json()
    assert known(bob) == []
    assert bob.call("DELETE", f"{KNOWN_HOSTS}/{old['id']}").status_code == 404
    assert known(alice) == [server.fingerprint]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"host": "a b", "port": 22, "fingerprint": NEVER_SEEN},
        {"host": "example.com", "port": 0, "fingerprint": NEVER_SEEN},
        {"host": "example.com", "fingerprint": "MD5:00:11"},
        {"host": "example.com", "fingerprint": NEVER_SEEN, "key": "AAAA"},
    ],
)
def test_what_makes_no_sense_is_refused(alice: Customer, body: object) -> None:
    assert alice.call("POST", KNOWN_HOSTS, body).status_code == 422


def test_what_was_seen_is_forgotten(alice: Customer, server: SshServer) -> None:
    show(alice, server)
    job = alice.running.made.jobs.declared["forget_seen_host_keys"]
    seen = "SELECT 1 FROM ssh_seen_host_keys WHERE user_id = %s"
    with alice.running.app.app_context():
        job.run()
        assert len(alice.running.rows(seen, alice.id)) == 1
        alice.running.rows("UPDATE ssh_seen_host_keys SET seen_at = seen_at - interval '10 minutes'")
        job.run()
    assert alice.running.rows(seen, alice.id) == []
