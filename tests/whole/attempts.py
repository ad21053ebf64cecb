"""Clients that do not give up, and what must be true of the calls that they got through."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import psycopg2

from examples.private_server.server import PrivateServer
from tests.whole.web_server import Person, WebServer

CLIENTS = 16
MOST_ATTEMPTS = 2000


@dataclass
class Outcome:
    """What all clients of one person saw together."""

    delivered: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, request_id: str | None = None) -> None:
        with self._lock:
            self.answers[what] += 1
            if request_id is not None:
                self.delivered.append(request_id)


def attempt_until_the_day_refuses(server: WebServer, person: Person, outcome: Outcome) -> None:
    """Again after every refusal but the day's: burst and concurrency, and 503 while a part is away."""
    pause = threading.Event()
    for _ in range(MOST_ATTEMPTS):
        try:
            reply = server.predict(person)
        except OSError:
            outcome.note("connection lost")
            continue
        if reply.status == 200:
            outcome.note("200", reply.json()["metadata"]["request_id"])
            continue
        outcome.note(f"{reply.status} {reply.error}")
        if reply.status == 429 and "day" in reply.json()["violated-policies"]:
            return
        pause.wait(0.02)
    raise AssertionError(f"The day never refused: {outcome.answers}")


def attempt_in_parallel(server: WebServer, person: Person, meanwhile: Callable[[], None] = lambda: None) -> Outcome:
    """`meanwhile` runs while the clients do."""
    outcome = Outcome()
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(attempt_until_the_day_refuses, server, person, outcome) for _ in range(CLIENTS)]
        try:
            meanwhile()
        finally:
            wait(running)
        for each in running:
            each.result()
    return outcome


def counted(database_url: str, person: Person) -> tuple[int, list[str]]:
    """The counter of the person's day, and the ids of the predictions recorded as delivered."""
    connection = psycopg2.connect(database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(sum(used), 0) FROM usage_counters WHERE user_id = %s AND unit = 'call'",
                (person.user_id,),
            )
            used = int(cursor.fetchone()[0])  # type: ignore[index]
            cursor.execute(
                "SELECT id::text FROM prediction_requests WHERE user_id = %s AND success ORDER BY id", (person.user_id,)
            )
            return used, [row[0] for row in cursor.fetchall()]
    finally:
        connection.close()


def assert_exactly_five(
    database_url: str, private: PrivateServer, person: Person, outcome: Outcome, *, in_vain: int = 0
) -> None:
    """Delivered and counted. The private server saw at most `in_vain` more. Nobody was told that a part is away."""
    assert len(outcome.delivered) == len(set(outcome.delivered)) == 5
    assert set(outcome.answers) <= {"200", "429 rate_limit_exceeded"}, outcome.answers
    assert set(private.seen.request_ids) >= set(outcome.delivered)
    assert len(private.seen.request_ids) == len(set(private.seen.request_ids)) <= 5 + in_vain
    assert private.seen.refused == {}
    assert counted(database_url, person) == (5, sorted(outcome.delivered))
