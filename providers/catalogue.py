"""The models of each provider, as `catalogue.toml` lists them, or the file that `MODEL_CATALOGUE` names."""

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from auth.tiers import Tier
from providers.audio_models import RESPONSE_FORMATS, SPOKEN_FORMATS, Listener, Speaker

PER = 1_000_000
"""Tokens that a price is for."""
SHIPPED: Final = Path(__file__).with_name("catalogue.toml")
PROVIDERS: Final = ("openai", "anthropic", "google", "groq")
AUDIO_PROVIDERS: Final = ("openai", "groq")
"""Those that hear and speak in OpenAI's format."""
Made = TypeVar("Made")


class UnknownModel(LookupError):
    """No model and no alias has this name, or it was shut down."""


@dataclass(frozen=True, slots=True)
class Model:
    """Prices are in millionths of a US dollar for a million tokens; None where no published price is known. `cached_input_micros`: of
    input that the provider had in its cache; None for the price of other input.

    `longest_reply`: in tokens, with what it thinks. `lowest_tier`: the plan from which on it may be used. `refuses`: parameters for
    sampling that it answers with an error (`temperature`, `top_p`). `listed`: it stands in the catalogue. Of one that does not,
    only its id is known, and it is taken at its word.
    """

    provider: str
    id: str
    pictures: bool
    context: int | None = None
    longest_reply: int | None = None
    lowest_tier: Tier = Tier.FREE
    refuses: frozenset[str] = frozenset()
    input_micros: int | None = None
    cached_input_micros: int | None = None
    output_micros: int | None = None
    shut_down: date | None = None
    listed: bool = True

    def cost_micros(self, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0) -> int:
        """Rounded up; 0 where the price is not known. The cached tokens are among those of the input."""
        if self.input_micros is None or self.output_micros is None:
            return 0
        cached_price = self.input_micros if self.cached_input_micros is None else self.cached_input_micros
        cached = min(cached_input_tokens, input_tokens)
        fresh = (input_tokens - cached) * self.input_micros
        return -(-(fresh + cached * cached_price + output_tokens * self.output_micros) // PER)

    def is_shut_down(self, today: date) -> bool:
        return self.shut_down is not None and self.shut_down <= today


@dataclass(frozen=True)
class Catalogue:
    """`models` by id, in the order of the file: no two providers list the same one. `aliases`: names for several models, of which
    the first that can be used is taken. `listeners` and `speakers`, for recordings and for texts that are spoken: the same.
    """

    models: Mapping[str, Model]
    aliases: Mapping[str, Sequence[Model]]
    listeners: Mapping[str, Listener] = field(default_factory=dict)
    speakers: Mapping[str, Speaker] = field(default_factory=dict)

    def find(self, provider: str, id_: str) -> Model | None:
        """None for one that is not listed."""
        model = self.models.get(id_)
        return model if model is not None and model.provider == provider else None

    def named(self, provider: str, id_: str) -> Model:
        """Also one that is not listed, for an operator may have a newer one, or a server with models of its own."""
        return self.find(provider, id_) or Model(provider, id_, pictures=True, listed=False)

    def of(self, provider: str, today: date) -> list[Model]:
        """Those that answer."""
        return [each for each in self.models.values() if each.provider == provider and not each.is_shut_down(today)]

    def resolve(self, name: str, providers: Collection[str], today: date) -> list[Model]:
        """The models that a name stands for, those to be tried first in front, of these providers alone. Empty when none of them
        has one. Raises UnknownModel.
        """
        model = self.models.get(name)
        named = self.aliases.get(name, ()) if model is None else (model,)
        alive = [each for each in named if not each.is_shut_down(today)]
        if not alive:
            raise UnknownModel(name)
        return [each for each in alive if each.provider in providers]


@cache
def read_catalogue(file: Path | None = None) -> Catalogue:
    """Once for each file. None is the shipped one. Raises ValueError, which says what is wrong with it."""
    try:
        document = tomllib.loads((file or SHIPPED).read_text(encoding="utf-8"))
    except OSError:
        raise ValueError("cannot be read") from None
    except ValueError as wrong:
        raise ValueError(f"is not TOML in UTF-8: {wrong}") from None
    aliases, listeners, speakers = (document.pop(name, {}) for name in ("aliases", "listeners", "speakers"))
    models = _models(document, PROVIDERS, _model)
    return Catalogue(
        models,
        {name: _alias(name, ids, models) for name, ids in _table(aliases, "aliases").items()},
        _models(_table(listeners, "listeners"), AUDIO_PROVIDERS, _listener),
        _models(_table(speakers, "speakers"), AUDIO_PROVIDERS, _speaker),
    )


def _models(
    document: Mapping[str, Any], providers: Collection[str], make: Callable[[str, str, Mapping[str, Any]], Made]
) -> dict[str, Made]:
    if unknown := sorted(document.keys() - set(providers)):
        raise ValueError(f"names a provider that there is not: {unknown[0]}")
    models: dict[str, Made] = {}
    for provider, entries in document.items():
        for id_, entry in _table(entries, provider).items():
            if id_ in models:
                raise ValueError(f"lists {id_} twice")
            models[id_] = make(provider, id_, _table(entry, id_))
    return models


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"has no table for {name}")  # noqa: TRY004 - it is said of the file
    return value


