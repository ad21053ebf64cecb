"""The settings of Stripe, and of where its pages lead back to."""

from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from payments.billing.settings import ProductsText
from settings import types
from settings.process import ProcessSection
from settings.section import Complaint

StripeKey = Annotated[
    SecretStr,
    types.readable(
        types.matching(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+", "must begin with sk_test_, sk_live_, rk_test_ or rk_live_")
    ),
]
StripeWebhookSecrets = Annotated[
    SecretStr, types.readable(types.matching(r"whsec_[^\s,]+(\s*,\s*whsec_[^\s,]+)*", "must begin with whsec_"))
]


class StripeSection(ProcessSection):
    title: ClassVar = "Stripe"

    stripe_secret_key: StripeKey | None = Field(default=None, examples=["sk_test_..."])
    """Your Stripe API key. Set it to turn on the routes of `/api/payments/stripe`."""
    stripe_webhook_secret: StripeWebhookSecrets | None = Field(default=None, examples=["whsec_..."])
    """Verifies Stripe's webhooks. Without it the endpoint does not exist. While you roll it, set both: `whsec_…,whsec_…`."""
    stripe_prices: ProductsText = Field(
        default="",
        examples=["price_1:pro:monthly,price_2:pro:yearly,price_3:enterprise:monthly,price_4:enterprise:yearly"],
    )
    """What Stripe sells: `price:tier:cycle,…`. Leave out the cycle of a price that is no longer sold; users who have it
    keep the tier."""
    stripe_trial_days: int = Field(default=0, ge=0, le=365)
    """Days of free trial at Stripe, once for each user. 0 means no trial."""
    stripe_api_base: types.BaseUrl = "https://api.stripe.com"
    """The address of Stripe's API. For tests and development."""
    checkout_return_url: types.HttpUrl | None = Field(default=None, examples=["https://app.example.com/billing"])
    """Where Stripe's pages return to if the app gives no address. Default: plain pages of this API."""
    checkout_origins: types.Origins = Field(default=frozenset(), examples=["https://app.example.com"])
    """The origins of apps that Stripe's pages may return to, separated by commas: `https://app.example.com`, or an
    app's own scheme, `mirroros://checkout`. Default: `CORS_ORIGINS`."""

    def contradictions(self) -> Iterator[Complaint]:
        if self.stripe_secret_key is None:
            for name in ("stripe_webhook_secret", "stripe_prices"):
                if getattr(self, name):
                    yield name.upper(), "has no effect without STRIPE_SECRET_KEY"

    def unsafe(self) -> Iterator[Complaint]:
        if self.stripe_secret_key is not None and self.stripe_webhook_secret is None:
            yield "STRIPE_WEBHOOK_SECRET", "must be set as well, otherwise the API does not learn about payments"
        if self.stripe_api_base != StripeSection.model_fields["stripe_api_base"].default:
            yield "STRIPE_API_BASE", "must not be set: the server at this address decides who has paid"
        if urlsplit(self.checkout_return_url or "https:").scheme != "https":
            yield "CHECKOUT_RETURN_URL", "must begin with https://"
        if any(urlsplit(origin).scheme == "http" for origin in self.checkout_origins):
            yield "CHECKOUT_ORIGINS", "must begin with https:// or an app's own scheme"

    def switched_off(self) -> dict[str, str]:
        """The webhook first: what stands first is told."""
        needed = {
            "/api/payments/stripe/webhook": "stripe_webhook_secret",
            "/api/payments/stripe": "stripe_secret_key",
        }
        return {path: name.upper() for path, name in needed.items() if getattr(self, name) is None}

    @property
    def redirect_origins(self) -> frozenset[str]:
        """Where a browser may be led from here."""
        return self.checkout_origins or self.cors_origins
