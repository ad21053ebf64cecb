"""The settings of chat: which model answers, how long a reply may take, and how many there may be at once."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import ClassVar, Final

from pydantic import Field

from providers.audio_models import Listener, Speaker, first_usable
from providers.catalogue import UnknownModel
from providers.settings import ModelName, ProvidersSection, model_remarks
from settings.section import Complaint, Place
from settings.web_server import WebServerSection

MOST_STREAMS: Final = 300
SECONDS_TO_SETTLE: Final = 5.0


class ChatSection(ProvidersSection, WebServerSection):
    title: ClassVar = "AI chat"

    chat_default_model: ModelName = "fast"
    """The model, or the alias of several, that replies when neither the message nor its conversation names one.
    `providers/catalogue.toml` lists both."""
    chat_idle_timeout_s: float = Field(default=60, ge=1, le=300)
    """How long a provider may be silent in the middle of a reply, in seconds. Then the reply fails."""
    chat_reply_timeout_s: float = Field(default=300, ge=5, le=3600)
    """The longest time that a reply may take in total, in seconds."""
    chat_drain_s: float = Field(default=30, ge=0, le=600)
    """How long replies may go on when the server is told to stop, in seconds. Those that are not complete by then are stopped."""
    chat_without_database_s: float = Field(default=30, ge=1, le=300)
    """How long replies go on while the database cannot be reached, in seconds. Give it as long as your database takes to fail over.
    After that they are stopped. A reply that has ended waits twice as long to be counted; then it has failed and is free."""
    chat_max_replies: int = Field(default=300, ge=1, le=5000)
    """How many replies one process may generate at once. Any more get 503."""
    chat_max_streams: int = Field(ge=1, le=2000, examples=[str(MOST_STREAMS)])
    """How many requests of one process may wait for a reply or follow one. Each uses a thread. Any more get 503. Default: 300, but
    never more than half of `WEB_THREADS`."""
    chat_stream_ttl_s: int = Field(default=600, ge=1, le=86_400)
    """How long the text of a reply stays in Redis after its end, in seconds. After that it is read from the database."""
    chat_transcription_model: ModelName | None = Field(default=None, examples=["whisper-large-v3-turbo"])
    """The model that transcribes recordings, of those that `providers/catalogue.toml` lists as `listeners`. Default: the first whose
    provider has a key. Without one there is no voice."""
    chat_speech_model: ModelName | None = Field(default=None, examples=["tts-1"])
    """The model that speaks replies, of those that `providers/catalogue.toml` lists as `speakers`. Default: the first whose provider
    has a key. Without one replies are not spoken."""
    chat_retention_days: int = Field(default=0, ge=0, le=3650)
    """Conversations are deleted so many days after their last message. 0 keeps them."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        threads = _number(place.texts.get("WEB_THREADS"))
        return {"chat_max_streams": str(MOST_STREAMS if threads is None else max(1, min(MOST_STREAMS, threads // 2)))}

    @staticmethod
    def threads(place: Place) -> int:
        return _number(place.texts.get("CHAT_MAX_STREAMS")) or MOST_STREAMS

    def contradictions(self) -> Iterator[Complaint]:
        if self.chat_max_streams >= self.web_threads:
            yield "CHAT_MAX_STREAMS", "must be below WEB_THREADS, otherwise replies could use every thread"
        if self.chat_transcription_model not in {None, *self.catalogue.listeners}:
            yield "CHAT_TRANSCRIPTION_MODEL", "must name a model that the catalogue lists under listeners"
        if self.chat_speech_model not in {None, *self.catalogue.speakers}:
            yield "CHAT_SPEECH_MODEL", "must name a model that the catalogue lists under speakers"
        if not self.providers_set_up:
            yield "OPENAI_API_KEY", "or the key of another AI provider must be set: chat needs one"
            return
        today = datetime.now(UTC).date()
        try:
            models = self.catalogue.resolve(self.chat_default_model, self.providers_set_up, today)
        except UnknownModel:
            yield "CHAT_DEFAULT_MODEL", "must name a model or an alias of the catalogue of models"
        else:
            if not models:
                yield "CHAT_DEFAULT_MODEL", "names no model of a provider whose key is set"

    def remarks(self) -> Iterator[str]:
        for variable, name, models in (
            ("CHAT_TRANSCRIPTION_MODEL", self.chat_transcription_model, self.catalogue.listeners),
            ("CHAT_SPEECH_MODEL", self.chat_speech_model, self.catalogue.speakers),
        ):
            if name is None or name not in models:
                continue
            yield from model_remarks(variable, models[name], datetime.now(UTC).date())
            if models[name].provider not in self.providers_set_up:
                yield f"{variable} names {name}, whose provider has no key, so it is not used"

    def transcription_model(self, today: date) -> Listener | None:
        """None: no provider that is set up has one."""
        return first_usable(
            self.catalogue.listeners.values(), self.chat_transcription_model, self.providers_set_up, today
        )

    def speech_model(self, today: date) -> Speaker | None:
        """None: no provider that is set up has one."""
        return first_usable(self.catalogue.speakers.values(), self.chat_speech_model, self.providers_set_up, today)

    def longest_request(self) -> float:
        """A server that stops waits for no reply that is longer."""
        return self.chat_drain_s + SECONDS_TO_SETTLE


def _number(text: str | None) -> int | None:
    """None for what is not set, or is refused elsewhere."""
    return int(text) if text and text.isdecimal() and len(text) <= 4 else None
