"""POST /api/terminal/ssh/profiles/{id}/test"""

from typing import Any

import pytest

from sandbox.open_ssh import OpenSsh
from sandbox.ssh_server import USER, Manner, SshServer
from tests.capabilities.terminal.conftest import Start, StartServer
from tests.capabilities.terminal.key_files import PASSPHRASE, key_file
from tests.capabilities.terminal.running_terminal import PROFILES, Customer, connects_again

RIGHT = "right horse"


def failed(code: str, host_key: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"ok": False, "code": code, "latency_ms": None, "server_version": None, "host_key": host_key}


def trusted(alice: Customer, server: SshServer | OpenSsh, **fields: Any) -> str:
    """A profile whose host key she accepted."""
    profile_id = str(alice.profile(port=server.port, **fields)["id"])
    assert alice.try_profile(profile_id)["code"] == "host_key_unknown"
    assert alice.accept(server.port, server.fingerprint).status_code == 201
    return profile_id


def last_used(alice: Customer, profile_id: str) -> object:
    return alice.call("GET", f"{PROFILES}/{profile_id}").get_json()["last_used_at"]


def test_a_real_sshd_lets_the_key_in(alice: Customer, sshd: OpenSsh) -> None:
    key = alice.add_key()
    profile_id = trusted(alice, sshd, username=sshd.user, auth="key", ssh_key_id=key["id"])
    assert alice.try_profile(profile_id) == failed("auth_failed")
    sshd.let_in(key["public_key"])
    told = alice.try_profile(profile_id)
    assert told["ok"], told
    assert told["code"] is None
    assert told["server_version"].startswith("SSH-2.0-OpenSSH_")
    assert 0 <= told["latency_ms"] < 5_000
    assert told["host_key"] == {"algorithm": "ssh-ed25519", "fingerprint": sshd.fingerprint, "known": True}
    assert last_used(alice, profile_id) is not None


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"])
def test_host_keys_of_every_usual_kind_are_known_again(
    alice: Customer, start_server: StartServer, algorithm: str
) -> None:
    server = start_server(password=RIGHT, host_key=algorithm)
    told = alice.try_profile(trusted(alice, server), password=RIGHT)
    assert told["host_key"] == {"algorithm": algorithm, "fingerprint": server.fingerprint, "known": True}
    assert told["ok"]


def test_a_server_that_is_not_known_is_told_nothing(alice: Customer, start_server: StartServer) -> None:
    server = start_server(password=RIGHT)
    profile = alice.profile(port=server.port)
    shown = {"algorithm": "ssh-ed25519", "fingerprint": server.fingerprint, "known": False}
    assert alice.try_profile(profile["id"], password=RIGHT) == failed("host_key_unknown", shown)
    assert (server.connections, server.users) == (1, [])
    assert last_used(alice, profile["id"]) is None


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp384"])
def test_a_server_whose_key_changed_is_told_nothing_and_what_was_accepted_stays(
    alice: Customer, start_server: StartServer, algorithm: str
) -> None:
    server = start_server(password=RIGHT)
    profile_id = trusted(alice, server)
    rows = "SELECT * FROM ssh_known_hosts WHERE user_id = %s"
    before = alice.running.rows(rows, alice.id)
    server.change_key(algorithm)
    shown = {"algorithm": algorithm, "fingerprint": server.fingerprint, "known": False}
    assert alice.try_profile(profile_id, password=RIGHT) == failed("host_key_changed", shown)
    assert server.users == []
    assert alice.running.rows(rows, alice.id) == before
    last = alice.events()[-1]
    detail = {"profile_id": profile_id, "fingerprint": server.fingerprint}
    assert (last["event"], last["detail"]) == ("ssh_host_key_changed", detail)


@pytest.mark.parametrize(
    ("secrets_of_user", "ok"), [({"password": RIGHT}, True), ({"password": "wrong"}, False), ({}, False)]
)
@pytest.mark.parametrize("asks", [False, True])
def test_a_password_is_tried_once(
    alice: Customer, start_server: StartServer, secrets_of_user: dict[str, str], ok: bool, asks: bool
) -> None:
    """Also where the server asks for it by keyboard-interactive alone, as many do."""
    questions = {"questions": [("Password: ", False)], "answers": [RIGHT]}
    server = start_server(**questions) if asks else start_server(password=RIGHT)
    profile_id = trusted(alice, server)
    told = alice.try_profile(profile_id, **secrets_of_user)
    assert told["ok"] is ok
    assert told["code"] == (None if ok else "auth_failed")
    assert server.users == [USER]


def test_a_password_is_no_answer_to_several_questions(alice: Customer, start_server: StartServer) -> None:
    questions = [("Password: ", False), ("Code: ", False)]
    server = start_server(questions=questions, answers=[RIGHT, RIGHT])
    told = alice.try_profile(trusted(alice, server, auth="keyboard"), password=RIGHT)
    assert told == failed("auth_failed")


