"""A capability as small as one can be, with one of everything. Nothing else in the repository knows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from auth.tiers import Tier
from metering.capability import Capability
from settings.section import Section

if TYPE_CHECKING:
    from auth.personal_data import PersonalData
    from metering.parts import Built, Parts


class ToySection(Section):
    title: ClassVar = "Toys"

    toy_motto: str = Field(examples=["hello"])
    """What a toy says when it is wound up."""


@dataclass(frozen=True)
class ToyLimits:
    per_day: int
    options: frozenset[str] = frozenset()

    def published(self) -> Mapping[str, int | None]:
        return {"per_day": self.per_day}


TOY_PRICE_MICROS = 15_000
"""One and a half cents."""
TOY_LIMITS = {tier: ToyLimits(2 * (tier.rank + 1)) for tier in Tier}


def _build(parts: "Parts", settings: ToySection) -> "Built":
    from tests.toy_capability.assembly import build_toy

    return build_toy(parts, settings)


def _personal_data() -> "PersonalData":
    from tests.toy_capability.personal_data import TOY_DATA

    return TOY_DATA


TOY = Capability(
    name="toy",
    title="Toys that can be wound up.",
    scopes={"toy": "Wind up toys."},
    limits={tier: {"toy": limits} for tier, limits in TOY_LIMITS.items()},
    settings=ToySection,
    models="tests.toy_capability.models",
    personal_data=_personal_data,
    build=_build,
)
