"""What a storm of sign-ins does to predictions: the same worker, quiet and with many clients at /login, in turn."""

import multiprocessing
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import cycle, islice
from multiprocessing.connection import Connection

from auth.tiers import Tier
from bench.callers import login_requests, prediction_requests
from bench.load import Load, Outcome, run
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses, gateway_target
from bench.web_server import WebServer, web_server

STORMING = 50
CALLERS = 400
CONNECTIONS = 4
DELAY_MS = 20
ROUNDS = 8
STORM_GATHERS_SECONDS = 1.0
WARM_UP_SECONDS = 0.5
WINDOW_SECONDS = 2.0
STORM_SECONDS = STORM_GATHERS_SECONDS + WARM_UP_SECONDS + WINDOW_SECONDS + 1
LAST_WAITERS_SECONDS = 2.5
MOST_SIGN_INS = 4000
Apply = Callable[[int, Sequence[bytes]], Counter[int]]
"""Sends the requests to the port for so many seconds as a storm lasts. Returns the answers by status."""
PROCESSES = multiprocessing.get_context("fork")

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
            web_server(
                "login-storm", target.command, target.environment, first_request=requests[0], processors=processors
            )
        )
        print(HEADINGS)
        for number in range(1, ROUNDS + 1):
            for name in ("quiet", "storm") if number % 2 else ("storm", "quiet"):
                answers: Counter[int] = Counter()
                with (
                    storm(server, list(islice(sign_ins, 500)), answers, sign_in_again_and_again)
                    if name == "storm"
                    else ExitStack()
                ):
                    outcome = predictions(server, requests)
                measured[name].append(outcome)
                print(row(str(number), name, outcome, answers), flush=True)
    report(measured["quiet"], measured["storm"])
    return not any(outcome.failed for outcomes in measured.values() for outcome in outcomes)


def predictions(server: WebServer, requests: Sequence[bytes]) -> Outcome[None]:
    return run(Load(server.port, requests, CONNECTIONS, WARM_UP_SECONDS, WINDOW_SECONDS), lambda: None)


@contextmanager
def storm(server: WebServer, requests: Sequence[bytes], answers: Counter[int], apply: Apply) -> Iterator[None]:
    """Rages inside the block, and is over a moment after it. `answers` has its answers by status then.

    In a process of its own: the predictions' clients would wait for the interpreter lock, and that would be measured.
    """
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=rage, args=(apply, server.port, requests, there), daemon=True)
    process.start()
    try:
        time.sleep(STORM_GATHERS_SECONDS)
        yield
        answers.update(here.recv())
    finally:
        process.join(STORM_SECONDS)
        process.kill()
        process.join()
        for end in (here, there):
            end.close()
        time.sleep(LAST_WAITERS_SECONDS)  # who still waits for a thread must not reach into the next round


def rage(apply: Apply, port: int, requests: Sequence[bytes], to: Connection) -> None:
    to.send(apply(port, requests))


def sign_in_again_and_again(port: int, requests: Sequence[bytes]) -> Counter[int]:
    return run(Load(port, requests, STORMING, warm_up=0, window=STORM_SECONDS), lambda: None).statuses


def row(number: str, name: str, outcome: Outcome[None], answers: Counter[int]) -> str:
    storming = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items()))
    return (
        f"{number:>5}  {name:<7}  {outcome.accepted / outcome.seconds:>13.0f}  {outcome.percentile(50):>7.2f}  "
        f"{outcome.percentile(99):>7.2f}  {outcome.failed:>6}   {storming}"
    )


def report(quiet: Sequence[Outcome[None]], storming: Sequence[Outcome[None]]) -> None:
    together = {"quiet": all_rounds(quiet), "storm": all_rounds(storming)}
    for name, outcome in together.items():
        print(row("all", name, outcome, Counter()))
    ratios = [theirs.percentile(99) / ours.percentile(99) for ours, theirs in zip(quiet, storming, strict=True)]
    ratio = together["storm"].percentile(99) / together["quiet"].percentile(99)
    print(
        f"p99 of storm / quiet: {ratio:.2f}  (rounds {min(ratios):.2f} to {max(ratios):.2f})   (to reach: at most 1.3)"
    )


def all_rounds(outcomes: Sequence[Outcome[None]]) -> Outcome[None]:
    """One round has too few predictions for a p99 that says much."""
    return Outcome(
        seconds=sum(outcome.seconds for outcome in outcomes),
        statuses=sum((outcome.statuses for outcome in outcomes), Counter()),
        durations_ms=sorted(duration for outcome in outcomes for duration in outcome.durations_ms),
        before=None,
        after=None,
    )
