"""What a storm of sign-ins does to predictions: the same worker, quiet and with many clients at /login, in turn."""

import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import cycle, islice
from statistics import median

from auth.tiers import Tier
from bench.callers import login_requests, prediction_requests
from bench.compare import spread
from bench.load import Load, Outcome, run
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses, gateway_target
from bench.web_server import WebServer, web_server

STORMING = 50
CALLERS = 400
CONNECTIONS = 4
DELAY_MS = 20
ROUNDS = 7
STORM_GATHERS_SECONDS = 1.0
WARM_UP_SECONDS = 0.5
WINDOW_SECONDS = 3.0
STORM_SECONDS = STORM_GATHERS_SECONDS + WARM_UP_SECONDS + WINDOW_SECONDS + 1
MOST_SIGN_INS = 4000

HEADINGS = "round  load     predictions/s   p50 ms   p99 ms  failed   answers to sign-ins"


def login_storm(services: Services, processors: Processors) -> bool:
    """Print p50 and p99 of predictions with and without the storm, and their ratio. False when a prediction failed.

    Every sign-in names another account and comes from another address, so that no limit but the one of hashing slows the
    storm down. Passwords cost what they cost in production.
    """
    secret = secrets.token_urlsafe(48)
    measured: dict[str, list[Outcome[None]]] = {"quiet": [], "storm": []}
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=DELAY_MS))
        addresses = Addresses(services.postgres.ensure_database("storm"), services.redis_url(6), private_url, secret)
        target = gateway_target(addresses)
        target = replace(target, environment={**target.environment, "TRUSTED_PROXY_HOPS": "1", "BCRYPT_COST": "12"})
        requests = prediction_requests(target.tokens(CALLERS, Tier.ENTERPRISE))
        sign_ins = cycle(login_requests([str(IPv4Address(0x0A000000 + number)) for number in range(MOST_SIGN_INS)]))
        server = stack.enter_context(
            web_server("login-storm", target.wsgi, target.environment, first_request=requests[0], processors=processors)
        )
        print(HEADINGS)
        for number in range(1, ROUNDS + 1):
            for name in ("quiet", "storm") if number % 2 else ("storm", "quiet"):
                answers: Counter[int] = Counter()
                with storm(server, list(islice(sign_ins, 500)), answers) if name == "storm" else ExitStack():
                    outcome = predictions(server, requests)
                measured[name].append(outcome)
                print(row(str(number), name, outcome, answers), flush=True)
    report(measured["quiet"], measured["storm"])
    return not any(outcome.failed for outcomes in measured.values() for outcome in outcomes)


def predictions(server: WebServer, requests: Sequence[bytes]) -> Outcome[None]:
    return run(Load(server.port, requests, CONNECTIONS, WARM_UP_SECONDS, WINDOW_SECONDS), lambda: None)


@contextmanager
def storm(server: WebServer, requests: Sequence[bytes], answers: Counter[int]) -> Iterator[None]:
    """Rages inside the block, and is over a moment after it. `answers` has its answers by status then."""

    def rage() -> None:
        load = Load(server.port, requests, STORMING, warm_up=0, window=STORM_SECONDS)
        answers.update(run(load, lambda: None).statuses)

    thread = threading.Thread(target=rage, name="storm")
    thread.start()
    try:
        threading.Event().wait(STORM_GATHERS_SECONDS)
        yield
    finally:
        thread.join()


def row(number: str, name: str, outcome: Outcome[None], answers: Counter[int]) -> str:
    storming = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items()))
    return (
        f"{number:>5}  {name:<7}  {outcome.accepted / outcome.seconds:>13.0f}  {outcome.percentile(50):>7.2f}  "
        f"{outcome.percentile(99):>7.2f}  {outcome.failed:>6}   {storming}"
    )


def report(quiet: Sequence[Outcome[None]], storming: Sequence[Outcome[None]]) -> None:
    for name, outcomes in (("quiet", quiet), ("storm", storming)):
        p50, p99 = (median(outcome.percentile(percent) for outcome in outcomes) for percent in (50, 99))
        print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms (medians of the rounds)")
    ratios = [theirs.percentile(99) / ours.percentile(99) for ours, theirs in zip(quiet, storming, strict=True)]
    print(f"p99 of storm / quiet: {spread(ratios)}   (to reach: at most 1.3)")
