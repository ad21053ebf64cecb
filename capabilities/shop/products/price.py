"""The price that a body names."""

from capabilities.shop.money import chargeable, minor_units, written
from capabilities.shop.products.bodies import HIGHEST_PRICE, ProductFields
from security.edge.problems import ValidationFailed, field_error


def price_of(body: ProductFields, currency: str) -> int:
    """In minor units. Raises ValidationFailed for more digits than the currency has, and for what Stripe cannot charge in it."""
    field = "price" if body.price_minor is None else "price_minor"
    try:
        price = minor_units(body.price or "", currency) if body.price_minor is None else body.price_minor
    except ValueError as refusal:
        raise ValidationFailed([field_error([field], "value_error", str(refusal))]) from None
    if price > HIGHEST_PRICE:
        raise ValidationFailed([field_error([field], "value_error", "This is more than a product can cost")])
    nearest = chargeable(price, currency)
    if nearest != price:
        message = f"Stripe does not charge this amount in {currency}. The nearest is {written(nearest, currency)}"
        raise ValidationFailed([field_error([field], "value_error", message)])
    return price
