"""/api/terminal/sync"""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier, Event
from typing import Any
from uuid import UUID

import pytest

from capabilities.terminal.sync import put_items
from capabilities.terminal.sync.bodies import NewSyncItem, SyncQuery
from capabilities.terminal.sync.problems import SyncConflict
from capabilities.terminal.sync.read_since import read_since
from tests.capabilities.terminal.listener import listening
from tests.capabilities.terminal.running_terminal import Customer

SYNC = "/api/terminal/sync"


def item(key: str = "font", value: object = "Menlo", base: int = 0, kind: str = "settings") -> dict[str, Any]:
    return {"kind": kind, "key": key, "value": value, "base_revision": base}


def put(customer: Customer, *items: dict[str, Any]) -> int:
    answer = customer.call("PUT", SYNC, {"items": items})
    assert answer.status_code == 200, answer.text
    return int(answer.get_json()["revision"])


def since(customer: Customer, revision: int = 0, query: str = "") -> dict[str, Any]:
    answer = customer.call("GET", f"{SYNC}?since={revision}{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def brief(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(each["key"], each["value"], each["revision"], each["deleted"]) for each in items]


def test_nothing_is_there_at_first(alice: Customer) -> None:
    assert since(alice) == {"revision": 0, "items": [], "more": False}


def test_a_device_gets_what_another_one_changed(alice: Customer, bob: Customer) -> None:
    assert put(alice, item("font"), item("size", 12)) == 2
    told = since(alice)
    assert (told["revision"], told["more"]) == (2, False)
    assert brief(told["items"]) == [("font", "Menlo", 1, False), ("size", 12, 2, False)]
    assert put(alice, item("font", {"name": "Mono", "ligatures": False}, base=1)) == 3
    assert brief(since(alice, 2)["items"]) == [("font", {"name": "Mono", "ligatures": False}, 3, False)]
    assert since(alice, 3) == {"revision": 3, "items": [], "more": False}
    assert since(bob)["items"] == []


def test_what_was_stored_is_announced_and_what_was_refused_is_not(alice: Customer, bob: Customer) -> None:
    with listening(alice.running.url, put_items.SYNC_CHANGED) as listener:
        put(alice, item("font"), item("size", 12))
        assert listener.heard() == [f"{alice.id} 2"]
        assert alice.call("PUT", SYNC, {"items": [item("font"), item("new")]}).status_code == 409
        assert alice.call("PUT", SYNC, {"items": [item(value=[1e-300] * 1000, base=1)]}).status_code == 422
        put(bob, item())
        put(alice, item(value=None, base=1))
        assert listener.heard() == [f"{bob.id} 1", f"{alice.id} 3"]


def test_it_is_announced_with_the_commit(alice: Customer) -> None:
    """Nobody hears of what PostgreSQL refuses at the very end."""
    refuse = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON sync_items DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()"""
    with listening(alice.running.url, put_items.SYNC_CHANGED) as listener:
        alice.running.rows(refuse)
        try:
            assert alice.call("PUT", SYNC, {"items": [item()]}).status_code == 500
        finally:
            alice.running.rows("DROP FUNCTION refuse CASCADE")
        assert listener.heard() == []
    assert since(alice)["revision"] == 0


def test_a_deleted_item_is_told_of_and_can_come_back(alice: Customer) -> None:
    put(alice, item())
    assert put(alice, item(value=None, base=1)) == 2
    assert brief(since(alice, 1)["items"]) == [("font", None, 2, True)]
    assert (
        alice.call("PUT", SYNC, {"items": [item()]}).status_code == 409
    )  # this device has not seen that it was deleted
    assert put(alice, item(value=0, base=2)) == 3
    assert brief(since(alice, 1)["items"]) == [("font", 0, 3, False)]


def test_two_devices_write_the_same_item_and_one_learns_of_the_newer_value(alice: Customer) -> None:
    put(alice, item(value="old"))
    together = Barrier(2)

    def write(value: str) -> Any:
        together.wait()
        return alice.call("PUT", SYNC, {"items": [item(value=value, base=1), item(value, value)]})

    with ThreadPoolExecutor(2) as devices:
        stored, refused = sorted(devices.map(write, ("phone", "tablet")), key=lambda answer: answer.status_code)
    assert (stored.status_code, refused.status_code) == (200, 409)
    told = refused.get_json()
    assert told["error"] == "conflict"
    ((_, newer, revision, deleted),) = brief(told["items"])
    assert (revision, deleted) == (2, False)
    # Nothing of the refused request was stored, and it used up no revision.
    assert brief(since(alice)["items"]) == [("font", newer, 2, False), (newer, newer, 3, False)]
    other = {"phone": "tablet", "tablet": "phone"}[newer]
    assert put(alice, item(value=other, base=revision)) == 4


def test_a_conflict_lists_each_item_that_changed(alice: Customer) -> None:
    put(alice, item("a", 1), item("b", 2), item("c", 3))
    put(alice, item("b", 2.5, base=2))
    sent = [item("a", "x", base=1), item("b", "x", base=2), item("c", None, base=9), item("d", "x", base=9)]
    refused = alice.call("PUT", SYNC, {"items": sent})
    assert refused.status_code == 409
    told = refused.get_json()["items"]
    assert brief(told) == [("b", 2.5, 4, False), ("c", 3, 3, False), ("d", None, 0, True)]
    assert since(alice)["revision"] == 4


def test_only_items_of_some_kinds(alice: Customer) -> None:
    put(alice, item("a"), item("b", kind="snippets"), item("c", kind="themes"))
    told = since(alice, 0, "&kinds=snippets&kinds=themes")
    assert ([each["key"] for each in told["items"]], told["revision"]) == (["b", "c"], 3)


@pytest.mark.parametrize(("count", "value", "pages"), [(230, 1, [100, 100, 30]), (50, "x" * 60_000, [18, 18, 14])])
def test_what_is_much_comes_by_pages(alice: Customer, count: int, value: object, pages: list[int]) -> None:
    for first in range(0, count, 100):
        put(alice, *(item(str(number), value) for number in range(first, min(first + 100, count))))
    revision, more, sizes, keys = 0, True, [], []
    while more:
        told = since(alice, revision)
        revision, more = told["revision"], told["more"]
        sizes.append(len(told["items"]))
        keys += [each["key"] for each in told["items"]]
    assert (sizes, keys, revision) == (pages, [str(number) for number in range(count)], count)


def test_the_largest_request_is_taken(alice: Customer) -> None:
    largest = "x" * (64 * 1024 - 2)
    assert put(alice, *(item(str(number), largest) for number in range(100))) == 100
    assert since(alice)["items"][0]["value"] == largest


def test_there_can_be_so_many_items_with_those_that_were_deleted(
    alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put_items, "MOST_ITEMS", 2)
    put(alice, item("a"), item("b"))
    put(alice, item("a", None, base=1))
    refused = alice.call("PUT", SYNC, {"items": [item("c")]})
    assert (refused.status_code, refused.get_json()["error"]) == (409, "too_many_sync_items")
    assert put(alice, item("a", "again", base=3), item("b", 1, base=2)) == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "Settings"),
        ("kind", ""),
        ("kind", "x" * 41),
        ("key", ""),
        ("key", "x" * 257),
        ("key", 1),
        ("value", "x" * (64 * 1024 - 1)),
        ("value", [1.5, {"a": 1e300}]),
        ("base_revision", -1),
        ("base_revision", 1.5),
        ("base_revision", "1"),
        ("base_revision", None),
        ("revision", 1),
    ],
)
def test_a_bad_item_is_refused_with_the_whole_request(alice: Customer, field: str, value: object) -> None:
    refused = alice.call("PUT", SYNC, {"items": [item("good"), {**item(), field: value}]})
    assert refused.status_code == 422, refused.text
    assert refused.get_json()["errors"][0]["pointer"] == f"/items/1/{field}"
    assert since(alice)["revision"] == 0


@pytest.mark.parametrize("name", ["kind", "key", "value", "base_revision"])
def test_every_field_is_needed(alice: Customer, name: str) -> None:
    lacking = {field: value for field, value in item().items() if field != name}
    assert alice.call("PUT", SYNC, {"items": [lacking]}).status_code == 422


@pytest.mark.parametrize(
    "items", [[], None, [item(str(number)) for number in range(101)], [item(value=1), item(value=2)]]
)
def test_a_request_has_1_to_100_different_items(alice: Customer, items: object) -> None:
    refused = alice.call("PUT", SYNC, {"items": items})
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/items")


def test_numbers_that_postgresql_writes_out_at_length_are_refused(alice: Customer) -> None:
    """Each of them is short, but PostgreSQL keeps all its zeros."""
    refused = alice.call("PUT", SYNC, {"items": [item(value=[1e-300] * 1000)]})
    assert (refused.status_code, refused.get_json()["errors"][0]["code"]) == (422, "too_long")
    assert since(alice)["revision"] == 0
    assert put(alice, item(value=[1e-300, -0.0, 2**53, 1e15])) == 1
    assert since(alice)["items"][0]["value"] == [1e-300, 0, 2**53, 10**15]


@pytest.mark.parametrize(
    "query", ["since=-1", "since=x", "since=1e300", "kinds=", "kinds=A", "cursor=1", "kinds=a&" * 21]
)
def test_a_bad_query_is_refused(alice: Customer, query: str) -> None:
    assert alice.call("GET", f"{SYNC}?{query}").status_code == 422


def test_a_revision_from_the_future_starts_anew(alice: Customer) -> None:
    """As after the database was restored: the device asks from the revision that it is told."""
    put(alice, item())
    assert since(alice, 99) == {"revision": 1, "items": [], "more": False}


@pytest.mark.slow
def test_what_is_replayed_is_what_is_stored_while_a_thousand_writes_go_on(alice: Customer) -> None:
    """Devices write items, one another's too, and a reader follows by `since` all the while."""
    user_id, writers, each = UUID(alice.id), 4, 250
    app, over, stored, conflicts = alice.running.app, Event(), [], []

    def read(replayed: dict[tuple[str, str], tuple[Any, ...]], seen: list[int], revision: int) -> int:
        told = read_since(user_id, SyncQuery(since=revision))
        for one in told.items:
            assert one.revision > revision
            replayed[one.kind, one.key] = (one.value, one.revision, one.deleted)
            seen.append(one.revision)
        return told.revision

    def write(device: int) -> None:
        chance, known = random.Random(device), dict[str, int]()
        with app.app_context():
            for number in range(each):
                key = str(chance.randrange(40))
                value = None if number % 5 == 0 else f"{device}/{number}"
                wanted = NewSyncItem(kind="x", key=key, value=value, base_revision=known.get(key, 0))
                try:
                    known[key] = put_items.put_items(user_id, [wanted], datetime.now(UTC))
                    stored.append(known[key])
                except SyncConflict as conflict:
                    (present,) = conflict.members["items"]
                    known[key] = present["revision"]
                    conflicts.append(present["revision"])

    def follow() -> tuple[dict[tuple[str, str], tuple[Any, ...]], list[int]]:
        replayed, seen, revision = dict[tuple[str, str], tuple[Any, ...]](), list[int](), 0
        with app.app_context():
            while not over.wait(0.002):  # the writers need the processor as well
                revision = read(replayed, seen, revision)
            read(replayed, seen, revision)
        return replayed, seen

    with ThreadPoolExecutor(writers + 1) as devices:
        follower = devices.submit(follow)
        try:
            list(devices.map(write, range(writers)))
        finally:
            over.set()
        replayed, seen = follower.result()

    assert len(stored) + len(conflicts) == writers * each
    assert sorted(stored) == list(range(1, len(stored) + 1))  # one revision each, and none is missing
    assert conflicts
    assert seen == sorted(set(seen))
    table = alice.running.rows("SELECT * FROM sync_items WHERE user_id = %s", alice.id)
    assert replayed == {(row["kind"], row["key"]): (row["value"], row["revision"], row["deleted"]) for row in table}
