"""CHAT_RETENTION_DAYS, and what an export and a purge of the account do with chats."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from capabilities.chat.conversations.jobs import BATCH, retention_jobs
from capabilities.chat.personal_data import CHAT_DATA
from database import transaction
from database.base import utc_now
from tests.capabilities.chat.conversations.chats import Chats, Person

TODAY = datetime(2001, 3, 1, tzinfo=UTC)
"""Long before whatever the other tests of the database made."""


def old(days: int) -> datetime:
    return TODAY - timedelta(days=days)


def purged(chats: Chats) -> object:
    """By the job of 30 days."""
    (job,) = retention_jobs(lambda: TODAY, 30)
    with chats.app.app_context():
        return job.run()


def test_conversations_go_so_long_after_their_last_message(alice: Person, chats: Chats) -> None:
    gone, kept = alice.begins("gone", old(31)), alice.begins("kept", old(31))
    gone.say("answer")
    kept.now = old(29)
    kept.say("still of use")
    assert purged(chats) == 1
    assert (alice.get(gone.path).status_code, kept.read()["message_count"]) == (404, 2)
    assert chats.rows("SELECT 1 FROM chat_messages WHERE conversation_id = :id", id=gone.id) == []


def test_they_go_portion_after_portion(alice: Person, chats: Chats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capabilities.chat.conversations.jobs.PORTION", 2)
    for _ in range(5):
        alice.begins("gone", old(31))
    assert purged(chats) == 5


def test_the_worker_does_it_each_hour(chats: Chats) -> None:
    assert chats.made.jobs.declared[BATCH].cron == "23 * * * *"


def test_without_a_number_of_days_there_is_no_job() -> None:
    assert retention_jobs(utc_now, 0) == ()


def test_the_export_of_an_account_has_the_newest_messages_that_fit(
    alice: Person, chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = alice.begins("x" * 10)
    talk.say("y" * 10)
    with chats.app.app_context(), transaction() as session:
        whole = CHAT_DATA.export(session, alice.id)
        monkeypatch.setattr("capabilities.chat.personal_data.LONGEST_EXPORT", 15)
        part = CHAT_DATA.export(session, alice.id)
    assert ([each["content"][0] for each in whole["messages"]], whole["messages_are_complete"]) == (["x", "y"], True)
    assert ([each["content"][0] for each in part["messages"]], part["messages_are_complete"]) == (["y"], False)
    assert part["conversations"] == whole["conversations"]


def test_an_account_is_purged_in_portions(
    alice: Person, bob: Person, chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capabilities.chat.conversations.delete.PORTION", 3)
    kept = bob.begins()
    for _ in range(4):
        alice.begins().say("answer")
    alice.post("/conversations", {})
    erased: list[int] = []
    while not erased or erased[-1]:
        with chats.app.app_context(), transaction() as session:
            erased.append(CHAT_DATA.erase(session, alice.id))
    assert erased == [2, 2, 1, 0]
    with chats.app.app_context(), transaction() as session:
        left = session.scalars(
            text("SELECT user_id FROM chat_messages WHERE user_id IN (:a, :b)"), {"a": alice.id, "b": bob.id}
        )
        assert left.all() == [kept.person.id]
