"""Amounts as people write them, in currencies with two digits, none and three."""

import pytest

from capabilities.shop.money import chargeable, digits_of, minor_units, one_of, written

AMOUNTS = [
    ("usd", "12.50", 1250),
    ("usd", "0.01", 1),
    ("usd", "0.00", 0),
    ("jpy", "500", 500),
    ("jpy", "0", 0),
    ("kwd", "5.120", 5120),
    ("kwd", "0.001", 1),
    ("isk", "5.00", 500),
    ("ugx", "5.00", 500),
    ("huf", "10.45", 1045),
    ("twd", "800.45", 80045),
]


@pytest.mark.parametrize(("currency", "amount", "minor"), AMOUNTS)
def test_an_amount_is_read_as_it_is_written(currency: str, amount: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor
    assert written(minor, currency) == amount


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [("usd", "12", 1200), ("usd", "12.5", 1250), ("usd", "007.50", 750), ("kwd", "5.1", 5100)],
)
def test_digits_may_be_left_out(currency: str, amount: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        ("usd", "12.505"),
        ("jpy", "12.5"),
        ("jpy", "12.0"),
        ("kwd", "5.1234"),
        *[
            ("usd", amount)
            for amount in ("1e3", "-1", "+1", "NaN", "Infinity", "", " 1", "1 ", "1.", ".5", "1,50", "٣", "1\n")
        ],
        ("usd", "1234567890123"),
    ],
)
def test_anything_else_is_refused(currency: str, amount: str) -> None:
    with pytest.raises(ValueError, match=f"Enter an amount in {currency} with (at most|no)"):
        minor_units(amount, currency)


def test_digits_are_those_that_stripe_counts() -> None:
    """Uganda's shilling is without digits in ISO 4217 and in Stripe's list, but its special cases ask for two."""
    assert {currency: digits_of(currency) for currency in ("eur", "ugx", "isk", "mga", "krw", "bhd", "tnd")} == {
        "eur": 2,
        "ugx": 2,
        "isk": 2,
        "mga": 0,
        "krw": 0,
        "bhd": 3,
        "tnd": 3,
    }
    assert (one_of("eur"), one_of("krw"), one_of("bhd")) == (100, 1, 1000)


@pytest.mark.parametrize(
    ("currency", "minor", "charged"),
    [("usd", 1, 1), ("jpy", 7, 7), ("kwd", 5124, 5120), ("kwd", 5125, 5130), ("isk", 549, 500), ("ugx", 550, 600)],
)
def test_what_is_charged_is_the_nearest_that_stripe_takes(currency: str, minor: int, charged: int) -> None:
    assert chargeable(minor, currency) == charged
