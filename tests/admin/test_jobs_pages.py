"""/admin/jobs"""

import asyncio
from html import unescape
from typing import Any
from uuid import UUID

import pytest

from auth.principal import Role
from database import transaction
from database.jobs.declare import Job, JobName, Jobs, Urgency, enqueue_job
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from tests.admin.dashboard import Dashboard, Staff, text_of

SIGN = "INSERT INTO job_workers VALUES (gen_random_uuid(), 'box:7', now() - interval '1 hour', now() - {age}, 2)"


def enqueue(dashboard: Dashboard, name: str, **arguments: Any) -> int:
    with dashboard.app.app_context(), transaction() as session:
        return enqueue_job(session, JobName(name, Urgency.MAIL), **arguments)


def fail(**_: Any) -> None:
    raise LookupError("sk_live_9184")


def run_and_fail(dashboard: Dashboard, url: str, *names: str) -> None:
    jobs = Jobs.of(Job(name, fail, retries=0) for name in names)
    asyncio.run(run_worker(dashboard.app, jobs, url, WorkerOptions(), once=True))


def jobs_left(dashboard: Dashboard) -> list[tuple[Any, ...]]:
    return dashboard.query("SELECT id, status::text FROM procrastinate_jobs ORDER BY id")


def audited(dashboard: Dashboard, staff: Staff, event: str) -> dict[str, Any]:
    ((actor_id, detail),) = dashboard.query(
        "SELECT actor_id, detail FROM security_events WHERE event = :event", event=event
    )
    assert UUID(str(actor_id)) == staff.user_id
    return dict(detail)


def test_with_nothing_to_do_the_page_says_what_is_missing(dashboard: Dashboard) -> None:
    page = text_of(dashboard.staff(Role.SUPPORT).get("/admin/jobs"))
    assert "No worker is running" in page
    for empty in ("No worker has been seen", "No job is due.", "No job matches.", "Nothing was skipped."):
        assert empty in page


def test_the_page_shows_workers_queues_jobs_and_skipped_items(dashboard: Dashboard, kept_database_url: str) -> None:
    failed = enqueue(dashboard, "collect_export", export_id="alice@example.com")
    run_and_fail(dashboard, kept_database_url, "collect_export")
    waiting = enqueue(dashboard, "send_email", to="alice@example.com")
    dashboard.query(SIGN.format(age="interval '1 second'"))
    dashboard.query("INSERT INTO passed_over_items VALUES ('purge_accounts', 'a', 'DataError', 3, now(), now())")

    answer = dashboard.staff(Role.SUPPORT).get("/admin/jobs")

    page = text_of(answer)
    assert "No worker is running" not in page
    assert "box:7 at work" in page
    assert "mail 1 " in page
    assert f"collect_export {failed} failed 1 " in page
    assert "LookupError just now" in page or "LookupError 1 second ago" in page
    assert f"send_email {waiting} waiting 0 " in page
    assert "purge_accounts a DataError 3 " in page
    assert "alice@example.com" not in answer.text
    assert "sk_live_9184" not in answer.text


def test_a_silent_worker_is_not_at_work(dashboard: Dashboard) -> None:
    dashboard.query(SIGN.format(age="interval '5 minutes'"))
    page = text_of(dashboard.staff(Role.SUPPORT).get("/admin/jobs"))
    assert "No worker is running" in page
    assert "box:7 silent 2 5 minutes ago" in page


def test_the_list_is_filtered_and_turned(dashboard: Dashboard) -> None:
    made = "SELECT 'send_email', 'default', 'todo' FROM generate_series(1, 52)"
    dashboard.query(f"INSERT INTO procrastinate_jobs (task_name, queue_name, status) {made}")
    numbers = [number for number, _ in jobs_left(dashboard)]
    other = enqueue(dashboard, "collect_export")
    support = dashboard.staff(Role.SUPPORT)

    first = support.get("/admin/jobs?name=send_email&state=waiting")
    assert f"collect_export {other}" not in text_of(first)
    assert f"send_email {numbers[-1]} " in text_of(first)
    assert f"send_email {numbers[1]} " not in text_of(first)
    assert f"cursor={numbers[2]}" in first.text
    second = text_of(support.get(f"/admin/jobs?name=send_email&cursor={numbers[2]}"))
    assert f"send_email {numbers[1]} " in second
    assert f"send_email {numbers[2]} " not in second
    assert "No job matches." in text_of(support.get("/admin/jobs?state=failed"))


@pytest.mark.parametrize("query", ["state=lost", "cursor=x", "cursor=0", "what=1", f"cursor={2**63}"])
def test_a_wrong_filter_is_refused(dashboard: Dashboard, query: str) -> None:
    page = dashboard.staff(Role.SUPPORT).get(f"/admin/jobs?name=send_email&{query}")
    named = f"Some filters are not valid and were left out: {query.partition('=')[0]}"
    assert (page.status_code, named in text_of(page), 'value="send_email"' in page.text) == (422, True, True)


