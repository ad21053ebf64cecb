"""Many predictions at once against a slow private server, all on one worker: what they add and what memory they hold."""

import secrets
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import psutil

from auth.tiers import Tier
from bench.callers import prediction_requests
from bench.load import Load, run
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import THREADS, Addresses, gateway_target
from bench.web_server import web_server

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Crowd:
    """So many predictions in flight, of so many users, while the private server takes `delay_ms`. The rest is to be reached:
    milliseconds beyond that delay, and mebibytes.
    """

    in_flight: int
    delay_ms: int
    callers: int
    threads: int
    added_p50_ms: int
    memory: int


# 500 a second in both: half of what one core can do, so what is added is not the queue in front of it.
CROWDS = (Crowd(500, 1000, 100, THREADS, 50, 200), Crowd(2000, 4000, 400, 2400, 20, 350))


def in_flight(services: Services, processors: Processors) -> bool:
    """Print failures, what each prediction took beyond the private server's delay, and the worker's memory.

    The predictions start one after another over one delay, so that they are spread as callers would spread them and not
    answered all in the same instant. False when one failed.
    """
    stood = [stand(crowd, services, processors) for crowd in CROWDS]
    return all(stood)


def stand(crowd: Crowd, services: Services, processors: Processors) -> bool:
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=crowd.delay_ms))
        addresses = Addresses(
            services.postgres.ensure_database("in_flight"), services.redis_url(3), private_url, secret
        )
        target = gateway_target(addresses)
        requests = prediction_requests(target.tokens(crowd.callers, Tier.ENTERPRISE))
        # All callers have one address here, and whoever is not read at once waits under it.
        environment = {
            **target.environment,
            "WEB_THREADS": str(crowd.threads),
            "WEB_WAITING_PER_ADDRESS": "1000",
        }
        server = stack.enter_context(
            web_server("in-flight", target.command, environment, first_request=requests[0], processors=processors)
        )
        worker = psutil.Process(server.worker_pid)

        def memory() -> tuple[float, float]:
            found = worker.memory_full_info()
            return found.rss / MEBIBYTE, getattr(found, "pss", found.uss) / MEBIBYTE

        delay = crowd.delay_ms / 1000
        load = Load(server.port, requests, crowd.in_flight, warm_up=2 * delay, window=max(8, 3 * delay), ramp=delay)
        outcome = run(load, memory)
        threads = worker.num_threads()
    rss, pss = outcome.after
    print(
        f"{crowd.in_flight} in flight, a private server that takes {crowd.delay_ms} ms, one worker with {threads} threads"
    )
    failures = dict(outcome.statuses - Counter({200: outcome.accepted}))
    print(f"  accepted {outcome.accepted} ({outcome.accepted / outcome.seconds:.0f} a second), failed {failures or 0}")
    print(
        f"  added to the delay: p50 {outcome.percentile(50) - crowd.delay_ms:.1f} ms (to reach: under "
        f"{crowd.added_p50_ms}), p99 {outcome.percentile(99) - crowd.delay_ms:.1f} ms"
    )
    print(f"  memory of the worker: PSS {pss:.0f} MiB (to reach: under {crowd.memory}), RSS {rss:.0f} MiB", flush=True)
    return outcome.failed == 0 and outcome.accepted > 0
