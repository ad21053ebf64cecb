"""The price that a body names."""

from capabilities.shop.money import minor_units
from capabilities.shop.products.bodies import HIGHEST_PRICE, ProductFields
from security.edge.problems import ValidationFailed, field_error


def price_of(body: ProductFields, currency: str) -> int:
    """In minor units. Raises ValidationFailed for more digits than the currency has."""
    if body.price_minor is not None:
        return body.price_minor
    try:
        price = minor_units(body.price or "", currency)
    except ValueError as refusal:
        raise ValidationFailed([field_error(["price"], "value_error", str(refusal))]) from None
    if price > HIGHEST_PRICE:
        raise ValidationFailed([field_error(["price"], "value_error", "This is more than a product can cost")])
    return price
