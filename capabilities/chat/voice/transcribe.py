"""Transcribe a recording: what is special about it among metered calls (metering.metered_calls owns their order)."""

import asyncio
import math
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import orjson

from auth.principal import Caller
from capabilities.chat.voice.bodies import VoiceStartBody, VoiceTranscript
from capabilities.chat.voice.length.read_length import read_length
from capabilities.chat.voice.work import VoiceCalls
from metering.metered_calls import Delivered, OpenCall
from metering.settle import UsageNotRecorded
from providers.audio import Recording
from providers.audio_models import Listener
from providers.problems import CallStopped, ProviderFailed

ROUTE: Final = "voice:start"


@dataclass(frozen=True)
class Transcribe:
    """One per process. `running`: those whose provider is being asked."""

    voice: VoiceCalls
    model: Listener
    running: "set[Future[VoiceTranscript]]" = field(default_factory=set)

    def begin(self, caller: Caller, wanted: VoiceStartBody, audio: bytes) -> "Future[VoiceTranscript]":
        """It goes on whatever becomes of who waits for it: what the provider was asked is counted.

        Raises RecordingUnreadable, RecordingTooShort and RecordingTooLong, and a Problem for every way in which the call may not be
        made. The future raises a ProviderFailed and UsageNotRecorded; none of them is charged.
        """
        seconds = read_length(audio, wanted.format)
        call = self.voice.calls[self.model.provider].begin(
            caller,
            self.voice.work(
                ROUTE,
                "recordings",
                asked=_asked(wanted, audio),
                key=wanted.idempotency_key,
                recorded_seconds=math.ceil(seconds),
            ),
        )
        if isinstance(call, Delivered):
            stored: Future[VoiceTranscript] = Future()
            stored.set_result(VoiceTranscript.model_validate_json(call.body))
            return stored
        try:
            self.voice.settlers.adopt()
            recording = Recording(audio, wanted.format, seconds, wanted.language)
            told = self.voice.providers.loop.start(self._run(call, wanted, recording))
        except BaseException:
            call.released()
            raise
        self.running.add(told)
        told.add_done_callback(self.running.discard)
        return told

    async def _run(self, call: OpenCall, wanted: VoiceStartBody, recording: Recording) -> VoiceTranscript:
        """On the providers' loop."""
        voice, tally = self.voice, call.tally
        provider = voice.providers.by_name[self.model.provider]
        tally.provider, tally.model = provider.name, self.model.id
        tally.details |= {"route": ROUTE, "mock": provider.mock, "audio_format": recording.format}
        tally.units["audio_bytes"] = len(recording.audio)
        try:
            transcript = await provider.transcribe(
                self.model, recording, deadline_seconds=voice.seconds, request_id=call.running.request_id
            )
        except asyncio.CancelledError:  # this process ends
            tally.cost_micros = self.model.cost_micros(recording.seconds)
            await voice.settlers.run(call.failed, CallStopped())
            raise
        except Exception as failure:
            if isinstance(failure, ProviderFailed):
                tally.cost_micros = failure.cost_micros
            await voice.settlers.run(call.failed, failure)
            raise
        seconds = math.ceil(transcript.seconds)
        told = VoiceTranscript(conversation_id=wanted.conversation_id, text=transcript.text, seconds=seconds)
        tally.amounts[1] = tally.units["seconds"] = seconds
        tally.cost_micros = transcript.cost_micros
        tally.answer = told.model_dump_json()
        if not await voice.settlers.run(call.answered):
            raise UsageNotRecorded
        return told


def _asked(wanted: VoiceStartBody, audio: bytes) -> bytes:
    return orjson.dumps([sha256(audio).hexdigest(), str(wanted.conversation_id), wanted.format, wanted.language])
