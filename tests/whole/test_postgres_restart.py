"""PostgreSQL is stopped and started again under load: no 500 anywhere, exact counts, and no restart of ours."""

import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from flask_migrate import upgrade

from database import db
from examples.private_server.server import PrivateServer
from examples.private_server.switches import Switches
from sandbox.postgres import EmbeddedPostgres
from tests.bare_app import bare_app
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.whole.attempts import counted
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.web_server import Person, Reply, WebServer

RESTARTS = 2


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres) -> Iterator[str]:
    url = own_postgres.url()
    with bare_app(url).app_context():
        upgrade()
        db.engine.dispose()
    yield url


@pytest.fixture(params=["redis", "no-redis"])
def redis_or_none(request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else None


@pytest.mark.slow
def test_no_500_no_lost_or_doubled_count_and_recovery_without_a_restart(
    start_web_server: StartWebServer,
    own_postgres: EmbeddedPostgres,
    own_database: str,
    redis_or_none: str | None,
    private: PrivateServer,
) -> None:
    server = start_web_server(production_environment(own_database, private.url, redis_or_none))
    private.switches = Switches(delay_seconds=0.02)
    people = [server.register(f"person-{number}") for number in range(4)]
    administer(own_database, "UPDATE users SET tier = 'enterprise'")
    over = threading.Event()
    statuses: Counter[str] = Counter()
    delivered: dict[str, list[str]] = {person.user_id: [] for person in people}

    def predict(person: Person) -> None:
        while not over.is_set():
            reply = server.predict(person)
            statuses[f"predict {reply.status}"] += 1
            if reply.status == 200:
                delivered[person.user_id].append(reply.json()["metadata"]["request_id"])
            over.wait(0.1)  # an enterprise plan has five a second

    with ThreadPoolExecutor(len(people) + 1) as threads:
        running = [threads.submit(predict, person) for person in people]
        running.append(threads.submit(use_the_account, server, over, statuses))
        try:
            for _ in range(RESTARTS):
                wait_for_new_predictions(own_database, 3 * len(people))
                own_postgres.stop()
                eventually(lambda: server.get("/health/ready").status == 503 or None)
                assert server.get("/health/live").status == 200
                over.wait(0.5)
                own_postgres.start()
            wait_for_new_predictions(own_database, 3 * len(people))
        finally:
            over.set()
        for each in running:
            each.result()

    unexpected = {each for each in statuses if each.split()[1] not in {"200", "201", "204", "503"}}
    # An account whose registration was cut off by the outage cannot be signed in to.
    assert unexpected <= {"login 401"}, statuses
    for person in people:
        used, recorded = counted(own_database, person)
        theirs = delivered[person.user_id]
        assert len(theirs) == len(set(theirs))
        # What is recorded and was not delivered is a commit whose confirmation was lost with the connection.
        assert set(theirs) <= set(recorded)
        assert used == len(recorded)
        assert used - len(theirs) <= RESTARTS * 2
    assert private.seen.refused == {}
    assert eventually(lambda: server.get("/health/ready").status == 200 or None)


def use_the_account(server: WebServer, over: threading.Event, statuses: Counter[str]) -> None:
    """Everything else that a client does, again and again."""

    def note(name: str, reply: Reply) -> Reply:
        statuses[f"{name} {reply.status}"] += 1
        return reply

    while not over.wait(0.02):
        email, password = f"bob-{secrets.token_hex(6)}@example.com", f"tulip {secrets.token_hex(8)}"
        credentials = {"email": email, "password": password}
        note("register", server.post("/api/auth/register", credentials))
        signed_in = note("login", server.post("/api/auth/login", credentials))
        if signed_in.status != 200:
            continue
        access, refresh = signed_in.json()["access_token"], {"refresh_token": signed_in.json()["refresh_token"]}
        note("profile", server.get("/api/auth/profile", access))
        note("usage", server.get("/api/gateway/predict/usage", access))
        note("refresh", server.post("/api/auth/refresh", refresh))
        note("logout", server.post("/api/auth/logout", refresh))


def wait_for_new_predictions(database_url: str, how_many: int) -> None:
    def recorded() -> int:
        try:
            connection = psycopg2.connect(database_url)
        except psycopg2.OperationalError:
            return 0
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM prediction_requests WHERE success")
                return int(cursor.fetchone()[0])  # type: ignore[index]
        finally:
            connection.close()

    before = recorded()
    eventually(lambda: recorded() >= before + how_many or None, 30)
