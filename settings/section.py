"""A section of the settings: the variables of one subject, with every rule about them. `config.py` joins the sections.

The web server's master process reads all of them, so they import no client of a server: those would cost it 150 MB.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from inspect import get_annotations
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SecretStr

Complaint = tuple[str, str]
"""A variable, and why it is not acceptable; the sentence goes on after its name and never shows a value."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


@dataclass(frozen=True)
class Place:
    """Where the process runs. `texts` are the variables that are set."""

    environment: Environment
    platform: str | None
    """`railway` or `heroku`."""
    environ: Mapping[str, str]
    texts: Mapping[str, str]

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT


class Section(BaseModel):
    """Base of every section; a field's name in upper case is the variable's name, and its docstring explains it to operators.
    A section inherits from those that its rules look at.

    A field without a default must be set, unless `defaults` fills it in. What a section may define besides, each for its own
    variables:

    - `defaults(place) -> dict[str, str]`, static: the text of each field whose default is no constant.
    - `stand_ins() -> dict[str, str]`, static: a harmless text for a field that other fields are judged with.
    - `contradictions(self) -> Iterator[Complaint]`: what cannot work anywhere.
    - `unsafe(self) -> Iterator[Complaint]`: what only a developer's machine may have.
    - `secrets(self) -> dict[str, str]`: secrets of our own that are set, by variable; judged for strength and for being equal.
    - `remarks(self) -> Iterator[str]`: what is allowed outside development and yet is seldom meant.
    - `warnings(self) -> Iterator[str]`: what every start says, also in development: it is read, and will not work.
    - `threads(place) -> int`, static: threads that its requests may hold, for the default of `WEB_THREADS`.
    - `longest_request(self) -> float`: seconds after which its slowest request has ended.
    - `switched_off(self) -> dict[str, str]`: beginnings of paths to the variable without which there is no route.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    title: ClassVar[str] = ""
    """Its heading in `.env.example`."""
    in_example: ClassVar[frozenset[str]] = frozenset()
    """Fields that `.env.example` sets, and does not only show."""


def own_rules(settings: type[Section], rule: str) -> Iterator[Callable[..., Any]]:
    """That rule of each section that has one, once, however many sections inherit from it."""
    for section in reversed(settings.__mro__):
        if section is not Section and rule in vars(section):
            yield vars(section)[rule]


def sections_of(settings: type[Section]) -> list[type[Section]]:
    """Those that have variables, in their order."""
    return [section for section in reversed(settings.__mro__) if issubclass(section, Section) and own_fields(section)]


def own_fields(section: type[Section]) -> list[str]:
    """The fields that stand in the section itself."""
    return [name for name in get_annotations(section) if name in section.model_fields]


def set_beside(section: Section, *fields: str) -> Iterator[Complaint]:
    """For fields that only work together: those of them that are missing, when one is set."""
    present = sorted(name.upper() for name in fields if getattr(section, name))
    for name in fields:
        if present and not getattr(section, name):
            yield name.upper(), f"must be set as well, like {', '.join(present)}"


def secret_text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def secret_texts(**secrets: SecretStr | None) -> dict[str, str]:
    """Those that are set, by variable."""
    return {name.upper(): secret.get_secret_value() for name, secret in secrets.items() if secret is not None}
