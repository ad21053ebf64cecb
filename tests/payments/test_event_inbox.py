"""The inbox: stored once, applied once, retried, given up, started anew."""

import asyncio
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Never

import pytest
from sqlalchemy.orm import Session

from auth.tiers import Tier
from database import db
from database.jobs.declare import Jobs
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from payments.inbox.inbox import (
    CLAIMED_FOR,
    LONGEST_WAIT,
    MOST_ATTEMPTS,
    Applied,
    EventHandler,
    EventState,
    StoredEvent,
    wait_after,
)
from payments.subscriptions.grant_tier import lock_user, recompute_tier
from payments.subscriptions.record import record_subscription
from tests.metric_values import rising
from tests.payments.conftest import MakePayments
from tests.payments.facts import fact
from tests.payments.payments_app import MovableClock, RunningPayments


class Provider:
    """A provider whose every event makes one user pro, unless it is told to fail."""

    def __init__(self) -> None:
        self.owner: uuid.UUID | None = None
        self.failures = 0
        self.fail_inside = False
        self.asked = 0

    def find(self, event: StoredEvent) -> str:
        self.asked += 1
        if self.failures and not self.fail_inside:
            self.failures -= 1
            raise ConnectionError("the card number 4242 must not be kept")
        return f"stripe:{event.external_id}"

    def write(self, session: Session, now: datetime, cause: str) -> Applied:
        if self.owner is None:
            return Applied(EventState.IGNORED, note="nobody")
        lock_user(session, self.owner)
        new = fact(1, period_end=now + timedelta(days=30))
        record_subscription(session, new, owner=self.owner, grace=timedelta(days=7), now=now)
        change = recompute_tier(session, self.owner, cause=cause, now=now)
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        return Applied(change=change)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def running(make_payments: MakePayments, provider: Provider) -> RunningPayments:
    running = make_payments(handler=EventHandler(provider.find, provider.write))
    provider.owner = running.user()
    return running


def clock_of(running: RunningPayments) -> MovableClock:
    assert isinstance(running.clock, MovableClock)
    return running.clock


def alice(provider: Provider) -> uuid.UUID:
    assert provider.owner is not None
    return provider.owner


def test_a_stored_event_is_applied_and_announced(running: RunningPayments, provider: Provider) -> None:
    running.store()
    assert running.tier(alice(provider)) is Tier.FREE
    assert running.work() == 1
    assert running.tier(alice(provider)) is Tier.PRO
    assert running.announced == [(alice(provider), 2)]
    assert running.events()[0]["state"] == "done"


def test_a_real_worker_applies_it(running: RunningPayments, provider: Provider, database_url: str) -> None:
    running.store()
    options = WorkerOptions(heartbeat=0.5, polling_interval=0.2)
    asyncio.run(run_worker(running.app, Jobs.of(running.payments.jobs), database_url, options, once=True))
    assert running.tier(alice(provider)) is Tier.PRO


def test_the_same_event_is_stored_once(running: RunningPayments) -> None:
    received = {'provider="stripe",outcome="stored"': 1, 'provider="stripe",outcome="known"': 1}
    with rising(mirroros_webhooks_received_total=received):
        assert running.store("evt_1") is not None
        assert running.store("evt_1") is None
    assert len(running.query("SELECT 1 FROM procrastinate_jobs")) == 1


