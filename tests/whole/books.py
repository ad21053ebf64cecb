"""What was counted, logged, charged, stored and shown must agree with one another and with what the provider would bill."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from capabilities.chat.replies.sweep import sweep_replies
from database import db
from metering.money import MICROS_PER_CENT
from metering.purge import sweep_reservations
from sandbox.ai_server.books import Entry
from sandbox.ai_server.questions import Question, usual_text
from tests.bare_app import bare_app
from tests.conftest import administer
from tests.whole.chatting import MODELS, Chatting, Heard
from tests.whole.rows import Row, read
from tests.whole.web_server import Person, WebServer

Rows = dict[str, Row]
EXPLAINED = {"failed", "unknown", "abandoned"}
COUNTED = {"delivered", "cut_short"}
LONGEST_TEXT = 10_000
"""Characters. More than an endless reply has when its time is over."""


def end_what_died(database_url: str, living: Iterable[int]) -> None:
    """What killed processes held ends now, and not with its leases. `living`: the web processes."""
    owners = ", ".join(str(each) for each in living)
    died = f"split_part(owner, ':', 2)::int NOT IN ({owners})"
    administer(database_url, f"UPDATE chat_messages SET owner_until = now() - interval '1 second' WHERE {died}")
    app = bare_app(database_url)
    with app.app_context():
        sweep_replies()
        begun = "created_at = least(created_at, now() - interval '2 minutes')"
        administer(database_url, f"UPDATE usage_reservations SET {begun}, lease_until = now() - interval '61 seconds'")
        sweep_reservations()
        db.engine.dispose()
    assert read(database_url, "SELECT * FROM usage_reservations") == []


@dataclass(frozen=True)
class Books:
    """`log`: the calls of all users but those that a limit refused. `replies`: their rows. `billed`: by the provider, by request."""

    database_url: str
    log: Rows
    charges: Rows
    replies: Sequence[Row]
    billed: Mapping[str, Sequence[Entry]]

    @classmethod
    def of(cls, database_url: str, entries: Iterable[Entry]) -> "Books":
        log = read(database_url, "SELECT *, id::text FROM request_logs WHERE outcome <> 'refused'")
        charges = read(database_url, "SELECT *, request_id::text FROM charges")
        replies = "SELECT *, id::text, request_id::text FROM chat_messages WHERE role = 'assistant'"
        billed: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            billed[str(entry.client_request_id)].append(entry)
        return cls(
            database_url,
            {row["id"]: row for row in log},
            {row["request_id"]: row for row in charges},
            read(database_url, replies),
            billed,
        )

    def assert_the_log_agrees(self, delivered: set[str]) -> None:
        """What was counted and not seen is a commit whose confirmation, or an answer, was lost with a connection."""
        counted = {each for each, row in self.log.items() if row["success"]}
        assert delivered <= counted
        assert set(self.charges) == {each for each, row in self.log.items() if row["price_micros"]}
        for each, row in self.log.items():
            assert row["outcome"] in (COUNTED if row["success"] else EXPLAINED)
            assert not row["price_micros"] or row["price_micros"] == self.charges[each]["price_micros"]
            assert row["success"] or not row["price_micros"]

    def assert_the_provider_agrees(self) -> None:
        """What is counted is an answer that the provider bills. What it bills beside them has its row, which says why it is free.

        A key that was taken over keeps its request ID, so the call of the one before has a row with another one. A reply whose
        first model broke off before it said anything says that there was one.
        """
        assert {each for each, row in self.log.items() if row["success"]} <= set(self.billed)
        assert set(self.billed) <= set(self.log)
        again: Counter[object] = Counter()
        for each, entries in self.billed.items():
            row = self.log[each]
            again[row["user_id"]] += max(0, len(entries) - 1 - ("asked_before" in (row["details"] or {})))
        explained = (each for each, row in self.log.items() if row["outcome"] in EXPLAINED)
        assert again <= Counter(self.log[each]["user_id"] for each in explained if each not in self.billed)
        for each, row in self.log.items():
            if row["feature"] == "chat" and row["outcome"] == "delivered" and not row["details"]["estimated"]:
                used = (row["units"]["input_tokens"], row["units"]["output_tokens"])
                assert used in {
                    (entry.input_tokens, entry.output_tokens) for entry in self.billed[each] if entry.complete
                }

    def assert_replies_agree(self) -> None:
        """Each has ended, and says what the log says. Who took a key over has the request ID of one that failed."""
        ended = defaultdict(list)
        for reply in self.replies:
            row = self.log.get(reply["request_id"])
            used = (reply["input_tokens"], reply["output_tokens"])
            if reply["state"] == "failed":
                continue
            assert reply["state"] in {"complete", "stopped"}
            if used == (0, 0):
                assert reply["state"] == "stopped"
                assert row is None or row["outcome"] in EXPLAINED
                continue
            assert row is not None
            assert row["success"]
            assert used == (row["units"]["input_tokens"], row["units"]["output_tokens"])
            assert row["outcome"] == "delivered" or reply["state"] == "stopped"
            ended[reply["request_id"]].append(reply)
        replied = {
            each for each, row in self.log.items() if row["success"] and "message" in row["details"].get("route", "")
        }
        assert set(ended) == replied
        assert all(len(each) == 1 for each in ended.values())

    def assert_texts_are_the_providers(self, heard: Mapping[str, Heard]) -> None:
        """Each is the beginning of what the provider sent, a complete one all of it. No reader had anything else."""
        for reply in self.replies:
            text, entries = reply["content"].encode(), self.billed.get(reply["request_id"], ())
            if reply["state"] == "complete":
                assert sha256(text).hexdigest() in {entry.answer_sha256 for entry in entries}
            assert len(text) <= max([0, *(entry.answer_bytes for entry in entries)])
            if (known := heard.get(reply["id"])) is None:
                continue
            assert any(each.startswith(reply["content"]) for each in possible_texts(known.content))
            assert known.wrong == []
            assert known.text.startswith(text) or text.startswith(known.text)
            if known.last is not None and known.last.name == "end":
                assert (known.text, known.last.data["state"]) == (text, reply["state"])
        assert set(heard) <= {reply["id"] for reply in self.replies}

    def assert_replies_can_be_read(self, server: WebServer, chatting: Chatting, chance: Random) -> None:
        """From any byte, though all have ended long ago."""
        by_id = {reply["id"]: reply for reply in self.replies}

        def read_on(heard: Heard) -> None:
            reply = by_id[heard.message_id]
            text, position = reply["content"].encode(), chance.choice(heard.ends)
            again = Heard(heard.person, heard.message_id, heard.conversation_id, heard.content, text)
            with chatting.followed(server, again, min(position, len(text))) as reading:
                reading.go_on()
            assert (again.wrong, again.text, reading.position) == ([], text, len(text))
            assert again.last is not None
            assert again.last.name == ("error" if reply["state"] == "failed" else "end")

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(read_on, chatting.replies.values()))

    def assert_counters_agree(self, person: Person) -> None:
        theirs = [row for row in self.log.values() if str(row["user_id"]) == person.user_id and row["success"]]
        counted = Counter[str]()
        for row in read(self.database_url, "SELECT * FROM usage_counters WHERE user_id = %s", person.user_id):
            kind = "ever" if row["window"] == "ever" else "days and months"
            counted[f"{row['unit']} {kind}"] += row["used"]
        del counted["failure days and months"]
        micros = sum(row["price_micros"] for row in theirs)
        expected = {
            "call days and months": len(theirs),
            "token days and months": sum(map(tokens_of, theirs)),
            "micros days and months": micros,
            "micros ever": micros,
        }
        assert +counted == +Counter(expected)

    def assert_usage_agrees(self, server: WebServer, person: Person) -> None:
        """What the customer is shown."""
        logged = read(self.database_url, "SELECT *, id::text FROM request_logs WHERE user_id = %s", person.user_id)
        listed = server.get("/api/gateway/usage/requests.csv", person.access_token)
        lines = {line["request_id"]: line for line in csv.DictReader(listed.body.decode("utf-8-sig").splitlines())}
        assert set(lines) == {row["id"] for row in logged}
        cents = {row["id"]: row["price_micros"] / MICROS_PER_CENT for row in logged}
        assert {each: float(lines[each]["cost_cents"]) for each in cents} == cents
        told: Counter[str] = Counter()
        for month in {f"{row['window_date']:%Y-%m}" for row in logged}:
            summary = server.get(f"/api/gateway/usage/summary?month={month}", person.access_token).json()
            told.update({**summary["requests"], "cents": summary["cost_cents"]})
        succeeded = [row for row in logged if row["success"]]
        assert (told["total"], told["ok"], told["cents"]) == (len(logged), len(succeeded), sum(cents.values()))
        today = server.get("/api/gateway/chat/usage", person.access_token).json()
        chats = [row for row in succeeded if row["feature"] == "chat" and str(row["window_date"]) == today["date"]]
        assert (today["messages"]["used"], today["messages"]["held"]) == (len(chats), 0)
        assert (today["tokens"]["used"], today["tokens"]["held"]) == (sum(map(tokens_of, chats)), 0)


def tokens_of(row: Row) -> int:
    """Of chat; nothing else is counted by tokens."""
    units: dict[str, int] = row["units"] if row["feature"] == "chat" else {}
    return sum(units.get(each, 0) for each in ("input_tokens", "output_tokens"))


def possible_texts(content: str) -> Iterable[str]:
    """What the stand-in answers, however long: of either model, and repeated as it does for a length or without end."""
    for model in MODELS:
        text = usual_text(Question(model, (content,), (), 0, None))
        for joint in ("", " "):
            yield (text + joint) * (LONGEST_TEXT // len(text))
