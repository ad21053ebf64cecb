"""/api/terminal/ssh/profiles"""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from auth.tiers import Tier
from capabilities.terminal.plan_limits import TERMINAL_LIMITS
from tests.capabilities.terminal.running_terminal import KEYS, PROFILES, Customer, profile_body


def count(alice: Customer) -> int:
    return len(alice.running.rows("SELECT 1 FROM ssh_profiles WHERE user_id = %s", alice.id))


def test_a_profile_is_made_with_the_usual_values(alice: Customer) -> None:
    body = {"name": "web", "host": "127.0.0.1", "username": "deploy", "auth": "keyboard"}
    answer = alice.call("POST", PROFILES, body)
    assert answer.status_code == 201
    told = answer.get_json()
    usual = {"port": 22, "ssh_key_id": None, "terminal_type": "xterm-256color", "keepalive_seconds": 15}
    assert {name: told[name] for name in (*body, *usual)} == {**body, **usual}
    assert (told["last_used_at"], told["created_at"]) == (None, told["updated_at"])
    assert alice.call("GET", f"{PROFILES}/{told['id']}").get_json() == told


def test_profiles_are_listed_by_pages(alice: Customer) -> None:
    made = [alice.profile() for _ in range(3)]
    first = alice.call("GET", f"{PROFILES}?limit=2").get_json()
    second = alice.call("GET", f"{PROFILES}?limit=2&cursor={first['next_cursor']}").get_json()
    assert [*first["profiles"], *second["profiles"]] == made[::-1]
    assert second["next_cursor"] is None


def test_a_profile_is_replaced_as_a_whole(alice: Customer) -> None:
    key = alice.add_key()
    made = alice.profile(name="old", auth="key", ssh_key_id=key["id"], keepalive_seconds=60)
    body = profile_body(name="new", host="127.0.0.1", port=2200)
    answer = alice.call("PUT", f"{PROFILES}/{made['id']}", body)
    assert answer.status_code == 200
    told = answer.get_json()
    assert {name: told[name] for name in body} == body
    assert (told["ssh_key_id"], told["keepalive_seconds"], told["created_at"]) == (None, 15, made["created_at"])
    assert told["updated_at"] > made["updated_at"]
    assert alice.call("PUT", f"{PROFILES}/{made['id']}", body).status_code == 200  # its own name is no other's


def test_a_name_is_given_once(alice: Customer, bob: Customer) -> None:
    alice.profile(name="web")
    other = alice.profile(name="db")
    for method, path in (("POST", PROFILES), ("PUT", f"{PROFILES}/{other['id']}")):
        refused = alice.call(method, path, profile_body(name="web"))
        assert (refused.status_code, refused.get_json()["error"]) == (409, "profile_exists")
    bob.profile(name="web")
    assert count(alice) == 2


def test_of_two_that_make_the_same_at_once_one_is_told_no(alice: Customer) -> None:
    with ThreadPoolExecutor(4) as pool:
        body = profile_body(name="web")
        answers = list(pool.map(lambda _: alice.call("POST", PROFILES, body).status_code, range(4)))
    assert sorted(answers) == [201, 409, 409, 409]


def test_a_deleted_profile_is_gone(alice: Customer) -> None:
    made = alice.profile()
    assert alice.call("DELETE", f"{PROFILES}/{made['id']}").status_code == 204
    for method, body in (("GET", None), ("PUT", profile_body()), ("DELETE", None)):
        assert alice.call(method, f"{PROFILES}/{made['id']}", body).status_code == 404
    assert alice.call("POST", f"{PROFILES}/{made['id']}/test", {}).status_code == 404


def test_a_profile_of_another_user_is_not_there(alice: Customer, bob: Customer) -> None:
    made = alice.profile()
    for method, body in (("GET", None), ("PUT", profile_body()), ("DELETE", None)):
        assert bob.call(method, f"{PROFILES}/{made['id']}", body).status_code == 404
    assert bob.call("POST", f"{PROFILES}/{made['id']}/test", {}).status_code == 404
    assert bob.call("GET", PROFILES).get_json()["profiles"] == []
    assert alice.call("GET", f"{PROFILES}/{made['id']}").get_json() == made


def test_a_plan_has_so_many_profiles(bob: Customer) -> None:
    for _ in range(TERMINAL_LIMITS[Tier.FREE].profiles):
        bob.profile()
    refused = bob.call("POST", PROFILES, profile_body())
    assert (refused.status_code, refused.get_json()["error"]) == (409, "too_many_profiles")
    assert count(bob) == 5


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_only_an_own_key_is_taken(alice: Customer, bob: Customer, method: str) -> None:
    path = PROFILES if method == "POST" else f"{PROFILES}/{alice.profile()['id']}"
    for key_id in (bob.add_key()["id"], str(uuid4())):
        refused = alice.call(method, path, profile_body(auth="key", ssh_key_id=key_id))
        assert refused.status_code == 422
        assert refused.get_json()["errors"][0]["pointer"] == "/ssh_key_id"


@pytest.mark.parametrize(
    "fields",
    [
        {"host": ""},
        {"host": "a b"},
        {"host": "-oProxyCommand=reboot"},
        {"host": "server:22"},
        {"host": "x" * 254},
        {"host": None},
        {"port": 0},
        {"port": 65_536},
        {"port": "22"},
        {"port": 22.5},
        {"username": ""},
        {"username": "two words"},
        {"username": "x" * 65},
        {"username": "line\nfeed"},
        {"auth": "agent"},
        {"auth": "key"},
        {"auth": "password", "ssh_key_id": str(uuid4())},
        {"auth": "key", "ssh_key_id": "x"},
        {"terminal_type": "xterm;reboot"},
        {"terminal_type": ""},
        {"keepalive_seconds": 0},
        {"keepalive_seconds": 301},
        {"name": ""},
        {"name": "x" * 101},
        {"password": "hunter2"},
    ],
)
def test_what_makes_no_sense_is_refused(alice: Customer, fields: dict[str, object]) -> None:
    refused = alice.call("POST", PROFILES, profile_body(**fields))
    assert (refused.status_code, refused.get_json()["error"]) == (422, "validation_failed")
    assert count(alice) == 0


def test_a_key_is_not_deleted_while_a_profile_takes_it(alice: Customer) -> None:
    """Of a profile and the deletion of its key at once, one is told no."""
    for _ in range(5):
        key = alice.add_key()
        with ThreadPoolExecutor(2) as pool:
            made = pool.submit(alice.call, "POST", PROFILES, profile_body(auth="key", ssh_key_id=key["id"]))
            deleted = pool.submit(alice.call, "DELETE", f"{KEYS}/{key['id']}")
        assert (made.result().status_code, deleted.result().status_code) in {(201, 409), (422, 204)}
