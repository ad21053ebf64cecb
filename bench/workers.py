"""What more workers bring on this machine: requests a second, and which process uses how much of its cores."""

import os
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from auth.tiers import Tier
from bench import processor_time
from bench.callers import prediction_requests
from bench.compare import CALLERS, CONNECTIONS, WARM_UP_SECONDS, WINDOW_SECONDS
from bench.load import Load, run
from bench.processors import NOT_PINNED, Processors
from bench.services import Services, private_server
from bench.targets import Addresses, gateway_target
from bench.web_server import WebServer, web_server

COUNTS = (1, 2, 4)
FRESH_SECONDS = 0.5


@dataclass(frozen=True)
class Figures:
    """One number of workers in one round. The seconds of processor time are those of the whole window."""

    requests_per_second: float
    p50_ms: float
    seconds: float
    accepted: int
    workers: float
    postgres: float
    redis: float
    load: float
    failed: int


HEADINGS = (
    "                                        cores in use                              ms for each request\n"
    "round  workers  requests/s   p50 ms     workers  PostgreSQL  Redis  load     workers  PostgreSQL  Redis  failed"
)


def workers(services: Services, _processors: Processors, rounds: int) -> bool:
    """Print every round and the medians. Workers, PostgreSQL, Redis and the load with its private server share all cores, as on
    a machine that holds everything. False when a request failed.
    """
    secret = secrets.token_urlsafe(48)
    measured: dict[int, list[Figures]] = {count: [] for count in COUNTS}
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=0))
        target = gateway_target(
            Addresses(services.postgres.ensure_database("workers"), services.redis_url(9), private_url, secret)
        )
        requests = prediction_requests(target.tokens(CALLERS, Tier.ENTERPRISE))
        running: dict[int, WebServer] = {}
        for count in COUNTS:
            environment = {**target.environment, "WEB_CONCURRENCY": str(count)}
            name = f"workers-{count}"
            running[count] = stack.enter_context(
                web_server(name, target.command, environment, first_request=requests[0], processors=NOT_PINNED)
            )
            wait_until_idle(running[count])
        print(f"{CONNECTIONS} connections for each worker")
        print(HEADINGS)
        for number in range(1, rounds + 1):
            for count in COUNTS if number % 2 else reversed(COUNTS):
                figures = one_round(services, running[count], requests)
                measured[count].append(figures)
                print(row(str(number), count, figures), flush=True)
    for count, found in measured.items():
        print(row("all", count, medians(found)))
    return not any(figures.failed for found in measured.values() for figures in found)


def wait_until_idle(server: WebServer) -> None:
    """One of the workers has answered; others may still be importing."""
    used = sum(processor_time.of_process(pid) for pid in server.worker_pids)
    while True:
        time.sleep(FRESH_SECONDS)
        before, used = used, sum(processor_time.of_process(pid) for pid in server.worker_pids)
        if used - before < FRESH_SECONDS / 10:
            return


def one_round(services: Services, server: WebServer, requests: Sequence[bytes]) -> Figures:
    def meter() -> tuple[float, float, float, float]:
        postgres, redis = services.postgres_pid, services.valkey_pid
        # PostgreSQL's and Redis's first processes are children of this one, as the private server is.
        beside = processor_time.of_process(postgres) + processor_time.of_process(redis)
        return (
            sum(processor_time.of_process(pid) for pid in server.worker_pids),
            processor_time.of_family(postgres),
            processor_time.of_process(redis),
            processor_time.of_family(os.getpid()) - beside,
        )

    connections = CONNECTIONS * len(server.worker_pids)
    outcome = run(Load(server.port, requests, connections, WARM_UP_SECONDS, WINDOW_SECONDS), meter)
    if outcome.failed:
        print(f"       not 200: {dict(outcome.statuses)} (0: closed without an answer)")
    workers, postgres, redis, load = (
        after - before for before, after in zip(outcome.before, outcome.after, strict=True)
    )
    return Figures(
        outcome.accepted / outcome.seconds,
        outcome.percentile(50),
        outcome.seconds,
        outcome.accepted,
        workers,
        postgres,
        redis,
        load,
        outcome.failed,
    )


def row(number: str, count: int, figures: Figures) -> str:
    parts = (figures.workers, figures.postgres, figures.redis, figures.load)
    cores = [part / figures.seconds for part in parts]
    each = [part * 1000 / max(1, figures.accepted) for part in parts]
    return (
        f"{number:>5}  {count:>7}  {figures.requests_per_second:>10.0f}  {figures.p50_ms:>7.2f}     "
        f"{cores[0]:>7.2f}  {cores[1]:>10.2f}  {cores[2]:>5.2f}  {cores[3]:>4.2f}     "
        f"{each[0]:>7.3f}  {each[1]:>10.3f}  {each[2]:>5.3f}  {figures.failed:>6}"
    )


def medians(rounds: Sequence[Figures]) -> Figures:
    return Figures(
        requests_per_second=median(figures.requests_per_second for figures in rounds),
        p50_ms=median(figures.p50_ms for figures in rounds),
        seconds=median(figures.seconds for figures in rounds),
        accepted=round(median(figures.accepted for figures in rounds)),
        workers=median(figures.workers for figures in rounds),
        postgres=median(figures.postgres for figures in rounds),
        redis=median(figures.redis for figures in rounds),
        load=median(figures.load for figures in rounds),
        failed=sum(figures.failed for figures in rounds),
    )
