"""What stands in `external_id` of a payment that is made on a page of Stripe's, see pay_page.py."""

from typing import Final

from sqlalchemy import ColumnElement, or_

from payments.models import Payment

BEGUN: Final = "page:"
"""And the payment's own id: Stripe's answer with the page's id has not come yet."""
SESSION: Final = "cs_"


def is_page(external_id: str | None) -> bool:
    return external_id is not None and external_id.startswith((BEGUN, SESSION))


def has_page() -> ColumnElement[bool]:
    return or_(Payment.external_id.startswith(BEGUN), Payment.external_id.startswith(SESSION, autoescape=True))
