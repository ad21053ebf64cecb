"""Two capabilities that call AI providers, in one application."""

from typing import Any

import pytest

from admin.assembled import ASSEMBLED
from admin.check_production.deployment import Deployment
from app import assemble
from auth.tiers import Tier
from check_settings import judged_for_production
from config import load_settings
from metering.capability import Capability
from metering.parts import Built, Parts
from providers.assembly import Providers, providers_of
from providers.settings import ProvidersSection
from tests.whole.environment import production_environment

KEYS = {"OPENAI_API_KEY": "sk-proj-1", "GROQ_API_KEY": "gsk_1", "OPENAI_BASE_URL": ""}


class OneSection(ProvidersSection):
    """Of the first capability."""


class OtherSection(ProvidersSection):
    """Of the second."""


def asking(name: str, settings: type[ProvidersSection], got: list[Providers]) -> Capability:
    def build(parts: Parts, given: Any) -> Built:
        providers = parts.shared(providers_of, given)
        got.append(providers)
        return Built(routes=(providers.routes,), checks=tuple(providers.checks))

    return Capability(name, name, {}, {tier: {} for tier in Tier}, build, settings=settings)


@pytest.mark.slow
def test_they_have_the_same_providers_one_health_and_one_check_for_each() -> None:
    got: list[Providers] = []
    capabilities = (asking("one", OneSection, got), asking("other", OtherSection, got))
    environ = production_environment("postgresql://mirroros@127.0.0.1:1/mirroros", "https://predict.example.com")
    loaded = load_settings({**environ, "CAPABILITIES": "one,other", **KEYS}, capabilities=capabilities)
    app = assemble(loaded, capabilities)
    first, second = got
    assert first is second
    paths = [rule.rule for rule in app.url_map.iter_rules()]
    assert paths.count("/health/providers") == 1
    checks = [
        check.name for check in Deployment(app, loaded, app.extensions[ASSEMBLED], judged_for_production).checks()
    ]
    assert [name for name in checks if name.startswith("AI")] == ["AI provider OpenAI", "AI provider Groq"]
