"""The price of our prediction against the floor: interleaved rounds, one worker each, the same services and load."""

import secrets
from collections.abc import Mapping, Sequence
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
WARM_UP_SECONDS = 0.5
WINDOW_SECONDS = 3.0


@dataclass(frozen=True)
class Contender:
    """A running server and what it is asked. `wanted`: the status of the answers that are counted."""

    name: str
    server: WebServer
    requests: Sequence[bytes]
    wanted: int = 200


@dataclass(frozen=True)
class Figures:
    """One contender in one round. Processor times are milliseconds for each counted answer."""

    requests_per_second: float
    worker: float
    postgres: float
    redis: float
    p50_ms: float
    p99_ms: float
    failed: int

    @property
    def busy(self) -> float:
        """The share of its core that the worker used, in percent. Far below 100, something else held it up."""
        return self.requests_per_second * self.worker / 10


HEADINGS = "round  target    requests/s  worker ms  busy %  PostgreSQL ms  Redis ms   p50 ms   p99 ms  failed"


def row(number: str, name: str, figures: Figures) -> str:
    return (
        f"{number:>5}  {name:<8}  {figures.requests_per_second:>10.0f}  {figures.worker:>9.3f}  {figures.busy:>6.0f}  "
        f"{figures.postgres:>13.3f}  {figures.redis:>8.3f}  {figures.p50_ms:>7.2f}  {figures.p99_ms:>7.2f}  "
        f"{figures.failed:>6}"
    )


def compare(services: Services, processors: Processors, rounds: int) -> bool:
    """Print every round, the medians and the ratios. False when a request failed, for then the figures mean nothing."""
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=0))
        contenders = []
        for name, number, make in (("floor", 1, floor_target), ("gateway", 2, gateway_target)):
            target = make(
                Addresses(services.postgres.ensure_database(name), services.redis_url(number), private_url, secret)
            )
            requests = prediction_requests(target.tokens(CALLERS, Tier.ENTERPRISE))
            contenders.append(started(stack, target, requests, processors))
        measured = interleaved(services, contenders, rounds)
    print(f"worker processor time of gateway / floor: {work(measured, 'gateway', 'floor')}   (to reach: at most 1.3)")
    print(f"requests/s of gateway / floor:            {speed(measured, 'gateway', 'floor')}")
    return nothing_failed(measured)


def started(stack: ExitStack, target: Target, requests: Sequence[bytes], processors: Processors) -> Contender:
    server = stack.enter_context(
        web_server(target.name, target.command, target.environment, first_request=requests[0], processors=processors)
    )
    return Contender(target.name, server, requests)


def interleaved(services: Services, contenders: Sequence[Contender], rounds: int) -> Mapping[str, Sequence[Figures]]:
    """Measure all in every round, forwards and backwards in turn. Prints each round and the medians."""
    measured: dict[str, list[Figures]] = {contender.name: [] for contender in contenders}
    print(HEADINGS)
    for number in range(1, rounds + 1):
        for contender in contenders if number % 2 else reversed(contenders):
            figures = one_round(services, contender)
            measured[contender.name].append(figures)
            print(row(str(number), contender.name, figures), flush=True)
    for name, found in measured.items():
        print(row("all", name, medians(found)))
    return measured


def one_round(services: Services, contender: Contender) -> Figures:
    def meter() -> tuple[float, float, float]:
        return (
            processor_time.of_process(contender.server.worker_pid),
            processor_time.of_family(services.postgres_pid),
            processor_time.of_process(services.valkey_pid),
        )

    load = Load(
        contender.server.port,
        contender.requests,
        CONNECTIONS,
        WARM_UP_SECONDS,
        WINDOW_SECONDS,
        wanted=contender.wanted,
    )
    outcome = run(load, meter)
    if outcome.failed:
        print(f"       not {contender.wanted}: {dict(outcome.statuses)} (0: closed without an answer)")
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


def nothing_failed(measured: Mapping[str, Sequence[Figures]]) -> bool:
    return not any(figures.failed for rounds in measured.values() for figures in rounds)


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


def work(measured: Mapping[str, Sequence[Figures]], ours: str, theirs: str) -> str:
    """The worker's processor time for each answer of one contender as a multiple of another's, round by round."""
    return spread([a.worker / b.worker for a, b in zip(measured[ours], measured[theirs], strict=True)])


def speed(measured: Mapping[str, Sequence[Figures]], ours: str, theirs: str) -> str:
    """The same for answers a second."""
    pairs = zip(measured[ours], measured[theirs], strict=True)
    return spread([a.requests_per_second / b.requests_per_second for a, b in pairs])


def spread(ratios: Sequence[float]) -> str:
    """The median of the rounds' ratios, and how far apart they lie."""
    return f"{median(ratios):.2f}  (rounds {min(ratios):.2f} to {max(ratios):.2f})"
