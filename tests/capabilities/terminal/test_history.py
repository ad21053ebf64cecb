"""/api/terminal/commands"""

import secrets
from typing import Any
from uuid import uuid4

import pytest

from auth.tiers import Tier
from capabilities.terminal.history import add_commands
from tests.capabilities.terminal.running_terminal import Customer

COMMANDS = "/api/terminal/commands"


def ran(command: str = "ls -la", **fields: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "command": command, **fields}


def add(customer: Customer, *items: dict[str, Any]) -> dict[str, Any]:
    answer = customer.call("POST", COMMANDS, {"items": items})
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def history(customer: Customer, query: str = "") -> list[str]:
    answer = customer.call("GET", f"{COMMANDS}?limit=200{query}")
    assert answer.status_code == 200, answer.text
    return [each["command"] for each in answer.get_json()["commands"]]


def at(second: int) -> str:
    return f"2026-01-31T12:00:{second:02}Z"


def test_commands_are_listed_as_they_were_sent(alice: Customer) -> None:
    told: dict[str, Any] = {
        "cwd": "/srv",
        "session_id": str(uuid4()),
        "profile_id": str(uuid4()),
        "exit_status": 1,
        "duration_ms": 40,
    }
    sent = ran(**told, at="2026-01-31T12:00:00.123456Z")
    assert add(alice, sent) == {"added": 1, "redactions": 0}
    assert alice.call("GET", COMMANDS).get_json() == {"commands": [sent], "next_cursor": None}


def test_the_same_id_twice_is_one_command(alice: Customer, bob: Customer) -> None:
    once = ran("first")
    assert add(alice, once, {**once, "command": "second"})["added"] == 1
    assert add(alice, {**once, "command": "third"}, ran("fourth"))["added"] == 1
    assert sorted(history(alice)) == ["first", "fourth"]
    assert add(bob, {**once, "command": "his"})["added"] == 1  # IDs of others are nobody's business
    assert history(bob) == ["his"]


def test_the_list_goes_by_time_and_not_by_id(alice: Customer) -> None:
    add(alice, *(ran(str(second), at=at(second % 5)) for second in (3, 0, 4, 1, 2)), *(ran("b", at=at(2)), ran("c")))
    pages, query = [], ""
    while True:
        page = alice.call("GET", f"{COMMANDS}?limit=2{query}").get_json()
        pages += page["commands"]
        if page["next_cursor"] is None:
            break
        query = f"&cursor={page['next_cursor']}"
    assert len({each["id"] for each in pages}) == len(pages) == 7
    assert [each["at"] for each in pages] == sorted((each["at"] for each in pages), reverse=True)
    assert pages[0]["command"] == "c"


def test_a_cursor_whose_command_was_deleted_is_refused(alice: Customer) -> None:
    add(alice, *(ran(at=at(second)) for second in range(3)))
    cursor = alice.call("GET", f"{COMMANDS}?limit=1").get_json()["next_cursor"]
    assert alice.call("DELETE", f"{COMMANDS}/{cursor}").status_code == 204
    refused = alice.call("GET", f"{COMMANDS}?cursor={cursor}")
    assert (refused.status_code, refused.get_json()["errors"][0]["code"]) == (422, "unknown_cursor")


def test_the_history_is_searched(alice: Customer) -> None:
    profile = str(uuid4())
    add(alice, ran("grep 100%_ x", profile_id=profile), ran("GREP 1000 y"), ran("ls", profile_id=profile))
    assert sorted(history(alice, "&q=grep")) == ["GREP 1000 y", "grep 100%_ x"]
    assert history(alice, "&q=100%25_") == ["grep 100%_ x"]
    assert sorted(history(alice, f"&profile_id={profile}")) == ["grep 100%_ x", "ls"]
    assert history(alice, f"&profile_id={profile}&q=LS") == ["ls"]


def test_a_time_in_the_future_is_now(alice: Customer) -> None:
    add(alice, ran(at="9999-12-31T23:59:59Z"))
    (row,) = alice.running.rows("SELECT at <= now() AS past FROM terminal_commands WHERE user_id = %s", alice.id)
    assert row["past"]


def test_secrets_do_not_enter_the_history(alice: Customer) -> None:
    secret = secrets.token_hex(20)
    told = add(
        alice,
        ran(f"curl -H 'Authorization: Bearer {secret}' https://x", at=at(2)),
        ran(f"mysql --password={secret} -u root", cwd=f"/srv/token={secret}", at=at(1)),
        ran(f"echo ghp_{secret}", at=at(0)),
    )
    assert told == {"added": 3, "redactions": 4}
    assert history(alice) == [
        "curl -H 'Authorization: Bearer [masked]' https://x",
        "mysql --password=[masked] -u root",
        "echo [masked]",
    ]
    kept = alice.running.rows("SELECT t::text AS row FROM terminal_commands AS t WHERE user_id = %s", alice.id)
    assert secret not in str(kept)


