"""When Redis is asked: not for a moment after a failure, and of many who wait for one that hangs only the first finds out."""

import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
import redis

from database.redis.server import RedisAddress, RedisServer
from sandbox.valkey import EmbeddedValkey
from tests.metering.limit_backends import eventually

THREADS = 300
"""Three trips of a hundred, which would wait one after another."""


def test_without_an_address_there_is_no_redis() -> None:
    server = RedisServer(None)
    assert (server.client(), server.scripts(), server.client(even_at_rest=True)) == (None, None, None)


def test_after_a_failure_it_is_not_asked_for_a_moment(own_valkey: EmbeddedValkey) -> None:
    server = RedisServer(RedisAddress(own_valkey.url, timeout=1.0), rest=0.2)
    scripts = eventually(server.scripts)
    assert scripts.ask("PING") == b"PONG"
    own_valkey.kill()
    with pytest.raises(redis.ConnectionError):
        scripts.ask("PING")
    assert (server.client(), server.scripts()) == (None, None)
    assert server.client(even_at_rest=True) is not None
    own_valkey.start()
    assert eventually(server.scripts).ask("PING") == b"PONG"
    server.close()


def test_of_many_who_wait_for_a_redis_that_hangs_only_the_first_finds_out(own_valkey: EmbeddedValkey) -> None:
    server = RedisServer(RedisAddress(own_valkey.url, timeout=1.0))
    scripts = eventually(server.scripts)
    scripts.ask("PING")
    own_valkey.pause()
    begin = threading.Barrier(THREADS)

    def wait(_: int) -> float:
        begin.wait()
        begun = monotonic()
        with pytest.raises(redis.RedisError):
            scripts.ask("PING")
        return monotonic() - begun

    with ThreadPoolExecutor(THREADS) as threads:
        waited = list(threads.map(wait, range(THREADS)))
    own_valkey.resume()
    assert max(waited) < 2.5
    server.close()
