"""Amounts as people write them: "12.50". Everything else counts minor units, such as cents."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

WITHOUT_DIGITS: Final = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
WITH_THREE: Final = "bhd jod kwd omr tnd"
DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    {**dict.fromkeys(WITHOUT_DIGITS.split(), 0), **dict.fromkeys(WITH_THREE.split(), 3)}
)
"""Digits after the point; two for the rest. As Stripe counts them, which decides what is charged (docs.stripe.com/currencies):
`ugx` stands in Stripe's list of those without digits, but its special cases ask for two, as with `isk`.
"""
STEPS: Final[Mapping[str, int]] = MappingProxyType({"isk": 100, "ugx": 100, **dict.fromkeys(WITH_THREE.split(), 10)})
"""What amounts that Stripe charges are multiples of, in minor units: whole króna and shillings, and tens with three digits."""

WRITTEN: Final = re.compile(r"[0-9]{1,12}(?:\.([0-9]{1,3}))?", re.ASCII)


def digits_of(currency: str) -> int:
    return DIGITS.get(currency, 2)


def one_of(currency: str) -> int:
    """Minor units in one, such as 100 cents in a dollar."""
    return int(10 ** digits_of(currency))


def written(minor: int, currency: str) -> str:
    """1250 of usd as "12.50"."""
    digits = digits_of(currency)
    if digits == 0:
        return str(minor)
    whole, rest = divmod(minor, one_of(currency))
    return f"{whole}.{rest:0{digits}}"


def minor_units(amount: str, currency: str) -> int:
    """Raises ValueError for anything but a plain decimal with no more digits than the currency has."""
    digits = digits_of(currency)
    match = WRITTEN.fullmatch(amount)
    fraction = (match[1] or "") if match else ""
    if match is None or len(fraction) > digits:
        most = f"at most {digits} digits" if digits else "no digits"
        raise ValueError(
            f"Enter an amount in {currency} with {most} after the point, such as {written(1250, currency)}"
        )
    whole = amount.partition(".")[0]
    return int(whole) * one_of(currency) + int(fraction.ljust(digits, "0") or "0")


def chargeable(minor: int, currency: str) -> int:
    """The nearest amount that Stripe charges, half a step upwards. In most currencies that is every amount."""
    step = STEPS.get(currency, 1)
    return (minor + step // 2) // step * step
