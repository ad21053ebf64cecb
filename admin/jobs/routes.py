"""`/admin/jobs`: workers, what waits for them, what failed, and what batches passed over."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

from flask import Blueprint
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.assembly import Auth
from auth.audit.record import record
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SENDS_ON, SHOWS, PageQuery, SitePages, act_with_form, address_of, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from database import reading, transaction
from database.batch_models import PassedOverItem
from database.jobs.declare import Jobs
from database.jobs.list_jobs import JobState, count_jobs, list_jobs, read_job
from database.jobs.list_periodic import list_periodic
from database.jobs.retry_and_cancel import MOST_JOBS, JobNotChanged, cancel_job, retry_job
from database.jobs.worker_status import SILENT_AFTER, worker_status
from security.api.models import WHOLE
from security.api.operation import Answer, operation
from security.edge.problems import NotFound, Problem

LIST = "/admin/jobs"
SHOWN = 50
SKIPPED_SHOWN = 100
SKIPPED_FOR = timedelta(days=7)
JobId = Annotated[int, Field(ge=1, le=MOST_JOBS), WHOLE]


class JobsQuery(PageQuery):
    state: JobState | None = None
    name: Annotated[str, Field(max_length=100)] | None = None
    cursor: JobId | None = None


class OneJob(JobsQuery):
    """With the filters of the list that it was chosen from."""

    job_id: JobId


class JobCannotChange(Problem):
    status, error, title = 409, "job_not_changed", "This job has changed meanwhile"


def job_pages(auth: Auth, jobs: Jobs, database_url: str, guards: PageGuards) -> Blueprint:
    pages = SitePages(
        ADMIN,
        "jobs",
        __name__,
        done={
            "retried": "The job runs as soon as a worker is free.",
            "cancelled": "The job is deleted.",
        },
    )
    names = sorted(map(str, jobs.declared))

    @operation(pages, "GET", "", operation_id="jobs", summary="Jobs", guard=guards(), query=JobsQuery, answers=SHOWS)
    def overview(caller: Principal, query: JobsQuery) -> Answer:
        status = worker_status(database_url)
        with reading() as session:
            found = list_jobs(session, state=query.state, name=query.name, below=query.cursor, limit=SHOWN + 1)
            counts = count_jobs(session)
            lately = select(PassedOverItem).where(PassedOverItem.last_at > func.now() - SKIPPED_FOR)
            skipped = session.scalars(lately.order_by(PassedOverItem.last_at.desc()).limit(SKIPPED_SHOWN)).all()
        return show(
            "jobs_list.html",
            title="Jobs",
            status=status,
            silent_after=SILENT_AFTER,
            counts=counts,
            found=found[:SHOWN],
            next_cursor=found[SHOWN - 1].id if len(found) > SHOWN else None,
            skipped=skipped,
            names=names,
            kept=query.kept(),
            may_act=caller.role.includes(Role.ADMIN),
            personal={str(name) for name, job in jobs.declared.items() if job.personal},
        )

    @operation(
        pages,
        "GET",
        "/scheduled",
        operation_id="scheduled_jobs",
        summary="Scheduled jobs",
        guard=guards(),
        answers=SHOWS,
    )
    def scheduled(caller: Principal) -> Answer:
        with reading() as session:
            found = list_periodic(session, jobs, auth.clock())
        return show("jobs_scheduled.html", title="Scheduled jobs", found=found)

    @operation(
        pages,
        "POST",
        "/retry",
        operation_id="retry_job",
        summary="Run a job again",
        guard=guards(Role.ADMIN),
        query=OneJob,
        answers=SENDS_ON,
        problems=(JobCannotChange,),
    )
    def retry(caller: Principal, query: OneJob) -> Answer:
        with changing_a_job() as session:
            name = retry_job(session, jobs, query.job_id)
            _record(session, "job_retried", caller, query.job_id, name)
        return see_other(LIST, "retried", query.kept(but="job_id"))

    def cancel_form(caller: Principal, query: OneJob) -> Answer:
        with reading() as session:
            job = read_job(session, query.job_id)
        if job is None:
            raise NotFound("This job is not there any more. Jobs are deleted when they succeed")
        title = f"{'Delete' if job.state is JobState.FAILED else 'Cancel'} job {job.id}"
        return show("jobs_cancel.html", title=title, job=job, back=address_of(LIST, query.kept(but="job_id")))

    def cancel(caller: Principal, query: OneJob) -> Answer:
        with changing_a_job() as session:
            name = cancel_job(session, query.job_id)
            _record(session, "job_cancelled", caller, query.job_id, name)
        return see_other(LIST, "cancelled", query.kept(but="job_id"))

    act_with_form(
        pages,
        "/cancel",
        operation_ids=("cancel_job_form", "cancel_job"),
        summary="Cancel a job",
        guard=guards(Role.ADMIN, fresh=True),
        form=cancel_form,
        act=cancel,
        query=OneJob,
        problems=(NotFound, JobCannotChange),
    )

    def _record(session: Session, event: str, caller: Principal, job_id: int, name: str) -> None:
        by = {"actor_id": caller.user_id, "session_id": caller.session_id}
        record(session, event, auth.clock(), user_id=None, **by, job_id=job_id, job=name)

    return pages


@contextmanager
def changing_a_job() -> Iterator[Session]:
    """Raises JobCannotChange."""
    try:
        with transaction() as session:
            yield session
    except JobNotChanged as refusal:
        raise JobCannotChange(str(refusal).removesuffix(".")) from None
