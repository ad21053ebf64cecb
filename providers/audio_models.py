"""The models that hear and speak, as the catalogue lists them. They take no part in chats: they reply to nothing."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar

RESPONSE_FORMATS: Final = ("json", "verbose_json")
SPOKEN_FORMATS: Final = ("mp3", "opus", "aac", "flac", "wav")
"""Of OpenAI's, those whose pieces can be played by themselves."""
PER_HOUR = 3_600
PER_CHARACTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Listener:
    """It transcribes recordings. `response_format`: the one in which its provider tells the most of a recording's length.

    `hour_micros`: an hour of a recording in millionths of a US dollar; None where no published price is known.
    `least_seconds`: what shorter recordings are billed as.
    """

    provider: str
    id: str
    response_format: str = "json"
    hour_micros: int | None = None
    least_seconds: int = 0
    shut_down: date | None = None

    def cost_micros(self, seconds: float) -> int:
        """Rounded up; 0 where the price is not known."""
        return -(-round(max(seconds, self.least_seconds) * (self.hour_micros or 0)) // PER_HOUR)


@dataclass(frozen=True, slots=True)
class Speaker:
    """It speaks texts of at most `longest_input` characters, as `format`. `voice`: who speaks.

    `characters_micros`: a million characters in millionths of a US dollar; None where no published price is known.
    """

    provider: str
    id: str
    voice: str
    longest_input: int
    format: str = "mp3"
    characters_micros: int | None = None
    shut_down: date | None = None

    def cost_micros(self, characters: int) -> int:
        """Rounded up; 0 where the price is not known."""
        return -(-characters * (self.characters_micros or 0) // PER_CHARACTERS)


AudioModel = TypeVar("AudioModel", Listener, Speaker)


def first_usable(
    models: Iterable[AudioModel], name: str | None, providers: Collection[str], today: date
) -> AudioModel | None:
    """The one of this name, or else the first: of these providers, and one that still answers."""
    for model in models:
        answers = model.provider in providers and (model.shut_down is None or model.shut_down > today)
        if answers and name in (None, model.id):
            return model
    return None