_FIELDS: Final[Mapping[str, type]] = {
    "pictures": bool,
    "context": int,
    "longest_reply": int,
    "lowest_tier": str,
    "refuses": list,
    "input_micros": int,
    "cached_input_micros": int,
    "output_micros": int,
    "shut_down": date,
}
_LISTENER_FIELDS: Final[Mapping[str, type]] = {
    "response_format": str,
    "hour_micros": int,
    "least_seconds": int,
    "shut_down": date,
}
_SPEAKER_FIELDS: Final[Mapping[str, type]] = {
    "voice": str,
    "longest_input": int,
    "format": str,
    "characters_micros": int,
    "shut_down": date,
}


def _check(id_: str, entry: Mapping[str, Any], fields: Mapping[str, type]) -> None:
    for name, value in entry.items():
        kind = fields.get(name)
        if kind is None:
            raise ValueError(f"has an unknown member of {id_}: {name}")
        if type(value) is not kind or (isinstance(value, int) and value < 0) or not _are_names(value):
            raise ValueError(f"has a wrong value of {id_}: {name}")


def _listener(provider: str, id_: str, entry: Mapping[str, Any]) -> Listener:
    _check(id_, entry, _LISTENER_FIELDS)
    listener = Listener(provider, id_, **entry)
    if listener.response_format not in RESPONSE_FORMATS:
        raise ValueError(f"has a wrong value of {id_}: response_format")
    return listener


def _speaker(provider: str, id_: str, entry: Mapping[str, Any]) -> Speaker:
    _check(id_, entry, _SPEAKER_FIELDS)
    if not entry.get("voice") or not entry.get("longest_input"):
        raise ValueError(f"does not say the voice of {id_}, or how much it takes (longest_input)")
    speaker = Speaker(provider, id_, **entry)
    if speaker.format not in SPOKEN_FORMATS:
        raise ValueError(f"has a wrong value of {id_}: format")
    return speaker


def _model(provider: str, id_: str, entry: Mapping[str, Any]) -> Model:
    _check(id_, entry, _FIELDS)
    if "pictures" not in entry:
        raise ValueError(f"does not say whether {id_} reads pictures")
    if ("input_micros" in entry) != ("output_micros" in entry):
        raise ValueError(f"has only one price of {id_}")
    try:
        tier = Tier(entry.get("lowest_tier", Tier.FREE))
    except ValueError:
        raise ValueError(f"names a plan for {id_} that there is not: {entry['lowest_tier']}") from None
    return Model(provider, id_, **{**entry, "lowest_tier": tier, "refuses": frozenset(entry.get("refuses", ()))})


def _are_names(value: object) -> bool:
    """True for what is no list."""
    return not isinstance(value, list) or all(isinstance(each, str) for each in value)


def _alias(name: str, ids: object, models: Mapping[str, Model]) -> Sequence[Model]:
    if not isinstance(ids, list) or not ids or not _are_names(ids) or name in models:
        raise ValueError(f"must have a list of models for the alias {name}, which is no model's name")
    for id_ in ids:
        if id_ not in models:
            raise ValueError(f"names a model for the alias {name} that it does not list: {id_}")
    return tuple(models[id_] for id_ in ids)
