"""capabilities/terminal/sessions/live_session.py, with a clock that is set by hand"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from capabilities.terminal.sessions.problems import InputFull, InputGap, NotReady, SeqUnknown
from capabilities.terminal.sessions.ring import RING_BYTES
from capabilities.terminal.sessions.shell import ShellEnd
from capabilities.terminal.sessions.viewer import MOST_OF_A_MESSAGE, MOST_WAITING
from tests.capabilities.terminal.sessions.lone_session import LoneSession, a_moment


def run(test: Callable[[LoneSession], Awaitable[None]]) -> None:
    async def begin() -> None:
        lone = LoneSession()
        await test(lone)
        for task in lone.socket.tasks:
            task.cancel()

    asyncio.run(begin())


def test_what_was_shown_before_it_opened_is_sent() -> None:
    async def test(lone: LoneSession) -> None:
        lone.live.output(b"Welcome\r\n")
        lone.open()
        await a_moment()
        assert lone.socket.names() == ["connected", "output"]
        assert lone.socket.last("connected")["data"]["seq"] == 0
        assert lone.socket.last("output")["seq"] == len(b"Welcome\r\n")

    run(test)


def test_a_shell_that_ends_at_once_has_its_last_words() -> None:
    async def test(lone: LoneSession) -> None:
        lone.live.output(b"This account is not available.\r\n")
        lone.live.shell_ended(ShellEnd(lost=False, status=1))
        lone.open()
        await a_moment()
        assert lone.socket.names() == ["connected", "output", "closed"]
        assert lone.socket.last("closed")["data"] == {"reason": "exit", "exit_status": 1, "signal": None}

    run(test)


def test_characters_are_never_cut() -> None:
    async def test(lone: LoneSession) -> None:
        lone.open()
        euro = "€".encode()
        lone.live.type("k", None)
        lone.live.output(b"a" + euro[:1])
        await a_moment()
        assert (lone.socket.output, lone.socket.last("output")["seq"]) == ("a", 1)
        lone.live.output(euro[1:])
        await lone.socket.hears("a€")
        assert lone.socket.last("output")["seq"] == 4
        lone.live.output(b"\xff" + euro[:2])
        lone.live.shell_ended(ShellEnd(lost=False, status=0))
        await lone.socket.hears("a€\ufffd\ufffd")
        assert lone.socket.last("output")["seq"] == 7

    run(test)


def test_each_key_counts_once() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        assert live.type("a", 1) == 1
        assert live.type("b", 2) == 2
        assert live.type("a", 1) == 2
        with pytest.raises(InputGap):
            live.type("d", 4)
        assert live.type("c", 3) == 3
        assert live.type("!", None) == 3
        assert lone.shell.written == b"abc!"

    run(test)


def test_what_is_refused_can_be_sent_again() -> None:
    async def test(lone: LoneSession) -> None:
        with pytest.raises(NotReady):
            lone.live.type("a", 1)
        live = lone.open()
        lone.shell.is_full = True
        with pytest.raises(InputFull):
            live.type("a", 1)
        lone.shell.is_full = False
        live.type("a", 1)
        assert lone.shell.written == b"a"

    run(test)


def test_a_slow_reader_makes_the_server_wait_and_nobody_reading_does_not() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        lone.socket.takes.clear()
        live.output(bytes(MOST_WAITING))
        await a_moment()
        assert not lone.shell.paused
        live.output(bytes(20_000))
        assert lone.shell.paused
        lone.socket.takes.set()
        await a_moment()
        assert not lone.shell.paused
        lone.socket.takes.clear()
        live.output(bytes(2 * MOST_WAITING))
        assert lone.shell.paused
        live.detach()
        assert not lone.shell.paused

    run(test)


def test_only_who_acknowledges_is_waited_for() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.output(bytes(3 * MOST_WAITING))
        assert live.viewer is not None
        await lone.socket.hears("\0" * 3 * MOST_WAITING)
        live.viewer.acknowledge(3 * MOST_WAITING)
        live.output(bytes(2 * MOST_WAITING))
        await lone.socket.hears("\0" * 4 * MOST_WAITING)
        await a_moment()
        assert live.viewer.sent == 4 * MOST_WAITING
        live.viewer.acknowledge(3 * MOST_WAITING + 100_000)
        await a_moment()
        assert 4 * MOST_WAITING + 100_000 <= live.viewer.sent < 5 * MOST_WAITING

    run(test)


def test_coming_back_goes_on_at_the_byte() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.output(b"one ")
        await a_moment()
        live.detach()
        live.output(b"two ")
        back = lone.another_socket()
        live.resume(back, 2)
        await a_moment()
        assert back.names()[0] == "resumed"
        assert back.last("resumed")["data"] == {"from_seq": 2, "input_seq": 0, "missed": 0}
        assert back.output == "e two "
        assert lone.shell.sizes == []

    run(test)


def test_what_fell_out_is_counted_and_the_screen_painted_anew() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.detach()
        live.output("€".encode() + b"x" * RING_BYTES)
        live.output(b"y")
        back = lone.another_socket()
        live.resume(back, 1)
        await a_moment()
        assert back.last("resumed")["data"] == {"from_seq": 4, "input_seq": 0, "missed": 3}
        await back.hears("x" * (RING_BYTES - 1) + "y")
        while len(lone.shell.sizes) < 2:
            await asyncio.sleep(0.01)
        assert lone.shell.sizes == [(23, 80), (24, 80)]

    run(test)


def test_nobody_comes_back_from_the_future() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.output(b"abc")
        with pytest.raises(SeqUnknown):
            live.resume(lone.another_socket(), 4)
        assert live.socket is lone.socket

    run(test)


def test_another_socket_takes_it_over() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        other = lone.another_socket()
        live.take_over(other)
        assert lone.socket.names()[-1] == "detached"
        live.output(b"here")
        await a_moment()
        assert (lone.socket.output, other.output) == ("", "here")
        assert live.sign_in == other.session_id

    run(test)


def test_the_first_output_after_a_key_goes_at_once_and_more_shares_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capabilities.terminal.sessions.viewer.TOGETHER_SECONDS", 30)

    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.output(b"1")
        await a_moment()
        live.output(b"2")
        live.output(b"3")
        await a_moment()
        assert lone.socket.output == "1"
        live.type("k", None)
        live.output(b"k")
        await a_moment()
        assert lone.socket.output == "123k"
        assert lone.socket.names().count("output") == 2

    run(test)


def test_what_is_left_over_of_a_full_message_follows_it() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.output(b"x" * (MOST_OF_A_MESSAGE + 100))
        await a_moment()
        assert len(lone.socket.output) == MOST_OF_A_MESSAGE + 100

    run(test)


def test_it_ends_when_nobody_comes_back() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.detach()
        lone.pass_seconds(119)
        assert not live.is_closed
        lone.pass_seconds(1)
        assert (live.close_reason, lone.shell.hung_up) == ("detached_too_long", True)
        assert lone.states == ["active", "detached", "closed"]

    run(test)


def test_it_ends_when_nothing_happens_and_warns_before() -> None:
    async def test(lone: LoneSession) -> None:
        lone.tier = lone.tier.PRO
        lone.__post_init__()
        live = lone.open()
        lone.pass_seconds(3300)
        assert lone.socket.last("warning")["data"] == {"code": "idle_soon", "seconds": 300}
        live.output(b"something")
        lone.pass_seconds(3301)
        assert not live.is_closed
        lone.pass_seconds(299)
        assert live.close_reason == "idle"
        assert lone.socket.names().count("warning") == 2

    run(test)


def test_it_ends_after_the_longest_time_of_its_plan() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        for _ in range(11):
            lone.pass_seconds(300)
            live.type("x", None)
        assert lone.socket.last("warning")["data"] == {"code": "limit_soon", "seconds": 300}
        lone.pass_seconds(300)
        assert live.close_reason == "expired"

    run(test)


def test_who_was_away_at_its_end_sees_it_for_five_minutes() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.detach()
        live.output(b"done\r\n")
        live.shell_ended(ShellEnd(lost=False, status=0))
        lone.pass_seconds(299)
        assert not live.is_over
        back = lone.another_socket()
        live.resume(back, 0)
        await a_moment()
        assert back.names() == ["resumed", "output", "closed"]
        assert live.is_over

    run(test)


def test_a_connection_that_broke_is_told_from_a_shell_that_ended() -> None:
    async def test(lone: LoneSession) -> None:
        live = lone.open()
        live.shell_ended(ShellEnd(lost=True))
        await a_moment()
        assert lone.socket.last("closed")["data"]["reason"] == "host_lost"

    run(test)
