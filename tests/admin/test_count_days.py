"""Each day is counted once, when it is over, and stays when the log is gone."""

from datetime import timedelta
from uuid import UUID

from admin.analytics.count_days import count_day
from tests.admin.reporting import NOON, Reporting, start_of

HOUR = timedelta(hours=1)
BOB = UUID(int=0xB0B)


def test_a_finished_day_stays_as_it_was_counted(reporting: Reporting) -> None:
    day = reporting.today() - timedelta(days=3)
    outcomes = ("delivered", "cut_short", "failed", "refused", None)
    reporting.log(*(reporting.call(day, outcome=outcome) for outcome in outcomes))
    assert reporting.count() >= 6
    before = reporting.report("usage", **{"from": day, "to": day})
    assert [(row["calls"], row["succeeded"], row["failed"], row["refused"]) for row in before] == [(4, 3, 1, 1)]

    reporting.do("DELETE FROM request_logs")
    assert reporting.count() <= 1  # today, unless it began a moment ago
    assert reporting.report("usage", **{"from": day, "to": day}) == before


def test_a_day_that_cannot_be_counted_holds_up_no_other_and_is_tried_again(reporting: Reporting) -> None:
    today = reporting.today()
    bad = today - timedelta(days=2)
    days = [today - timedelta(days=number) for number in (1, 2, 3)]
    reporting.log(*map(reporting.call, days))
    reporting.do(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'an unexpected constraint'; END $$"
    )
    reporting.do(
        f"CREATE TRIGGER refuse BEFORE INSERT ON usage_by_day FOR EACH ROW WHEN (NEW.day = '{bad}')"
        " EXECUTE FUNCTION refuse()"
    )
    reporting.count()
    counted = "SELECT day FROM activity_by_day WHERE day = ANY (:days) ORDER BY day DESC"
    assert reporting.rows(counted, days=days) == [(days[0],), (days[2],)]
    noted = reporting.rows("SELECT item, reason FROM passed_over_items WHERE batch = 'analytics_days'")
    assert noted == [(str(bad), "InternalError")]

    reporting.do("DROP FUNCTION refuse() CASCADE")
    reporting.count()
    assert reporting.rows(counted, days=days) == [(day,) for day in days]


def test_what_happened_since_a_day_was_counted_is_read_from_the_log(reporting: Reporting) -> None:
    """And nothing twice. Yesterday stands for today, which may have begun a moment ago."""
    yesterday = reporting.today() - timedelta(days=1)
    early, late = reporting.call(yesterday, at=NOON - HOUR), reporting.call(yesterday, at=NOON + HOUR, user_id=BOB)
    reporting.log(early, late)
    with reporting.app.app_context():
        assert count_day(yesterday) == 1
    reporting.do(
        "UPDATE activity_by_day SET finished = false, active_users = 1, counted_until = :noon",
        {"noon": start_of(yesterday) + NOON},
    )
    reporting.do("DELETE FROM subscriptions_by_day")
    reporting.do("UPDATE usage_by_day SET calls = 1, p50_ms = NULL, p95_ms = NULL, p99_ms = NULL")
    reporting.do("UPDATE response_times_by_day SET calls = 1")

    asked = {"from": yesterday, "to": yesterday}
    assert [row["calls"] for row in reporting.report("usage", **asked)] == [2]
    assert [row["calls"] for row in reporting.report("response-times", **asked)] == [2]

    reporting.count()
    assert [row["calls"] for row in reporting.report("usage", **asked)] == [2]
    assert [row["active_users"] for row in reporting.report("activity", **asked)] == [2]


def test_before_the_first_count_today_is_read_live_and_nothing_else(reporting: Reporting) -> None:
    today = reporting.today()
    reporting.log(
        reporting.call(today, at=timedelta(0)),
        reporting.call(today, at=timedelta(0), feature="toy"),
        reporting.call(today - timedelta(days=1)),
    )
    usage = reporting.report("usage", **{"from": today - timedelta(days=9), "to": today})
    assert [(row["starts_on"], row["feature"], row["calls"]) for row in usage] == [
        (str(today), "predict", 1),
        (str(today), "toy", 1),
    ]
    (activity,) = reporting.report("activity")
    assert (activity["active_users"], activity["weekly_active_users"]) == (1, None)


def test_days_that_no_worker_counted_are_read_from_the_log(reporting: Reporting) -> None:
    today = reporting.today()
    days = [today - timedelta(days=number) for number in (3, 2, 1)]
    with reporting.app.app_context():
        count_day(days[0])
    reporting.log(reporting.call(days[1]), reporting.call(days[2], user_id=BOB), reporting.call(days[2], user_id=BOB))
    asked = {"from": days[0], "to": days[2]}
    for _ in range(2):
        assert [row["active_users"] for row in reporting.report("activity", **asked)] == [0, 1, 1]
        usage = reporting.report("usage", **asked)
        assert [(row["starts_on"], row["calls"]) for row in usage] == [(str(days[1]), 1), (str(days[2]), 2)]
        reporting.count()


def test_a_day_that_another_worker_finished_is_left_alone(reporting: Reporting) -> None:
    day = reporting.today() - timedelta(days=1)
    with reporting.app.app_context():
        assert (count_day(day), count_day(day)) == (1, 0)
