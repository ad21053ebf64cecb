"""GET /health and its parts: for people, load balancers and platforms. Shows states, never addresses or errors."""

from datetime import datetime
from typing import Literal

from flask import Blueprint

from security.api.models import AnswerBody
from security.api.operation import Answer, Anyone, operation
from security.health.check import Finding, HealthCheck, PartHealth

OPEN = Anyone(because="load balancers and platforms ask without credentials")


class Health(AnswerBody):
    status: Literal["ok"]
    version: str
    environment: str


class Liveness(AnswerBody):
    status: Literal["ok"]


class WorkerHealth(AnswerBody):
    """`silent_seconds`: seconds since any worker last reported; null if there is no worker. Only due jobs count as waiting."""

    silent_seconds: int | None
    waiting_jobs: int
    waiting_since: datetime | None


class Readiness(AnswerBody):
    """`degraded`: something is missing that the service can do without. `failing` lists the parts that do not work."""

    status: Literal["ready", "degraded", "not_ready"]
    failing: list[str]
    parts: dict[str, PartHealth]
    worker: WorkerHealth | None


def health_routes(health: HealthCheck, *, version: str, environment: str) -> Blueprint:
    """`health` knows the parts `database` and `worker`, and `redis` when a Redis is configured."""
    routes = Blueprint("health", __name__, url_prefix="/health")

    @operation(
        routes,
        "GET",
        "",
        operation_id="getHealth",
        summary="Get the version and environment",
        guard=OPEN,
        answers={200: Health},
    )
    def read_health() -> Answer:
        """Responds as long as the process runs. For the services that it depends on, see `/health/ready`."""
        return Answer(200, Health(status="ok", version=version, environment=environment))

    @operation(
        routes,
        "GET",
        "/live",
        operation_id="getLiveness",
        summary="Check that the process is alive",
        guard=OPEN,
        answers={200: Liveness},
    )
    def read_liveness() -> Answer:
        """Does not contact any other server, so that an outage elsewhere does not restart every process."""
        return Answer(200, Liveness(status="ok"))

    @operation(
        routes,
        "GET",
        "/ready",
        operation_id="getReadiness",
        summary="Check that the service is ready",
        guard=OPEN,
        answers={200: Readiness, 503: Readiness},
    )
    def read_readiness() -> Answer:
        """Ready means that PostgreSQL is available and has every migration. Without Redis the service is `degraded`: slower but exact.

        It is also `degraded` while no worker runs: requests are served, but e-mails and payment events wait.
        """
        answer = readiness(health)
        return Answer(503 if answer.status == "not_ready" else 200, answer)

    @operation(
        routes,
        "GET",
        "/db",
        operation_id="getDatabaseHealth",
        summary="Check PostgreSQL",
        guard=OPEN,
        answers={200: PartHealth, 503: PartHealth},
    )
    def read_database_health() -> Answer:
        """Opens a new connection and reads the schema's revision."""
        return answer_part(health, "database")

    @operation(
        routes,
        "GET",
        "/redis",
        operation_id="getRedisHealth",
        summary="Check Redis",
        guard=OPEN,
        answers={200: PartHealth, 503: PartHealth},
    )
    def read_redis_health() -> Answer:
        """`not_configured` is not an error: the service then keeps everything in PostgreSQL."""
        return answer_part(health, "redis")

    return routes


def readiness(health: HealthCheck) -> Readiness:
    findings = health.examine()
    failing = [name for name, finding in findings.items() if not finding.working]
    unready = any(health.parts[name].required for name in failing)
    return Readiness(
        status="not_ready" if unready else "degraded" if failing else "ready",
        failing=failing,
        parts={name: finding.health for name, finding in findings.items()},
        worker=worker_health(findings.get("worker")),
    )


def answer_part(health: HealthCheck, name: str) -> Answer:
    if name not in health.parts:
        return Answer(200, PartHealth(status="not_configured", problem=None, latency_ms=0))
    finding = health.examine_part(name)
    return Answer(200 if finding.working else 503, finding.health)


def worker_health(finding: Finding | None) -> WorkerHealth | None:
    """None when PostgreSQL did not say."""
    if finding is None or finding.workers is None:
        return None
    workers, waiting = finding.workers.workers, finding.workers.waiting
    return WorkerHealth(
        silent_seconds=round(workers[0].silence.total_seconds()) if workers else None,
        waiting_jobs=sum(jobs.count for jobs in waiting),
        waiting_since=min((jobs.since for jobs in waiting), default=None),
    )
