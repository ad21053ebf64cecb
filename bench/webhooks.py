"""How long Stripe waits for the answer to an event, at a rate that does not wait for us, on one worker."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg2
from flask import Flask

from app import assemble
from bench import processor_time
from bench.load import percentile
from bench.open_loop import OpenLoad, OpenOutcome, run_open
from bench.processors import Processors
from bench.services import FOLDER, ROOT, Services
from bench.stripe_events import add_customers, event_requests, stripe_server, stripe_with_subscriptions
from bench.targets import Addresses, gateway_target
from bench.web_server import inherited_environment, stop, web_server
from config import load_settings
from sandbox.postgres import stop_with_parent
from sandbox.stripe_server.development_prices import PRICES_SETTING

PER_SECOND = 200
SUBSCRIPTIONS = 100
WARM_UP_SECONDS = 3.0
WINDOW_SECONDS = 15.0

HEADINGS = (
    "job worker  offered/s  answered/s  p50 ms  p99 ms  max ms  worker ms  PostgreSQL ms  sent late p99 ms  statuses"
)


@dataclass(frozen=True)
class Reading:
    """Seconds of processor time, and how many events the job worker has settled."""

    worker: float
    postgres: float
    settled: int


def webhooks(services: Services, processors: Processors) -> bool:
    """Print the answers' times, first while the events only wait in the inbox, then while a job worker applies them.

    The job worker then has all the earlier events to do, so it never rests; it shares the processors of the load and of
    PostgreSQL. Only the job worker knows the address of a Stripe: the web process asks it nothing. False when an event was not
    answered with 200.
    """
    books = FOLDER / "stripe-books.json"
    stripe = stripe_with_subscriptions(SUBSCRIPTIONS, books)
    database_url = services.postgres.ensure_database("webhooks")
    target = gateway_target(
        Addresses(database_url, services.redis_url(7), "http://127.0.0.1:9", secrets.token_urlsafe(48))
    )
    environment = {
        **target.environment,
        "STRIPE_SECRET_KEY": stripe.secret_key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
        "STRIPE_PRICES": PRICES_SETTING,
    }
    add_customers(environment, stripe)
    requests = event_requests(stripe)
    with ExitStack() as stack:
        server = stack.enter_context(
            web_server("webhooks", target.command, environment, first_request=next(requests), processors=processors)
        )
        connection = psycopg2.connect(database_url)
        stack.callback(connection.close)
        connection.autocommit = True

        def meter() -> Reading:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM billing_events WHERE state <> 'received'")
                (settled,) = cursor.fetchone() or (0,)
            return Reading(
                processor_time.of_process(server.worker_pid), processor_time.of_family(services.postgres_pid), settled
            )

        load = OpenLoad(server.port, requests, PER_SECOND, WARM_UP_SECONDS, WINDOW_SECONDS)
        print(HEADINGS)
        alone = run_open(load, meter)
        print(row("none", alone), flush=True)
        stripe_url = stack.enter_context(stripe_server(stripe.secret_key, books))
        stack.enter_context(job_worker(environment, stripe_url))
        beside = run_open(load, meter)
        print(row("busy", beside))
    settled = beside.after.settled - beside.before.settled
    print(f"p99 without a job worker: {alone.percentile(99):.1f} ms   (to reach: at most 20)")
    print(f"the job worker settled {settled / beside.seconds:.0f} events a second meanwhile")
    return not (alone.failed or beside.failed)


@contextmanager
def job_worker(environment: Mapping[str, str], stripe_url: str) -> Iterator[None]:
    """In development, for production refuses any Stripe but the real one."""
    command = [sys.executable, "-m", "flask", "--app", "bench.webhooks:create_job_worker", "worker", "run"]
    own = {"FLASK_ENV": "development", "STRIPE_API_BASE": stripe_url}
    with (FOLDER / "webhooks-jobs.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited_environment(), **environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=stop_with_parent,
        )
    try:
        yield
    finally:
        stop(process)


def create_job_worker() -> Flask:
    """With the environment alone, not with the `.env` file and the servers of `create_app` in development."""
    return assemble(load_settings(os.environ))


def row(name: str, outcome: OpenOutcome[Reading]) -> str:
    answered = max(1, outcome.accepted)
    worker = (outcome.after.worker - outcome.before.worker) * 1000 / answered
    postgres = (outcome.after.postgres - outcome.before.postgres) * 1000 / answered
    slowest = outcome.durations_ms[-1] if outcome.durations_ms else float("nan")
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.statuses.items()))
    return (
        f"{name:<10}  {outcome.offered / outcome.seconds:>9.1f}  {outcome.accepted / outcome.seconds:>10.1f}  "
        f"{outcome.percentile(50):>6.2f}  {outcome.percentile(99):>6.2f}  {slowest:>6.1f}  {worker:>9.3f}  "
        f"{postgres:>13.3f}  {percentile(outcome.late_ms, 99):>16.2f}  {statuses}"
    )
