"""Streams of chat: what they cost and how many one worker holds, against a FastAPI peer, and what they do to predictions beside them.

Both get their replies from the same provider (bench/token_server.py), whose pieces say when they were sent.
"""

import json
import multiprocessing
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID

import psutil

from auth.tiers import Tier
from bench import processor_time
from bench.callers import GOALS, HOST, MODEL, message_request, prediction_requests
from bench.compare import spread
from bench.in_flight import MEBIBYTE
from bench.load import Load, Outcome, percentile, run
from bench.login_storm import all_rounds
from bench.peers import chat_peer
from bench.peers.install import install
from bench.processors import Processors
from bench.services import Services, private_server, token_server
from bench.stream_load import Crowd
from bench.targets import Addresses, gateway_target
from bench.web_server import WebServer, web_server

CALLERS = 400
ROUNDS = 4
FIRST_MS, PER_SECOND = 100, 10
STARTS_PER_SECOND = 40
"""Slower than either server can begin streams, so that those which run are not held up."""
MOST_STREAMS = 2000
SHORT_REPLY = 20
"""Pieces of a reply whose first is waited for."""
FIRST_STREAMS, FIRST_SECONDS = 50, 6.0
COST_STREAMS, COST_SECONDS = 50, 6.0
STEP, STEP_SECONDS = 50, 3.0
LATEST_MS = 100
MEMORY_STREAMS = 300
BESIDE_STREAMS, BESIDE_SECONDS = 200, 4.0
BESIDE_CONNECTIONS, PREDICTION_MS = 4, 20
SETTLE_SECONDS = 1.0
END_SECONDS = 15.0
PROCESSES = multiprocessing.get_context("fork")
OURS, PEER, DIRECT = "ours", "peer", "direct"
CONVERSATION = (
    "INSERT INTO chat_conversations (id, user_id, last_message_at, created_at, updated_at)"
    " SELECT id::uuid, user_id::uuid, now(), now(), now() FROM (VALUES %s) AS made (id, user_id)"
)


@dataclass(frozen=True)
class Contender:
    """Of each stream a token and a conversation. `server` is None for the provider itself."""

    name: str
    port: int
    server: WebServer | None
    talks: Sequence[tuple[str, UUID]]
    key: str

    def requests(self, pieces: int) -> list[bytes]:
        """One for each stream."""
        if self.server is None:
            return [direct_request(self.key, pieces)] * len(self.talks)
        return [message_request(token, conversation, pieces) for token, conversation in self.talks]

    @contextmanager
    def crowd(self, pieces: int, *, again: bool = False) -> Iterator[Crowd]:
        with closing(Crowd(self.port, self.requests(pieces), again=again)) as crowd:
            yield crowd


def chat(services: Services, processors: Processors) -> bool:
    """Print the figures. False when a stream or a prediction failed."""
    install()
    with ExitStack() as stack:
        provider_url = stack.enter_context(token_server(first_ms=FIRST_MS, per_second=PER_SECOND))
        bench = Bench(services, processors, provider_url)
        succeeded = True
        with bench.started(OURS) as ours, bench.started(PEER) as peer:
            contenders = [bench.direct(), ours, peer]
            succeeded &= first_tokens(contenders)
            succeeded &= compare_processor_time(services, contenders[1:])
        succeeded &= hold_most(bench)
        return compare_predictions(bench) and succeeded


