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


APPEND = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")


def test_what_is_told_comes_after_what_was_asked_before_and_before_what_is_asked_next(
    redis_url: str, runner_for: RunnerFor
) -> None:
    runner = runner_for(RedisAddress(redis_url, timeout=5.0))
    lost: list[str] = []
    for number in range(0, 600, 2):
        assert runner.run(APPEND, 1, "said", number) == number + 1
        runner.tell(APPEND, 1, "said", number + 1, lost=lambda: lost.append("lost"))
    assert runner.ask("LRANGE", "said", 0, -1) == [str(number).encode() for number in range(600)]
    assert not lost


def test_forty_threads_that_tell_and_ask_get_their_own_answers(redis_url: str, runner_for: RunnerFor) -> None:
    echo = Script("return ARGV[1]")
    runner = runner_for(RedisAddress(redis_url, timeout=5.0))

    def work(number: int) -> object:
        runner.tell(APPEND, 1, "told", number, lost=lambda: pytest.fail("lost"))
        return runner.run(echo, 0, number)

    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(work, range(2000)))
    assert answers == [str(number).encode() for number in range(2000)]
    assert sorted(map(int, runner.ask("LRANGE", "told", 0, -1))) == list(range(2000))


def test_many_that_are_told_and_nothing_asked(redis_url: str, runner_for: RunnerFor) -> None:
    runner = runner_for(RedisAddress(redis_url, timeout=5.0))
    for number in range(1000):
        runner.tell(APPEND, 1, "only_told", number, lost=lambda: pytest.fail("lost"))
    assert runner.ask("LLEN", "only_told") == 1000


def test_what_was_told_to_a_server_that_is_gone_is_lost_and_said_so_once(
    own_valkey: EmbeddedValkey, runner_for: RunnerFor
) -> None:
    runner = runner_for(RedisAddress(own_valkey.url, timeout=1.0))
    lost: list[int] = []
    runner.run(APPEND, 1, "said", 0)
    own_valkey.pause()
    for number in (1, 2):
        runner.tell(APPEND, 1, "said", number, lost=lambda number=number: lost.append(number))  # type: ignore[misc]
    assert not lost  # nobody waits, so nobody knows yet
    own_valkey.kill()
    with pytest.raises(redis.RedisError):
        runner.run(APPEND, 1, "said", 3)
    assert lost == [1, 2]
    runner.tell(APPEND, 1, "said", 4, lost=lambda: lost.append(4))
    assert lost == [1, 2, 4]


def test_a_script_that_redis_forgot_is_said_to_be_lost(redis_url: str, runner_for: RunnerFor) -> None:
    runner = runner_for(RedisAddress(redis_url, timeout=5.0))
    lost: list[str] = []
    for _ in range(2):
        runner.tell(APPEND, 1, "forgotten", 1, lost=lambda: lost.append("lost"))
        assert runner.ask("SCRIPT", "FLUSH") == b"OK"
    runner.ask("PING")
    assert lost == ["lost"]
