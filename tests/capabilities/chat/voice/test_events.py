"""What the events of voice do with a socket, where no server is needed to see it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Unpack, cast
from uuid import UUID, uuid4

import pytest

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.chat.replies.send import Sent, Wanted
from capabilities.chat.sockets.rooms import room_of
from capabilities.chat.voice import events
from capabilities.chat.voice.bodies import VoiceStartBody, VoiceStopBody
from capabilities.chat.voice.events import VoiceEvents
from capabilities.chat.voice.plan_limits import VOICE_LIMITS
from capabilities.chat.voice.problems import AlreadyRecording, NoRecording, VoiceNotInTier, VoiceUnavailable
from capabilities.chat.voice.recordings import Recordings
from capabilities.chat.voice.transcribe import Transcribe
from metering.sockets import Arguments, Result, Socket
from providers.problems import CallStopped
from tests.capabilities.chat.sockets.client import on_a_loop

CONVERSATION = uuid4()


@dataclass(eq=False)
class Person:
    """What of a caller the events look at."""

    user_id: UUID = field(default_factory=uuid4)
    tier: Tier = Tier.PLUS


@dataclass(eq=False)
class OpenSocket:
    """One that has joined the conversation."""

    caller: Caller = field(default_factory=lambda: cast("Caller", Person()))
    id: str = "socket"
    kept: dict[str, Any] = field(default_factory=dict)
    told: list[tuple[str, Any]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def join(self, room: str) -> None: ...

    def leave(self, room: str) -> None: ...

    def joined(self, room: str) -> bool:
        return room == room_of(CONVERSATION)

    def emit(self, event: str, *payload: object) -> None:
        self.told.append((event, *payload))  # type: ignore[arg-type]

    async def send(self, event: str, *payload: object) -> None:
        self.emit(event, *payload)

    def close(self, code: int, reason: str) -> None: ...

    async def blocking(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        return await asyncio.to_thread(work, *arguments)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]


@dataclass
class Nobody:
    """Transcribes nothing."""

    running: set[object] = field(default_factory=set)


async def nothing_is_sent(_: Socket, __: Wanted) -> Sent:
    raise AssertionError("nothing was understood")


def voice(recordings: Recordings, *, hears: bool = True) -> VoiceEvents:
    """Nobody is asked here."""
    transcribing = cast("Transcribe", Nobody()) if hears else None
    return VoiceEvents(VOICE_LIMITS, transcribing, None, recordings, nothing_is_sent)


def start(**fields: Any) -> VoiceStartBody:
    return VoiceStartBody(conversation_id=CONVERSATION, format="webm", **fields)


@on_a_loop
async def test_without_a_model_for_it_there_is_no_voice() -> None:
    with pytest.raises(VoiceUnavailable) as refused:
        await voice(Recordings(), hears=False).start(OpenSocket(), start())
    assert (refused.value.status, refused.value.error) == (503, "voice_unavailable")
    with pytest.raises(VoiceUnavailable, match="speaks"):
        await voice(Recordings()).start(OpenSocket(), start(speak=True))
    free = cast("Caller", Person(tier=Tier.FREE))
    with pytest.raises(VoiceNotInTier):
        await voice(Recordings(), hears=False).start(OpenSocket(free), start())


@on_a_loop
async def test_a_socket_that_ends_gives_back_the_memory_of_its_recording() -> None:
    recordings, socket = Recordings(), OpenSocket()
    talking = voice(recordings)
    await talking.start(socket, start())
    assert await talking.chunk(socket, bytes(100)) == {"bytes": 100}
    with pytest.raises(AlreadyRecording):
        await talking.start(socket, start())
    await asyncio.sleep(0)  # its task waits now
    (task,) = socket.tasks
    task.cancel()
    await asyncio.wait([task])
    assert (recordings.size, socket.kept) == (0, {})
    with pytest.raises(NoRecording):
        await talking.stop(socket, VoiceStopBody())


@on_a_loop
async def test_a_recording_that_is_never_stopped_is_forgotten() -> None:
    recordings, socket = Recordings(), OpenSocket()
    talking = voice(recordings)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(events, "RECORDING_SECONDS", 0.05)
        await talking.start(socket, start())
        await talking.chunk(socket, bytes(100))
        await socket.tasks[0]
    assert [name for name, _ in socket.told] == ["voice:ready", "voice:error"]
    assert socket.told[-1][1]["error"] == "recording_too_long"
    assert (recordings.size, socket.kept) == (0, {})


@on_a_loop
async def test_what_is_sent_above_a_bound_ends_the_recording() -> None:
    recordings, socket = Recordings(most_bytes=1_000), OpenSocket()
    talking = voice(recordings)
    for data, error in ((bytes(64 * 1024 + 1), "chunk_too_large"), (bytes(1_001), "too_busy")):
        await talking.start(socket, start())
        with pytest.raises(Exception) as refused:
            await talking.chunk(socket, data)
        assert refused.value.error == error  # type: ignore[attr-defined]
        with pytest.raises(NoRecording):
            await talking.chunk(socket, b"x")
    assert recordings.size == 0
    await asyncio.wait(socket.tasks, timeout=10)
    assert all(task.cancelled() for task in socket.tasks)
    assert [name for name, _ in socket.told] == ["voice:ready"] * 2


@on_a_loop
async def test_a_process_that_is_told_to_stop_begins_no_recording() -> None:
    talking = voice(Recordings())
    talking.drain()
    with pytest.raises(CallStopped):
        await talking.start(OpenSocket(), start())
    assert talking.drained()
