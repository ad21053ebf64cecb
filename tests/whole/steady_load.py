"""200 requests a second, half of them predictions, for as long as something is done to the servers behind an address."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import psycopg2

from tests.conftest import administer
from tests.whole.environment import PUBLIC_HOST
from tests.whole.proxies import Connect
from tests.whole.web_server import QUESTION, Person, WebServer

CLIENTS = 20
PER_SECOND = 200
PATHS = ("/api/auth/profile", "/api/gateway/predict/usage", "/health/live")
PATIENCE_SECONDS = 20


@dataclass
class Load:
    """What the clients saw."""

    people: Sequence[Person]
    asked: int = 0
    delivered: dict[str, list[str]] = field(default_factory=dict)
    """The ids of each person's predictions."""
    failures: list[tuple[float, str]] = field(default_factory=list)
    """When each was begun, on the monotonic clock, and what came of it."""
    some_keep_connections: bool = True
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_for(self, seconds: float) -> None:
        """For so many seconds' worth of further requests to be answered."""
        wanted = self.asked + seconds * PER_SECOND
        deadline = time.monotonic() + seconds + PATIENCE_SECONDS
        while self.asked < wanted:
            assert time.monotonic() < deadline, self.failures
            time.sleep(0.05)

    def client(self, number: int, connect: Connect) -> None:
        """Every second client keeps its connection, as a mobile app does; the others open one for every request.

        Requests have their times. One that had to wait does not put off those that follow.
        """
        person, keeps = self.people[number], self.some_keep_connections and number % 2 == 0
        connection = connect(PATIENCE_SECONDS)
        due = time.monotonic() + number / PER_SECOND
        with closing(connection):
            turn = number
            while not self._over.wait(max(0.0, due - time.monotonic())):
                self.ask(connection, person, turn, keeps=keeps)
                turn, due = turn + 1, due + CLIENTS / PER_SECOND

    def ask(self, connection: http.client.HTTPConnection, person: Person, turn: int, *, keeps: bool) -> None:
        predicts = turn % 2 == 0
        method, path = ("POST", "/api/gateway/predict") if predicts else ("GET", PATHS[turn // 2 % len(PATHS)])
        headers = {"Host": PUBLIC_HOST, "X-Forwarded-Proto": "https", "Authorization": f"Bearer {person.access_token}"}
        if predicts:
            headers["Content-Type"] = "application/json"
        if not keeps:
            headers["Connection"] = "close"
        begun = time.monotonic()
        try:
            connection.request(method, path, json.dumps(QUESTION) if predicts else None, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.note(begun, f"{path}: {type(error).__name__}, keeps: {keeps}")
            return
        if response.status != 200:
            self.note(begun, f"{path}: {response.status} {body[:80]!r}")
            return
        self.note(begun, None)
        if predicts:
            self.delivered.setdefault(person.user_id, []).append(json.loads(body)["metadata"]["request_id"])

    def note(self, begun: float, failure: str | None) -> None:
        with self._lock:
            self.asked += 1
            if failure is not None:
                self.failures.append((begun, failure))


def register_clients(server: WebServer, database_url: str) -> list[Person]:
    """Each with the plan that has no limit of the day."""
    people = [server.register(f"person-{number}") for number in range(CLIENTS)]
    administer(database_url, "UPDATE users SET tier = 'enterprise'")
    return people


@contextmanager
def steady_load(connect: Connect, people: Sequence[Person], *, some_keep_connections: bool = True) -> Iterator[Load]:
    load = Load(people, some_keep_connections=some_keep_connections)
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(load.client, number, connect) for number in range(CLIENTS)]
        try:
            yield load
        finally:
            load._over.set()
        for each in running:
            each.result()


def assert_none_failed(load: Load, database_url: str) -> None:
    """Every request was answered with 200, and what was delivered is what is counted."""
    assert not load.failures, load.failures
    delivered = {person: sorted(ids) for person, ids in load.delivered.items()}
    assert all(len(ids) == len(set(ids)) for ids in delivered.values())
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_id::text, sum(used)::int FROM usage_counters WHERE unit = 'call' GROUP BY 1")
        assert dict(cursor.fetchall()) == {person: len(ids) for person, ids in delivered.items()}
        cursor.execute("SELECT user_id::text, array_agg(id::text ORDER BY id) FROM request_logs GROUP BY 1")
        assert dict(cursor.fetchall()) == delivered
        cursor.execute("SELECT count(*) FROM usage_reservations")
        assert cursor.fetchall() == [(0,)]
