"""Replies whose process died, and processes that lose their database."""

from collections.abc import Iterator

import pytest
from flask_migrate import upgrade

from capabilities.chat.replies import running as running_module
from capabilities.chat.replies.sweep import sweep_replies
from database import db
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from sandbox.postgres import EmbeddedPostgres
from tests.bare_app import bare_app
from tests.capabilities.chat.running_chat import Customer, RunningChat, running_chat

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
    assert [alice.message(each)["state"] for each in ids] == ["failed", "streaming", "failed"]
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
    own_postgres: EmbeddedPostgres, own_database: str, ai: AIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_module, "SECONDS_WITHOUT_DATABASE", 3.0)
    with running_chat(own_database, ai) as running:
        alice = running.register()
        ai.next.add(NextAnswer(endless=True, tokens_per_second=30))
        events = alice.stream()
        events.until("delta")
        own_postgres.stop()
        assert ai.books.wait_until(lambda entries: entries[0].client_left_at is not None, 30)
        assert alice.send().status_code == 503
        own_postgres.start()
        events.to_end()
        assert (events.last.name, events.last.data["state"], events.last.data["retryable"]) == ("end", "stopped", True)
        assert alice.message(events.seen[0].data["message_id"])["content"] == events.text
        assert alice.used()["call"] == 1
        assert alice.send().status_code == 200
