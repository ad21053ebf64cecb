import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg2
import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope

from database import transaction
from database.batch import work_through
from database.jobs.declare import Job, JobName, Jobs, Urgency, enqueue_job
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from security.edge.request_id import note_caller
from security.logs.log import configure_logging
from security.logs.sentry import start_sentry
from tests.bare_app import bare_app
from tests.sentry_ingest import Ingest, sentry_ingest
from tests.toy_api import ALICE, toy_app


@pytest.fixture
def sentry() -> Iterator[Ingest]:
    """What reached it is complete after `sentry_sdk.flush()`."""
    configure_logging("INFO")
    with sentry_ingest() as ingest:
        start_sentry(ingest.dsn, "test", "1.0.0")
        yield ingest
        sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


def test_a_report_says_where_and_never_with_what(sentry: Ingest, canary: str) -> None:
    app = toy_app()

    @app.post("/toy/fail/<name>")
    def fail(name: str) -> str:
        note_caller(ALICE)
        password = {"nested": {"password": name}}
        sentry_sdk.add_breadcrumb(message=f"Bearer {canary} rt_{canary}", data={"token": canary, "m": f"tok_{canary}"})
        raise RuntimeError(f"alice.{canary}@example.com {len(password)} used 123456 with eyJ{canary}.{canary}.{canary}")

    answer = app.test_client().post(
        f"/toy/fail/name?reset={canary}",
        json={"password": canary, "new_password": canary, "deep": {"refresh_token": canary}, "code": canary},
        headers={
            "Authorization": f"Bearer {canary}",
            "Cookie": f"session={canary}",
            "X-Mirror-Signature": canary,
            "X-Anything": canary,
            "X-Forwarded-For": canary,
            "Referer": f"https://app.example.com/?{canary}",
        },
    )
    assert answer.status_code == 500
    sentry_sdk.flush()
    (event,) = sentry.events()
    assert canary not in sentry.text
    assert "123456" not in sentry.text
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fail"
    assert event["tags"]["request_id"] == answer.headers["X-Request-ID"]
    assert event["user"] == {"id": str(ALICE)}
    assert event["request"]["url"] == "http://localhost/toy/fail/name"


def test_a_database_error_repeats_nothing_that_was_sent(sentry: Ingest, kept_database_url: str, canary: str) -> None:
    statements = {
        "UndefinedColumn": "INSERT INTO users (nickname) VALUES (%s)",
        "NotNullViolation": "INSERT INTO users (email) VALUES (%s)",
        "UndefinedTable": "DO $$ BEGIN EXECUTE format('SELECT * FROM nowhere WHERE email = %%L', %s); END $$",
    }
    app = toy_app()

    @app.get("/toy/broken/<name>")
    def broken(name: str) -> str:
        with closing(psycopg2.connect(kept_database_url)) as connection:
            connection.cursor().execute(statements[name], (canary,))
        return ""

    for name in statements:
        assert app.test_client().get(f"/toy/broken/{name}").status_code == 500
    sentry_sdk.flush()
    assert [event["exception"]["values"][-1]["type"] for event in sentry.events()] == list(statements)
    assert canary not in sentry.text


def test_what_led_to_an_error_is_reported_without_what_was_sent(sentry: Ingest, toy_address: str, canary: str) -> None:
    app = toy_app()

    @app.get("/toy/broken")
    def broken() -> str:
        logging.getLogger("library").warning("asking for %s", f"{canary}@example.com", extra={"password": canary})
        with suppress(HTTPError), urlopen(f"{toy_address}/nowhere?{canary}=1#{canary}"):
            pass
        raise RuntimeError("no luck")

    assert app.test_client().get("/toy/broken").status_code == 500
    sentry_sdk.flush()
    (event,) = sentry.events()
    logged, asked = event["breadcrumbs"]["values"]
    assert logged["message"] == "asking for [masked]"
    assert asked["data"]["url"] == f"{toy_address}/nowhere"
    assert canary not in sentry.text


def test_other_servers_are_told_nothing_of_it(sentry: Ingest) -> None:
    with sentry_ingest() as other, urlopen(Request(other.address, data=b"{}")) as answer:
        assert answer.status == 200
    (sent,) = other.headers
    assert not {name.lower() for name in sent} & {"sentry-trace", "baggage"}


def test_a_failed_job_is_reported_by_its_number(sentry: Ingest, kept_database_url: str, canary: str) -> None:
    app = bare_app(kept_database_url)

    def fail(person: str) -> None:
        password = f"{person}{canary}"
        raise RuntimeError(f"{person}@example.com has a password of {len(password)}")

    jobs = Jobs.of([Job("unlucky", fail, retries=0)])
    with app.app_context(), transaction() as session:
        number = enqueue_job(session, JobName("unlucky", Urgency.MAIL), person=canary)
    asyncio.run(run_worker(app, jobs, kept_database_url, WorkerOptions(), once=True))
    sentry_sdk.flush()
    (event,) = sentry.events()
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert (event["tags"]["job"], event["tags"]["job_id"]) == ("unlucky", str(number))
    assert canary not in sentry.text


def test_an_item_that_a_batch_passes_over_is_reported(sentry: Ingest, kept_database_url: str, canary: str) -> None:
    def fail(item: int) -> int:
        raise RuntimeError(f"{canary}@example.com has item {item}")

    with bare_app(kept_database_url).app_context():
        assert work_through("count_up", [7], fail) == 0
    sentry_sdk.flush()
    (event,) = sentry.events()
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert (event["extra"]["batch"], event["extra"]["item"]) == ("count_up", "7")
    assert canary not in sentry.text


@pytest.mark.parametrize("path", ["/nowhere", "/toy/wishes?limit=0"])
def test_a_clients_mistake_is_not_reported(sentry: Ingest, path: str) -> None:
    toy_app().test_client().get(path)
    sentry_sdk.flush()
    assert sentry.received == []


def test_the_numbers_of_a_trace_stay_readable(sentry: Ingest) -> None:
    app = toy_app()

    @app.get("/toy/broken")
    def broken() -> str:
        raise RuntimeError("a bug with 123456")

    trace, rand = "0af7651916cd43dd8448eb211c80319c", "0.628394"
    headers = {
        "sentry-trace": f"{trace}-b7ad6b7169203331-0",
        "baggage": f"sentry-trace_id={trace},sentry-sample_rand={rand},sentry-sample_rate=0.000125",
    }
    assert app.test_client().get("/toy/broken", headers=headers).status_code == 500
    sentry_sdk.flush()
    (report,) = sentry.events()
    assert "123456" not in str(report["exception"])
    envelope = Envelope.deserialize(sentry.received[0])
    assert envelope.headers["trace"]["sample_rand"] == rand
