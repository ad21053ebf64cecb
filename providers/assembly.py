"""The providers of one application, put together from its settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint

from providers.anthropic_messages import AnthropicMessages
from providers.catalogue import Catalogue, Model
from providers.chat_completions import ChatCompletions
from providers.check_production import provider_check
from providers.completion import Provider
from providers.http_client import HttpClient
from providers.http_provider import HttpProvider
from providers.loop import ProviderLoop
from providers.mock_provider import MockProvider
from providers.routes import provider_routes
from providers.settings import ANTHROPIC, GROQ, OPENAI, ProvidersSection
from providers.wire_format import WireFormat
from settings.production_check import ProductionCheck


@dataclass(frozen=True)
class Providers:
    """Those that are set up, by name. A capability gets them by `parts.shared(providers_of, settings)`, and hands on `routes` and
    `checks`. `loop` runs whatever reads their streams.
    """

    by_name: Mapping[str, Provider]
    catalogue: Catalogue
    loop: ProviderLoop
    routes: Blueprint
    checks: Sequence[ProductionCheck]

    def of(self, model: Model) -> Provider:
        """Raises KeyError for a provider that is not set up."""
        return self.by_name[model.provider]


def providers_of(settings: ProvidersSection) -> Providers:
    """Connects to nothing and starts no thread."""
    loop = ProviderLoop()
    providers = list(_set_up(settings, HttpClient(loop)))
    return Providers(
        {provider.name: provider for provider in providers},
        settings.catalogue,
        loop,
        provider_routes({provider.name: provider.health for provider in providers}),
        [provider_check(provider) for provider in providers],
    )


def _set_up(settings: ProvidersSection, http: HttpClient) -> Iterator[HttpProvider | MockProvider]:
    today = datetime.now(UTC).date()
    for name in settings.providers_set_up:
        key = settings.key_of(name)
        if key is None or (name == OPENAI and settings.use_mock_openai):
            yield MockProvider(name)
            continue
        models = [settings.openai_default_model] if name == OPENAI else settings.catalogue.of(name, today)
        if models:  # otherwise nothing can be asked of it
            yield HttpProvider(
                name, settings.address_of(name), key, asked_model=models[0], wire=_wire_format(name), http=http
            )


def _wire_format(name: str) -> WireFormat:
    return AnthropicMessages() if name == ANTHROPIC else ChatCompletions(names=name != GROQ)
