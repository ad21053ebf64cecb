"""Customers who chat: they send, regenerate, complete, stop, go away and come back, and keep what they were told."""

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID

from sandbox.ai_server.next_answers import NextAnswer
from tests.whole.players import Players, Refused
from tests.whole.server_events import ServerEvent, event_stream
from tests.whole.web_server import Person, WebServer

MESSAGES = "/api/gateway/chat/messages"
REGENERATE = f"{MESSAGES}/regenerate"
COMPLETION = "/api/gateway/chat/completion"
IDLE_SECONDS = 2
MODELS = ("gpt-6-luna", "gemini-3.5-flash-lite", "fast")
LONGEST_REPLY = 300
"""Tokens."""
USUAL = NextAnswer(tokens=60, chunk_tokens=3, tokens_per_second=120)
"""Half a second."""
TROUBLES = (
    NextAnswer(tokens=240, chunk_tokens=3, tokens_per_second=60),
    NextAnswer(tokens=60, chunk_tokens=3, reasoning_tokens=30, tokens_per_second=120),
    NextAnswer(tokens=60, chunk_tokens=3, usage="none"),
    NextAnswer(tokens=60, chunk_tokens=3, trickle_bytes=7),
    NextAnswer(endless=True, chunk_tokens=3, tokens_per_second=60),
    NextAnswer(tokens=60, chunk_tokens=3, cut_after_chunks=7),
    NextAnswer(tokens=60, chunk_tokens=3, end_after_chunks=7),
    NextAnswer(tokens=60, chunk_tokens=3, error_after_chunks=7),
    NextAnswer(tokens=60, chunk_tokens=3, garbage_after_chunks=7),
    NextAnswer(tokens=60, chunk_tokens=3, stall_after_chunks=7),
)


@dataclass
class Heard:
    """What readers of one reply had of it. `text`: as far as any of them came. `ends`: where events ended. `last`: "end" or "error".
    `wrong`: what contradicts what another one had.
    """

    person: Person
    message_id: str
    conversation_id: str
    content: str
    text: bytes = b""
    ends: list[int] = field(default_factory=lambda: [0])
    last: ServerEvent | None = None
    wrong: list[str] = field(default_factory=list)

    def take(self, position: int, piece: bytes, event_id: str) -> int:
        """Where it ends."""
        end = position + len(piece)
        known = self.text[position:end]
        if position > len(self.text) or not piece.startswith(known) or event_id != f"{self.message_id}:{end}":
            self.wrong.append(f"{event_id}: {piece!r} at {position}, where there was {known!r}")
        self.text += piece[len(known) :]
        self.ends.append(end)
        return end


@dataclass
class Reading:
    """One reader of a reply."""

    heard: Heard
    events: Iterator[ServerEvent]
    position: int = 0

    def go_on(self, most_events: int | None = None) -> None:
        """To the end, unless the connection is lost before."""
        for event in islice(self.events, most_events):
            if event.name == "delta":
                self.position = self.heard.take(self.position, event.data["text"].encode(), event.id)
            else:
                self.heard.last = event


