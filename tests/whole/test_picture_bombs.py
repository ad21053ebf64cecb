"""Small pictures that say they are huge, or are: nobody else waits for them, and the process does not grow with them."""

import threading
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from examples.private_server.server import PrivateServer
from sandbox.ai_server.server import AIServer
from tests.capabilities.solve.made_pictures import gif_of_frames, png_of, webp_of
from tests.conftest import administer
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment
from tests.whole.web_server import QUESTION, Person, WebServer

SENDERS, BOMBS = 5, 200
MOST_MEMORY = 800 * 2**20
"""The process itself, and what one large picture takes (capabilities/solve/pictures/decoders.py). All of them would take 8 GB."""


def bombs() -> list[bytes]:
    """Most are refused by their headers or cheap; the last two are as large as may be decoded."""
    largest = png_of(6300, 6300, bytes(6301 * 6300))
    return [png_of(60_000, 60_000), webp_of(5000, 5000), gif_of_frames(10_000)] * 3 + [webp_of(4000, 4000), largest]


@pytest.mark.slow
def test_200_bombs_leave_every_other_request_answered(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer, ai: AIServer
) -> None:
    environ = {**production_environment(database_url, private.url, redis_url), **ai_environment(ai)}
    server = start_web_server({**environ, "BILLING_MAX_OPEN_CENTS": "none"}, processes=1, threads=128)
    senders = [server.register(f"sender-{number}") for number in range(SENDERS)]
    alice = server.register("alice")
    administer(database_url, "UPDATE users SET tier = 'enterprise'")
    bodies = [{"image": b64encode(bomb).decode()} for bomb in bombs()]
    over, memory = threading.Event(), [0]

    def watch(process: psutil.Process) -> None:
        while not over.wait(0.01):
            memory.append(process.memory_info().rss)

    with ThreadPoolExecutor(BOMBS + 2) as threads:
        (process,) = server.workers()
        watching, others = threads.submit(watch, process), threads.submit(use_the_rest, server, alice, over)
        try:
            sent = [
                threads.submit(send_until_judged, server, senders[number % SENDERS], bodies[number % len(bodies)])
                for number in range(BOMBS)
            ]
            judged = Counter(each.result() for each in sent)
        finally:
            over.set()
        watching.result()
        assert set(others.result()) == {"predict 200", "login 200"}, others.result()
    assert set(judged) == {"picture_has_too_many_pixels", "solved"}, judged
    assert max(memory) < MOST_MEMORY
    assert process.is_running()


def send_until_judged(server: WebServer, sender: Person, body: dict[str, str]) -> str:
    """What became of a bomb: refused for what it is, or solved. Refusals by a limit and by busy decoders are repeated."""
    for _ in range(500):
        reply = server.post("/api/gateway/solve", body, sender.access_token)
        if reply.status in {200, 415, 422}:
            return "solved" if reply.status == 200 else reply.error
        assert reply.status in {429, 503}, reply.body
        threading.Event().wait(0.2)
    raise AssertionError("It was never judged")


def use_the_rest(server: WebServer, alice: Person, over: threading.Event) -> Counter[str]:
    seen: Counter[str] = Counter()
    credentials = {"email": alice.email, "password": alice.password}
    while not over.wait(0.2):
        signed_in = server.post("/api/auth/login", credentials)
        seen[f"login {signed_in.status}"] += 1
        predicted = server.post("/api/gateway/predict", QUESTION, signed_in.json()["access_token"])
        seen[f"predict {predicted.status}"] += 1
    return seen
