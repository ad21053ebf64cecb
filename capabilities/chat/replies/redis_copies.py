"""The texts of running replies in Redis, where other processes read them from any byte on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import redis

from database.redis.server import KEY_PREFIX, RedisServer

WRITE: Final = """
local lengths = {}
for number, key in ipairs(KEYS) do
    local length = redis.call('STRLEN', key)
    if length == tonumber(ARGV[2 * number]) then
        length = redis.call('APPEND', key, ARGV[2 * number + 1])
        redis.call('EXPIRE', key, ARGV[1])
    end
    lengths[number] = length
end
return lengths
"""
"""Only to the end of what is there: a text that Redis lost, or an append that came twice, leaves no gap and nothing double."""
READ: Final = """
local found = {}
for number = 1, #KEYS, 2 do
    found[number] = redis.call('GETRANGE', KEYS[number], ARGV[(number + 1) / 2], -1)
    found[number + 1] = redis.call('EXISTS', KEYS[number + 1])
end
return found
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a reply's text, from a byte on."""

    message_id: UUID
    position: int
    text: bytes


@dataclass(frozen=True)
class RedisCopies:
    """`seconds_running` is how long a text that nobody adds to stays, `seconds_ended` how long after the end of the reply.

    On connections beside the one on which metered calls are reserved. Whatever fails is told to `server`, and is as if there were
    no Redis.
    """

    server: RedisServer
    seconds_running: int
    seconds_ended: int

    @property
    def on(self) -> bool:
        return self.server.client() is not None

    def write(self, pieces: Sequence[Piece]) -> Sequence[int] | None:
        """How many bytes of each text Redis now has: from there it must go on. None when Redis failed."""
        arguments: list[int | bytes] = [self.seconds_running]
        for piece in pieces:
            arguments += (piece.position, piece.text)
        return self._run(WRITE, [_text(piece.message_id) for piece in pieces], arguments)

    def end(self, message_id: UUID, text: bytes) -> None:
        client = self.server.client()
        if client is None:
            return
        try:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.set(_text(message_id), text, ex=self.seconds_ended)
                pipeline.set(_end(message_id), 1, ex=self.seconds_ended)
                pipeline.execute()
        except redis.RedisError:
            self.server.failed()

    def read(self, wanted: Sequence[tuple[UUID, int]]) -> Sequence[tuple[bytes, bool]] | None:
        """Of each reply what comes after so many bytes, and whether it ended. None when Redis failed."""
        keys = [key for message_id, _ in wanted for key in (_text(message_id), _end(message_id))]
        found = self._run(READ, keys, [position for _, position in wanted])
        return None if found is None else [(found[each], bool(found[each + 1])) for each in range(0, len(found), 2)]

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[int | bytes]) -> list[Any] | None:
        client = self.server.client()
        if client is None:
            return None
        try:
            answer: list[Any] = client.register_script(script)(keys=keys, args=arguments)
        except redis.RedisError:
            self.server.failed()
            return None
        return answer


def _text(message_id: UUID) -> str:
    return f"{KEY_PREFIX}chat:{message_id}"


def _end(message_id: UUID) -> str:
    return f"{KEY_PREFIX}chat:{message_id}:end"
