"""capabilities/terminal/sessions/ask.py: what a server wants to know is asked a few times, and not for ever"""

import asyncio
from uuid import uuid4

import asyncssh
import pytest

from capabilities.terminal.sessions.ask import Asking
from capabilities.terminal.ssh.target import StoredKey

QUESTION = [("Code: ", True)]


class User:
    """Has one answer to everything."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, bool]] = []

    async def ask(self, kind: str, text: str, echo: bool) -> str:
        self.asked.append((kind, text, echo))
        return self.answer


def test_three_wrong_passwords_are_the_end_whatever_else_the_server_would_take() -> None:
    async def test() -> None:
        user = User("wrong")
        asking = Asking(None, user.ask)
        assert [await asking.password() for _ in range(4)] == ["wrong"] * 3 + [None]
        assert await asking.answers("", "", QUESTION) is None
        assert user.asked == [("password", "Password", False)] * 3

    asyncio.run(test())


def test_a_server_may_ask_for_a_password_and_a_code_three_times() -> None:
    async def test() -> None:
        user = User("wrong")
        asking = Asking(None, user.ask)
        given = [await asking.answers("Sign in", "as usual", QUESTION) for _ in range(7)]
        assert given == [["wrong"]] * 6 + [None]
        assert user.asked[0] == ("keyboard", "Sign in as usual Code:", True)

    asyncio.run(test())


def test_a_server_that_asks_too_much_at_once_hears_nothing() -> None:
    async def test() -> None:
        user = User("wrong")
        assert await Asking(None, user.ask).answers("", "", QUESTION * 11) is None
        assert user.asked == []

    asyncio.run(test())


@pytest.mark.slow
def test_whoever_cannot_open_the_key_is_asked_for_nothing_else() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    file = key.export_private_key("openssh", "right", rounds=50).decode()

    async def test(answer: str) -> tuple[bool, list[str]]:
        user = User(answer)
        asking = Asking(StoredKey(uuid4(), key.get_fingerprint(), True, file), user.ask)
        opened = await asking.private_key()
        await asking.answers("", "", QUESTION)
        return opened is not None, [kind for kind, *_ in user.asked]

    assert asyncio.run(test("wrong")) == (False, ["passphrase"] * 3)
    assert asyncio.run(test("right")) == (True, ["passphrase", "keyboard"])