def test_support_is_offered_no_acts(dashboard: Dashboard, kept_database_url: str) -> None:
    number = enqueue(dashboard, "collect_export")
    run_and_fail(dashboard, kept_database_url, "collect_export")
    address = f"/admin/jobs/retry?job_id={number}"
    assert address not in dashboard.staff(Role.SUPPORT).get("/admin/jobs").text
    assert address in dashboard.staff(Role.ADMIN).get("/admin/jobs").text


def test_an_admin_retries_a_failed_job(dashboard: Dashboard, kept_database_url: str) -> None:
    number = enqueue(dashboard, "collect_export")
    run_and_fail(dashboard, kept_database_url, "collect_export")
    admin = dashboard.staff()

    answer = admin.post(f"/admin/jobs/retry?job_id={number}")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/jobs?done=retried")
    assert "The job runs as soon as a worker is free." in text_of(admin.get("/admin/jobs?done=retried"))
    assert jobs_left(dashboard) == [(number, "todo")]
    assert audited(dashboard, admin, "job_retried") == {"job_id": number, "job": "collect_export"}


def test_after_an_act_the_list_has_its_filters(dashboard: Dashboard, kept_database_url: str) -> None:
    number = enqueue(dashboard, "collect_export")
    run_and_fail(dashboard, kept_database_url, "collect_export")
    admin, filters = dashboard.staff(), "state=failed&name=collect_export"
    shown = admin.get(f"/admin/jobs?{filters}&cursor={number + 1}&done=retried")
    act = f"?{filters}&cursor={number + 1}&job_id={number}"
    links = unescape(shown.text)
    assert (f'"/admin/jobs/retry{act}"' in links, f'"/admin/jobs/cancel{act}"' in links) == (True, True)
    assert f'"/admin/jobs?{filters}"' in unescape(admin.get(f"/admin/jobs/cancel?{filters}&job_id={number}").text)

    retried = admin.post(f"/admin/jobs/retry?{filters}&job_id={number}")
    assert retried.headers["Location"] == f"/admin/jobs?{filters}&done=retried"
    cancelled = admin.post(f"/admin/jobs/cancel?{filters}&job_id={number}")
    assert cancelled.headers["Location"] == f"/admin/jobs?{filters}&done=cancelled"


def test_a_job_without_its_arguments_is_not_retried(dashboard: Dashboard, kept_database_url: str) -> None:
    number = enqueue(dashboard, "send_requested_email")
    run_and_fail(dashboard, kept_database_url, "send_requested_email")
    admin = dashboard.staff()
    assert "Cannot run again: its arguments were deleted." in text_of(admin.get("/admin/jobs"))

    answer = admin.post(f"/admin/jobs/retry?job_id={number}")

    assert answer.status_code == 409
    assert "its arguments were deleted when it failed" in text_of(answer)
    assert jobs_left(dashboard) == [(number, "failed")]
    assert dashboard.query("SELECT 1 FROM security_events WHERE event = 'job_retried'") == []


def test_an_admin_cancels_a_job(dashboard: Dashboard) -> None:
    number = enqueue(dashboard, "collect_export")
    admin = dashboard.staff()
    form = admin.get(f"/admin/jobs/cancel?job_id={number}")
    assert f"Cancel job {number}" in text_of(form)
    assert jobs_left(dashboard) == [(number, "todo")]

    answer = admin.post(f"/admin/jobs/cancel?job_id={number}")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/jobs?done=cancelled")
    assert jobs_left(dashboard) == []
    assert audited(dashboard, admin, "job_cancelled") == {"job_id": number, "job": "collect_export"}


def test_cancelling_asks_for_a_fresh_proof(dashboard: Dashboard) -> None:
    number = enqueue(dashboard, "collect_export")
    admin = dashboard.staff()
    admin.grow_old(minutes=6)
    assert admin.get(f"/admin/jobs/cancel?job_id={number}").status_code == 401
    assert admin.post(f"/admin/jobs/cancel?job_id={number}").status_code == 401
    assert jobs_left(dashboard) == [(number, "todo")]


def test_a_job_that_is_gone_is_said_to_be(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    form = admin.get("/admin/jobs/cancel?job_id=5")
    assert (form.status_code, "This job is not there any more." in text_of(form)) == (404, True)
    for act in ("cancel", "retry"):
        answer = admin.post(f"/admin/jobs/{act}?job_id=5")
        assert answer.status_code == 409
        assert "There is no job 5. Jobs are deleted when they succeed" in text_of(answer)
        assert ".." not in text_of(answer)


def test_the_jobs_of_the_clock_are_shown_with_their_next_turn(dashboard: Dashboard) -> None:
    page = text_of(dashboard.staff(Role.SUPPORT).get("/admin/jobs/scheduled"))
    assert "sweep_billing_events * * * * * never" in page
    assert "purge_dead_emails 47 3 * * * never" in page
