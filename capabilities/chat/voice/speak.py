"""Speak a reply sentence by sentence while it is written, so that a user hears the first one before the last one is known."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Final

from auth.principal import Caller
from capabilities.chat.models import MessageState
from capabilities.chat.replies.generation import Ids
from capabilities.chat.replies.live_text import AsyncReader, LiveText
from capabilities.chat.voice.bodies import VoiceChunk, VoiceEnd
from capabilities.chat.voice.sentences import Sentences, spoken_form
from capabilities.chat.voice.work import VoiceCalls
from metering.metered_calls import Delivered, OpenCall
from metering.settle import Outcome
from metering.sockets import Socket
from providers.audio_models import Speaker
from providers.problems import ProviderFailed

EVENT: Final = "voice:audio"
LARGEST_CHUNK: Final = 64 * 1024
MOST_CHARACTERS: Final = 4_096
"""Of one reply. About five minutes: nobody listens for longer, and it is what may be paid for one recording of a second."""
LARGEST_PIECE: Final = 16 * 1024
SPOKEN: Final = "{}"
"""What is kept for a call: that it was made."""


@dataclass(frozen=True)
class Speak:
    """One per process. A reply is spoken once: whoever repeats a recording with its key gets the text again, and no second hour of
    speech for it.
    """

    voice: VoiceCalls
    model: Speaker

    async def speak(self, socket: Socket, ids: Ids, text: LiveText) -> None:
        """One metered call, for the log and its cost: it draws no seconds. Raises SocketClosed, and a Problem for what was not
        spoken.
        """
        call = await self._begun(socket, ids)
        if isinstance(call, Delivered):
            await _tell_end(socket, ids, 0, complete=False)
            return
        call.tally.answer = SPOKEN
        try:
            sentences, complete = await self._say_all(socket, ids, text, call)
        except ProviderFailed as failure:
            call.tally.cost_micros += failure.cost_micros
            await asyncio.shield(self.voice.settlers.run(call.failed, failure))
            raise
        except BaseException:  # the socket has ended
            await asyncio.shield(self.voice.settlers.run(call.answered, Outcome.CUT_SHORT))
            raise
        outcome = Outcome.DELIVERED if complete else Outcome.CUT_SHORT
        await asyncio.shield(self.voice.settlers.run(call.answered, outcome))  # also when the socket ends meanwhile
        await _tell_end(socket, ids, sentences, complete=complete)

    async def _begun(self, socket: Socket, ids: Ids) -> Delivered | OpenCall:
        """A socket that ends while the call is begun leaves none open."""
        beginning = asyncio.ensure_future(socket.blocking(self._begin, socket.caller, ids))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            call = await beginning
            if isinstance(call, OpenCall):
                await self.voice.settlers.run(call.released)
            raise

    def _begin(self, caller: Caller, ids: Ids) -> Delivered | OpenCall:
        work = self.voice.work(EVENT, "spoken replies", asked=ids.message_id.bytes, key=str(ids.message_id))
        call = self.voice.calls[self.model.provider].begin(caller, work)
        if isinstance(call, Delivered):
            return call
        self.voice.settlers.adopt()
        provider = self.voice.providers.by_name[self.model.provider]
        call.tally.provider, call.tally.model = provider.name, self.model.id
        call.tally.details |= {"route": EVENT, "mock": provider.mock}
        call.tally.units["characters"] = 0
        return call

    async def _say_all(self, socket: Socket, ids: Ids, text: LiveText, call: OpenCall) -> tuple[int, bool]:
        """How many sentences, and whether the reply is complete and all of it was spoken."""
        spoken, number, too_long = call.tally.units, 0, False
        async with aclosing(sentences_of(text, self.model.longest_input)) as sentences:
            async for sentence in sentences:
                too_long = spoken["characters"] + len(sentence) > MOST_CHARACTERS
                if too_long:
                    break
                await self._say(socket, ids, number, sentence, call)
                number += 1
        ended = text.ended
        return number, not too_long and ended is not None and ended.state is MessageState.COMPLETE

    async def _say(self, socket: Socket, ids: Ids, number: int, sentence: str, call: OpenCall) -> None:
        provider, tally = self.voice.providers.by_name[self.model.provider], call.tally
        speaking = provider.speak(
            self.model, sentence, deadline_seconds=self.voice.seconds, request_id=call.running.request_id
        )
        try:
            speech = await asyncio.wrap_future(self.voice.providers.loop.start(speaking))
        except asyncio.CancelledError:  # the provider may have made it all the same
            tally.cost_micros += self.model.cost_micros(len(sentence))
            raise
        tally.units["characters"] += len(sentence)
        tally.cost_micros += speech.cost_micros
        for begins in range(0, len(speech.audio), LARGEST_CHUNK):
            data = speech.audio[begins : begins + LARGEST_CHUNK]
            chunk = VoiceChunk(
                conversation_id=ids.conversation_id,
                message_id=ids.message_id,
                format=speech.format,
                sentence=number,
                sentence_ends=begins + len(data) == len(speech.audio),
            )
            await socket.send(EVENT, {**chunk.model_dump(mode="json"), "data": data})


async def _tell_end(socket: Socket, ids: Ids, sentences: int, *, complete: bool) -> None:
    told = VoiceEnd(
        conversation_id=ids.conversation_id, message_id=ids.message_id, sentences=sentences, complete=complete
    )
    await socket.send(EVENT, told.model_dump(mode="json"))


async def sentences_of(text: LiveText, longest: int) -> AsyncGenerator[str]:
    """As they are completed, until the reply ends, and as they are spoken."""
    sentences = Sentences(longest)
    with closing(AsyncReader(text)) as reader:
        while reader.ended is None:
            piece = await reader.read(LARGEST_PIECE)
            for sentence in sentences.more(piece.decode()):
                if spoken := spoken_form(sentence):
                    yield spoken
    for sentence in sentences.last():
        if spoken := spoken_form(sentence):
            yield spoken