class Bench:
    """What all parts share, and the servers, started anew for each part that ends with more streams than they can hold."""

    def __init__(self, services: Services, processors: Processors, provider_url: str) -> None:
        self.services, self.processors = services, processors
        self.provider_url = provider_url
        self.provider = {"OPENAI_API_KEY": f"sk-{secrets.token_hex(20)}", "OPENAI_BASE_URL": f"{provider_url}/v1"}
        self.secret = secrets.token_urlsafe(48)
        self.target = gateway_target(self.addresses(OURS, 13, "http://127.0.0.1:9"))
        tokens = self.target.tokens(CALLERS, Tier.ENTERPRISE)
        self.tokens = tokens
        self.each = list(islice(cycle(tokens), MOST_STREAMS))
        """The token of each stream."""

    def addresses(self, name: str, number: int, private_url: str) -> Addresses:
        return Addresses(
            self.services.postgres.ensure_database(f"chat_{name}"),
            self.services.redis_url(number),
            private_url,
            self.secret,
        )

    @contextmanager
    def started(self, name: str, private_url: str = "http://127.0.0.1:9") -> Iterator[Contender]:
        with self.ours(private_url) if name == OURS else self.peer() as contender:
            yield contender

    def direct(self) -> Contender:
        port = urlsplit(self.provider_url).port
        assert port is not None
        return Contender(DIRECT, port, None, [("", UUID(int=0))] * MOST_STREAMS, self.provider["OPENAI_API_KEY"])

    @contextmanager
    def ours(self, private_url: str) -> Iterator[Contender]:
        """As in production, with threads for as many streams as are to be tried."""
        environment = {
            **self.target.environment,
            **self.provider,
            "PRIVATE_API_URL": private_url,
            "CAPABILITIES": "predict,chat",
            "CHAT_MAX_STREAMS": str(MOST_STREAMS),
            "CHAT_MAX_REPLIES": str(MOST_STREAMS),
            "CHAT_REPLY_TIMEOUT_S": "900",
            "WEB_THREADS": str(MOST_STREAMS + 600),
        }
        database_url = environment["DATABASE_URL"]
        with web_server(
            "chat-ours",
            self.target.command,
            environment,
            first_request=health_request(),
            processors=self.processors,
        ) as server:
            conversations = chat_peer.add_conversations(database_url, CONVERSATION, self.each)
            yield Contender(OURS, server.port, server, list(zip(self.each, conversations, strict=True)), "")

    @contextmanager
    def peer(self) -> Iterator[Contender]:
        addresses = self.addresses(PEER, 14, "")
        jwt_key = self.target.environment["JWT_SECRET_KEY"]
        environment = chat_peer.environment(addresses, self.provider, jwt_key=jwt_key, token=self.tokens[0])
        with web_server(
            "chat-peer",
            chat_peer.command,
            environment,
            first_request=health_request(),
            first_status=404,
            processors=self.processors,
        ) as server:
            chat_peer.check(server.port, addresses, jwt_key=jwt_key, tokens=self.tokens[:2])
            conversations = chat_peer.add_conversations(addresses.database_url, chat_peer.CONVERSATION, self.each)
            yield Contender(PEER, server.port, server, list(zip(self.each, conversations, strict=True)), "")


def first_tokens(contenders: Sequence[Contender]) -> bool:
    """Print how much later than by a direct call the first piece comes. Each stream asks anew when its reply has ended."""
    added: dict[str, list[list[float]]] = {each.name: [] for each in contenders}
    failed = 0
    print(f"{FIRST_STREAMS} streams: time to the first text, less the median of direct calls, in ms")
    print("round  server      replies      p50      p99  failed")
    for number in range(1, ROUNDS + 1):
        took = {}
        for contender in contenders if number % 2 else reversed(contenders):
            with contender.crowd(SHORT_REPLY, again=True) as crowd:
                crowd.grow(FIRST_STREAMS, 2 * STARTS_PER_SECOND)
                crowd.forget()
                crowd.run(FIRST_SECONDS)
                took[contender.name] = crowd.first_ms, len(crowd.failures)
                crowd.leave()
                crowd.finish(END_SECONDS)
                failed += len(crowd.failures)
        usual = median(took[DIRECT][0])
        for name, (times, lost) in took.items():
            found = sorted(each - usual for each in times)
            added[name].append(found)
            print(
                f"{number:>5}  {name:<10}{len(found):>9}{percentile(found, 50):>9.1f}{percentile(found, 99):>9.1f}{lost:>8}"
            )
    for percent in (50, 99):
        pairs = zip(added[OURS], added[PEER], strict=True)
        ratios = [percentile(mine, percent) / percentile(theirs, percent) for mine, theirs in pairs]
        print(f"added p{percent}, ours / peer: {spread(ratios)}   (to reach: at most 1.0)", flush=True)
    return not failed


