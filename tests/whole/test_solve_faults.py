"""Image solving while the provider, Redis, PostgreSQL and web processes fail by chance: in the end all books agree.

`make soak` lets it run for ten minutes. FAULT_SEED repeats the faults of a run that failed, though not its timing.
"""

import csv
import os
import secrets
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

import pytest
from flask_migrate import upgrade

from database import db
from examples.private_server.server import PrivateServer
from metering.money import MICROS_PER_CENT
from metering.purge import sweep_reservations
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from sandbox.postgres import EmbeddedPostgres
from sandbox.valkey import EmbeddedValkey
from tests.bare_app import bare_app
from tests.capabilities.solve.made_pictures import formula
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment
from tests.whole.rows import Row, read
from tests.whole.web_server import Person, WebServer

SECONDS = float(os.environ.get("FAULT_SECONDS", "60"))
SEED = int(os.environ.get("FAULT_SEED", "0")) or secrets.randbelow(2**31) + 1
CLIENTS = 6
Rows = dict[str, Row]
PROVIDER_SECONDS = 1.5
BODY = {"image": b64encode(formula()).decode()}
PROVIDER_TROUBLES = (
    NextAnswer(delay_seconds=0.5),
    NextAnswer(delay_seconds=2 * PROVIDER_SECONDS),
    NextAnswer(stall_after_bytes=30),
    NextAnswer(status=400),
    NextAnswer(status=429),
    NextAnswer(status=500),
    NextAnswer(reset=True),
    NextAnswer(cut_after_bytes=20),
    NextAnswer(body="<html>"),
    NextAnswer(finish="content_filter"),
    NextAnswer(usage="none"),
)
EXPLAINED = {"failed", "unknown", "abandoned"}
ANSWERS = {200, 409, 422, 429, 502, 503, 504}
"""Never a 500. 409: a client's key is still held by the process that was killed."""


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres) -> Iterator[str]:
    url = own_postgres.url()
    with bare_app(url).app_context():
        upgrade()
        db.engine.dispose()
    yield url


@dataclass
class Customers:
    """What all of them saw. One that has had its failures of the hour gives way to another."""

    waiting: Iterator[Person]
    delivered: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def solve(self, server: WebServer, *, keyed: bool) -> None:
        """Who sends a key asks again with it until there is a solution; everybody else asks anew."""
        person, key = self._next(), secrets.token_urlsafe(16)
        while not self.over.wait(0.02):
            headers = {"Idempotency-Key": key} if keyed else {}
            try:
                reply = server.post("/api/gateway/solve", BODY, person.access_token, headers=headers)
            except OSError:
                self._note("connection lost")
                continue
            if reply.status == 200:
                self._note("200", reply.json()["request_id"])
                key = secrets.token_urlsafe(16)
                continue
            self._note(f"{reply.status} {reply.error}")
            if reply.error == "too_many_failures":
                person = self._next()

    def _next(self) -> Person:
        with self._lock:
            return next(self.waiting)

    def _note(self, what: str, request_id: str | None = None) -> None:
        with self._lock:
            self.answers[what] += 1
            if request_id is not None:
                self.delivered.add(request_id)


@dataclass
class Faults:
    """One after another, each mended before the next. Who is struck and for how long is by chance, too."""

    chance: Random
    ai: AIServer
    valkey: EmbeddedValkey
    postgres: EmbeddedPostgres
    server: WebServer
    done: Counter[str] = field(default_factory=Counter)

    def strike(self) -> None:
        kinds = (
            self.provider_in_trouble,
            self.provider_away,
            self.redis_killed,
            self.postgres_stopped,
            self.process_killed,
        )
        (fault,) = self.chance.choices(kinds, weights=(8, 1, 2, 2, 2))
        self.done[fault.__name__] += 1
        fault()

    def provider_in_trouble(self) -> None:
        trouble = self.chance.choice(PROVIDER_TROUBLES)
        self.ai.next.add(trouble, times=self.chance.randint(1, 4))
        eventually(lambda: self.ai.next.waiting == 0 or None, 30)

    def provider_away(self) -> None:
        self.ai.stop()
        self._rest(1.5)
        self.ai.start()

    def redis_killed(self) -> None:
        self.valkey.kill()
        self._rest(1.5)
        self.valkey.start()

    def postgres_stopped(self) -> None:
        self.postgres.stop()
        self._rest(2.5)
        self.postgres.start()

    def process_killed(self) -> None:
        victim = self.chance.choice(eventually(self.server.workers))
        victim.kill()
        eventually(lambda: len(self.server.workers()) == self.server.processes or None, 30)

    def _rest(self, most_seconds: float) -> None:
        threading.Event().wait(self.chance.uniform(0.1, most_seconds))


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS + 240)
def test_all_books_agree_after_whatever_failed(
    *,
    start_web_server: StartWebServer,
    own_postgres: EmbeddedPostgres,
    own_database: str,
    own_valkey: EmbeddedValkey,
    private: PrivateServer,
    ai: AIServer,
) -> None:
    environ = {
        **production_environment(own_database, private.url, own_valkey.url),
        **ai_environment(ai),
        "OPENAI_TIMEOUT_S": str(PROVIDER_SECONDS),
        "BILLING_MAX_OPEN_CENTS": "none",
    }
    server = start_web_server(environ)
    people = [server.register(f"person-{number}") for number in range(CLIENTS + round(SECONDS / 2))]
    administer(own_database, "UPDATE users SET tier = 'enterprise'")
    customers = Customers(iter(people))
    faults = Faults(Random(SEED), ai, own_valkey, own_postgres, server)
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(customers.solve, server, keyed=number % 2 == 0) for number in range(CLIENTS)]
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                threading.Event().wait(faults.chance.uniform(0.1, 1))
                faults.strike()
        finally:
            customers.over.set()
            sys.stdout.write(f"FAULT_SEED={SEED}\n{dict(faults.done)}\n{dict(customers.answers)}\n")
        for each in running:
            each.result()
    end_the_leases(own_database)
    assert {int(answer.split()[0]) for answer in customers.answers if answer != "connection lost"} <= ANSWERS
    rows = {
        row["id"]: row for row in read(own_database, "SELECT *, id::text FROM request_logs WHERE outcome <> 'refused'")
    }
    charges = {row["request_id"]: row for row in read(own_database, "SELECT *, request_id::text FROM charges")}
    assert_the_log_agrees(rows, charges, customers.delivered)
    assert_the_provider_agrees(ai, rows)
    for person in people:
        theirs = [row for row in rows.values() if str(row["user_id"]) == person.user_id]
        assert_counters_agree(own_database, person, theirs)
        assert_usage_agrees(server, person, theirs, own_database)


