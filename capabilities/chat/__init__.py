"""AI chat: conversations with the models of several providers, whose replies are streamed, kept and can be taken up again."""

from typing import TYPE_CHECKING

from capabilities.chat.plan_limits import CHAT_LIMITS, FEATURE
from capabilities.chat.settings import ChatSection
from capabilities.chat.voice.plan_limits import VOICE, VOICE_LIMITS
from metering.capability import Capability

if TYPE_CHECKING:
    from auth.personal_data import PersonalData
    from metering.parts import Built, Parts


def _build(parts: "Parts", settings: ChatSection) -> "Built":
    from capabilities.chat.assembly import build_chat  # noqa: PLC0415 - nothing of it is loaded while it is off

    return build_chat(parts, settings)


def _personal_data() -> "PersonalData":
    from capabilities.chat.personal_data import CHAT_DATA  # noqa: PLC0415 - the first export or purge loads it

    return CHAT_DATA


CHAT = Capability(
    name=FEATURE,
    title="Conversations with AI models.",
    settings=ChatSection,
    scopes={FEATURE: "Chat with AI models."},
    limits={tier: {FEATURE: limits, VOICE: VOICE_LIMITS[tier]} for tier, limits in CHAT_LIMITS.items()},
    models="capabilities.chat.models",
    personal_data=_personal_data,
    build=_build,
)
