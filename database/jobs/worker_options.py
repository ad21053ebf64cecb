"""How long a worker waits for what."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerOptions:
    """Times are seconds. A worker that was silent for `stalled_after` counts as dead and its jobs are taken over.

    One that has stood still for `stuck_after`, or had all its slots taken by jobs for `longest_job`, ends itself. After a
    signal the jobs have `stop_within` to end, and everything else `stop_margin` more.
    """

    concurrency: int = 4
    heartbeat: float = 5.0
    stalled_after: float = 30.0
    polling_interval: float = 5.0
    connect_within: float = 5.0
    reconnect_after: float = 2.0
    stuck_after: float = 60.0
    longest_job: float = 900.0
    stop_within: float = 20.0
    stop_margin: float = 5.0


def connection_limits() -> dict[str, Any]:
    """libpq's arguments for the worker's own connections: every wait on them has an end, also when the network goes silent.

    A plan that was made while the queue was nearly empty reads the whole queue for each job, and stays: with 3,000 waiting
    jobs one took a second and a half. Without sorting and sequential scans only the indexes are left, whatever the plan was
    made for.

    A job runs at least once anyway, so a crash of PostgreSQL may forget that one was just taken or done: nothing waits for
    its disk.
    """
    session = {
        "statement_timeout": "10000",
        "lock_timeout": "5000",
        "idle_in_transaction_session_timeout": "15000",
        "timezone": "UTC",
        "enable_sort": "off",
        "enable_seqscan": "off",
        "synchronous_commit": "off",
    }
    return {
        "application_name": "mirroros-worker",
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,  # milliseconds
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
    }
