"""For `flask check-production`: a real provider answers, takes the key and knows the model."""

from collections.abc import Iterator
from datetime import date

from database.base import Clock, utc_now
from providers.http_provider import HttpProvider
from providers.mock_provider import MockProvider
from providers.problems import (
    CallStopped,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
    ProviderUnreachable,
)
from providers.settings import OPENAI, TITLES
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

SECONDS = 3.0


def provider_check(provider: HttpProvider | MockProvider, clock: Clock = utc_now) -> ProductionCheck:
    title = TITLES[provider.name]
    return ProductionCheck(
        f"AI provider {title}",
        f"{title} answers, accepts the key and knows the model. Nothing was asked that costs.",
        lambda: find(provider, clock().date()),
    )


def find(provider: HttpProvider | MockProvider, today: date) -> Iterator[Shortcoming]:
    title, variable = TITLES[provider.name], provider.name.upper()
    if isinstance(provider, MockProvider):
        yield Shortcoming("The mock is on, which solves nothing.", "Set OPENAI_API_KEY, and USE_MOCK_OPENAI=false.")
        return
    model = provider.asked_model
    if model.shut_down is not None:
        gone = model.is_shut_down(today)
        yield Shortcoming(
            f"The model {model.id} {'was' if gone else 'will be'} shut down on {model.shut_down}.",
            (
                "Set OPENAI_MODEL to a newer one; providers/catalogue.toml lists some."
                if provider.name == OPENAI
                else "Take newer ones into the catalogue of models (MODEL_CATALOGUE)."
            ),
            fails=gone,
        )
    try:
        provider.try_key(SECONDS)
    except (ProviderUnreachable, ProviderTimedOut, ProviderBroke, CallStopped) as failure:
        raise CannotAsk(
            f"{title} does not answer ({failure.reason}).",
            f"Look at {title}'s status page, {variable}_BASE_URL and what the firewall lets out.",
        ) from None
    except ProviderBusy:
        yield Shortcoming(f"{title}'s limit for this key is reached.", "Raise the limit there.", fails=False)
    except ProviderMisconfigured as failure:
        yield Shortcoming(
            f"{title} does not accept the key or the model {model.id} ({failure.reason}).",
            f"Set {variable}_API_KEY to a key of an account that has this model, and see that it can pay.",
        )
    except ProviderFailed as failure:
        yield Shortcoming(f"{title}'s answer cannot be read ({failure.reason}).", f"Check {variable}_BASE_URL.")