class Chatting(Players):
    def __init__(self, people: Iterable[Person], over: threading.Event) -> None:
        super().__init__(people, over)
        self.replies: dict[str, Heard] = {}
        self._before: dict[str, Heard] = {}
        """The last whole reply of each person."""

    def ask(self, server: WebServer, person: Person, chance: Random) -> None:
        ways: Mapping[Callable[[WebServer, Person, Random], None], int] = {
            self.read: 3,
            self.go_away_and_come_back: 4,
            self.stop: 3,
            self.regenerate: 2,
            self.send_until_answered: 2,
            self.complete: 2,
            self.leave_a_completion: 1,
        }
        (way,) = chance.choices(list(ways), weights=list(ways.values()))
        way(server, person, chance)

    def read(self, server: WebServer, person: Person, chance: Random) -> None:
        with self._sent(server, person, chance) as reading:
            reading.go_on()
        self._note_end(reading.heard)

    def go_away_and_come_back(self, server: WebServer, person: Person, chance: Random) -> None:
        with self._sent(server, person, chance) as reading:
            reading.go_on(chance.randrange(8))
        heard = reading.heard
        while heard.last is None and not self.over.is_set():
            with self.followed(server, heard, chance.choice(heard.ends)) as reading:
                reading.go_on(chance.choice((2, 5, 20, None)))
        self._note_end(heard)

    def stop(self, server: WebServer, person: Person, chance: Random) -> None:
        with self._sent(server, person, chance) as reading:
            reading.go_on(chance.randrange(10))
            stopped = server.post(f"{MESSAGES}/{reading.heard.message_id}/stop", None, person.access_token)
            if stopped.status != 200:
                raise Refused(stopped.status, stopped.error)
            reading.go_on()
        self._note_end(reading.heard)

    def regenerate(self, server: WebServer, person: Person, chance: Random) -> None:
        before = self._before.get(person.user_id)
        if before is None:
            return
        body = {"conversation_id": before.conversation_id, "message_id": before.message_id, "max_tokens": LONGEST_REPLY}
        with self._begun(server, person, REGENERATE, body, before.content) as reading:
            reading.go_on()
        self._note_end(reading.heard)

    def send_until_answered(self, server: WebServer, person: Person, chance: Random) -> None:
        body = message(chance)
        told = self.until_answered(server, person, MESSAGES, body, secrets.token_urlsafe(16)).json()
        reply = told["reply"]
        heard = self._heard(person, reply["id"], told["conversation_id"], body["content"])
        size = len(reply["content"].encode())
        heard.take(0, reply["content"].encode(), f"{reply['id']}:{size}")
        self.note(f"200 {reply['state']}")

    def complete(self, server: WebServer, person: Person, chance: Random) -> None:
        reply = server.post(COMPLETION, question(chance), person.access_token)
        if reply.status != 200:
            raise Refused(reply.status, reply.json()["error"]["code"])
        self.note("200 completion", str(UUID(reply.json()["id"].removeprefix("chatcmpl-"))))

    def leave_a_completion(self, server: WebServer, person: Person, chance: Random) -> None:
        body = {**question(chance), "stream": True}
        with event_stream(server, "POST", COMPLETION, person.access_token, body) as answer:
            if answer.status != 200:
                raise Refused(answer.status, answer.problem()["error"]["code"])
            for _ in islice(answer.events(), chance.randrange(1, 8)):
                pass
        self.note("200 completion left")

    @contextmanager
    def followed(self, server: WebServer, heard: Heard, position: int) -> Iterator[Reading]:
        """Raises Refused."""
        path, last = f"{MESSAGES}/{heard.message_id}/stream", f"{heard.message_id}:{position}"
        with event_stream(server, "GET", path, heard.person.access_token, Last_Event_ID=last) as answer:
            if answer.status != 200:
                raise Refused(answer.status, answer.problem()["error"])
            yield Reading(heard, answer.events(), position)

    @contextmanager
    def _sent(self, server: WebServer, person: Person, chance: Random) -> Iterator[Reading]:
        """In a new conversation, or at the beginning of the one before: then the model sees nothing else."""
        body, before = message(chance), self._before.get(person.user_id)
        if before is not None and chance.random() < 0.5:
            body |= {"conversation_id": before.conversation_id, "parent_id": None}
        with self._begun(server, person, MESSAGES, body, body["content"]) as reading:
            yield reading

    @contextmanager
    def _begun(
        self, server: WebServer, person: Person, path: str, body: Mapping[str, Any], content: str
    ) -> Iterator[Reading]:
        with event_stream(server, "POST", path, person.access_token, body) as answer:
            if answer.status != 200:
                raise Refused(answer.status, answer.problem()["error"])
            events = answer.events()
            start = next(events, None)
            if start is None:
                raise ConnectionError
            told = start.data
            yield Reading(self._heard(person, told["message_id"], told["conversation_id"], content), events)

    def _heard(self, person: Person, message_id: str, conversation_id: str, content: str) -> Heard:
        heard = Heard(person, message_id, conversation_id, content)
        with self._lock:
            return self.replies.setdefault(message_id, heard)

    def _note_end(self, heard: Heard) -> None:
        """Raises Refused for a reply that failed."""
        if heard.last is None:
            self.note("200 lost")
        elif heard.last.name == "error":
            raise Refused(200, heard.last.data["error"])
        else:
            self._before[heard.person.user_id] = heard
            self.note(f"200 {heard.last.data['state']}")


def message(chance: Random) -> dict[str, Any]:
    content = f"{secrets.token_hex(6)} größer √π ≈ 1.772 答え 😀"
    return {"content": content, "model": chance.choice(MODELS), "max_tokens": LONGEST_REPLY}


def question(chance: Random) -> dict[str, Any]:
    asked = message(chance)
    messages = [{"role": "user", "content": asked["content"]}]
    return {"model": asked["model"], "messages": messages, "max_completion_tokens": LONGEST_REPLY}