def compare_processor_time(services: Services, contenders: Sequence[Contender]) -> bool:
    """Print the processor time of 1,000 pieces handed on, of streams that had begun before and have not ended."""
    taken: dict[str, list[float]] = {each.name: [] for each in contenders}
    failed = 0
    print(f"{COST_STREAMS} streams of {PER_SECOND} pieces a second: processor time of 1,000 pieces, in ms")
    print("round  server      pieces/s   worker  PostgreSQL    Redis   p99 delay  failed")
    pieces = int((COST_STREAMS / STARTS_PER_SECOND + 2 * SETTLE_SECONDS + COST_SECONDS) * PER_SECOND)
    for number in range(1, ROUNDS + 1):
        for contender in contenders if number % 2 else reversed(contenders):
            assert contender.server is not None
            with contender.crowd(pieces) as crowd:
                crowd.grow(COST_STREAMS, STARTS_PER_SECOND)
                crowd.run(SETTLE_SECONDS)
                crowd.forget()
                before = used(services, contender.server)
                crowd.run(COST_SECONDS)
                after = used(services, contender.server)
                delays = sorted(crowd.delay_ms)
                crowd.finish(END_SECONDS)
                failed += len(crowd.failures)
            worker, postgres, redis = (
                (end - begin) * 1e6 / max(1, len(delays)) for begin, end in zip(before, after, strict=True)
            )
            taken[contender.name].append(worker)
            print(
                f"{number:>5}  {contender.name:<10}{len(delays) / COST_SECONDS:>10.0f}{worker:>9.1f}{postgres:>12.1f}{redis:>9.1f}"
                f"{percentile(delays, 99):>12.1f}{len(crowd.failures):>8}",
                flush=True,
            )
    ratios = [mine / theirs for mine, theirs in zip(taken[OURS], taken[PEER], strict=True)]
    print(f"worker, ours / peer: {spread(ratios)}   (to reach: at most 0.5)", flush=True)
    return not failed


def used(services: Services, server: WebServer) -> tuple[float, float, float]:
    """Seconds."""
    return (
        processor_time.of_process(server.worker_pid),
        processor_time.of_family(services.postgres_pid),
        processor_time.of_process(services.valkey_pid),
    )


def hold_most(bench: Bench) -> bool:
    """Print how many streams each server holds, and the memory of its worker with 300."""
    print(f"more and more streams of {PER_SECOND} pieces a second, until the p99 of their delay is {LATEST_MS} ms")
    print("server     streams   p50 delay   p99 delay   RSS MiB  failed")
    held: dict[str, int] = {}
    memory = float("nan")
    for name in (PEER, OURS):
        with bench.started(name) as contender:
            held[name], memory = most_held(contender)  # ours is the last
    with bench.direct().crowd(1000) as crowd:  # what the provider and the load can do themselves
        crowd.grow(held[OURS], 10 * STARTS_PER_SECOND)
        step("direct", crowd, None)
    print(f"streams held, ours / peer: {held[OURS] / max(1, held[PEER]):.2f}   (to reach: at least 1.5)")
    print(f"RSS of our worker with {MEMORY_STREAMS} streams: {memory:.0f} MiB   (to reach: at most 350)", flush=True)
    return all(held.values())


def most_held(contender: Contender) -> tuple[int, float]:
    """Streams, and the mebibytes of the worker while it held 300, or not a number."""
    assert contender.server is not None
    worker = psutil.Process(contender.server.worker_pid)
    steps = MOST_STREAMS // STEP
    pieces = int(steps * (STEP / STARTS_PER_SECOND + SETTLE_SECONDS + 2 * STEP_SECONDS) * PER_SECOND)
    held, memory = 0, float("nan")
    with contender.crowd(pieces) as crowd:
        while held < MOST_STREAMS:
            crowd.grow(STEP, STARTS_PER_SECOND)
            # Once more, for other work on the machine can hold up a step.
            if not step(contender.name, crowd, worker) and not step(contender.name, crowd, worker):
                break
            held = crowd.open
            if held == MEMORY_STREAMS:
                memory = worker.memory_info().rss / MEBIBYTE
    return held, memory


