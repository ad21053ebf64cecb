"""Image solving: a picture of a problem goes to an AI provider, and its solution comes back."""

from typing import TYPE_CHECKING

from capabilities.solve.plan_limits import FEATURE, SOLVE_LIMITS
from capabilities.solve.settings import SolveSection
from metering.capability import Capability

if TYPE_CHECKING:
    from metering.parts import Built, Parts


def _build(parts: "Parts", settings: SolveSection) -> "Built":
    from capabilities.solve.assembly import build_solve  # noqa: PLC0415 - nothing of it is loaded while it is off

    return build_solve(parts, settings)


SOLVE = Capability(
    name=FEATURE,
    title="Solutions to problems in pictures.",
    settings=SolveSection,
    scopes={FEATURE: "Solve pictures."},
    limits={tier: {FEATURE: limits} for tier, limits in SOLVE_LIMITS.items()},
    build=_build,
)
