"""Sessions that ended long ago, and those that nobody connected, are deleted at night."""

from auth.tiers import Tier
from tests.capabilities.terminal.running_terminal import Customer
from tests.capabilities.terminal.test_close_left import made
from tests.capabilities.terminal.test_open_session import grows_older, states


def ended(customer: Customer, *days_ago: int) -> None:
    for days in days_ago:
        (session_id,) = made(customer, "closed")
        age = "UPDATE terminal_sessions SET closed_at = now() - %s * interval '1 day', exit_status = %s WHERE id = %s"
        customer.running.rows(age, days, days, str(session_id))


def days(customer: Customer) -> list[int]:
    found = "SELECT exit_status AS days FROM terminal_sessions WHERE user_id = %s ORDER BY 1"
    return [row["days"] for row in customer.running.rows(found, customer.id)]


def test_they_are_kept_as_long_as_the_plan_of_today_says(alice: Customer, bob: Customer) -> None:
    alice.running.rows("DELETE FROM terminal_sessions")
    for customer in (alice, bob):  # pro: 365 days, free: 30
        ended(customer, 29, 31, 366)
    job = alice.running.made.jobs.declared["purge_terminal_sessions"]
    with alice.running.app.app_context():
        assert job.run() == 3
        assert (days(alice), days(bob)) == ([29, 31], [29])
        alice.becomes(Tier.FREE)
        assert job.run() == 1
    alice.becomes(Tier.PRO)
    assert days(alice) == [29]


def test_one_that_nobody_connected_goes_after_a_day_and_one_that_is_open_never(alice: Customer) -> None:
    alice.running.rows("DELETE FROM terminal_sessions")
    job = alice.running.made.jobs.declared["purge_terminal_sessions"]
    made(alice, "created", "connecting", "active", "detached")
    with alice.running.app.app_context():
        grows_older(alice, 23 * 60)
        assert job.run() == 0
        grows_older(alice, 400 * 24 * 60)
        assert job.run() == 1
    assert sorted(states(alice)) == [("active", None), ("connecting", None), ("detached", None)]
