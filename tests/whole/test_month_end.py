"""A month is closed by the command while solves of both months settle; who does not pay is blocked until the payment."""

import os
import subprocess
import sys
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.private_server.server import PrivateServer
from sandbox.ai_server.server import AIServer
from sandbox.stripe_server.server import StripeServer
from tests.capabilities.solve.made_pictures import formula
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment, stripe_environment
from tests.whole.rows import read
from tests.whole.web_server import ROOT, Person, Reply, WebServer

USERS, CLOSERS = 4, 2
PERIODS = "/api/payments/billing-periods"
BEFORE_MIDNIGHT = """
CREATE FUNCTION reserved_before_midnight() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF get_byte(uuid_send(NEW.request_id), 15) % 2 = 0 THEN
        NEW.window_date := date_trunc('month', NEW.window_date)::date - 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reserved_before_midnight BEFORE INSERT ON charges FOR EACH ROW EXECUTE FUNCTION reserved_before_midnight()
"""
"""Every second solve was reserved in the last moment of the month before, and settles only now."""
WITH_CHARGES = "SELECT DISTINCT user_id FROM charges WHERE window_date < date_trunc('month', now() AT TIME ZONE 'UTC')"


@pytest.fixture
def environ(
    database_url: str, redis_url: str, private: PrivateServer, stripe: StripeServer, ai: AIServer
) -> dict[str, str]:
    return {
        **production_environment(database_url, private.url, redis_url),
        **stripe_environment(stripe),
        "FLASK_ENV": "development",
        **ai_environment(ai),
        "BILLING_MAX_OPEN_CENTS": "none",
    }


def solve(server: WebServer, person: Person) -> Reply:
    return server.post("/api/gateway/solve", {"image": b64encode(formula()).decode()}, person.access_token)


def flask(environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_closed_twice_at_once_while_solves_settle_then_overdue_then_paid(
    start_web_server: StartWebServer, environ: dict[str, str], stripe: StripeServer
) -> None:
    server, database_url = start_web_server(environ), environ["DATABASE_URL"]
    people = [server.register(f"person-{number}") for number in range(USERS)]
    administer(database_url, "UPDATE users SET tier = 'enterprise'")
    administer(database_url, BEFORE_MIDNIGHT)
    solve_while_closing(server, environ, people)
    assert_every_charge_stands_once(database_url, {person.user_id for person in people})
    assert_overdue_blocks_until_paid(server, environ, people[0])
    assert sum(each["status"] == "succeeded" for each in stripe.books.all("payment_intent")) == 1


def solve_while_closing(server: WebServer, environ: dict[str, str], people: list[Person]) -> None:
    over = threading.Event()

    def solve_until_over(number: int) -> int:
        statuses = []
        while not over.wait(0.2):
            statuses.append(solve(server, people[number % USERS]).status)
        assert set(statuses) <= {200, 429}  # a plan has so many a minute
        return statuses.count(200)

    with ThreadPoolExecutor(2 * USERS + CLOSERS) as threads:
        solving = [threads.submit(solve_until_over, number) for number in range(2 * USERS)]
        try:
            eventually(lambda: len(read(environ["DATABASE_URL"], WITH_CHARGES)) == USERS or None, 30)
            list(threads.map(lambda _: flask(environ, "create-billing-periods"), range(CLOSERS)))
        finally:
            over.set()
        solved = sum(each.result() for each in solving)
    assert "0 statements" in flask(environ, "create-billing-periods")
    assert read(environ["DATABASE_URL"], "SELECT count(*) AS solved FROM charges") == [{"solved": solved}]


def assert_every_charge_stands_once(database_url: str, users: set[str]) -> None:
    """One that settled after its statement was made waits for the next one, and so does every charge of this month."""
    periods = read(database_url, "SELECT * FROM billing_periods")
    assert {str(period["user_id"]) for period in periods} == users
    assert len(periods) == USERS
    for period in periods:
        lines = read(database_url, "SELECT * FROM charges WHERE statement_id = %s", period["id"])
        assert len(lines) == period["requests"] > 0
        assert sum(line["price_micros"] for line in lines) == period["amount_cents"] * 10_000
        assert {line["user_id"] for line in lines} == {period["user_id"]}
        assert {f"{line['window_date']:%Y-%m}" for line in lines} == {period["period"]}
    (rest,) = read(database_url, "SELECT count(*) AS waiting FROM charges WHERE statement_id IS NULL")
    (whole,) = read(database_url, "SELECT count(*) AS charges FROM charges")
    assert sum(period["requests"] for period in periods) + rest["waiting"] == whole["charges"]
    assert rest["waiting"] > 0


def assert_overdue_blocks_until_paid(server: WebServer, environ: dict[str, str], person: Person) -> None:
    administer(environ["DATABASE_URL"], "UPDATE billing_periods SET due_at = now() - interval '1 day'")
    assert f"{USERS} statements" in flask(environ, "mark-overdue-periods")
    refused = solve(server, person)
    assert (refused.status, refused.error) == (402, "billing_overdue")

    listed = server.get(PERIODS, person.access_token)
    (period,) = [each for each in listed.json()["billing_periods"] if each["state"] == "overdue"]
    pay = [server.post(f"{PERIODS}/{period['id']}/pay", None, person.access_token) for _ in range(2)]
    assert [reply.status for reply in pay] == [200, 200], [reply.body for reply in pay]
    (payment,) = {reply.json()["id"] for reply in pay}
    confirmed = {"payment_id": payment, "payment_method": "pm_card_visa"}
    paid = server.post("/api/payments/stripe/confirm", confirmed, person.access_token)
    assert (paid.status, paid.json()["status"]) == (200, "succeeded")
    assert solve(server, person).status == 200
    assert server.post(f"{PERIODS}/{period['id']}/pay", None, person.access_token).status == 409
