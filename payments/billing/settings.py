"""The settings of payments that providers share."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from payments.product_table import ProductTable
from settings.process import ProcessSection

WITHOUT_CENTS = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"}
    | {"bhd", "jod", "kwd", "omr", "tnd"}
)
"""Stripe counts these in whole units or in thousandths (docs.stripe.com/currencies)."""


def _products(text: str) -> str:
    ProductTable.read(text)
    return text


def _currency(text: str) -> str:
    if len(text) != 3 or not (text.isascii() and text.isalpha() and text.islower()):
        raise ValueError("must be three lower-case letters, such as usd")
    if text in WITHOUT_CENTS:
        raise ValueError("must be a currency of 100 cents")
    return text


def _or_none(text: object) -> object:
    return None if text == "none" else text


ProductsText = Annotated[str, AfterValidator(_products)]
"""Products of one provider: payments/product_table.py."""


class BillingSection(ProcessSection):
    title: ClassVar = "Payments"

    payment_grace_days: int = Field(default=7, ge=0, le=60)
    """How many days access continues after a failed payment, unless the provider says so itself."""
    billing_max_open_cents: Annotated[int | None, BeforeValidator(_or_none)] = Field(default=2_000, ge=0)
    """What one account may owe for metered calls, in cents. Calls that would owe more get 402 `billing_limit_reached`. `none` for no
    limit."""
    billing_due_days: int = Field(default=14, ge=1, le=365)
    """How many days a monthly statement can be paid before it is overdue."""
    billing_overdue_blocks: bool = True
    """Whether an overdue statement stops calls that cost money. They get 402 `billing_overdue` until it is paid."""
    billing_currency: Annotated[str, AfterValidator(_currency)] = "usd"
    """The currency of prices and statements as three letters (ISO 4217). It must be one of 100 cents."""
