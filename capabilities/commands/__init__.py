"""Help with commands of a shell, from AI models that the caller pays for: each call brings a key for OpenRouter."""

from typing import TYPE_CHECKING

from capabilities.commands.plan_limits import COMMANDS_LIMITS, FEATURE
from capabilities.commands.settings import CommandsSection
from metering.capability import Capability

if TYPE_CHECKING:
    from metering.parts import Built, Parts


def _build(parts: "Parts", settings: CommandsSection) -> "Built":
    from capabilities.commands.assembly import build_commands  # noqa: PLC0415 - nothing of it is loaded while it is off

    return build_commands(parts, settings)


COMMANDS = Capability(
    name=FEATURE,
    title="Help with commands of a shell, with your own key for OpenRouter.",
    settings=CommandsSection,
    scopes={FEATURE: "Ask for help with commands."},
    limits={tier: {FEATURE: limits} for tier, limits in COMMANDS_LIMITS.items()},
    build=_build,
)
