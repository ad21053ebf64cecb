"""Replies whose process died, and processes that lose their database."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from time import monotonic

import pytest
from flask_migrate import upgrade

from auth.tiers import Tier
from capabilities.chat.replies.running import SETTLING_THREADS
from capabilities.chat.replies.sweep import sweep_replies
from database import db
from metering.purge import sweep_reservations
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from sandbox.postgres import EmbeddedPostgres
from tests.bare_app import bare_app
from tests.capabilities.chat.running_chat import OPENAI_MODEL, Customer, EventReader, RunningChat, running_chat
from tests.metering.limit_backends import eventually

MANY = 4 * SETTLING_THREADS
ENDLESS = NextAnswer(endless=True, tokens_per_second=30)
SILENT = "UPDATE chat_messages SET state = 'streaming', owner = 'gone', owner_until = now() - interval '1 second' WHERE id = %s"


def test_what_a_dead_process_held_is_given_back_and_its_key_may_be_used(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(hold=True))
    events = alice.stream(key="a-dead-process")
    message_id = events.until("start").data["message_id"]
    events.answer.close()
    running.rows(SILENT, message_id)
    with running.app.app_context():
        assert (sweep_replies(), sweep_replies()) == (1, 0)
    swept = alice.message(message_id)
    assert (swept["state"], swept["error"], alice.held()) == ("failed", "reply_interrupted", 0)
    again = alice.send(key="a-dead-process")
    assert (again.status_code, again.get_json()["reply"]["state"]) == (200, "complete")
    running.ai.next.release()


def test_a_reply_that_was_counted_before_its_process_died_is_not_told_to_be_free(
    running: RunningChat, alice: Customer
) -> None:
    reply = alice.send().get_json()["reply"]
    used = alice.used()
    running.rows(SILENT, reply["id"])
    running.rows("UPDATE chat_messages SET input_tokens = NULL, output_tokens = NULL WHERE id = %s", reply["id"])
    with running.app.app_context():
        assert sweep_replies() == 1
    swept = alice.message(reply["id"])
    assert (swept["state"], swept["content"], swept["usage"]) == ("stopped", reply["content"], reply["usage"])
    end = alice.follow(reply["id"]).to_end()[-1]
    assert (end.name, end.data["state"], end.data["retryable"]) == ("end", "stopped", True)
    assert (alice.used(), alice.log()[0]["outcome"]) == (used, "delivered")


@pytest.mark.slow
def test_the_end_of_a_reply_that_was_counted_is_written_when_postgresql_is_back(
    running: RunningChat, alice: Customer
) -> None:
    running.ai.next.add(NextAnswer(hold=True, tokens=90))
    events = alice.stream()
    message_id = events.until("start").data["message_id"]
    running.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'away'; END $$;"
        f" CREATE TRIGGER refuse BEFORE UPDATE ON chat_messages FOR EACH ROW WHEN (OLD.id = '{message_id}')"
        " EXECUTE FUNCTION refuse()"
    )
    try:
        running.ai.next.release()
        eventually(lambda: alice.used().get("call"))
    finally:
        running.rows("DROP FUNCTION refuse CASCADE")
    assert events.to_end()[-1].data["state"] == "complete"
    stored = alice.message(message_id)
    assert (stored["state"], stored["content"]) == ("complete", events.text)


def test_one_bad_row_holds_up_no_other(running: RunningChat, alice: Customer) -> None:
    ids = [alice.send().get_json()["reply"]["id"] for _ in range(3)]
    for each in ids:
        running.rows(SILENT, each)
    running.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'unexpected'; END $$;"
        f" CREATE TRIGGER refuse BEFORE UPDATE ON chat_messages FOR EACH ROW WHEN (OLD.id = '{ids[1]}')"
        " EXECUTE FUNCTION refuse()"
    )
    try:
        with running.app.app_context():
            assert (sweep_replies(), sweep_replies()) == (2, 0)
    finally:
        running.rows("DROP FUNCTION refuse CASCADE")
    assert [alice.message(each)["state"] for each in ids] == ["stopped", "streaming", "stopped"]
    assert running.rows("SELECT item, times FROM passed_over_items") == [{"item": ids[1], "times": 1}]
    running.rows("DELETE FROM passed_over_items")
    with running.app.app_context():
        assert sweep_replies() == 1


def test_a_process_that_was_only_slow_writes_the_truth(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(hold=True))
    events = alice.stream()
    message_id = events.until("start").data["message_id"]
    running.rows("UPDATE chat_messages SET owner_until = now() - interval '1 second' WHERE id = %s", message_id)
    with running.app.app_context():
        assert sweep_replies() == 1
    running.ai.next.release()
    assert events.to_end()[-1].data["state"] == "complete"
    assert alice.message(message_id)["state"] == "complete"
    assert alice.used()["call"] == 1


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres) -> Iterator[str]:
    url = own_postgres.url()
    with bare_app(url).app_context():
        upgrade()
        db.engine.dispose()
    yield url


@pytest.mark.slow
def test_without_postgresql_a_reply_goes_on_for_a_while_and_is_then_stopped(
    own_postgres: EmbeddedPostgres, own_database: str, ai: AIServer
) -> None:
    with running_chat(own_database, ai, CHAT_WITHOUT_DATABASE_S="3") as running:
        alice = running.register()
        ai.next.add(ENDLESS)
        events = alice.stream()
        events.until("delta")
        own_postgres.stop()
        events.until("delta")
        assert ai.books.wait_until(lambda entries: entries[0].client_left_at is not None, 30)
        assert alice.send().status_code == 503
        own_postgres.start()
        events.to_end()
        assert (events.last.name, events.last.data["state"], events.last.data["retryable"]) == ("end", "stopped", True)
        assert alice.message(events.seen[0].data["message_id"])["content"] == events.text
        assert alice.used()["call"] == 1
        # When it is away for a moment again, the first time counts no more.
        running.rows(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'away'; END $$;"
            " CREATE TRIGGER refuse BEFORE UPDATE ON chat_messages FOR EACH ROW WHEN (NEW.owner IS NOT NULL)"
            " EXECUTE FUNCTION refuse()"
        )
        ai.next.add(NextAnswer(tokens=60, tokens_per_second=30))
        assert alice.send().get_json()["reply"]["state"] == "complete"


@pytest.mark.slow
def test_what_cannot_be_counted_has_failed_and_is_free(
    own_postgres: EmbeddedPostgres, own_database: str, ai: AIServer
) -> None:
    """More replies than are settled at a time: none of them waits for another one."""
    with running_chat(own_database, ai, CHAT_WITHOUT_DATABASE_S="1") as running:
        customers = [running.register(Tier.ENTERPRISE) for _ in range(2)]
        ai.next.add(replace(ENDLESS, tokens_per_second=10), times=MANY)
        with ThreadPoolExecutor(MANY) as threads:
            begun = Barrier(MANY + 1)

            def read(number: int) -> EventReader:
                events = customers[number % 2].stream(model=OPENAI_MODEL)
                events.until("delta")
                begun.wait(30)
                events.to_end()
                return events

            reading = [threads.submit(read, number) for number in range(MANY)]
            begun.wait(30)
            own_postgres.stop()
            assert ai.books.wait_until(lambda entries: all(each.client_left_at for each in entries), 30)
            stopped_at = monotonic()
            readers = [each.result() for each in reading]
            assert monotonic() - stopped_at < 6  # each waits two, which would be eight one after another
            own_postgres.start()
        assert {(each.last.name, each.last.data["error"]) for each in readers} == {("error", "service_unavailable")}
        assert [(each.used(), each.log(), each.held()) for each in customers] == [({}, [], MANY)] * 2
        running.rows("UPDATE chat_messages SET owner_until = now() - interval '1 second' WHERE owner IS NOT NULL")
        with running.app.app_context():
            assert sweep_replies() == MANY
        assert [each.held() for each in customers] == [0, 0]
        for number, each in enumerate(readers):
            stored = customers[number % 2].message(each.seen[0].data["message_id"])
            assert stored["state"] == "failed"
            assert each.text.startswith(stored["content"])
        lease_is_over = "created_at = now() - interval '2 minutes', lease_until = now() - interval '61 seconds'"
        running.rows(f"UPDATE usage_reservations SET {lease_is_over}")
        with running.app.app_context():
            sweep_reservations()
        for customer in customers:
            assert customer.used() == {}
            assert Counter(row["outcome"] for row in customer.log()) == {"abandoned": MANY // 2}
            assert customer.send().status_code == 200
