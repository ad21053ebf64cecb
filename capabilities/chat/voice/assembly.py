"""The parts of voice, put together for one application. Without a model for it the events say so."""

from capabilities.chat.settings import ChatSection
from capabilities.chat.voice.events import Send, VoiceEvents
from capabilities.chat.voice.recordings import Recordings
from capabilities.chat.voice.speak import Speak
from capabilities.chat.voice.transcribe import Transcribe
from capabilities.chat.voice.work import VoiceCalls
from database.base import Clock


def build_voice(
    calls: VoiceCalls, settings: ChatSection, recordings: Recordings, *, send: Send, clock: Clock
) -> VoiceEvents:
    today = clock().date()
    listener, speaker = settings.transcription_model(today), settings.speech_model(today)
    return VoiceEvents(
        calls.plans,
        None if listener is None else Transcribe(calls, listener),
        None if speaker is None else Speak(calls, speaker),
        recordings,
        send,
    )
