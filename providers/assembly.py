"""The providers of one application, put together from its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint

from providers.catalogue import Model
from providers.check_production import provider_check
from providers.completion import Provider
from providers.http_client import HttpClient
from providers.mock_provider import MockProvider
from providers.openai_provider import OpenAIProvider
from providers.routes import provider_routes
from providers.settings import OPENAI, OpenAISection
from settings.production_check import ProductionCheck
from settings.section import secret_text


@dataclass(frozen=True)
class Providers:
    """`routes` and `checks` are for the assembly of the capability that made them."""

    by_name: Mapping[str, Provider]
    routes: Blueprint
    checks: Sequence[ProductionCheck]

    def of(self, model: Model) -> Provider:
        """Raises KeyError for a provider that is not set up."""
        return self.by_name[model.provider]


def providers_of(settings: OpenAISection) -> Providers:
    """Connects to nothing and starts no thread."""
    http = HttpClient()
    openai: OpenAIProvider | MockProvider
    key = secret_text(settings.openai_api_key)
    if settings.use_mock_openai or key is None:
        openai = MockProvider(OPENAI)
    else:
        openai = OpenAIProvider(OPENAI, settings.openai_base_url, key, settings.openai_default_model, http)
    return Providers({OPENAI: openai}, provider_routes([openai.health]), [provider_check(openai, http)])
