"""A whole session with its errors: no password, token, e-mail address, goal or key of it stands in the log, a log file, an
error or a report to Sentry.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from examples.private_server.server import PrivateServer
from examples.private_server.switches import Fault, Switches
from security.logs.folder import FILES
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.sentry_ingest import Ingest, sentry_ingest
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.real_worker import RealWorker
from tests.whole.web_server import Person, Reply, WebServer

UPSTREAM_TEXT = "upstream-secret-text"  # what a private server that misbehaves says of itself
SPOILED = (
    "ALTER TABLE users ADD CONSTRAINT spoiled CHECK (length(email) < 3) NOT VALID",
    "ALTER TABLE request_logs ADD CONSTRAINT spoiled CHECK (response_time_ms < 0) NOT VALID",
    "ALTER TABLE sessions RENAME TO sessions_that_went_away",
)
"""PostgreSQL repeats the whole row in the error that a broken constraint makes."""


@pytest.fixture
def sentry() -> Iterator[Ingest]:
    with sentry_ingest() as ingest:
        yield ingest


@pytest.mark.slow
def test_no_secret_and_no_word_of_a_session_reaches_the_log_or_an_error(
    start_web_server: StartWebServer,
    *,
    database_url: str,
    redis_url: str,
    private: PrivateServer,
    sentry: Ingest,
    tmp_path: Path,
) -> None:
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    environ = {
        **production_environment(database_url, private.url, redis_url),
        "LOG_LEVEL": "DEBUG",
        "LOG_DIR": str(log_dir),
        "SENTRY_DSN": sentry.dsn,
    }
    server = start_web_server(environ, processes=1)
    alice = server.register("alice")
    canaries = {name: f"canary{secrets.token_hex(8)}" for name in ("goal", "context", "timeframe", "query", "key")}
    session = Session(server, alice, canaries)

    errors = session.good_and_bad_requests(private)
    for statement in SPOILED:
        administer(database_url, statement)
        errors += session.everything()
    eventually(lambda: len(sentry.events()) >= server.output().count('"exception":'), seconds=30)
    server.stop()

    assert {401, 409, 415, 422, 500, 502} <= {error.status for error in errors}
    canaries |= {
        "e-mail address": alice.email,
        "password": alice.password,
        "access token": alice.access_token,
        "refresh token": alice.refresh_token,
        "master secret": environ["SECRET_KEY"],
        "private server's key": environ["PRIVATE_API_SECRET"],
        "database password": urlsplit(database_url).password or "no password",
        "the private server's own text": UPSTREAM_TEXT,
    }
    output = server.output()
    assert output.count('"unexpected_error"') >= len(SPOILED)
    assert len(sentry.events()) == output.count('"exception":')
    files = {name: (log_dir / name).read_text() for name in FILES}
    assert files["error.log"].count('"unexpected_error"') == output.count('"unexpected_error"')
    for told in (output, sentry.text, *files.values()):
        assert told
        assert [name for name, text in canaries.items() if text in told] == []
        assert re.findall(r"eyJ[\w-]{10,}\.|rt_[\w-]{20,}|\S+@example\.com|\$2[aby]\$", told) == []
    for error in errors:
        told = f"{error.headers}{error.body.decode()}"
        assert [name for name, text in canaries.items() if text in told] == []


class Session:
    """What alice does, with a canary in every text that she can send."""

    def __init__(self, server: WebServer, alice: Person, canaries: dict[str, str]) -> None:
        self.server, self.alice, self.canaries = server, alice, canaries

    def good_and_bad_requests(self, private: PrivateServer) -> list[Reply]:
        """The errors. Every way in which the private server can misbehave is among them."""
        assert self.predict().status == 200
        errors = self.everything()
        for fault in (Fault.NOT_JSON, Fault.HTML, Fault.BAD_SIGNATURE, Fault.STATUS, Fault.CLOSE):
            private.switches = Switches(fault)
            errors.append(self.predict())
        private.switches = Switches()
        return errors

    def everything(self) -> list[Reply]:
        """Each request of the API once, and what a careless client makes of it. Returns the errors."""
        post, get, person = self.server.post, self.server.get, self.alice
        credentials = {"email": person.email, "password": person.password}
        asked: list[Callable[[], Reply]] = [
            lambda: post("/api/auth/register", credentials),
            lambda: post("/api/auth/register", {"email": f"new.{person.email}", "password": person.password}),
            lambda: post("/api/auth/login", credentials),
            lambda: post("/api/auth/login", {**credentials, "password": self.canaries["key"]}),
            lambda: post("/api/auth/login", {**credentials, "pasword": person.password}),
            lambda: post("/api/auth/refresh", {"refresh_token": person.refresh_token}),
            lambda: post("/api/auth/refresh", {"refresh_token": person.access_token}),
            lambda: get(f"/api/auth/profile?access_token={person.access_token}&{self.canaries['query']}"),
            lambda: get(f"/{self.canaries['query']}/{person.email}"),
            lambda: get("/api/auth/profile", f"{person.access_token}{self.canaries['key']}"),
            lambda: get("/api/auth/profile", person.access_token),
            lambda: get("/api/gateway/predict/usage", person.access_token),
            lambda: self.predict({"goals": self.canaries["goal"]}),
            lambda: self.predict(f'{{"goal": "{self.canaries["goal"]}", "goal": 1}}'.encode()),
            lambda: self.predict(headers={"Content-Type": f"text/{self.canaries['key']}"}),
            lambda: self.predict(headers={"Idempotency-Key": self.canaries["key"]}),
            lambda: self.predict(headers={"X-Request-ID": f"{self.canaries['key']}; {person.email}"}),
            self.predict,
        ]
        return [reply for reply in (ask() for ask in asked) if reply.status >= 400]

    def predict(self, question: object = None, **more: object) -> Reply:
        question = question or {name: f"Reach: {self.canaries[name]}" for name in ("goal", "context", "timeframe")}
        return self.server.post("/api/gateway/predict", question, self.alice.access_token, **more)


@pytest.mark.slow
def test_a_job_that_fails_in_a_real_worker_is_reported_without_its_arguments(
    database_url: str, private: PrivateServer, sentry: Ingest, tmp_path: Path
) -> None:
    canary = f"canary{secrets.token_hex(8)}"
    administer(
        database_url,
        "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'send_email', 0, NULL, NULL,"
        f' \'{{"nickname": "{canary}"}}\', NULL)::procrastinate_job_to_defer_v1])',
    )
    worker = RealWorker({**production_environment(database_url, private.url), "SENTRY_DSN": sentry.dsn}, tmp_path)
    worker.start()
    try:
        eventually(sentry.events, seconds=60)
    finally:
        worker.stop()
    event = sentry.events()[0]
    assert event["exception"]["values"][-1]["type"] == "TypeError"
    assert event["tags"]["job"] == "send_email"
    assert canary not in sentry.text + worker.log_file.read_text()
