"""Scripts that are asked for at the same time share a trip, and each gets its own answer."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from database.redis.script import Script, ScriptRunner
from database.redis.server import RedisAddress, connect
from sandbox.valkey import EmbeddedValkey

RunnerFor = Callable[[RedisAddress], ScriptRunner]


@pytest.fixture
def runner_for() -> Iterator[RunnerFor]:
    clients: list[redis.Redis] = []

    def make(address: RedisAddress) -> ScriptRunner:
        clients.append(connect(address))
        return ScriptRunner(clients[-1])

    yield make
    for client in clients:
        client.connection_pool.disconnect()


def test_forty_threads_get_their_own_answers(redis_url: str, runner_for: RunnerFor) -> None:
    echo = Script("return ARGV[1]")
    runner = runner_for(RedisAddress(redis_url, timeout=5.0))
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda number: runner.run(echo, 0, number), range(2000)))
    assert answers == [str(number).encode() for number in range(2000)]


def test_a_script_that_redis_does_not_know_yet_is_run_once(redis_url: str, runner_for: RunnerFor) -> None:
    count = Script("return redis.call('INCR', KEYS[1])")
    runner = runner_for(RedisAddress(redis_url, timeout=5.0))
    assert [runner.run(count, 1, "counted") for _ in range(3)] == [1, 2, 3]


def test_a_script_that_fails_fails_alone(redis_url: str, runner_for: RunnerFor) -> None:
    picky = Script("if ARGV[1] == 'bad' then return redis.error_reply('ERR refused') end return ARGV[1]")
    runner = runner_for(RedisAddress(redis_url, timeout=5.0))

    def ask(word: str) -> object:
        try:
            return runner.run(picky, 0, word)
        except redis.ResponseError as error:
            return str(error)

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(ask, ["good", "bad"] * 50))
    assert answers == [b"good", "ERR refused"] * 50


def test_a_server_that_is_gone_is_told_and_one_that_is_back_is_used(
    own_valkey: EmbeddedValkey, runner_for: RunnerFor
) -> None:
    echo = Script("return ARGV[1]")
    runner = runner_for(RedisAddress(own_valkey.url, timeout=1.0))
    assert runner.run(echo, 0, "before") == b"before"
    own_valkey.stop()
    with pytest.raises(redis.RedisError):
        runner.run(echo, 0, "gone")
    own_valkey.start()
    assert runner.run(echo, 0, "after") == b"after"


def test_a_server_that_falls_silent_is_given_up(own_valkey: EmbeddedValkey, runner_for: RunnerFor) -> None:
    runner = runner_for(RedisAddress(own_valkey.url, timeout=0.05))
    slow = Script("local stop = 3e7 for i = 1, stop do end return 1")
    with pytest.raises(redis.ConnectionError):
        runner.run(slow, 0)
