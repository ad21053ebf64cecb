"""Many predictions at once against a slow private server, all on one worker: what they add and what memory they hold."""

import secrets
from contextlib import ExitStack

import psutil

from auth.tiers import Tier
from bench.callers import prediction_requests
from bench.load import Load, run
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses, gateway_target
from bench.web_server import web_server

IN_FLIGHT = 500
DELAY_MS = 1000
CALLERS = 100
MEBIBYTE = 1024 * 1024


def in_flight(services: Services, processors: Processors) -> bool:
    """Print failures, what each prediction took beyond the private server's delay, and the worker's memory.

    The predictions start one after another over one delay, so that they are spread as callers would spread them and not
    answered all in the same instant. False when one failed.
    """
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=DELAY_MS))
        addresses = Addresses(
            services.postgres.ensure_database("in_flight"), services.redis_url(3), private_url, secret
        )
        target = gateway_target(addresses)
        requests = prediction_requests(target.tokens(CALLERS, Tier.ENTERPRISE))
        server = stack.enter_context(
            web_server("in-flight", target.wsgi, target.environment, first_request=requests[0], processors=processors)
        )
        worker = psutil.Process(server.worker_pid)

        def memory() -> tuple[float, float]:
            found = worker.memory_full_info()
            return found.rss / MEBIBYTE, getattr(found, "pss", found.uss) / MEBIBYTE

        load = Load(server.port, requests, IN_FLIGHT, warm_up=2, window=8, ramp=DELAY_MS / 1000)
        outcome = run(load, memory)
        threads = worker.num_threads()
    rss, pss = outcome.after
    print(f"{IN_FLIGHT} in flight, a private server that takes {DELAY_MS} ms, one worker with {threads} threads")
    print(f"accepted {outcome.accepted} ({outcome.accepted / outcome.seconds:.0f} a second), failed {outcome.failed}")
    print(
        f"added to the delay: p50 {outcome.percentile(50) - DELAY_MS:.1f} ms (to reach: under 50), "
        f"p99 {outcome.percentile(99) - DELAY_MS:.1f} ms"
    )
    print(f"memory of the worker: RSS {rss:.0f} MiB (to reach: at most 250), PSS {pss:.0f} MiB")
    return outcome.failed == 0 and outcome.accepted > 0