def test_what_is_too_long_without_its_secrets_is_refused_and_not_cut(alice: Customer) -> None:
    refused = alice.call("POST", COMMANDS, {"items": [ran(), ran("--token=x " * 800)]})
    assert refused.status_code == 422
    assert [(each["pointer"], each["code"]) for each in refused.get_json()["errors"]] == [
        ("/items/1/command", "too_long")
    ]
    assert history(alice) == []


def test_the_longest_commands_are_taken_and_a_hundred_at_once(alice: Customer) -> None:
    longest = ["é" * 4096, *("ls -l /srv " * 744 for _ in range(9)), *("ls" for _ in range(90))]
    assert add(alice, *(ran(text, cwd="/" + "x" * 4095) for text in longest))["added"] == 100
    assert sorted(history(alice)) == sorted(longest)


def test_the_oldest_commands_give_way(alice: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add_commands, "MOST_COMMANDS", 3)
    add(alice, *(ran(str(second), at=at(second)) for second in range(3)))
    add(alice, *(ran(str(second), at=at(second)) for second in (4, 3)))
    assert history(alice) == ["4", "3", "2"]


def test_a_command_is_deleted_and_so_are_all(alice: Customer, bob: Customer) -> None:
    mine, his = [ran("one"), ran("two"), ran("three")], ran("his")
    add(alice, *mine)
    add(bob, his)
    assert alice.call("DELETE", f"{COMMANDS}/{mine[0]['id']}").status_code == 204
    assert alice.call("DELETE", f"{COMMANDS}/{mine[0]['id']}").status_code == 404
    assert alice.call("DELETE", f"{COMMANDS}/{his['id']}").status_code == 404
    assert sorted(history(alice)) == ["three", "two"]
    assert alice.call("DELETE", COMMANDS).status_code == 204
    assert (history(alice), history(bob)) == ([], ["his"])


@pytest.mark.parametrize(
    "item",
    [
        {"id": "1"},
        {"id": None},
        {"command": ""},
        {"command": "x" * 8193},
        {"command": "é" * 4097},
        {"command": None},
        {"cwd": "x" * 4097},
        {"session_id": "x"},
        {"exit_status": 2**31},
        {"exit_status": "0"},
        {"duration_ms": -1},
        {"duration_ms": 1e300},
        {"at": "yesterday"},
        {"at": 1769860800},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": "1969-12-31T23:59:59Z"},
        {"output": "x"},
    ],
)
def test_a_bad_command_is_refused_with_the_whole_request(alice: Customer, item: dict[str, Any]) -> None:
    refused = alice.call("POST", COMMANDS, {"items": [ran(), {**ran(), **item}]})
    assert refused.status_code == 422, refused.text
    assert refused.get_json()["errors"][0]["pointer"].startswith(f"/items/1/{next(iter(item))}")
    assert history(alice) == []


@pytest.mark.parametrize("items", [[], [ran() for _ in range(101)], {}, None])
def test_a_request_has_1_to_100_commands(alice: Customer, items: object) -> None:
    assert alice.call("POST", COMMANDS, {"items": items}).status_code == 422


def test_a_text_with_nul_is_refused(alice: Customer) -> None:
    assert alice.call("POST", COMMANDS, {"items": [ran("a\0b")]}).status_code == 400


@pytest.mark.parametrize("query", ["q=", f"q={'x' * 201}", "profile_id=1", "cursor=1", "limit=0", "since=1", "q=a&q=b"])
def test_a_bad_query_is_refused(alice: Customer, query: str) -> None:
    assert alice.call("GET", f"{COMMANDS}?{query}").status_code == 422


def test_the_history_is_kept_as_long_as_the_plan_of_today_says(alice: Customer, bob: Customer) -> None:
    for customer in (alice, bob):  # pro: 365 days, free: 30
        add(customer, *(ran(str(days)) for days in (29, 31, 366)))
        age = "UPDATE terminal_commands SET at = now() - command::int * interval '1 day' WHERE user_id = %s"
        customer.running.rows(age, customer.id)
    job = alice.running.made.jobs.declared["purge_terminal_history"]
    with alice.running.app.app_context():
        assert job.run() == 3
        assert (history(alice), history(bob)) == (["29", "31"], ["29"])
        alice.becomes(Tier.PLUS)
        assert job.run() == 0
        alice.becomes(Tier.FREE)
        assert job.run() == 1
    alice.becomes(Tier.PRO)
    assert history(alice) == ["29"]
