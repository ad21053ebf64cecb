"""The parts of this package, put together for one application."""

from capabilities.commands.ask_model import CommandHelp
from capabilities.commands.plan_limits import COMMANDS_LIMITS, FEATURE
from capabilities.commands.routes import commands_routes
from capabilities.commands.settings import SECONDS_BESIDE_PROVIDER, CommandsSection
from metering.bulkhead import Bulkhead
from metering.parts import Built, Parts
from providers.http_client import HttpClient
from providers.loop import ProviderLoop
from providers.openrouter import OpenRouter
from security.api.slots import Slots

LEASE_MARGIN_SECONDS = 30.0


def build_commands(parts: Parts, settings: CommandsSection) -> Built:
    # A client and loop of its own, because it may be on without any provider that has a key.
    openrouter = OpenRouter(
        settings.openrouter_base_url, HttpClient(ProviderLoop()), default_model=settings.openrouter_default_model
    )
    longest_call = settings.openrouter_timeout_s + SECONDS_BESIDE_PROVIDER + LEASE_MARGIN_SECONDS
    help_ = CommandHelp(
        calls=parts.metering.calls(
            FEATURE,
            breaker=openrouter.breaker,
            bulkhead=Bulkhead(settings.most_in_flight),
            longest_call=longest_call,
        ),
        openrouter=openrouter,
        plans=COMMANDS_LIMITS,
        provider_seconds=settings.openrouter_timeout_s,
        longest_call=longest_call,
        hash_key=parts.derived_key("mirroros commands request hashes v1"),
    )
    routes = commands_routes(
        help_,
        metered=parts.auth.metered(FEATURE),
        signed_in=parts.auth.signed_in_or_key(FEATURE),
        slots=Slots(settings.most_in_flight),
    )
    return Built(routes=(routes,))
