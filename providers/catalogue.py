"""The models of each provider, as `catalogue.toml` lists them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

PER = 1_000_000
"""Tokens that a price is for."""


@dataclass(frozen=True, slots=True)
class Model:
    """Prices are in millionths of a US dollar for a million tokens; None where no published price is known.

    `listed`: it stands in the catalogue. Of one that does not, only its id is known, and it is taken at its word.
    """

    provider: str
    id: str
    pictures: bool
    context: int | None = None
    input_micros: int | None = None
    output_micros: int | None = None
    shut_down: date | None = None
    listed: bool = True

    def cost_micros(self, input_tokens: int, output_tokens: int) -> int:
        """Rounded up; 0 where the price is not known."""
        if self.input_micros is None or self.output_micros is None:
            return 0
        return -(-(input_tokens * self.input_micros + output_tokens * self.output_micros) // PER)

    def is_shut_down(self, today: date) -> bool:
        return self.shut_down is not None and self.shut_down <= today


@cache
def catalogue() -> Mapping[tuple[str, str], Model]:
    """By provider and id."""
    document = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
    models = [Model(provider, id_, **entry) for provider, entries in document.items() for id_, entry in entries.items()]
    return {(model.provider, model.id): model for model in models}


def find_model(provider: str, id_: str) -> Model | None:
    """None for one that is not listed."""
    return catalogue().get((provider, id_))


def model_named(provider: str, id_: str) -> Model:
    """Also one that is not listed, for an operator may have a newer one, or a server with models of its own."""
    return find_model(provider, id_) or Model(provider, id_, pictures=True, listed=False)
