"""A worker is at work, and nothing waits for long."""

from collections.abc import Iterator
from datetime import timedelta

from database.base import Clock
from database.jobs.commands import in_words
from database.jobs.worker_status import worker_status
from settings.production_check import ProductionCheck, Shortcoming

LONGEST_WAIT = timedelta(minutes=5)


def worker_check(database_url: str, clock: Clock) -> ProductionCheck:
    right = "A worker runs, and no job has waited for long."
    return ProductionCheck("worker", right, lambda: find(database_url, clock), needs="migrations")


def find(database_url: str, clock: Clock) -> Iterator[Shortcoming]:
    status = worker_status(database_url)
    if not status.at_work:
        silence = f"has given a sign of life for {in_words(status.workers[0].silence)}" if status.workers else "runs"
        yield Shortcoming(
            f"No worker {silence}: no e-mail is sent and no payment applied.",
            "Start one: flask worker run",
        )
        return
    for jobs in status.waiting:
        waited = clock() - jobs.since
        if waited > LONGEST_WAIT:
            yield Shortcoming(
                f"Due jobs have waited for up to {in_words(waited)} ({jobs.queue}: {jobs.count}).",
                "Read the worker's log and `flask worker status`. Start more workers if it is only busy.",
            )
