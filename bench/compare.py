"""The price of our prediction against the floor: interleaved rounds, one worker each, the same services and load."""

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from auth.tiers import Tier
from bench import processor_time
from bench.callers import prediction_requests
from bench.load import Load, run
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses, Target, floor_target, gateway_target
from bench.web_server import WebServer, web_server

CALLERS = 400
"""Enough that no burst limit is met: an enterprise user may call 300 times a minute."""
CONNECTIONS = 16
ROUNDS = 5
WARM_UP_SECONDS = 1.0
WINDOW_SECONDS = 5.0


@dataclass(frozen=True)
class Figures:
    """One target in one round. Processor times are milliseconds for each accepted request."""

    requests_per_second: float
    worker: float
    postgres: float
    redis: float
    p50_ms: float
    p99_ms: float
    failed: int


HEADINGS = "round  target    requests/s  worker ms  PostgreSQL ms  Redis ms   p50 ms   p99 ms  failed"


def row(number: str, name: str, figures: Figures) -> str:
    return (
        f"{number:>5}  {name:<8}  {figures.requests_per_second:>10.0f}  {figures.worker:>9.3f}  "
        f"{figures.postgres:>13.3f}  {figures.redis:>8.3f}  {figures.p50_ms:>7.2f}  {figures.p99_ms:>7.2f}  "
        f"{figures.failed:>6}"
    )


def compare(services: Services, processors: Processors) -> bool:
    """Print every round, the medians and the ratios. False when a request failed, for then the figures mean nothing."""
    secret = secrets.token_urlsafe(48)
    measured: dict[str, list[Figures]] = {"floor": [], "gateway": []}
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=0))
        targets = (
            floor_target(
                Addresses(services.postgres.ensure_database("floor"), services.redis_url(1), private_url, secret)
            ),
            gateway_target(
                Addresses(services.postgres.ensure_database("gateway"), services.redis_url(2), private_url, secret),
            ),
        )
        running: list[tuple[Target, WebServer, list[bytes]]] = []
        for target in targets:
            requests = prediction_requests(target.tokens(CALLERS, Tier.ENTERPRISE))
            server = stack.enter_context(
                web_server(
                    target.name, target.wsgi, target.environment, first_request=requests[0], processors=processors
                )
            )
            running.append((target, server, requests))
        print(HEADINGS)
        for number in range(1, ROUNDS + 1):
            for target, server, requests in running if number % 2 else reversed(running):
                figures = one_round(services, server, requests)
                measured[target.name].append(figures)
                print(row(str(number), target.name, figures), flush=True)
    report(measured["floor"], measured["gateway"])
    return not any(figures.failed for rounds in measured.values() for figures in rounds)


def one_round(services: Services, server: WebServer, requests: Sequence[bytes]) -> Figures:
    def meter() -> tuple[float, float, float]:
        return (
            processor_time.of_process(server.worker_pid),
            processor_time.of_family(services.postgres_pid),
            processor_time.of_process(services.valkey_pid),
        )

    outcome = run(Load(server.port, requests, CONNECTIONS, WARM_UP_SECONDS, WINDOW_SECONDS), meter)
    if outcome.failed:
        print(f"       not accepted: {dict(outcome.statuses)} (0: closed without an answer)")
    used = [after - before for before, after in zip(outcome.before, outcome.after, strict=True)]
    worker, postgres, redis = (seconds * 1000 / max(1, outcome.accepted) for seconds in used)
    return Figures(
        requests_per_second=outcome.accepted / outcome.seconds,
        worker=worker,
        postgres=postgres,
        redis=redis,
        p50_ms=outcome.percentile(50),
        p99_ms=outcome.percentile(99),
        failed=outcome.failed,
    )


def report(floor: Sequence[Figures], gateway: Sequence[Figures]) -> None:
    for name, rounds in (("floor", floor), ("gateway", gateway)):
        print(row("all", name, medians(rounds)))
    prices = [ours.worker / theirs.worker for theirs, ours in zip(floor, gateway, strict=True)]
    rates = [ours.requests_per_second / theirs.requests_per_second for theirs, ours in zip(floor, gateway, strict=True)]
    print(f"worker processor time of gateway / floor: {spread(prices)}   (to reach: at most 1.3)")
    print(f"requests/s of gateway / floor:            {spread(rates)}")


def medians(rounds: Sequence[Figures]) -> Figures:
    return Figures(
        requests_per_second=median(figures.requests_per_second for figures in rounds),
        worker=median(figures.worker for figures in rounds),
        postgres=median(figures.postgres for figures in rounds),
        redis=median(figures.redis for figures in rounds),
        p50_ms=median(figures.p50_ms for figures in rounds),
        p99_ms=median(figures.p99_ms for figures in rounds),
        failed=sum(figures.failed for figures in rounds),
    )


def spread(ratios: Sequence[float]) -> str:
    """The median of the rounds' ratios, and how far apart they lie."""
    return f"{median(ratios):.2f}  (rounds {min(ratios):.2f} to {max(ratios):.2f})"
