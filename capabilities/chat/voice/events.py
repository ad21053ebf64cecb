"""What clients do by voice over a socket: they record, and get the transcript, the reply, and the reply as audio."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from capabilities.chat.replies.bodies import SendBody
from capabilities.chat.replies.send import Sent, Wanted
from capabilities.chat.sockets.rooms import check_joined
from capabilities.chat.voice.bodies import VoiceReady, VoiceStartBody, VoiceStopBody, VoiceTranscript
from capabilities.chat.voice.length.read_length import LONGEST_SECONDS
from capabilities.chat.voice.problems import (
    AlreadyRecording,
    ChunkTooLarge,
    NoRecording,
    RecordingTooLong,
    VoiceUnavailable,
)
from capabilities.chat.voice.recordings import LARGEST_RECORDING, Recording, Recordings
from capabilities.chat.voice.speak import Speak
from capabilities.chat.voice.transcribe import Transcribe
from capabilities.chat.voice.work import Plans, check_plan
from metering.sockets import Socket, SocketClosed, SocketEvent
from providers.problems import CallStopped
from security.edge.problems import InternalError, Problem
from security.edge.request_id import current_request_id

LARGEST_CHUNK: Final = 64 * 1024
CHUNKS_PER_SECOND: Final = 50
RECORDING_SECONDS: Final = LONGEST_SECONDS + 60.0
"""From `voice:start` to `voice:stop`. What is never stopped is forgotten then."""
RECORDING: Final = "recording"
ERROR: Final = "voice:error"
Told = Mapping[str, object]
Send = Callable[[Socket, Wanted], Awaitable[Sent]]
"""As `chat:stream` does it."""


class VoiceEvents:
    """One per process, on the loop of the sockets. `transcribing` and `speaking` are None without a model for it.

    A process that is told to stop waits for the recordings that were sent to their end (metering.parts.Drain).
    """

    def __init__(
        self, plans: Plans, transcribing: Transcribe | None, speaking: Speak | None, recordings: Recordings, send: Send
    ) -> None:
        self._plans, self._transcribing, self._speaking = plans, transcribing, speaking
        self._recordings, self._send = recordings, send
        self._draining = False
        self._answering = 0

    def events(self) -> Sequence[SocketEvent]:
        return (
            SocketEvent("voice:start", VoiceStartBody, self.start, error=ERROR),
            SocketEvent("voice:chunk", None, self.chunk, per_second=CHUNKS_PER_SECOND, error=ERROR),
            SocketEvent("voice:stop", VoiceStopBody, self.stop, error=ERROR),
        )

    async def start(self, socket: Socket, body: VoiceStartBody) -> Told:
        """Raises VoiceNotInTier, VoiceUnavailable, NotJoined, AlreadyRecording, CallStopped."""
        check_plan(self._plans, socket.caller.tier)
        if self._transcribing is None or (body.speak and self._speaking is None):
            raise VoiceUnavailable(
                None if self._transcribing is None else "This server has no model that speaks replies"
            )
        check_joined(socket, body.conversation_id)
        if RECORDING in socket.kept:
            raise AlreadyRecording
        if self._draining:
            raise CallStopped(sent=0)
        recording = socket.kept[RECORDING] = self._recordings.begin(body)
        recording.followed = socket.start(self._follow(socket, recording, self._transcribing))
        ready = VoiceReady(
            conversation_id=body.conversation_id,
            largest_chunk=LARGEST_CHUNK,
            largest_recording=LARGEST_RECORDING,
            longest_seconds=LONGEST_SECONDS,
        ).model_dump(mode="json")
        socket.emit("voice:ready", ready)
        return ready

    async def chunk(self, socket: Socket, data: bytes) -> Told:
        """Raises NoRecording, and ChunkTooLarge, RecordingTooLarge and TooManyRecordings, after which the recording is forgotten."""
        recording = _recording_of(socket)
        try:
            if len(data) > LARGEST_CHUNK:
                raise ChunkTooLarge(LARGEST_CHUNK)
            self._recordings.add(recording, data)
        except Problem:
            self._forget(socket, recording)
            recording.followed.cancel()
            raise
        return {"bytes": recording.size}

    async def stop(self, socket: Socket, _: VoiceStopBody) -> Told:
        """What becomes of it is told by events. Raises NoRecording."""
        recording = _recording_of(socket)
        del socket.kept[RECORDING]  # the next one may begin
        recording.stopped.set()
        return {"bytes": recording.size}

    def drain(self) -> None:
        self._draining = True

    def drained(self) -> bool:
        return not self._answering and (self._transcribing is None or not self._transcribing.running)

    async def _follow(self, socket: Socket, recording: Recording, transcribing: Transcribe) -> None:
        """From its start to the last that comes of it, or to the end of the socket."""
        try:
            await _until_stopped(recording)
            self._answering += 1
            try:
                await self._answer(socket, recording, transcribing)
            finally:
                self._answering -= 1
        except SocketClosed:
            pass
        except Problem as problem:
            socket.emit(ERROR, problem.body(current_request_id()))
        except Exception as error:
            structlog.get_logger().error("voice_broke", exc_info=error)
            socket.emit(ERROR, InternalError().body(current_request_id()))
        finally:
            self._forget(socket, recording)

    async def _answer(self, socket: Socket, recording: Recording, transcribing: Transcribe) -> None:
        """Raises SocketClosed and Problem."""
        wanted = recording.wanted
        told = await socket.blocking(transcribing.begin, socket.caller, wanted, recording.taken())
        transcript = await asyncio.shield(asyncio.wrap_future(told))
        self._forget(socket, recording)
        socket.emit("voice:transcript", transcript.model_dump(mode="json"))
        sent = await self._send(socket, _message(wanted, transcript))
        text = sent.reader.text
        sent.reader.close()
        if wanted.speak and self._speaking is not None:
            await self._speaking.speak(socket, sent.ids, text)

    def _forget(self, socket: Socket, recording: Recording) -> None:
        self._recordings.forget(recording)
        if socket.kept.get(RECORDING) is recording:
            del socket.kept[RECORDING]


def _recording_of(socket: Socket) -> Recording:
    """Raises NoRecording."""
    recording: Recording | None = socket.kept.get(RECORDING)
    if recording is None:
        raise NoRecording
    return recording


async def _until_stopped(recording: Recording) -> None:
    """Raises RecordingTooLong."""
    try:
        async with asyncio.timeout(RECORDING_SECONDS):
            await recording.stopped.wait()
    except TimeoutError:
        raise RecordingTooLong(LONGEST_SECONDS) from None


def _message(wanted: VoiceStartBody, transcript: VoiceTranscript) -> Wanted:
    body = SendBody(content=transcript.text, conversation_id=wanted.conversation_id)
    return Wanted.sent(body, wanted.idempotency_key)