def end_the_leases(database_url: str) -> None:
    """Of the calls that killed processes held, which the worker then notes in the log."""
    begun = "created_at = least(created_at, now() - interval '2 minutes')"
    administer(database_url, f"UPDATE usage_reservations SET {begun}, lease_until = now() - interval '61 seconds'")
    app = bare_app(database_url)
    with app.app_context():
        sweep_reservations()
        db.engine.dispose()
    assert read(database_url, "SELECT * FROM usage_reservations") == []


def assert_the_log_agrees(rows: Rows, charges: Rows, delivered: set[str]) -> None:
    """What was charged and not seen is a commit whose confirmation, or an answer, was lost with a connection."""
    succeeded = {each: row for each, row in rows.items() if row["success"]}
    assert delivered <= set(charges)
    assert set(charges) == set(succeeded)
    for each, row in rows.items():
        assert row["outcome"] == "delivered" if row["success"] else row["outcome"] in EXPLAINED
        assert row["price_micros"] == (charges[each]["price_micros"] if row["success"] else 0)


def assert_the_provider_agrees(ai: AIServer, rows: Rows) -> None:
    """Each charge is one answer that the provider bills. What it bills beside them has its row, which says why it is free.

    A key that was taken over keeps its request ID, so the call of the one before has a row with another one.
    """
    billed = Counter(str(entry.client_request_id) for entry in ai.books.billed)
    assert {each for each, row in rows.items() if row["success"]} <= set(billed)
    assert set(billed) <= set(rows)
    again: Counter[object] = Counter()
    for each, times in billed.items():
        again[rows[each]["user_id"]] += times - 1
    beside = Counter(row["user_id"] for each, row in rows.items() if row["outcome"] in EXPLAINED and each not in billed)
    assert again <= beside


def assert_counters_agree(database_url: str, person: Person, theirs: list[Row]) -> None:
    counted = Counter[str]()
    for row in read(database_url, "SELECT * FROM usage_counters WHERE user_id = %s", person.user_id):
        kind = "ever" if row["window"] == "ever" else "days and months"
        counted[f"{row['unit']} {kind}"] += row["used"]
    calls = sum(row["success"] for row in theirs)
    micros = sum(row["price_micros"] for row in theirs)
    del counted["failure days and months"]
    expected = {"call days and months": calls, "micros days and months": micros, "micros ever": micros}
    assert +counted == +Counter(expected)


def assert_usage_agrees(server: WebServer, person: Person, theirs: list[Row], database_url: str) -> None:
    """What the customer is shown."""
    logged = read(
        database_url, "SELECT id::text, window_date, success FROM request_logs WHERE user_id = %s", person.user_id
    )
    listed = server.get("/api/gateway/usage/requests.csv", person.access_token)
    lines = {line["request_id"]: line for line in csv.DictReader(listed.body.decode("utf-8-sig").splitlines())}
    assert set(lines) == {row["id"] for row in logged}
    cents = {row["id"]: row["price_micros"] / MICROS_PER_CENT for row in theirs}
    assert {each: float(lines[each]["cost_cents"]) for each in cents} == cents
    told: Counter[str] = Counter()
    for month in {f"{row['window_date']:%Y-%m}" for row in logged}:
        summary = server.get(f"/api/gateway/usage/summary?month={month}", person.access_token).json()
        told.update({**summary["requests"], "cents": summary["cost_cents"]})
    succeeded = sum(row["success"] for row in logged)
    assert (told["total"], told["ok"], told["cents"]) == (len(logged), succeeded, sum(cents.values()))