def step(name: str, crowd: Crowd, worker: psutil.Process | None) -> bool:
    """Whether the streams were held."""
    crowd.run(SETTLE_SECONDS)
    crowd.forget()
    crowd.run(STEP_SECONDS)
    delays = sorted(crowd.delay_ms)
    memory = 0.0 if worker is None else worker.memory_info().rss / MEBIBYTE
    print(
        f"{name:<9}{crowd.open:>9}{percentile(delays, 50):>12.1f}{percentile(delays, 99):>12.1f}{memory:>10.0f}"
        f"{len(crowd.failures):>8}",
        flush=True,
    )
    return percentile(delays, 99) < LATEST_MS and not crowd.failures


def compare_predictions(bench: Bench) -> bool:
    """Print the p99 of predictions on our worker without streams and beside them, in turn."""
    measured: dict[str, list[Outcome[None]]] = {"quiet": [], "beside": []}
    failures: list[bytes] = []
    print(f"predictions over {BESIDE_CONNECTIONS} connections, and beside {BESIDE_STREAMS} streams")
    print("round  load     predictions/s   p50 ms   p99 ms  failed")
    with private_server(secret=bench.secret, delay_ms=PREDICTION_MS) as private_url, bench.ours(private_url) as ours:
        requests = prediction_requests(bench.tokens)
        load = Load(ours.port, requests, BESIDE_CONNECTIONS, SETTLE_SECONDS, BESIDE_SECONDS)
        for number in range(1, ROUNDS + 1):
            for name in measured if number % 2 else reversed(measured):
                with streaming(ours, failures) if name == "beside" else ExitStack():
                    outcome = run(load, lambda: None)
                measured[name].append(outcome)
                print(predicted(str(number), name, outcome), flush=True)
    together = {name: all_rounds(outcomes) for name, outcomes in measured.items()}
    for name, outcome in together.items():
        print(predicted("all", name, outcome))
    pairs = zip(measured["beside"], measured["quiet"], strict=True)
    ratios = [beside.percentile(99) / quiet.percentile(99) for beside, quiet in pairs]
    ratio = together["beside"].percentile(99) / together["quiet"].percentile(99)
    rounds = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    print(
        f"p99 beside streams / quiet: {ratio:.2f}  ({rounds})   (to reach: at most 1.3); streams failed: {len(failures)}"
    )
    return not failures and not any(outcome.failed for outcomes in measured.values() for outcome in outcomes)


def predicted(number: str, name: str, outcome: Outcome[None]) -> str:
    return (
        f"{number:>5}  {name:<7}  {outcome.accepted / outcome.seconds:>13.0f}  {outcome.percentile(50):>7.2f}  "
        f"{outcome.percentile(99):>7.2f}  {outcome.failed:>6}"
    )


@contextmanager
def streaming(contender: Contender, failures: list[bytes]) -> Iterator[None]:
    """All streams run inside the block, and have ended after it. Read by a process of its own: the predictions' clients would wait
    for the interpreter's lock, and that would be measured.
    """
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=read_streams, args=(contender, there), daemon=True)
    process.start()
    try:
        here.recv()
        yield
        failures += here.recv()
    finally:
        process.join(END_SECONDS)
        process.kill()
        process.join()
        for end in (here, there):
            end.close()


def read_streams(contender: Contender, to: Connection) -> None:
    seconds = BESIDE_STREAMS / STARTS_PER_SECOND + 3 * SETTLE_SECONDS + BESIDE_SECONDS
    with contender.crowd(int(seconds * PER_SECOND)) as crowd:
        crowd.grow(BESIDE_STREAMS, STARTS_PER_SECOND)
        crowd.run(SETTLE_SECONDS)
        to.send(None)
        crowd.finish(seconds + END_SECONDS)
        to.send(crowd.failures)


def direct_request(key: str, pieces: int) -> bytes:
    body = json.dumps(
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": GOALS[0]}],
            "max_completion_tokens": pieces,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def health_request() -> bytes:
    return f"GET /health HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
