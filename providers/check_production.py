"""For `flask check-production`: a real provider answers, takes the key and knows the model."""

from collections.abc import Iterator
from datetime import date

from database.base import Clock, utc_now
from providers.http_client import HttpClient
from providers.mock_provider import MockProvider
from providers.openai_provider import OpenAIProvider
from providers.problems import (
    CallStopped,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
    ProviderUnreachable,
)
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

SECONDS = 3.0


def provider_check(
    provider: OpenAIProvider | MockProvider, http: HttpClient, clock: Clock = utc_now
) -> ProductionCheck:
    return ProductionCheck(
        "AI provider",
        "OpenAI answers, accepts the key and knows the model. Nothing was asked that costs.",
        lambda: find(provider, http, clock().date()),
    )


def find(provider: OpenAIProvider | MockProvider, http: HttpClient, today: date) -> Iterator[Shortcoming]:
    if isinstance(provider, MockProvider):
        yield Shortcoming("The mock is on, which solves nothing.", "Set OPENAI_API_KEY, and USE_MOCK_OPENAI=false.")
        return
    model = provider.default_model
    if model.shut_down is not None:
        gone = model.is_shut_down(today)
        yield Shortcoming(
            f"The model {model.id} {'was' if gone else 'will be'} shut down on {model.shut_down}.",
            "Set OPENAI_MODEL to a newer one; providers/catalogue.toml lists some.",
            fails=gone,
        )
    try:
        provider.try_key(SECONDS)
    except (ProviderUnreachable, ProviderTimedOut, ProviderBroke, CallStopped) as failure:
        raise CannotAsk(
            f"OpenAI does not answer ({failure.reason}).",
            "Look at status.openai.com, OPENAI_BASE_URL and what the firewall lets out.",
        ) from None
    except ProviderBusy:
        yield Shortcoming("OpenAI's limit for this key is reached.", "Raise the limit there.", fails=False)
    except ProviderMisconfigured as failure:
        yield Shortcoming(
            f"OpenAI does not accept the key or the model ({failure.reason}).",
            "Set OPENAI_API_KEY and OPENAI_MODEL to what this account has, and see that it can pay.",
        )
    except ProviderFailed as failure:
        yield Shortcoming(f"OpenAI's answer cannot be read ({failure.reason}).", "Check OPENAI_BASE_URL.")
    finally:
        http.close()
