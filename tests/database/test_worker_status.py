"""`flask worker status`, and the part of readiness that says whether a worker is at work"""

from collections.abc import Iterator
from functools import partial

import pytest
from flask import Flask
from flask.testing import FlaskClient

from database import db, transaction
from database.jobs.commands import worker_commands
from database.jobs.declare import JobName, Jobs, Urgency, enqueue_job
from database.jobs.worker_status import worker_status
from security.health.check import HealthCheck, Part
from security.health.routes import health_routes
from tests.bare_app import bare_app
from tests.databases import ask

PAY, MAIL = JobName("pay", Urgency.PAYMENTS), JobName("send_email", Urgency.MAIL)
SIGN = "INSERT INTO job_workers VALUES (gen_random_uuid(), '{name}', now() - interval '1 hour', now() - interval '{age}', 2)"


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    app = bare_app(database_url)
    app.cli.add_command(worker_commands(Jobs.of(()), database_url))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask, database_url: str) -> FlaskClient:
    web = Flask("health")
    health = HealthCheck({"worker": Part(partial(worker_status, database_url), required=False)})
    web.register_blueprint(health_routes(health, version="1.2.3", environment="development"))
    return web.test_client()


def status(app: Flask) -> str:
    answer = app.test_cli_runner().invoke(args=["worker", "status"])
    assert answer.exit_code == 0, answer.output
    return answer.output


def enqueue(*names: JobName) -> None:
    with transaction() as session:
        for name in names:
            enqueue_job(session, name)


def test_the_command_says_that_nothing_is_there(app: Flask) -> None:
    assert status(app) == (
        "Workers:\n  No worker is running. Start one with `flask worker run`\n"
        "Waiting jobs:\n  none\n"
        "Failed jobs:\n  none\n"
        "Items that batches skipped in the last 7 days:\n  none\n"
    )


def test_the_command_shows_workers_jobs_and_what_was_passed_over(app: Flask, database_url: str) -> None:
    ask(database_url, SIGN.format(name="box:7", age="3 minutes"))
    enqueue(MAIL, MAIL, PAY, PAY, PAY)
    ask(
        database_url,
        "UPDATE procrastinate_events SET at = now() - interval '10 minutes'",
        "UPDATE procrastinate_jobs SET status = 'failed' WHERE id = 3",
        "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' WHERE id = 4",
        "INSERT INTO passed_over_items VALUES ('purge_accounts', 'a', 'DataError', 3, now(), now()),"
        " ('purge_accounts', 'b', 'DataError', 3, now(), now() - interval '8 days')",
    )

    workers, waiting, failed, passed_over = status(app).split(":\n")[1:5]

    assert workers.startswith("  box:7  last seen 3 min ago, 2 running, started ")
    assert waiting.splitlines()[0].split() == ["payments", "1,", "the", "oldest", "waiting", "for", "10", "min"]
    assert waiting.splitlines()[1].split() == ["mail", "2,", "the", "oldest", "waiting", "for", "10", "min"]
    assert failed.startswith("  pay  1, last ")
    assert passed_over.splitlines()[0].startswith("  purge_accounts  a  DataError, 3 times, last ")
    assert len(passed_over.splitlines()) == 1


def test_without_a_worker_the_service_is_degraded_and_stays_in_rotation(client: FlaskClient, database_url: str) -> None:
    enqueue(MAIL)
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["status"], answer.json["failing"]) == ("degraded", ["worker"])
    assert answer.json["parts"]["worker"]["problem"] == "standing_still"
    worker = answer.json["worker"]
    assert (worker["silent_seconds"], worker["waiting_jobs"]) == (None, 1)
    assert worker["waiting_since"] is not None


def test_a_worker_that_stands_still_degrades(client: FlaskClient, database_url: str) -> None:
    ask(database_url, SIGN.format(name="box:7", age="2 hours"), SIGN.format(name="box:8", age="100 seconds"))
    answer = client.get("/health/ready")
    assert answer.json is not None
    assert answer.json["status"] == "degraded"
    assert 100 <= answer.json["worker"]["silent_seconds"] < 200
    assert (answer.json["worker"]["waiting_jobs"], answer.json["worker"]["waiting_since"]) == (0, None)


def test_a_worker_at_work_is_ready(client: FlaskClient, database_url: str) -> None:
    ask(database_url, SIGN.format(name="box:7", age="2 hours"), SIGN.format(name="box:8", age="1 second"))
    answer = client.get("/health/ready")
    assert answer.json is not None
    assert (answer.json["status"], answer.json["failing"]) == ("ready", [])
