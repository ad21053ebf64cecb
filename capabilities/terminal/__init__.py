"""Remote terminal: shells on the user's own servers over SSH, and what their devices share about them."""

from typing import TYPE_CHECKING

from capabilities.terminal.plan_limits import FEATURE, TERMINAL_LIMITS
from capabilities.terminal.settings import TerminalSection
from metering.capability import Capability

if TYPE_CHECKING:
    from auth.personal_data import PersonalData
    from metering.parts import Built, Parts


def _build(parts: "Parts", settings: TerminalSection) -> "Built":
    from capabilities.terminal.assembly import build_terminal  # noqa: PLC0415 - nothing of it is loaded while it is off

    return build_terminal(parts, settings)


def _personal_data() -> "PersonalData":
    from capabilities.terminal.personal_data import TERMINAL_DATA  # noqa: PLC0415 - the first export or purge loads it

    return TERMINAL_DATA


TERMINAL = Capability(
    name=FEATURE,
    title="Terminals on your own servers.",
    settings=TerminalSection,
    scopes={},  # a program that has an API key does not get into the servers of whoever made it
    limits={tier: {FEATURE: limits} for tier, limits in TERMINAL_LIMITS.items()},
    models="capabilities.terminal.models",
    personal_data=_personal_data,
    build=_build,
)
