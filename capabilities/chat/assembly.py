"""The parts of this package, put together for one application."""

from datetime import UTC

from auth.tiers import Tier
from capabilities.chat.conversations.check_defaults import Defaults
from capabilities.chat.conversations.jobs import retention_jobs
from capabilities.chat.conversations.routes import conversation_routes
from capabilities.chat.plan_limits import CHAT_LIMITS
from capabilities.chat.settings import ChatSection
from metering.parts import Built, Parts
from providers.assembly import providers_of
from providers.catalogue import UnknownModel
from security.edge.problems import ValidationFailed, field_error


def build_chat(parts: Parts, settings: ChatSection) -> Built:
    providers = parts.shared(providers_of, settings)
    clock = parts.auth.clock

    def check_model(name: str, _tier: Tier) -> None:
        try:
            providers.catalogue.resolve(name, (), clock().astimezone(UTC).date())
        except UnknownModel:
            raise ValidationFailed([field_error(["model"], "unknown_model", "There is no such model")]) from None

    return Built(
        routes=(conversation_routes(parts.auth, Defaults(CHAT_LIMITS, check_model)),),
        jobs=retention_jobs(clock, settings.chat_retention_days),
    )