def test_many_workers_with_one_event_make_one_entry(running: RunningPayments, provider: Provider) -> None:
    event = running.store()
    assert event is not None
    start = Barrier(8)

    def apply() -> None:
        start.wait()
        with running.app.app_context():
            running.payments.inbox.apply(event)

    threads = [Thread(target=apply) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert running.ledger(alice(provider)) == [("free", "pro")]
    assert len(running.announced) == 1


@pytest.mark.parametrize("inside", [False, True], ids=["while asking", "while writing"])
def test_what_fails_waits_and_is_tried_again(running: RunningPayments, provider: Provider, inside: bool) -> None:
    provider.failures, provider.fail_inside = 1, inside
    running.store()
    assert running.work() == 0
    assert running.tier(alice(provider)) is Tier.FREE
    event = running.events()[0]
    assert (event["state"], event["attempts"], event["last_error"]) == ("received", 1, "ConnectionError")
    assert running.run_job("sweep_billing_events") == 0
    clock_of(running).advance(seconds=16)
    assert running.run_job("sweep_billing_events") == 1
    assert running.work() == 1
    assert running.tier(alice(provider)) is Tier.PRO
    assert running.ledger(alice(provider)) == [("free", "pro")]


def test_what_always_fails_is_given_up_and_can_be_started_anew(running: RunningPayments, provider: Provider) -> None:
    provider.failures = MOST_ATTEMPTS
    running.store()
    attempts = {'provider="stripe",outcome="failed"': MOST_ATTEMPTS - 1, 'provider="stripe",outcome="dead"': 1}
    with rising(mirroros_billing_events_total=attempts):
        for _ in range(MOST_ATTEMPTS):
            running.work()
            clock_of(running).now += LONGEST_WAIT
            running.run_job("sweep_billing_events")
    assert running.events()[0]["state"] == "dead"
    assert running.counted("dead:stripe") == 1
    assert "ConnectionError" in running.cli("events", "--dead").output
    assert "4242" not in running.cli("events").output
    assert running.work() == 0

    assert running.cli("replay", "--dead").output.startswith("1 queued again")

    assert running.work() == 1
    assert running.tier(alice(provider)) is Tier.PRO


def test_an_event_whose_worker_died_is_taken_up_again(running: RunningPayments, provider: Provider) -> None:
    running.store()
    running.query("DELETE FROM procrastinate_jobs")
    clock_of(running).now += CLAIMED_FOR
    assert running.run_job("sweep_billing_events") == 1
    assert running.work() == 1


def test_an_event_with_a_job_that_waits_is_not_enqueued_again(running: RunningPayments, provider: Provider) -> None:
    """Behind a backlog the sweeper would make the queue longer every minute."""
    for name in ("evt_1", "evt_2"):
        running.store(name)
    running.query("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = (SELECT min(id) FROM procrastinate_jobs)")
    clock_of(running).now += 2 * CLAIMED_FOR

    assert running.run_job("sweep_billing_events") == 0
    assert len(running.query("SELECT 1 FROM procrastinate_jobs")) == 2


def test_an_event_of_a_seller_that_is_switched_off_ends_as_dead(running: RunningPayments) -> None:
    running.store()
    running.query("UPDATE billing_events SET provider = 'paddle'")
    assert running.work() == 0
    assert running.events()[0]["last_error"] == "ValueError"


def killed(work: Callable[[], object]) -> int:
    """Do the work in a process of its own, and return the code that it ended with."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_a_worker_that_is_killed(running: RunningPayments, provider: Provider, when: str) -> None:
    event = running.store()
    assert event is not None
    running.query("DELETE FROM procrastinate_jobs")
    inbox = running.payments.inbox

    def dies(*_: object) -> Never:
        os._exit(9)

    def write_then_die(session: Session, now: datetime, cause: str) -> Applied:
        provider.write(session, now, cause)
        dies()

    deadly = {
        "before the commit": replace(
            inbox, handlers=dict.fromkeys(inbox.handlers, EventHandler(provider.find, write_then_die))
        ),
        "after the commit": replace(inbox, announce=dies),
    }[when]

    def work() -> None:
        with running.app.app_context():
            db.engine.dispose(close=False)  # the parent's connections are not this process's
            deadly.apply(event)

    assert killed(work) == 9
    clock_of(running).now += CLAIMED_FOR
    running.run_job("sweep_billing_events")
    running.work()
    assert running.tier(alice(provider)) is Tier.PRO
    assert running.ledger(alice(provider)) == [("free", "pro")]
    assert running.events()[0]["state"] == "done"


def test_settled_events_are_forgotten_after_half_a_year_and_dead_ones_stay(
    running: RunningPayments, provider: Provider
) -> None:
    running.store("evt_1")
    running.work()
    running.store("evt_2")
    running.query("UPDATE billing_events SET state = 'dead' WHERE external_id = 'evt_2'")
    clock_of(running).advance(days=179)
    assert running.run_job("forget_billing_events") == 0
    clock_of(running).advance(days=2)
    assert running.run_job("forget_billing_events") == 1
    assert [event["external_id"] for event in running.events()] == ["evt_2"]


def test_an_event_that_was_applied_is_not_applied_twice_by_a_replay(
    running: RunningPayments, provider: Provider
) -> None:
    event = running.store()
    running.work()
    assert running.cli("replay", "--event", str(event)).exit_code == 0
    assert running.work() == 1
    assert running.ledger(alice(provider)) == [("free", "pro")]


def test_an_event_that_is_none_of_ours_is_ignored(running: RunningPayments, provider: Provider) -> None:
    provider.owner = None
    running.store()
    running.work()
    assert (running.events()[0]["state"], running.events()[0]["last_error"]) == ("ignored", "nobody")


def test_the_waits_grow_to_six_hours() -> None:
    waits = [wait_after(attempt).total_seconds() for attempt in range(1, MOST_ATTEMPTS)]
    assert waits[:4] == [15, 60, 240, 960]
    assert max(waits) == 6 * 3600


def test_ignored_events_are_started_anew_by_their_reason(running: RunningPayments, provider: Provider) -> None:
    owner, provider.owner = provider.owner, None
    running.store("evt_1")
    running.work()
    running.store("evt_2")
    running.query("UPDATE billing_events SET state = 'ignored', last_error = 'sandbox' WHERE external_id = 'evt_2'")
    running.query("DELETE FROM procrastinate_jobs")
    provider.owner = owner

    wrong = running.cli("replay", "--ignored", "--reason", "nobdoy")
    assert (wrong.exit_code, wrong.output.splitlines()[-1]) == (
        1,
        'Error: No event was ignored for "nobdoy". Known reasons: "nobody", "sandbox".',
    )
    assert running.cli("replay", "--ignored", "--reason", "nobody").output.startswith("1 queued again")
    assert running.work() == 1
    assert running.tier(alice(provider)) is Tier.PRO
    assert running.cli("replay", "--ignored").output.startswith("1 queued again")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--dead", "--event", str(uuid.uuid4())),
        ("--dead", "--ignored"),
        ("--dead", "--reason", "sandbox"),
    ],
)
def test_replay_wants_to_know_what(running: RunningPayments, arguments: tuple[str, ...]) -> None:
    assert running.cli("replay", *arguments).exit_code == 2


def test_replaying_an_event_that_does_not_exist_fails(running: RunningPayments) -> None:
    assert running.cli("replay", "--event", str(uuid.uuid4())).exit_code == 1
