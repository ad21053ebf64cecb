"""What open sockets cost: the memory and the connecting of thousands, how late a reply comes to those of one room, and what they do to
the web server beside them.
"""

import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from statistics import median

import psutil

from auth.tiers import Tier
from bench import processor_time
from bench.callers import GOALS, HOST, prediction_requests
from bench.compare import spread
from bench.in_flight import MEBIBYTE
from bench.load import Load, Outcome, percentile, run
from bench.processors import Processors
from bench.services import Services, private_server, token_server
from bench.socket_crowd import Crowd, socket_crowd
from bench.targets import Addresses, gateway_target
from bench.web_server import WebServer, web_server

CALLERS = 400
SOCKETS = 2000
ROUNDS = 4
CONNECTIONS, PREDICTION_MS = 4, 20
WARM_UP_SECONDS, WINDOW_SECONDS = 0.5, 4.0
ROOM = 50
REPLIES, PIECES, PER_SECOND = 6, 60, 10
KIBIBYTE = 1024


def sockets(services: Services, processors: Processors) -> bool:
    """Print the figures. False when a socket, a request or a reply failed."""
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        enter = stack.enter_context
        private_url = enter(private_server(secret=secret, delay_ms=PREDICTION_MS))
        provider_url = enter(token_server(first_ms=100, per_second=PER_SECOND))
        addresses = Addresses(services.postgres.ensure_database("sockets"), services.redis_url(15), private_url, secret)
        target = gateway_target(addresses)
        environment = {
            **target.environment,
            "CAPABILITIES": "predict,chat",
            "OPENAI_API_KEY": f"sk-{secrets.token_hex(20)}",
            "OPENAI_BASE_URL": f"{provider_url}/v1",
            "REALTIME_MAX_PER_ADDRESS": str(SOCKETS),
        }
        tokens = target.tokens(CALLERS, Tier.ENTERPRISE)
        web = enter(web_server("sockets-web", target.command, environment, first_request=live(), processors=processors))
        realtime = enter(
            web_server("sockets", realtime_command, environment, first_request=live(), processors=processors)
        )
        crowd = enter(socket_crowd())
        worked = measure_delivery(realtime, crowd, tokens[0])
        return compare_beside(web, realtime, crowd, tokens) and worked


def realtime_command(fd: int) -> Sequence[str]:
    return (sys.executable, "-m", "flask", "--app", "app", "realtime", "run", "--fd", str(fd))


def measure_delivery(realtime: WebServer, crowd: Crowd, token: str) -> bool:
    """Of the pieces of a reply that is sent for by one of the sockets."""
    crowd.open(realtime.port, [token] * ROOM)
    before = processor_time.of_process(realtime.worker_pid)
    heard = crowd.listen({"content": GOALS[0], "model": "gpt-6-luna", "max_tokens": PIECES}, REPLIES)
    used = processor_time.of_process(realtime.worker_pid) - before
    crowd.close()
    delays = sorted(heard.delay_ms)
    print(f"{REPLIES} replies of {PER_SECOND} pieces a second to {heard.whole} of {ROOM} sockets of one room")
    print(f"  processor time of 1,000 pieces handed on: {used * 1e6 / max(1, len(delays)):.0f} ms")
    p50, p99 = percentile(delays, 50), percentile(delays, 99)
    print(f"  delay of a piece: p50 {p50:.1f} ms, p99 {p99:.1f} ms   (to reach: p99 below 50)", flush=True)
    return heard.whole == ROOM and len(delays) == ROOM * PIECES * REPLIES


def compare_beside(web: WebServer, realtime: WebServer, crowd: Crowd, tokens: Sequence[str]) -> bool:
    """Each round opens all the sockets and closes them; the web server is asked before and meanwhile, in turn."""
    asked = prediction_requests(tokens)
    process = psutil.Process(realtime.worker_pid)
    health: dict[str, list[Outcome[float]]] = {"quiet": [], "beside": []}
    predicted: dict[str, list[Outcome[float]]] = {"quiet": [], "beside": []}
    each_kib, rates, seconds_each = [], [], []
    print("round  beside   /health/live p99 ms   predictions/s   ms of processor each   sockets   KiB each   opened/s")
    for number in range(1, ROUNDS + 1):
        for name in health if number % 2 else reversed(health):
            if name == "beside":
                empty, idle = process.memory_info().rss, processor_time.of_process(process.pid)
                opened = crowd.open(realtime.port, list(islice(cycle(tokens), SOCKETS)))
                seconds_each.append((processor_time.of_process(process.pid) - idle) / opened.sockets)
                rates.append(opened.sockets / opened.seconds)
                each_kib.append((process.memory_info().rss - empty) / opened.sockets / KIBIBYTE)
            health[name].append(ask(web, [live()]))
            predicted[name].append(ask(web, asked))
            row = (
                f"{number:>5}  {name:<7}  {health[name][-1].percentile(99):>19.2f}  {rate(predicted[name][-1]):>14.0f}"
            )
            row += f"  {cost(predicted[name][-1]):>21.3f}"
            if name == "beside":
                row += f"  {opened.sockets:>8}  {each_kib[-1]:>9.1f}  {rates[-1]:>9.0f}"
                crowd.close()
            print(row, flush=True)
    print(
        f"memory of one of {SOCKETS} sockets: {each_kib[0]:.1f} KiB in the first round   (to reach: at most 64);"
        f" RSS of the process at the end {process.memory_info().rss / MEBIBYTE:.0f} MiB"
    )
    print(
        f"opening them: {median(rates):.0f} a second with all else on this machine, {median(seconds_each) * 1000:.2f} ms of processor"
        f" each, so {1 / median(seconds_each):.0f} a second of one core   (to reach: 200)"
    )
    print(
        f"/health/live p99 beside / quiet: {p99(health['beside']) / p99(health['quiet']):.2f}   (to reach: at most 2)"
    )
    pairs = zip(predicted["beside"], predicted["quiet"], strict=True)
    ratios = [cost(one) / cost(two) for one, two in pairs]
    print(f"processor time of a prediction, beside / quiet: {spread(ratios)}   (to reach: at most 1.02)", flush=True)
    return not any(each.failed for kind in (health, predicted) for outcomes in kind.values() for each in outcomes)


def ask(web: WebServer, requests: Sequence[bytes]) -> Outcome[float]:
    load = Load(web.port, requests, CONNECTIONS, WARM_UP_SECONDS, WINDOW_SECONDS)
    return run(load, lambda: processor_time.of_process(web.worker_pid))


def p99(rounds: Sequence[Outcome[float]]) -> float:
    """Of all rounds together, for one has too few answers."""
    return percentile(sorted(duration for each in rounds for duration in each.durations_ms), 99)


def rate(outcome: Outcome[float]) -> float:
    return outcome.accepted / outcome.seconds


def cost(outcome: Outcome[float]) -> float:
    """Milliseconds of the worker."""
    return (outcome.after - outcome.before) / max(1, outcome.accepted) * 1000


def live() -> bytes:
    return f"GET /health/live HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
