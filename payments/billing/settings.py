"""The settings of payments that providers share."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from payments.product_table import ProductTable
from settings.process import ProcessSection


def _products(text: str) -> str:
    ProductTable.read(text)
    return text


ProductsText = Annotated[str, AfterValidator(_products)]
"""Products of one provider: payments/product_table.py."""


class BillingSection(ProcessSection):
    title: ClassVar = "Payments"

    payment_grace_days: int = Field(default=7, ge=0, le=60)
    """How many days access continues after a failed payment, unless the provider says so itself."""