@pytest.mark.parametrize(("typed", "ok"), [(PASSPHRASE, True), ("wrong", False), (None, False)])
def test_a_passphrase_opens_the_key(alice: Customer, start_server: StartServer, typed: str | None, ok: bool) -> None:
    key = alice.add_key(name="laptop", private_key=key_file(passphrase=PASSPHRASE))
    server = start_server(keys=[key["public_key"]])
    profile_id = trusted(alice, server, auth="key", ssh_key_id=key["id"])
    told = alice.try_profile(profile_id, **({} if typed is None else {"passphrase": typed}))
    assert told["code"] == (None if ok else "auth_failed")


def test_a_key_that_cannot_be_opened_any_more_signs_in_nowhere(
    alice: Customer, start_server: StartServer, capsys: pytest.CaptureFixture[str]
) -> None:
    key = alice.add_key()
    server = start_server(keys=[key["public_key"]])
    profile_id = trusted(alice, server, auth="key", ssh_key_id=key["id"])
    alice.running.rows("UPDATE ssh_keys SET sealed = 'd9:x' WHERE id = %s", key["id"])
    assert alice.try_profile(profile_id) == failed("auth_failed")
    assert "stored_ssh_key_unreadable" in capsys.readouterr().out


@pytest.mark.parametrize("manner", [Manner.HANG_UP, Manner.GARBAGE])
def test_what_is_no_ssh_server_is_not_reached(alice: Customer, start_server: StartServer, manner: Manner) -> None:
    server = start_server()
    server.manner = manner
    assert alice.try_profile(alice.profile(port=server.port)["id"]) == failed("unreachable")


def test_where_nobody_listens_nothing_is_reached(alice: Customer, start_server: StartServer) -> None:
    server = start_server()
    server.stop()
    assert alice.try_profile(alice.profile(port=server.port)["id"]) == failed("unreachable")


def test_a_server_that_hangs_up_at_sign_in_lets_nobody_in(alice: Customer, start_server: StartServer) -> None:
    server = start_server(password=RIGHT)
    profile_id = trusted(alice, server)
    server.manner = Manner.HANG_UP_AT_SIGN_IN
    assert alice.try_profile(profile_id, password=RIGHT) == failed("auth_failed")


@pytest.mark.slow
@pytest.mark.parametrize("manner", [Manner.STALL, Manner.STALL_AT_SIGN_IN])
def test_a_server_that_stalls_is_given_up(
    alice: Customer, start_server: StartServer, start: Start, manner: Manner
) -> None:
    server = start_server(password=RIGHT)
    profile_id = trusted(alice, server)
    server.manner = manner
    hasty = alice.elsewhere(start(TERMINAL_CONNECT_SECONDS="1"))
    assert hasty.try_profile(profile_id, password=RIGHT) == failed("unreachable")
    server.manner = Manner.SERVE
    assert hasty.try_profile(profile_id, password=RIGHT)["ok"]


def test_a_user_connects_ten_times_a_minute(alice: Customer, bob: Customer, start_server: StartServer) -> None:
    server = start_server()
    server.manner = Manner.HANG_UP
    profile = alice.profile(port=server.port)
    for _ in range(10):
        alice.try_profile(profile["id"])
    refused = alice.call("POST", f"{PROFILES}/{profile['id']}/test", {})
    assert (refused.status_code, refused.get_json()["error"]) == (429, "too_many_requests")
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    assert server.connections == 10
    bob.try_profile(bob.profile(port=server.port)["id"])
    assert server.connections == 11


@pytest.mark.slow
def test_a_server_is_connected_to_thirty_times_a_minute(
    alice: Customer, bob: Customer, start_server: StartServer
) -> None:
    server, other = start_server(), start_server()
    server.manner = other.manner = Manner.HANG_UP
    for _ in range(3):
        profile_id = alice.profile(port=server.port)["id"]
        for _ in range(10):
            alice.try_profile(profile_id)
        connects_again(alice)
    refused = bob.call("POST", f"{PROFILES}/{bob.profile(port=server.port)['id']}/test", {})
    assert refused.status_code == 429
    assert bob.try_profile(bob.profile(port=other.port)["id"]) == failed("unreachable")
    assert server.connections == 30


@pytest.mark.parametrize(
    "body",
    [None, [], {"password": ""}, {"password": "x" * 1025}, {"passphrase": 7}, {"command": "reboot"}],
)
def test_what_makes_no_sense_is_refused(alice: Customer, start_server: StartServer, body: object) -> None:
    server = start_server()
    profile = alice.profile(port=server.port)
    assert alice.call("POST", f"{PROFILES}/{profile['id']}/test", body).status_code in {400, 415, 422}
    assert server.connections == 0
