"""What PostgreSQL knows of payments, as metrics."""

from datetime import timedelta

from tests.payments.conftest import MakePayments
from tests.payments.payments_app import RunningPayments
from tests.payments.test_reconcile import Counting


def figures(running: RunningPayments) -> dict[str, dict[tuple[str, ...], float]]:
    found = {}
    for figure in running.payments.figures:
        rows = [tuple(row) for row in running.query(figure.sql)]
        found[figure.name] = {tuple(labels): float(value) for *labels, value in rows}
    return found


def test_events_that_wait_and_what_was_noted_are_shown(make_payments: MakePayments) -> None:
    running = make_payments(reconcilers=(Counting(end=3),))
    nothing = figures(running)
    assert nothing["mirroros_inbox_pending"] == {}
    assert nothing["mirroros_inbox_oldest_seconds"] == {(): 0}
    # Before the first of them, or nobody would see it come.
    assert nothing["mirroros_billing_noted_total"] == {("dead:stripe",): 0, ("drift:counting",): 0}

    running.store()
    running.query("UPDATE billing_events SET received_at = now() - :age RETURNING 1", age=timedelta(hours=1))
    running.cli("reconcile")
    found = figures(running)
    assert found["mirroros_inbox_pending"] == {("stripe",): 1}
    assert 3600 <= found["mirroros_inbox_oldest_seconds"][()] < 3700
    assert found["mirroros_billing_noted_total"] == {("dead:stripe",): 0, ("drift:counting",): 1}


def test_with_no_provider_there_is_nothing_to_note(make_payments: MakePayments) -> None:
    running = make_payments()
    running.payments.inbox.handlers.clear()  # type: ignore[attr-defined]
    assert figures(running)["mirroros_billing_noted_total"] == {}
