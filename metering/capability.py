"""What a product is to this application: one declaration, from which everything that names products follows.

The declarations of all products are imported everywhere, also by the web server's master process, so this module and they
import nothing heavy. What a product is made of is imported by its `build`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from auth.tiers import Tier
from settings.section import Section

if TYPE_CHECKING:
    from auth.personal_data import PersonalData
    from metering.parts import Built, Parts


class FeatureLimits(Protocol):
    """What one plan allows of one feature. Each feature has limits of its own kind, and says what of them is published."""

    @property
    def options(self) -> frozenset[str]:
        """What a request of this feature may ask for in this plan."""

    def published(self) -> Mapping[str, int | None]:
        """For price lists: name to figure, None for unlimited. A name says unit and window: `per_day`, `burst_seconds`."""


@dataclass(frozen=True, eq=False)
class Capability:
    """One product.

    `name` is that of its feature in Redis and SQL, and what `CAPABILITIES` in the environment calls it. `scopes` are what API
    keys may be given for it, each with a title. `limits`: what a plan allows of each of its features. `settings`: its
    variables, whose names begin with its own. `models`: the module of its tables, for migrations know those of every product.
    `personal_data` loads what it holds about users, also while it is off, for then it may still hold something.

    `build` puts it together when it is on. It connects to nothing and starts no thread.
    """

    name: str
    title: str
    scopes: Mapping[str, str]
    limits: Mapping[Tier, Mapping[str, FeatureLimits]]
    build: "Callable[[Parts, Any], Built]"
    settings: type[Section] | None = None
    models: str | None = None
    personal_data: "Callable[[], PersonalData] | None" = None


Capabilities = tuple[Capability, ...]


def switched_on(capabilities: Iterable[Capability], names: frozenset[str]) -> Capabilities:
    """Those of these names, in the order in which they are registered."""
    return tuple(each for each in capabilities if each.name in names)


def scopes_of(capabilities: Iterable[Capability]) -> dict[str, str]:
    return {scope: title for each in capabilities for scope, title in each.scopes.items()}


def personal_data_of(capabilities: Iterable[Capability]) -> "Iterator[PersonalData]":
    """What these hold about users. It is loaded by the first export, closing or purge."""
    from auth.personal_data import PersonalData  # noqa: PLC0415 - it imports SQLAlchemy

    for each in capabilities:
        if each.personal_data is not None:
            yield PersonalData.when_needed(each.name, each.personal_data)


def load_models(capabilities: Sequence[Capability]) -> None:
    """Make the tables of all of these known to SQLAlchemy."""
    for each in capabilities:
        if each.models is not None:
            import_module(each.models)
